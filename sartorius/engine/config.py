"""Reading of config files: --cfg-options, keys that a run reads, and what a config says about classes and limits."""

import argparse
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import mmengine.config.config as mmengine_config
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from sartorius.engine.small import make_small
from sartorius.utils.errors import InputError, UsageError, closest
from sartorius.utils.paths import WORK_DIRS, find_config
from sartorius.utils.python_files import naming_line

Fold = int | Literal['all']
"""Number of the validation fold, or ``all`` for training on every annotated image."""

ALL_IMAGES = 'all'
SYNTHETIC_DATASET = 'SyntheticCellDataset'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# Keys that a run reads besides the arguments of MMEngine's Runner.
OWN_KEYS = frozenset(
    {
        'annotations',
        'boxes_only',
        'data_root',
        'fit_to_data',
        'fold',
        'init_from',
        'pixel_size_um',
        'postprocess',
        'small',
        'tiles',
        'tta_model',
        'tta_orientations',
        'tta_scales',
    }
)
# MMEngine's Config reads the first two itself, its Runner the others from the config it keeps.
MMENGINE_KEYS = frozenset(
    {
        'custom_imports',
        'env_variables',
        'activation_checkpointing',
        'compile',
        'efficient_conv_bn_eval',
        'find_unused_parameters',
        'model_wrapper_cfg',
        'sync_bn',
    }
)
RUN_KEYS = frozenset(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'} | OWN_KEYS | MMENGINE_KEYS
"""Top-level keys of a config that a run reads; other names are helper variables of the config file."""
_recipe_path = mmengine_config._get_external_cfg_path


def _path_in_package(package_path: str, name: str) -> str:
    """Path of ``mmdet::NAME`` among the package's recipes; a ValueError makes MMEngine take it for a base.

    MMEngine learns that bases are no recipes from a hundred YAML files, which it reads again for every base: most of
    the time that a config takes to load.
    """
    if name.startswith('_base_/'):
        raise ValueError(f'{name} is no recipe')
    return _recipe_path(package_path, name)


mmengine_config._get_external_cfg_path = _path_in_package


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


def load_config(path: str | Path, options: Mapping[str, Any] | None = None, small: bool = False) -> Config:
    """Reads a config without the helper variables of its files (``max_cells``, ``train_pipeline``), and changes it.

    Args:
        path: Config file, or name of a config (:func:`sartorius.utils.paths.find_config`).
        options: Dotted keys and values. A key must be in the config already, so that a misspelt one is an error
            rather than a setting that nothing reads.
        small: Whether to make its small variant first (:func:`sartorius.engine.small.make_small`).

    Raises:
        InputError: No such file, a config that cannot be read, or an unknown key.
    """
    path = find_config(path)
    with naming_line(path):
        config = Config.fromfile(str(path))
    for name in config.keys() - RUN_KEYS:
        config.pop(name)
    if small:
        make_small(config)
    for key in options or {}:
        _check_key(config, key)
    config.merge_from_dict(dict(options or {}))
    return config


def innermost(dataset: Mapping[str, Any]) -> Any:
    """Config of the data set that reads the annotations, within those that wrap it."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def synthetic_part(dataset: Mapping[str, Any]) -> Any:
    """Config of the images that are drawn for a data set, alone or beside others; None where none are."""
    while dataset.get('type') != SYNTHETIC_DATASET:
        inner = dataset.get('synthetic') or dataset.get('dataset')
        if inner is None:
            return None
        dataset = inner
    return dataset


def default_work_dir(config_path: str | Path, fold: Fold | None, small: bool = False) -> Path:
    """``work_dirs/NAME[_small][_foldK]``, or ``_all`` in place of the fold for training on all images.

    Configs for LIVECell and for own images have the names of the competition's, so that theirs are
    ``work_dirs/livecell_NAME`` and ``work_dirs/own_NAME``.
    """
    path = Path(config_path)
    folder = path.resolve().parent.name
    name = f'{folder}_{path.stem}' if folder in ('livecell', 'own') else path.stem
    name += '_small' if small else ''
    if fold is not None:
        name += f'_{ALL_IMAGES}' if fold == ALL_IMAGES else f'_fold{fold}'
    return WORK_DIRS / name


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
            near = closest(part, node.keys())
            hint = f'; did you mean {".".join([*parts[:depth], near])}?' if near else '; new keys go into a config file'
            raise InputError(f'--cfg-options {key}: the config has no {".".join(parts[: depth + 1])}{hint}')
        node = node[part]
