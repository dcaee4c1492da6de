"""The check of a config: everything that can be found wrong before a training starts."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from sartorius.engine.config_check.anchors import check_anchors
from sartorius.engine.config_check.data import SplitBoxes, read_split
from sartorius.engine.config_check.files import check_images, check_weights
from sartorius.engine.config_check.keys import find_dead_parameter_keys, find_unread_keys
from sartorius.engine.config_check.limits import check_limits
from sartorius.engine.config_check.memory import check_memory
from sartorius.engine.config_check.report import ERROR, OK, Report
from sartorius.engine.config_check.shapes import build_shapes
from sartorius.engine.config_check.variables import find_unread_names, keys_read_by_code
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path

SECTIONS = ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg')


def check_config(config: Config, path: str | Path, fold: int | None = None) -> Report:
    """Checks a config against the code that reads it and against its data; builds no weights and reads no image.

    Args:
        config: The whole config, pointed at its data (:func:`sartorius.engine.config.set_data`).
        path: Its file, whose top-level names are checked.
        fold: Fold of the run, by which the run that it starts from is found; the config's if None.

    Raises:
        InputError: The config lacks a section that every training needs.
    """
    for section in SECTIONS:
        if config.get(section) is None:
            raise InputError(f'{display_path(path)}: has no {section}, so that it is no config of a training')
    init_default_scope(config.get('default_scope', 'mmdet'))
    report = Report()
    train = _read(config.train_dataloader, report)
    val = _read(config.val_dataloader, report) if config.get('val_dataloader') else None
    _check_keys(config, path, train, report)
    for split, what in ((train, 'training'), (val, 'validation')):
        if split is not None:
            check_images(split, what, report)
    check_weights(config, display_path(path), fold, report)
    # With a key in the wrong place, what follows would check another config than the one that is meant.
    if train is not None and not report.has_errors('keys'):
        _check_model(config, train, val, report)
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


def _check_keys(config: Config, path: str | Path, train: SplitBoxes | None, report: Report) -> None:
    messages = find_unread_names(path, keys_read_by_code())
    messages += find_unread_keys(config, train.classes if train else ())
    for message in messages:
        report.add(ERROR, 'keys', message)
    if not messages:
        report.add(OK, 'keys', 'every key is read by the code')


def _check_model(config: Config, train: SplitBoxes, val: SplitBoxes | None, report: Report) -> None:
    model = _build(config, report)
    if model is None:
        return
    names = [name for name, _ in model.named_parameters()]
    for message in find_dead_parameter_keys(config, names):
        report.add(ERROR, 'keys', message)
    check_limits(config, train, val, report)
    if len(train.boxes):
        check_anchors(config, train, report)
        check_memory(config, model, train, report)


def _build(config: Config, report: Report) -> nn.Module | None:
    try:
        return build_shapes(config.model)
    except Exception as error:
        # Constructors of MMDetection raise whatever fits them; any of it would stop the training as well.
        report.add(ERROR, 'keys', f'model: cannot be built: {type(error).__name__}: {error}')
        return None
