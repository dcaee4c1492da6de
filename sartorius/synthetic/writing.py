"""What both forms of a made data set share: random generators, processes, and folders that appear whole."""

import multiprocessing
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.info import SYNTHETIC_FILE
from sartorius.utils.errors import UsageError

Job, Made = TypeVar('Job'), TypeVar('Made')


def image_generator(seed: int, *key: int) -> np.random.Generator:
    """Generator of one image or well, independent of all others and of the order of work."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes a grey image in the format of the path's suffix, whole or with an error."""
    # cv2.imwrite says nothing when the disk is full; write_bytes raises.
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def run_jobs(work: Callable[[Job], Made], jobs: Sequence[Job], workers: int) -> Iterable[Made]:
    """Results in the order of the jobs; ``work`` and what it takes and returns must be picklable."""
    if workers == 1 or len(jobs) == 1:
        yield from map(work, jobs)
        return
    # A forked child could inherit a lock that one of OpenCV's threads holds; a spawned one starts clean.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context('spawn'), initializer=_start_worker)
    try:
        yield from pool.map(work, jobs, chunksize=max(1, min(8, len(jobs) // (4 * workers))))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C is the parent's to handle: it cancels the work and clears up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def check_out(out: Path, overwrite: bool, workers: int) -> None:
    """Whether a data set may be written to a folder, by so many processes.

    Raises:
        UsageError: The folder is in use, or there are no workers.
    """
    if workers < 1:
        raise UsageError(f'number of workers is {workers}; it must be at least 1')
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f'--out {out} is a file; name a folder')
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise UsageError(f'--out {out} is not empty; name another folder, or replace it with --overwrite')
    if not (out / SYNTHETIC_FILE).is_file():
        raise UsageError(
            f'--out {out} holds no {SYNTHETIC_FILE}, so it is no synthetic data set and will not be overwritten; '
            'name another folder'
        )


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Yields a temporary folder beside ``out``, which takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{out.name}-', suffix='.partial', dir=out.parent))
    folder, old = work / 'new', work / 'old'
    folder.mkdir()
    try:
        yield folder
        if out.exists():
            out.rename(old)
        folder.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(work, ignore_errors=True)
