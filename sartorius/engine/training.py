"""What tools/train.py does."""

import importlib.util
from argparse import Namespace
from pathlib import Path

from mmengine import dist
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from sartorius.engine.checking import check_before_training
from sartorius.engine.config import (
    adapt_to_machine,
    default_work_dir,
    leave_out_validation,
    load_config,
    parse_options,
    set_data,
    set_iterations,
    set_seed,
    train_from_scratch,
    use_mixed_precision,
)
from sartorius.engine.first_weights import describe_misfits, first_run_checkpoint
from sartorius.engine.launch import (
    join_processes,
    launcher_of_this_process,
    plain_worker_errors,
)
from sartorius.engine.run_record import describe_run
from sartorius.models.checkpoints import fetch_weights, read_checkpoint
from sartorius.models.outputs import box_limits
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path


def train(options: Namespace) -> None:
    """Trains a config.

    Args:
        options: The parsed options of tools/train.py.

    Raises:
        InputError: Data, weights or checkpoint are missing or broken, or the check of the config found errors.
    """
    config = load_config(options.config, parse_options(options.cfg_options))
    config.work_dir = str(Path(options.work_dir or default_work_dir(options.config, options.fold)).resolve())
    set_data(config, options.data_root, options.annotations, options.fold)
    config.val_evaluator.max_cells = box_limits(config).max_per_img
    if options.iterations is not None:
        set_iterations(config, options.iterations)
    if options.no_validation:
        leave_out_validation(config)
    set_seed(config, options.seed)
    _set_loggers(config, options)
    adapt_to_machine(config)
    if options.amp and not use_mixed_precision(config):
        print_log('no GPU here: --amp is left out, training goes on in float32', level=30)
    join_processes()
    weights = _set_start(config, options)
    check_before_training(config, options.config)
    if weights is not None:
        config.load_from = fetch_weights(weights)
    dist.barrier()
    _keep_record(config, options, weights)
    config.launcher = launcher_of_this_process()
    with plain_worker_errors():
        runner = Runner.from_cfg(config)
        _say_misfits(runner)
        runner.train()


def _set_loggers(config: Config, options: Namespace) -> None:
    backends = config.visualizer.vis_backends
    if options.tensorboard:
        backends.append(dict(type='TensorboardVisBackend'))
    if options.wandb:
        if importlib.util.find_spec('wandb') is None:
            raise UsageError('--wandb needs its client: pip install wandb, then wandb login')
        backends.append(
            dict(type='WandbVisBackend', init_kwargs=dict(project='sartorius', name=Path(config.work_dir).name))
        )


def _keep_record(config: Config, options: Namespace, weights: str | None) -> None:
    """Lets the run write ``run.json``, whatever hooks the config lists."""
    description = describe_run(config, options.config, weights)
    config.custom_hooks = [*config.get('custom_hooks', []), dict(type='RunRecordHook', description=description)]


def _say_misfits(runner: Runner) -> None:
    """Names the layers that another run's weights do not fit in one line, before MMEngine's long list."""
    if runner.cfg.get('init_from') and not runner.cfg.resume:
        misfits = describe_misfits(runner.model, runner.cfg.load_from)
        random = f'; at random, because their shapes differ: {misfits}' if misfits else ''
        runner.logger.info(f'starts from {display_path(runner.cfg.load_from)}{random}')


def _set_start(config: Config, options: Namespace) -> str | None:
    """Decides what the first weights are: a resumed run's, given ones, those of the run that the config starts from,
    pre-trained ones, or random ones.

    Returns:
        File or URL of the weights; None for random or a resumed run's.
    """
    last = Path(config.work_dir) / 'last_checkpoint'
    if options.from_scratch:
        train_from_scratch(config)
    if options.resume is None:
        if last.is_file():
            raise UsageError(
                f'{display_path(config.work_dir)} holds a run already; go on with it by --resume, or choose another '
                '--work-dir'
            )
        if options.load_from is not None:
            config.load_from = options.load_from
        elif (checkpoint := first_run_checkpoint(config, display_path(options.config), options.fold)) is not None:
            config.load_from = str(checkpoint)
        return config.load_from
    checkpoint = options.resume
    if checkpoint == 'auto':
        if not last.is_file():
            raise InputError(
                f'{display_path(config.work_dir)}: no checkpoint to resume from; leave out --resume to start'
            )
        checkpoint = last.read_text(encoding='utf-8').strip()
    content = read_checkpoint(checkpoint)
    if 'optimizer' not in content:
        raise InputError(
            f'{checkpoint}: has no optimizer state to resume from; start from its weights with --load-from'
        )
    config.load_from, config.resume = str(checkpoint), True
    return None
