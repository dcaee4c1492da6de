"""Configs as the command lines use them: read, pointed at the data, and adapted to the machine."""

import argparse
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config, DictAction

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import REPO_ROOT, WORK_DIRS


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words of ``--cfg-options`` as a dict, values read as MMEngine reads them.

    Raises:
        UsageError: A word has no ``=``.
    """
    for pair in pairs:
        if '=' not in pair:
            raise UsageError(f'--cfg-options takes KEY=VALUE, not {pair!r}')
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction, default={})
    return parser.parse_args(['--options', *pairs]).options


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Reads a config and merges ``--cfg-options``.

    Args:
        path: Config file.
        options: Dotted keys and values. A key must be in the config already, so that a misspelt one is an error
            rather than a setting that nothing reads.

    Raises:
        InputError: No such file, a config that cannot be read, or an unknown key.
    """
    path = Path(path)
    if not path.is_file():
        near = difflib.get_close_matches(path.stem, [file.stem for file in _leaf_configs()], n=1)
        hint = f'; did you mean {next(f for f in _leaf_configs() if f.stem == near[0])}?' if near else ''
        raise InputError(f'{path}: no such config{hint}')
    try:
        config = Config.fromfile(str(path))
    except (SyntaxError, FileNotFoundError, KeyError, TypeError) as error:
        raise InputError(f'{path}: cannot be read as a config: {error}') from error
    for key in options or {}:
        _check_key(config, key)
    config.merge_from_dict(dict(options or {}))
    return config


def set_data(
    config: Config,
    data_root: str | Path | None = None,
    annotations: str | Path | None = None,
    fold: int | None = None,
) -> None:
    """Points data sets and metric at folders and at a fold; relative folders of the config are the checkout's.

    Args:
        config: Changed in place.
        data_root: Folder that the JSONs' file names start from; the config's if None.
        annotations: Folder that tools/prepare_sartorius.py wrote; the config's if None.
        fold: Fold that is held out for validation; the config's if None.

    Raises:
        UsageError: A fold of data that have none (LIVECell has an official validation set).
    """
    if fold is not None and not Path(config.val_dataloader.dataset.ann_file).name.startswith('fold'):
        raise UsageError(f'--fold {fold}: the data of this config have no folds; leave it out')
    root = _absolute(data_root if data_root is not None else config.data_root)
    folder = _absolute(annotations if annotations is not None else config.annotations)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = config[loader].dataset
        dataset = dataset.get('dataset', dataset)
        dataset.data_root = str(root)
        dataset.ann_file = str(folder / _with_fold(Path(dataset.ann_file).name, fold))
    validated = config.val_dataloader.dataset
    config.val_evaluator.ann_file = validated.ann_file
    config.val_evaluator.classes = list(classes_of(validated))
    config.val_evaluator.cell_types = validated.get('filter_cfg', {}).get('cell_types')
    config.data_root, config.annotations = str(root), str(folder)


def set_split(config: Config, split: str, fold: int | None = None) -> Path:
    """Makes a split the one that is predicted.

    Args:
        config: Changed in place, after :func:`set_data`.
        split: ``test``, ``val``, ``train`` or ``unlabelled``.
        fold: Fold of ``val`` and ``train``; the config's if None.

    Returns:
        The annotation file of the split.
    """
    named = {'test': 'test.json', 'unlabelled': 'unlabelled.json', 'train': None, 'val': None}[split]
    if named is None:
        dataset = config[f'{split}_dataloader'].dataset
        named = _with_fold(Path(dataset.get('dataset', dataset).ann_file).name, fold)
    path = Path(config.annotations) / named
    if not path.is_file():
        made_by = DATASETS.get(config.test_dataloader.dataset.type).MADE_BY
        raise InputError(f'{path}: no such annotation file; {made_by} makes it')
    config.test_dataloader.dataset.ann_file = str(path)
    return path


def set_seed(config: Config, seed: int | None) -> None:
    """Gives weights, order and augmentation of a run one seed.

    Args:
        config: Changed in place.
        seed: 0 or more; the config's if None.
    """
    if seed is not None:
        if seed < 0:
            raise UsageError(f'--seed must be 0 or more, not {seed}')
        config.randomness.seed = seed
    config.train_dataloader.dataset.seed = config.randomness.seed


def set_iterations(config: Config, iterations: int) -> None:
    """Makes a run longer or shorter, its learning rate schedule with it.

    Validation and checkpoints keep their intervals, but come at least once, at the end.

    Args:
        config: Changed in place.
        iterations: Training iterations; at least 1.
    """
    if iterations < 1:
        raise UsageError(f'--iterations must be at least 1, not {iterations}')
    stretch = iterations / config.train_cfg.max_iters
    for scheduler in config.param_scheduler:
        scheduler.begin = round(scheduler.begin * stretch)
        # A schedule of no length is refused.
        scheduler.end = max(round(scheduler.end * stretch), scheduler.begin + 1)
    config.train_cfg.max_iters = iterations
    config.train_cfg.val_interval = min(config.train_cfg.val_interval, iterations)
    config.default_hooks.checkpoint.interval = min(config.default_hooks.checkpoint.interval, iterations)


def leave_out_validation(config: Config) -> None:
    """Lets a run only train: the last checkpoints are kept, and none is the best."""
    config.train_cfg.val_begin = config.train_cfg.max_iters + 1
    config.default_hooks.checkpoint.save_best = None


def train_from_scratch(config: Config) -> None:
    """Drops pre-trained weights, and lets every layer learn: frozen random layers would stay random."""
    config.load_from = None
    backbone = config.model.backbone
    backbone.init_cfg = None
    backbone.frozen_stages = -1
    backbone.norm_eval = False


def adapt_to_machine(config: Config) -> None:
    """Takes out what needs a GPU on a machine that has none."""
    if torch.cuda.is_available():
        return
    config.env_cfg.dist_cfg.backend = 'gloo'
    # The runner's own wrapper passes device_ids, which torch refuses for modules on the CPU.
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def use_mixed_precision(config: Config) -> bool:
    """Switches to mixed precision where a GPU is there; returns whether it did."""
    if not torch.cuda.is_available():
        return False
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.loss_scale = 'dynamic'
    return True


def classes_of(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names of a data set's config, in the order of the labels: its own, or those of its type."""
    own = dataset.get('metainfo', {}).get('classes')
    return tuple(own or DATASETS.get(dataset['type']).METAINFO['classes'])


def default_work_dir(config_path: str | Path, fold: int | None) -> Path:
    """``work_dirs/NAME``, or ``work_dirs/NAME_foldK`` where a fold was asked for.

    LIVECell's configs have the names of the competition's, so that theirs is ``work_dirs/livecell_NAME``.
    """
    path = Path(config_path)
    name = f'livecell_{path.stem}' if path.resolve().parent.name == 'livecell' else path.stem
    name = name if fold is None else f'{name}_fold{fold}'
    return WORK_DIRS / name


def _leaf_configs() -> list[Path]:
    folder = REPO_ROOT / 'configs'
    return [path for path in sorted(folder.glob('*/*.py')) if path.parent.name != '_base_']


def _absolute(folder: str | Path) -> Path:
    """A folder given on the command line is absolute by now; one from a config is relative to the checkout."""
    folder = Path(folder).expanduser()
    return folder if folder.is_absolute() else REPO_ROOT / folder


def _with_fold(name: str, fold: int | None) -> str:
    if fold is None or not name.startswith('fold'):
        return name
    return f'fold{fold}_{name.split("_", 1)[1]}'


def _check_key(config: Config, key: str) -> None:
    """Walks a dotted key down the config.

    Raises:
        InputError: A part is not there; the message names the nearest that is.
    """
    node: Any = config
    for depth, part in enumerate(parts := key.split('.')):
        if isinstance(node, list | tuple):
            if not part.isdigit() or int(part) >= len(node):
                raise InputError(f'--cfg-options {key}: {".".join(parts[:depth])} is a list of {len(node)}')
            node = node[int(part)]
            continue
        if not isinstance(node, Mapping | Config):
            raise InputError(f'--cfg-options {key}: {".".join(parts[:depth])} has no parts')
        if part not in node:
            near = difflib.get_close_matches(part, list(node.keys()), n=1)
            hint = (
                f'; did you mean {".".join([*parts[:depth], near[0]])}?' if near else '; new keys go into a config file'
            )
            raise InputError(f'--cfg-options {key}: the config has no {".".join(parts[: depth + 1])}{hint}')
        node = node[part]
