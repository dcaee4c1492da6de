"""Training of a config: what tools/train.py does."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mmengine import dist
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sartorius.engine.config import ALL_IMAGES
from sartorius.engine.config_check import check_before_training
from sartorius.engine.first_weights import describe_misfits, first_run_checkpoint
from sartorius.engine.launch import join_processes, launcher_of_this_process, plain_worker_errors
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.engine.run_record import describe_run
from sartorius.models.checkpoints import check_finite, check_weights, fetch_weights, read_checkpoint
from sartorius.utils.checkpoint_files import holds_run, newest_whole
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import display_path


def train(recipe: RecipeOptions, data: DataOptions, options: TrainOptions) -> None:
    """Trains a config.

    Raises:
        UsageError: An option is out of range, or the work dir holds a run already.
        InputError: Data, weights or checkpoint are missing or broken, or the check of the config found errors.
    """
    config = build_train_config(recipe, data, options)
    if options.amp and config.optim_wrapper.type != 'AmpOptimWrapper':
        print_log('no GPU here: --amp is ignored, training runs in float32', level=30)
    if config.get('fold') == ALL_IMAGES:
        print_log('--fold all: every annotated image trains, none validates; the last checkpoint is the result')
    join_processes()
    # One work dir, one training; the first of several processes is the one that writes.
    with lock_folder(config.work_dir, 'training') if dist.is_main_process() else nullcontext():
        start = _find_start(config, recipe, data, options)
        config.load_from, config.resume = start.checkpoint, start.resume
        check_before_training(config, recipe.config)
        if start.weights is not None:
            config.load_from = fetch_weights(start.weights)
        dist.barrier()
        # Writes run.json, whatever hooks the config lists.
        record = dict(type='RunRecordHook', description=describe_run(config, recipe.config, start.weights).to_dict())
        config.custom_hooks = [*config.get('custom_hooks', []), record]
        config.launcher = launcher_of_this_process()
        with plain_worker_errors():
            runner = Runner.from_cfg(config)
            for note in start.notes:
                runner.logger.warning(note)
            _check_start(runner)
            _report_misfits(runner)
            runner.train()


@dataclass(frozen=True)
class _Start:
    """Start of a run.

    Attributes:
        checkpoint: File or URL that is loaded; None for random weights.
        resume: Whether the run of this checkpoint is continued.
        notes: What the log shall say of it.
    """

    checkpoint: str | None
    resume: bool = False
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> str | None:
        """First weights of a new run; None for random ones and a resumed run's."""
        return None if self.resume else self.checkpoint


def _find_start(config: Config, recipe: RecipeOptions, data: DataOptions, options: TrainOptions) -> _Start:
    """A resumed run's checkpoint, given weights, those of the run that the config starts from, or the config's.

    Raises:
        UsageError: The work dir holds a run already, which is not to be resumed.
        InputError: There is no such checkpoint, or it cannot be resumed from.
    """
    folder = display_path(config.work_dir)
    if options.resume is None:
        if holds_run(config.work_dir):
            raise UsageError(f'{folder} holds a run already; go on with it by --resume, or choose another --work-dir')
        if options.load_from is not None:
            return _Start(options.load_from)
        checkpoint = first_run_checkpoint(config, display_path(recipe.config), data.fold)
        return _Start(config.load_from if checkpoint is None else str(checkpoint))
    if options.resume != 'auto':
        _check_resumable(options.resume)
        return _Start(str(options.resume), resume=True)
    notes: list[str] = []
    newest = newest_whole(config.work_dir, notes.append, _check_resumable)
    if newest is None and notes:
        raise InputError(f'{folder}: no checkpoint there is whole: {notes[-1]}; remove them and start without --resume')
    if newest is None:
        raise InputError(f'{folder}: no checkpoint to resume from; start without --resume instead')
    return _Start(str(newest), resume=True, notes=tuple(notes))


def _check_resumable(checkpoint: str | Path) -> None:
    """Raises an InputError unless a training can go on from a checkpoint."""
    if 'optimizer' not in read_checkpoint(checkpoint):
        raise InputError(
            f'{display_path(checkpoint)}: has no optimizer state to resume from; start from its weights with '
            '--load-from'
        )


def _check_start(runner: Runner) -> None:
    """Checks the weights that a run starts from before MMEngine loads what fits of them and leaves the rest at random.

    Raises:
        InputError: They are not finite, or those of a resumed run are another model's, or none of them fits.
    """
    if runner.cfg.load_from is None:
        return
    content, name = read_checkpoint(runner.cfg.load_from), display_path(runner.cfg.load_from)
    weights = content.get('state_dict', content)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if runner.cfg.resume:
        check_weights(model, weights, name)
        return
    check_finite(weights, name)
    own = model.state_dict()
    if not any(key in own and own[key].shape == value.shape for key, value in weights.items()):
        raise InputError(f'{name}: none of its weights fits the model; give the weights of such a model')


def _report_misfits(runner: Runner) -> None:
    """Names the layers that another run's weights do not fit in one line, before MMEngine's long list."""
    if runner.cfg.get('init_from') and not runner.cfg.resume:
        misfits = describe_misfits(runner.model, runner.cfg.load_from)
        random = f'; at random, because their shapes differ: {misfits}' if misfits else ''
        runner.logger.info(f'starts from {display_path(runner.cfg.load_from)}{random}')
