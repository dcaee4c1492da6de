"""Writing of a synthetic data set in any layout: plan checks, random generators, processes, atomic folders."""

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.info import SYNTHETIC_FILE
from sartorius.masks.crop import Size
from sartorius.synthetic.image import check_image_request
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import replaced_folder

# A plan is a frozen dataclass: all that a data set's bytes follow from.
Plan, Job, Result, Summary = TypeVar('Plan'), TypeVar('Job'), TypeVar('Result'), TypeVar('Summary')


class SplitPlan(Protocol):
    """What plans have whose images are drawn in one size for several splits."""

    images: int
    size: Size
    density: float
    seed: int


def check_split_plan(plan: SplitPlan, counts: Sequence[str]) -> None:
    """Checks a plan's numbers of images, seed, size and density.

    Args:
        plan: It has ``images`` and further numbers of images.
        counts: Names of these further numbers.

    Raises:
        InputError: A number is out of range.
    """
    if plan.images < 1:
        raise InputError(f'number of training images is {plan.images}; it must be at least 1')
    for name in (*counts, 'seed'):
        if getattr(plan, name) < 0:
            raise InputError(f'{name} is {getattr(plan, name)}; it must not be negative')
    check_image_request(plan.size, plan.density)


def write_dataset(
    out: Path,
    plan: Plan,
    folders: Iterable[str],
    jobs: Sequence[Job],
    make_image: Callable[[Plan, Path, Job], Result],
    write_tables: Callable[[Path, Plan, list[Result]], Summary],
    workers: int,
    overwrite: bool,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Summary:
    """Writes a data set under ``out``, completely or not at all, with its plan in ``synthetic.json``.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier synthetic data set.
        plan: Of the data set.
        folders: Folders to create below ``out``.
        jobs: One per image.
        make_image: Makes and writes one image; takes the plan, the folder and a job. Must be picklable.
        write_tables: Writes the annotations; takes the folder, the plan and all results of ``make_image``.
        workers: Processes; the result does not depend on their number.
        overwrite: Replace an earlier data set.
        settings: Written to ``synthetic.json`` before the plan.

    Raises:
        UsageError: As :func:`check_out`.
        InputError: The images have no room for their cells.
    """
    check_out(out, overwrite, workers)
    with replaced_folder(out) as folder:
        for name in folders:
            (folder / name).mkdir(parents=True)
        results = list(progress(run_jobs(partial(make_image, plan, folder), jobs, workers), 'images', len(jobs)))
        summary = write_tables(folder, plan, results)
        values = {**settings, **asdict(plan)}
        if 'size' in values:
            values['size'] = dict(zip(('height', 'width'), plan.size, strict=True))
        text = json.dumps(values, indent=2)
        (folder / SYNTHETIC_FILE).write_text(text + '\n', encoding='utf-8')
    return summary


def image_generator(seed: int, *key: int) -> np.random.Generator:
    """Generator of one image or well, independent of all others and of the order of work."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes a grey image in the format of the path's suffix, whole or with an error."""
    # cv2.imwrite does not raise when the disk is full; write_bytes does.
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


def run_jobs(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterable[Result]:
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
    # The parent handles Ctrl-C: it cancels the work and removes the temporary folder.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def check_out(out: Path, overwrite: bool, workers: int) -> None:
    """Checks that a data set may be written to a folder, and the number of processes.

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
