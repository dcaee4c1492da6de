"""Fixtures that every test can use."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

REPO_ROOT = Path(__file__).resolve().parents[1]

# Compiled loops take a second or two the first time they run on a machine.
settings.register_profile('no-deadline', deadline=None)
settings.load_profile('no-deadline')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, and of these the tools' whole workflows: one "
    "that starts last is waited for alone."""
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


@pytest.fixture(scope='session')
def run(repo_root: Path) -> Callable[..., str]:
    """Runs a tool as a user does, from the top of the checkout, and gives back what it printed."""

    def run_tool(*words: str, code: int = 0) -> str:
        start = [] if words[0].endswith('.sh') else [sys.executable]
        # The environment is activated, as the README says.
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'VIRTUAL_ENV': str(Path(sys.executable).parents[1])}
        environment['PATH'] = f'{Path(sys.executable).parent}:{environment["PATH"]}'
        done = subprocess.run(
            [*start, str(repo_root / words[0]), *words[1:]],
            cwd=repo_root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == code, done.stdout[-4000:]
        return done.stdout

    return run_tool
