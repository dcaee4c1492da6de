"""Fixtures that every test can use."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

REPO_ROOT = Path(__file__).resolve().parents[1]
CORE_LIBRARIES = ('cv2', 'matplotlib.pyplot', 'numba', 'pandas', 'pycocotools.mask', 'scipy.ndimage')
MMDET_LIBRARIES = ('mmdet.apis', 'torch.utils.tensorboard')

# Pages that are compared with each other are of one date, whenever they are made.
os.environ['SOURCE_DATE_EPOCH'] = '1700000000'

# Compiled loops take a second or two the first time they run on a machine.
settings.register_profile('no-deadline', deadline=None)
settings.load_profile('no-deadline')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts files with slow tests first, of these the tools' whole workflows: a slow one at the end would run alone."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: (item.path not in slow, item.path.parent.name != 'tools'))


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of the competition's data, from the environment variable SARTORIUS_DATA."""
    folder = os.environ.get('SARTORIUS_DATA')
    if not folder or not (Path(folder) / 'train.csv').is_file():
        pytest.skip('needs the competition data: set SARTORIUS_DATA to the folder that holds train.csv')
    return Path(folder)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """Top folder of the checkout."""
    return REPO_ROOT


class ToolServer:
    """The process of tool_server.py, which runs tools in forks of itself."""

    def __init__(self, libraries: Sequence[str]) -> None:
        # Asks for GPUs without initialising CUDA, which would not survive the forks.
        environment = {**os.environ, 'PYTORCH_NVML_BASED_CUDA_CHECK': '1', 'OMP_NUM_THREADS': '1'}
        self.process = subprocess.Popen(
            [sys.executable, str(REPO_ROOT / 'tests' / 'tool_server.py'), *libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, argv: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Runs a tool from the top of the checkout; exit code, and its output and errors together."""
        with tempfile.NamedTemporaryFile('r', errors='replace') as output:
            request = {'argv': argv, 'cwd': str(REPO_ROOT), 'environment': environment, 'output': output.name}
            self.process.stdin.write(json.dumps(request) + '\n')
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            return code, output.read()

    def stop(self) -> None:
        # Closing its input is not enough: forks of this process, such as workers of a data loader, may hold it open.
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope='session')
def run(request: pytest.FixtureRequest, repo_root: Path) -> Iterator[Callable[..., str]]:
    """Runs a tool as a user does, in a process of its own from the top of the checkout, and returns its output.

    Python tools are forks of one process; see tool_server.py.
    """
    # The environment is activated, as the README says.
    activated = {
        'OMP_NUM_THREADS': '1',
        'VIRTUAL_ENV': str(Path(sys.executable).parents[1]),
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
    }
    # Few fast tests need torch in another process, too few to pay for its import.
    with_slow = any(item.get_closest_marker('slow') for item in request.session.items)
    server = ToolServer(CORE_LIBRARIES + MMDET_LIBRARIES if with_slow else CORE_LIBRARIES)

    def run_tool(*words: str, code: int = 0) -> str:
        environment = {**os.environ, **activated}
        argv = [str(repo_root / words[0]), *words[1:]]
        if words[0].endswith('.sh'):
            done = subprocess.run(
                argv, cwd=repo_root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            returncode, output = done.returncode, done.stdout
        else:
            returncode, output = server.run(argv, environment)
        assert returncode == code, output[-4000:]
        return output

    yield run_tool
    server.stop()
