"""What tools/analysis/check_config.py does, and tools/train.py before it starts."""

from argparse import Namespace

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from sartorius.engine.config import (
    load_config,
    parse_options,
    set_data,
    train_from_scratch,
    use_mixed_precision,
)
from sartorius.engine.config_check import Report, check_config
from sartorius.engine.config_check.report import ERROR, OK, WARNING
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path


def check(options: Namespace) -> Report:
    """Checks a config as tools/train.py would run it.

    Args:
        options: The parsed options of tools/analysis/check_config.py.

    Raises:
        InputError: The config cannot be read, or is none of a training.
    """
    config = load_config(options.config, parse_options(options.cfg_options))
    set_data(config, options.data_root, options.annotations, options.fold)
    if options.load_from is not None:
        config.load_from, config.init_from = options.load_from, None
    if options.from_scratch:
        train_from_scratch(config)
        config.init_from = None
    if options.amp:
        use_mixed_precision(config)
    return check_config(config, options.config, options.fold)


def check_before_training(config: Config, path: str) -> None:
    """Prints what the check of a config finds, in the first process alone, and stops at errors.

    Args:
        config: The config as it is about to run, ``load_from`` being what it starts from.
        path: Its file.

    Raises:
        InputError: There are errors; the message lists them.
    """
    if not is_main_process():
        return
    decided = config.copy()
    decided.init_from = None
    report = check_config(decided, path)
    print_log(f'check of {display_path(path)}\n{report.to_text(OK, WARNING)}')
    if errors := report.count(ERROR):
        raise InputError(f'{display_path(path)}: training has not started; errors: {errors}\n{report.to_text(ERROR)}')
