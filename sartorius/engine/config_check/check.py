"""Check of a config: what can be found wrong before a training starts."""

from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import nn

from sartorius.datasets.sartorius import classes_of
from sartorius.engine.config import Fold
from sartorius.engine.config_check.anchors import check_anchors
from sartorius.engine.config_check.data import SplitBoxes, read_split
from sartorius.engine.config_check.data_files import check_apart, check_images, check_weights
from sartorius.engine.config_check.keys import find_dead_parameter_keys, find_unread_keys
from sartorius.engine.config_check.limits import check_limits
from sartorius.engine.config_check.names import find_unread_names, read_bases
from sartorius.engine.config_check.report import ERROR, OK, WARNING, Report
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path

SECTIONS = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')


def check_recipe(recipe: RecipeOptions, data: DataOptions, train: TrainOptions) -> Report:
    """Checks a config as tools/train.py would run it with these options.

    Raises:
        InputError: The config cannot be read, or is no training config.
    """
    config = build_train_config(recipe, data, train)
    if train.load_from is not None:
        config.init_from = None
    return check_config(config, recipe.config, data.fold)


def check_before_training(config: Config, path: str | Path) -> None:
    """Prints the messages of the check of a config, in the first process alone, and stops at errors.

    Args:
        config: The config as it is about to run, ``load_from`` being the weights or checkpoint it starts from.
        path: Its file.

    Raises:
        InputError: There are errors; the message lists them.
    """
    if not is_main_process():
        return
    resolved = config.copy()
    resolved.init_from = None
    report = check_config(resolved, path)
    print_log(f'check of {display_path(path)}\n{report.to_text(OK, WARNING)}')
    if errors := report.count(ERROR):
        raise InputError(f'{display_path(path)}: training has not started; errors: {errors}\n{report.to_text(ERROR)}')


def check_config(config: Config, path: str | Path, fold: Fold | None = None) -> Report:
    """Checks a config against the code that reads it and against its data; builds no weights and reads no image.

    Args:
        config: The config of a run (:func:`sartorius.engine.run_config.build_train_config`).
        path: Its file, whose top-level names are checked.
        fold: The ``--fold`` of the run, by which the run that it starts from is found.

    Raises:
        InputError: The config lacks a section that every training needs.
    """
    for section in SECTIONS:
        if config.get(section) is None:
            raise InputError(f'{display_path(path)}: has no {section}, so it is no training config')
    init_default_scope(config.get('default_scope', 'mmdet'))
    report = Report()
    train = _read(config.train_dataloader, report)
    val = _read(config.val_dataloader, report) if config.get('val_dataloader') else None
    model = _check_keys(config, path, report)
    for split, what in ((train, 'training'), (val, 'validation')):
        if split is not None:
            check_images(split, what, report)
    if train is not None and val is not None:
        check_apart(train, val, report)
    check_weights(config, display_path(path), fold, report)
    # With a key in the wrong place, the rest would check another config than the one that is meant.
    if train is not None and model is not None:
        check_limits(config, train, val, report)
        if len(train.boxes):
            check_anchors(config, train, report)
    return report


def _read(dataloader: Any, report: Report) -> SplitBoxes | None:
    try:
        return read_split(dataloader)
    except InputError as error:
        report.add(ERROR, 'files', str(error))
    except (TypeError, KeyError):
        # A misspelt type or argument of the data set, which the check of keys names.
        return None
    return None


def _check_keys(config: Config, path: str | Path, report: Report) -> nn.Module | None:
    """Reports misspelt keys; returns the model without weights if there are none. Needs no data."""
    classes = classes_of(config.test_dataloader.dataset)
    messages = find_unread_names(path)
    if find_unread_keys(config, classes):
        messages += find_unread_keys(config, classes, read_bases(path))
    model = None
    if not messages:
        try:
            model = build_without_weights(config.model)
        except Exception as error:
            # Constructors of MMDetection raise whatever fits them; any of it would stop the training as well.
            messages.append(f'model: cannot be built: {type(error).__name__}: {error}')
        else:
            messages += find_dead_parameter_keys(config, [name for name, _ in model.named_parameters()])
    for message in messages:
        report.add(ERROR, 'keys', message)
    if not messages:
        report.add(OK, 'keys', 'no unknown key or type; the model can be built')
    return None if messages else model


def build_without_weights(model: Any) -> nn.Module:
    """The model of a config on torch's ``meta`` device: no weight takes memory.

    Raises:
        Exception: As the model's own constructor raises for a config that does not fit.
    """
    with torch.device('meta'):
        return revert_sync_batchnorm(MODELS.build(model))
