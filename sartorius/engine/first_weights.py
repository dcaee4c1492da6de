"""First weights of a training that starts from another run."""

import sys
from pathlib import Path

from mmengine import dist
from mmengine.config import Config

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
