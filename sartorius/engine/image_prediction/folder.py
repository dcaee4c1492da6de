"""Prediction of many images: in one process or several, each image once, whatever happens in between."""

import datetime
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from sartorius.engine.image_prediction.image import PREDICTIONS, ImageRun
from sartorius.engine.image_prediction.model import CellModel, ImageOptions
from sartorius.engine.image_prediction.parts import Batch, read_image_list
from sartorius.engine.image_prediction.records import DONE, FAILED, FOLDER, ImageRecord, RunFolder
from sartorius.engine.image_prediction.run_files import write_run_files, write_summary
from sartorius.export.formats import DEFAULT_FORMATS, FORMATS
from sartorius.images.files import ImageFile, find_images
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError, did_you_mean
from sartorius.utils.files import atomic_path
from sartorius.utils.locks import wait_for_lock
from sartorius.utils.paths import display_path
from sartorius.utils.processes import die_with_parent


@dataclass(frozen=True)
class PredictOptions:
    """What is predicted, with which model, and where the files go.

    Attributes:
        out: Folder to write.
        inputs: Image files, folders and globs.
        recursive: Whether folders are searched with their subfolders.
        model: Name or path of the model; the package's own if None.
        config: Config in place of the model file's own.
        formats: Formats of :data:`sartorius.export.formats.FORMATS`, and ``predictions``.
        device: Such as ``cpu`` or ``cuda:1``; GPUs if there are any if None.
        jobs: Number of processes.
        overwrite: Whether everything is done again, and files of others are replaced.
        image_list: List of images (:mod:`parts`) in place of ``inputs``.
        batch: Part of them that is predicted, without the files of the whole run; None for all.
        merge: Whether nothing is predicted and the files of the whole run are written from what is done.
    """

    out: Path
    inputs: tuple[str, ...] = ()
    recursive: bool = False
    model: str | None = None
    config: Path | None = None
    formats: tuple[str, ...] = DEFAULT_FORMATS
    device: str | None = None
    jobs: int = 1
    overwrite: bool = False
    image_list: Path | None = None
    batch: Batch | None = None
    merge: bool = False

    def __post_init__(self) -> None:
        if bool(self.inputs) == (self.image_list is not None):
            raise UsageError('name INPUT files or folders, or a --list of them')
        if self.merge and self.batch is not None:
            raise UsageError('--batch predicts a part of the images, --merge joins the parts; give one of them')
        known = (*FORMATS, PREDICTIONS)
        for name in self.formats:
            if name not in known:
                raise UsageError(f'--format: no format is called {name!r}{did_you_mean(name, known)}')
        if self.jobs < 1:
            raise UsageError(f'--jobs is {self.jobs}; it must be 1 or more')


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Attributes:
        records: Of every image, in the order of the inputs.
        kept: Ids of the images that were done before.
        skipped: Files among the inputs that are masks or overlays, not images.
        files: Files of the whole run.
        seconds: Wall time.
    """

    records: tuple[ImageRecord, ...]
    kept: frozenset[str]
    skipped: tuple[Path, ...]
    files: tuple[Path, ...]
    seconds: float

    @property
    def failed(self) -> tuple[ImageRecord, ...]:
        """Records of the images that could not be predicted."""
        return tuple(record for record in self.records if record.status != DONE)


def predict_images(options: PredictOptions, how: ImageOptions) -> RunResult | None:
    """Predicts all images that are not done, and writes the files of the run.

    An image that cannot be predicted is told in its record; the others go on.

    Args:
        options: What and where.
        how: How an image is predicted.

    Returns:
        What came of it; None in all but the first of several processes that torchrun started, which share the images.

    Raises:
        UsageError: The folder holds files of something else.
        InputError: Another run is at work there, there are no images, or the model cannot be read.
        OSError: The disk is full.
    """
    started = time.perf_counter()
    skipped: list[Path] = []
    if options.image_list is not None:
        images = read_image_list(options.image_list)
    else:
        images = find_images(options.inputs, options.recursive, skipped)
    share = options.batch or _share_of_this_process()
    mine = images if share is None else share.of(images)
    with lock_run(options.out, options.overwrite, shared=share is not None):
        run = open_run(options, how)
        results = _results_so_far(run, mine) if options.merge else _process(run, mine, options, how)
        records, kept = [record for record, _ in results], [record.image for record, was_kept in results if was_kept]
        if options.batch is not None:
            files = [options.batch.file(options.out)]
            with atomic_path(files[0]) as temporary:
                write_summary(temporary, records, run.model.classes)
        elif share is None:
            files = write_run_files(run, records)
        else:
            _wait_for_other_processes()
            if share.number > 1:
                return None
            records = [record for record, _ in _results_so_far(run, images)]
            files = write_run_files(run, records)
    return RunResult(tuple(records), frozenset(kept), tuple(skipped), tuple(files), time.perf_counter() - started)


def _process(
    run: ImageRun, images: Sequence[ImageFile], options: PredictOptions, how: ImageOptions
) -> list[tuple[ImageRecord, bool]]:
    """Predicts what is not done; records in the order of the images, and whether they were kept."""
    results = {}
    for record, was_kept in progress(process_all(run, images, options, how), 'predicting', total=len(images)):
        results[record.image] = record, was_kept
    return [results[image.image_id] for image in images]


def _results_so_far(run: ImageRun, images: Sequence[ImageFile]) -> list[tuple[ImageRecord, bool]]:
    """Records of images that other processes have predicted.

    Raises:
        InputError: One has not been predicted yet.
    """
    results = []
    for image in images:
        record = run.folder.read(image.image_id)
        if record is None or record.status not in (DONE, FAILED):
            raise InputError(f'image {image.image_id} is not predicted yet; predict its batch before --merge')
        results.append((record, True))
    return results


def count_failed(out: Path, images: Sequence[ImageFile]) -> int:
    """Number of images that could not be predicted."""
    records = (RunFolder(out).read(image.image_id) for image in images)
    return sum(record is None or record.status != DONE for record in records)


def _share_of_this_process() -> Batch | None:
    """This process's part of the images where torchrun started several."""
    count = int(os.environ.get('WORLD_SIZE', '1'))
    return Batch(int(os.environ['RANK']) + 1, count) if count > 1 else None


def _wait_for_other_processes() -> None:
    """Waits until all processes that torchrun started have come here, however much longer one takes."""
    torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(days=30))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def open_run(options: PredictOptions, how: ImageOptions, device: str | None = None) -> ImageRun:
    """Reads the model of a run.

    Args:
        options: What and where.
        how: How an image is predicted.
        device: Where this process predicts, in place of the options' device.

    Raises:
        InputError: The model, its config or the chain cannot be read.
    """
    if device is None and options.device is None and 'LOCAL_RANK' in os.environ and torch.cuda.is_available():
        device = f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    model = CellModel(options.model, options.config, device or options.device)
    model.check(how)
    formats = tuple(dict.fromkeys(options.formats))
    return ImageRun(model, RunFolder(options.out), how, formats, options.overwrite)


def process_all(
    run: ImageRun, images: Sequence[ImageFile], options: PredictOptions, how: ImageOptions
) -> Iterator[tuple[ImageRecord, bool]]:
    """Record of each image as it is done, in any order, and whether it was kept from an earlier call."""
    jobs = min(options.jobs, len(images))
    if jobs == 1:
        yield from map(run.process, images)
        return
    context = multiprocessing.get_context('spawn')
    started = context.Value('i', 0)
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (options, how, started, jobs))
    try:
        for done in as_completed([pool.submit(_work, image) for image in images]):
            yield done.result()
    except BrokenProcessPool:
        raise InputError(
            'one of the processes was ended from outside, as for want of memory; what is done is kept: the same '
            f'command goes on, with fewer --jobs than {jobs} if need be'
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


# The run of a worker process.
_run: ImageRun | None = None


def _start_worker(options: PredictOptions, how: ImageOptions, started: Any, jobs: int) -> None:
    """Reads the model in a worker, on a GPU of its own or with a share of the cores."""
    global _run
    die_with_parent()
    # Nothing is half-written, whenever a worker ends; the main process says what to do.
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    with started.get_lock():
        number = started.value
        started.value += 1
    device = options.device
    if torch.cuda.is_available() and device in (None, 'cuda'):
        device = f'cuda:{number % torch.cuda.device_count()}'
    elif 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    _run = open_run(options, how, device)


def _work(image: ImageFile) -> tuple[ImageRecord, bool]:
    return _run.process(image)


def lock_run(out: Path, overwrite: bool, shared: bool = False) -> IO[str]:
    """Makes this process the only one that works on a run, or one of those that share it.

    Returns:
        The open lock file; closing it releases the run.

    Raises:
        InputError: Another process works there.
        UsageError: The folder holds files of something else.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f'--out {display_path(out)} is a file; name a folder')
    foreign = [name for name in ('run.json', 'summary.csv', 'cells.csv') if (out / name).exists()]
    if foreign and not overwrite and not (out / FOLDER).is_dir():
        raise UsageError(
            f'{display_path(out / foreign[0])} is there already and not of a prediction; choose another --out, or give '
            '--overwrite'
        )
    return wait_for_lock(out / FOLDER / 'lock', out, 'prediction', shared)
