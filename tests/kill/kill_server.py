"""Runs tools in forks of one warm process (tests/tool_server.py), watched or not."""

import fcntl
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from kill_cases import REPO_ROOT

HERE = Path(__file__).resolve().parent
LIBRARIES = (
    'cv2', 'matplotlib.pyplot', 'numba', 'pandas', 'pycocotools.mask', 'scipy.ndimage', 'tifffile', 'mmdet.apis',
    'torch.utils.tensorboard', 'sartorius.engine.training', 'sartorius.engine.prediction', 'sartorius.engine.browsing',
    'sartorius.engine.image_prediction.folder', 'sartorius.postprocess.tuning.tuner', 'sartorius.label_quality',
    'sartorius.leaderboard.scores', 'sartorius.synthetic', 'sartorius.visualization', 'sartorius.fusion.methods',
    'sartorius.annotations.preparation', 'sartorius.annotations.livecell', 'sartorius.pseudo_labels.labelling',
    'sartorius.engine.publishing', 'sartorius.engine.config_check', 'sartorius.visualization.report_page', 'warm',
)  # fmt: skip
KILLED = -9
HANGS = 1000
SECONDS = 600


@dataclass(frozen=True)
class Run:
    """How a tool ended.

    Attributes:
        code: Exit code; :data:`KILLED` after a kill, :data:`HANGS` if it did not end.
        said: Its output and errors.
        events: Number of events in the watched folder.
    """

    code: int
    said: str
    events: int


class Server:
    """The warm process.

    Args:
        work: Folder for the files of this harness, which no other one may use.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.programs = work / 'programs'
        self.programs.mkdir(parents=True, exist_ok=True)
        self.log, self.kept = work / 'log', work / 'kept'
        self.lock = (work / 'lock').open('w')
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._start()

    def _start(self) -> None:
        environment = {**os.environ, 'PYTORCH_NVML_BASED_CUDA_CHECK': '1', 'OMP_NUM_THREADS': '1'}
        environment['PYTHONPATH'] = f'{REPO_ROOT}:{HERE}'
        self.process = subprocess.Popen(
            [sys.executable, str(REPO_ROOT / 'tests' / 'tool_server.py'), *LIBRARIES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()

    def run(self, file: Path, words: list[str], root: Path, at: int = 0, keep: bool = False) -> Run:
        """Runs a tool, or another Python file, from the top of the checkout.

        Args:
            file: The file.
            words: Its arguments.
            root: The folder that is watched.
            at: Event before which it is killed, from 1; 0 for none.
            keep: Whether what it replaces and removes is kept for :mod:`power_cut`.
        """
        count, said = self.work / 'count', self.work / 'said'
        for path in (count, said, self.log):
            path.unlink(missing_ok=True)
        watch = {'KILL_ROOT': root, 'KILL_COUNT': count, 'KILL_LOG': self.log, 'KILL_AT': at}
        watch['KILL_KEEP'] = self.kept if keep else ''
        scratch = self.work / 'tmp'
        scratch.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            **{name: str(value) for name, value in watch.items()},
            'OMP_NUM_THREADS': '1',
            'TMPDIR': str(scratch),
            'SOURCE_DATE_EPOCH': '0',
            'PATH': f'{self.programs}:{Path(sys.executable).parent}:{os.environ["PATH"]}',
            'PYTHONPATH': f'{HERE / "watch"}:{REPO_ROOT}',
        }
        request = {
            'argv': [str(HERE / 'start.py'), str(file), *words],
            'cwd': str(REPO_ROOT),
            'environment': environment,
            'output': str(said),
        }
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        code = self._wait()
        if code in (KILLED, HANGS):
            _end_descendants(root)
        return Run(
            code,
            said.read_text(errors='replace') if said.exists() else '',
            count.stat().st_size if count.exists() else 0,
        )

    def must_run(self, words: list[str]) -> None:
        """Runs a tool of tools/ unwatched; it must succeed."""
        done = self.run(REPO_ROOT / 'tools' / f'{words[0]}.py', words[1:], self.work / 'nothing')
        if done.code:
            raise RuntimeError(f'{" ".join(words)}\nended with {done.code}:\n{done.said[-3000:]}')

    def _wait(self) -> int:
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        if ready:
            return int(self.process.stdout.readline())
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()
        self.stop()
        self._start()
        return HANGS


def _end_descendants(root: Path) -> None:
    """Waits until no process watches a folder; kills those that the kill of their parent has not ended."""
    left = [one for one in psutil.process_iter() if _watches(one, root)]
    _, alive = psutil.wait_procs(left, timeout=10)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive)


def _watches(process: psutil.Process, root: Path) -> bool:
    try:
        return process.environ().get('KILL_ROOT') == str(root)
    except psutil.Error:
        return False
