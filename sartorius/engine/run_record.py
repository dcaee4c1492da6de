"""Recording a training run: the hook that keeps its record, and what is known of the run before it starts."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine import dist
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from sartorius.annotations.info import read_info
from sartorius.datasets.synthetic import SyntheticCellDataset
from sartorius.engine.mixed_precision import AMP_WRAPPERS
from sartorius.models.checkpoints import read_checkpoint, weights_address
from sartorius.predictions.provenance import (
    DataRecord,
    FirstWeights,
    RunData,
    RunRecord,
    SyntheticRecord,
    read_run,
    write_run,
)
from sartorius.predictions.timing import with_times
from sartorius.utils.cli import COMMAND
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path
from sartorius.utils.version import git_commit

PACKAGES = ('torch', 'onedl-mmcv', 'onedl-mmdetection', 'sartorius-cells')
# Config keys that differ between machines, folds and repetitions of one recipe; the record has its own fields for them.
_NOT_THE_RECIPE = (
    'work_dir',
    'data_root',
    'annotations',
    'fold',
    'load_from',
    'resume',
    'launcher',
    'env_cfg',
    'model_wrapper_cfg',
    'log_level',
    'visualizer',
    'randomness',
)
# Keys anywhere below the others: how an optimiser does its step depends on the machine.
_NOT_THE_RESULT = ('seed', 'fused')


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Writes ``run.json`` into the work dir at the start, with each checkpoint and at the end, by the first process.

    Each checkpoint carries the record as it stood then (``meta['run']``), but for times: a run that is repeated gives
    the same bytes. How long each checkpoint took stands in ``run.json``, so that a resumed run adds its time to that of
    the checkpoint that it resumes from: work that was lost with a killed run does not count.

    Args:
        description: The record before the run (:func:`describe_run`), as plain JSON types.
    """

    # After CheckpointHook: what run.json says was done is on disk.
    priority = 'LOWEST'

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.record = RunRecord.from_dict(description, 'description')
        self.earlier: RunRecord | None = None
        self.seconds, self.validation_seconds = 0.0, 0.0
        self.unknown_time = False
        self._since = 0.0
        self._validating = False
        self._saved = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Takes over the record of a resumed run; first weights are those of another run."""
        if not runner.cfg.get('resume'):
            return
        run = checkpoint.get('meta', {}).get('run')
        if run is not None:
            self.earlier = RunRecord.from_dict(run, 'the record of the resumed run')
            self.earlier = with_times(self.earlier, runner.cfg['load_from'])
        if self.earlier is None or self.earlier.minutes is None:
            # A checkpoint without a record: nobody knows how long it took.
            self.unknown_time = True
        if self.earlier is not None:
            self.seconds = (self.earlier.minutes or 0.0) * 60
            self.validation_seconds = (self.earlier.validation_minutes or 0.0) * 60

    def before_train(self, runner: Runner) -> None:
        """Starts the clock and writes the record."""
        if dist.is_main_process():
            self._complete(runner)
            self._write(runner)
        self._since = time.perf_counter()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Gives the checkpoint its record; only the first process saves."""
        self._stop_clock()
        done = int(checkpoint['meta']['iter'])
        times = {**self.record.times, str(done): [round(self.seconds / 60, 4), round(self.validation_seconds / 60, 4)]}
        if not self.unknown_time:
            # Before the checkpoint is there: a kill between the two would lose its time.
            self.record = replace(self.record, times=times)
            self._write(runner)
        self.record = replace(self.record, iterations_done=done)
        self._set_times(runner)
        checkpoint['meta']['run'] = self.record.without_times().to_dict()
        _drop_times(checkpoint)
        self._saved = True

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Writes the record once the checkpoint of this iteration is on disk."""
        if self._saved:
            self._write(runner)

    def before_val(self, runner: Runner) -> None:
        """Starts to count time as validation."""
        self._stop_clock()
        self._validating = True

    def after_val(self, runner: Runner) -> None:
        """Starts to count time as training again."""
        self._stop_clock()
        self._validating = False
        if self._saved:
            self._set_times(runner)
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Writes the record of the whole run."""
        self._stop_clock()
        if dist.is_main_process():
            self.record = replace(self.record, iterations_done=int(runner.iter))
            self._set_times(runner)
            self._write(runner)

    def _complete(self, runner: Runner) -> None:
        """Adds what only the built runner knows: data, fold, seed, batch, and the earlier parts of a resumed run."""
        loader, processes = runner.train_dataloader, dist.get_world_size()
        steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        train, val = _describe_data(loader.dataset), DataRecord()
        if runner.val_loop is not None:
            val = _describe_data(runner.val_dataloader.dataset)
        self.record = replace(
            self.record,
            fold=train.fold if val.fold is None else val.fold,
            seed=int(runner.seed),
            data=RunData(train=train, val=val, synthetic=describe_synthetic(loader.dataset)),
            iterations=int(runner.max_iters),
            iterations_done=int(runner.iter),
            batch_size=int(loader.batch_size) * processes * int(steps),
            processes=processes,
            device=device_name(),
        )
        if self.earlier is not None:
            commands = (*self.earlier.commands, *self.record.commands)
            times = {}
            if self.earlier.minutes is not None:
                done = str(self.earlier.iterations_done)
                times = {done: [self.earlier.minutes, self.earlier.validation_minutes or 0.0]}
            self.record = replace(self.record, commands=commands, weights=self.earlier.weights, times=times)
        self._set_times(runner)

    def _set_times(self, runner: Runner) -> None:
        known = not self.unknown_time
        self.record = replace(
            self.record,
            minutes=round(self.seconds / 60, 4) if known else None,
            validation_minutes=round(self.validation_seconds / 60, 4) if known else None,
            finished=self.record.iterations_done >= int(runner.max_iters),
        )

    def _stop_clock(self) -> None:
        """Counts the time since the last call as training or validation."""
        now = time.perf_counter()
        if self._validating:
            self.validation_seconds += now - self._since
        else:
            self.seconds += now - self._since
        self._since = now

    def _write(self, runner: Runner) -> None:
        write_run(runner.work_dir, self.record)
        self._saved = False


def describe_run(config: Config, config_path: str | Path, weights: str | None) -> RunRecord:
    """What is known of a run before it starts.

    Args:
        config: The config as it will run.
        config_path: Its file.
        weights: File or URL of the first weights; None for random ones and resumed runs.
    """
    return RunRecord(
        recipe=Path(config_path).stem + ('_small' if config.get('small') else ''),
        config=display_path(config_path),
        config_sha256=recipe_sha256(config),
        git_commit=git_commit(),
        small=bool(config.get('small', False)),
        commands=(command_line(),),
        weights=_describe_weights(weights, config.load_from),
        precision=AMP_WRAPPERS.get(config.optim_wrapper.type, 'float32'),
        versions=package_versions(),
    )


def full_run_of_checkpoint(path: str | Path, content: Mapping[str, Any]) -> RunRecord | None:
    """Record of the run that saved a checkpoint, with its minutes where ``run.json`` beside it has them.

    Args:
        path: The checkpoint; ``run.json`` beside it is read where it carries no record.
        content: Its content.

    Returns:
        The record, or None where there is none.

    Raises:
        InputError: The record is damaged.
    """
    run = content.get('meta', {}).get('run')
    if not run:
        return read_run(Path(path).resolve().parent)
    return with_times(RunRecord.from_dict(run, f'{display_path(path)}: meta: run'), Path(path).resolve())


def run_of_checkpoint(path: str | Path, content: Mapping[str, Any]) -> RunRecord | None:
    """The same as predictions files keep it: without times, and without versions, of which they have their own."""
    record = full_run_of_checkpoint(path, content)
    return None if record is None else replace(record.without_times(), versions={})


def recipe_sha256(config: Config) -> str:
    """Hash of a config that does not depend on folders, fold, seed, machine or first weights.

    Two runs of equal hash are repetitions of one recipe: other folds, other seeds.
    """
    content = {key: value for key, value in config.to_dict().items() if key not in _NOT_THE_RECIPE}
    folders = [str(config[key]) for key in ('data_root', 'annotations') if config.get(key)]
    plain = _without_places(content, sorted(folders, key=len, reverse=True))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide what a model computes."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def device_name() -> str:
    """Name of the GPU, or of the processor and how many of its cores may be used."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        model = next(line.split(':', 1)[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f'CPU ({model}), {cores} core{"s" if cores != 1 else ""}'


def command_line() -> str:
    """How this process was started, as it could be typed again: paths below the current folder are relative."""
    tool, *words = sys.argv
    # `sartorius NAME` is two words.
    start = tool.split() if tool.startswith(f'{COMMAND} ') else ['python', _as_typed(tool)]
    return ' '.join([*start, *map(_as_typed, words)])


def _drop_times(checkpoint: dict[str, Any]) -> None:
    """Removes from a checkpoint when, and how fast, it was made: MMEngine logs that too, and resuming needs none of it.

    What remains is the same for the same run: command, data, seed, code and machine.
    """
    meta, log = checkpoint['meta'], checkpoint.get('message_hub', {})
    for key in ('time', 'experiment_name', 'eta'):
        meta.pop(key, None)
        log.get('runtime_info', {}).pop(key, None)
    scalars = log.get('log_scalars', {})
    for key in [key for key in scalars if key.rpartition('/')[2] in ('time', 'data_time')]:
        del scalars[key]


def _as_typed(word: str) -> str:
    if word == os.environ.get('SARTORIUS_DATA'):
        return '$SARTORIUS_DATA'
    typed = display_path(word) if Path(word).is_absolute() else word
    # In quotes a shell would not take ~ for the home folder.
    return f'~/{shlex.quote(typed[2:])}' if typed.startswith('~/') else shlex.quote(typed)


def _describe_data(dataset: Dataset) -> DataRecord:
    """File, hash, size, origin and fold of the data that a loader shows; images that are filtered out do not count."""
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if isinstance(dataset, SyntheticCellDataset):
        return DataRecord()
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    cells = sum(not instance['ignore_flag'] for info in infos for instance in info['instances'])
    info = read_info(dataset.ann_file)
    return DataRecord(
        file=display_path(dataset.ann_file),
        sha256=sha256_of(dataset.ann_file),
        images=len(dataset),
        cells=int(cells),
        origin=info.origin,
        split=info.split,
        fold=info.fold,
        licence=info.licence,
    )


def describe_synthetic(dataset: Dataset) -> SyntheticRecord | None:
    """Synthetic images of the data set that a loader shows; None where there are none."""
    share = 1.0
    while not isinstance(dataset, SyntheticCellDataset):
        if getattr(dataset, 'synthetic', None) is not None:
            dataset, share = dataset.synthetic, round(1 - dataset.share, 4)
        elif hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        elif share == 1:
            return None
        else:
            first = dataset.get_data_info(0)
            return SyntheticRecord(
                breadth='files', height=first['height'], width=first['width'], images=len(dataset), share=share
            )
    height, width = dataset.size
    return SyntheticRecord(
        breadth=dataset.breadth, height=height, width=width, seed=dataset.seed, images=dataset.images, share=share
    )


def _describe_weights(named: str | None, local: str | None) -> FirstWeights | None:
    """Where first weights come from; those of a run of this project with its record, without its commands."""
    if named is None or local is None:
        return None
    if '://' in named:
        return FirstWeights(url=weights_address(named), sha256=sha256_of(local))
    run = run_of_checkpoint(local, read_checkpoint(local))
    run = None if run is None else replace(run, commands=())
    return FirstWeights(file=display_path(named), sha256=sha256_of(local), run=run)


def _without_places(value: Any, folders: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_places(part, folders) for key, part in value.items() if key not in _NOT_THE_RESULT}
    if isinstance(value, list | tuple):
        return [_without_places(part, folders) for part in value]
    if isinstance(value, str):
        for folder in folders:
            value = value.replace(folder, '')
        return re.sub(r'\bfold\d+_', 'fold_', value)
    return value
