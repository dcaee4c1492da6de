"""First weights of a training that starts from another run."""

import sys
from pathlib import Path

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.model import is_model_wrapper

from sartorius.engine.config import default_work_dir
from sartorius.models.checkpoints import read_checkpoint
from sartorius.utils.checkpoint_files import newest_whole
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path, find_config
from sartorius.utils.settings import Flag, Settings, Text, build


class InitFrom(Settings):
    """The run that a config starts from: ``init_from = dict(config='configs/livecell/mrcnn_r50.py')``."""

    config: Text
    """Config of that run: its path, from the top of the checkout, or its name."""
    same_fold: Flag = False
    """Whether that run is trained in every fold as well."""


def read_init_from(config: Config, name: str) -> InitFrom | None:
    """The run that a config starts from; None where it names none.

    Args:
        config: A training's config.
        name: What messages call it.

    Raises:
        InputError: ``init_from`` is malformed, or names no config.
    """
    if config.get('init_from') is None:
        return None
    where = f'{name}: init_from'
    start = build(InitFrom, config.init_from, where)
    try:
        find_config(start.config)
    except InputError as error:
        raise InputError(f'{where}: {error}') from None
    return start


def last_checkpoint(work_dir: Path) -> Path | None:
    """Newest checkpoint of a run that is whole; None where there is none.

    Says on standard error which newer one is passed over, and why.
    """

    def say(sentence: str) -> None:
        if dist.is_main_process():
            print(f'warning: {sentence}', file=sys.stderr)

    return newest_whole(work_dir, say, read_checkpoint)


def first_run_checkpoint(config: Config, name: str, fold: int | None) -> Path | None:
    """Last checkpoint of the run that a config starts from; None where it names none.

    Args:
        config: May have ``init_from`` (:class:`InitFrom`); a small variant starts from the small variant of that one.
        name: What messages call the config.
        fold: The ``--fold`` of this run.

    Raises:
        InputError: ``init_from`` is malformed, or there is no such run yet; the message names the command.
    """
    start = read_init_from(config, name)
    if start is None:
        return None
    first, fold = start.config, fold if start.same_fold else None
    small = bool(config.get('small'))
    work_dir = default_work_dir(first, fold, small)
    checkpoint = last_checkpoint(work_dir)
    if checkpoint is None:
        command = f'python tools/train.py {first}' + ' --small' * small + ('' if fold is None else f' --fold {fold}')
        raise InputError(
            f'{name} starts from the weights of {first}, of which {display_path(work_dir)} holds no run; make it with '
            f'"{command}", or name other weights with --load-from'
        )
    return checkpoint


def describe_misfits(model: torch.nn.Module, checkpoint: str | Path) -> str:
    """Layers whose shapes differ from those of a checkpoint, in one line.

    MMEngine keeps their random weights: those of a head for another number of classes, as a rule.

    Returns:
        For example ``roi_head.bbox_head.fc_cls (9 to 4)``, layers in the model's order with the first lengths that
        differ; empty where all fit.

    Raises:
        InputError: The checkpoint cannot be read.
    """
    content = read_checkpoint(checkpoint)
    weights = content.get('state_dict', content)
    own = (model.module if is_model_wrapper(model) else model).state_dict()
    misfits: dict[str, str] = {}
    for key, tensor in own.items():
        given = weights.get(key)
        if given is not None and given.shape != tensor.shape:
            before, after = next(pair for pair in zip(given.shape, tensor.shape, strict=False) if pair[0] != pair[1])
            misfits.setdefault(key.rsplit('.', 1)[0], f'{before} to {after}')
    return ', '.join(f'{layer} ({change})' for layer, change in misfits.items())
