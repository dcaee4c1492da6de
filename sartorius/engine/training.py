"""Training of a config: what tools/train.py does."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mmengine import dist
from mmengine.config import Config
from mmengine.logging import print_log

from sartorius.engine.config import ALL_IMAGES
from sartorius.engine.config_check import check_before_training
from sartorius.engine.first_weights import first_run_checkpoint
from sartorius.engine.launch import join_processes, launcher_of_this_process, plain_worker_errors
from sartorius.engine.mixed_precision import AMP_WRAPPERS
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.engine.run_record import describe_run
from sartorius.engine.runner import TrainingRunner, write_config
from sartorius.engine.start_check import check_resumable
from sartorius.models.checkpoints import fetch_weights
from sartorius.models.cpu_ops import tune_for_cpu
from sartorius.utils.checkpoint_files import holds_run, newest_whole
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import errors_name
from sartorius.utils.locks import lock_folder
from sartorius.utils.paths import display_path


def train(recipe: RecipeOptions, data: DataOptions, options: TrainOptions) -> None:
    """Trains a config.

    Raises:
        UsageError: An option is out of range, or the work dir holds a run already.
        InputError: Data, weights or checkpoint are missing or broken, or the check of the config found errors.
    """
    config = build_train_config(recipe, data, options)
    if options.amp and config.optim_wrapper.type not in AMP_WRAPPERS:
        print_log('neither a GPU nor bfloat16 here: --amp is ignored, training runs in float32', level=30)
    if config.get('fold') == ALL_IMAGES:
        print_log('no image is held out to validate on; the last checkpoint is the result')
    join_processes()
    # One work dir, one training; the first of several processes is the one that writes.
    with lock_folder(config.work_dir, 'training') if dist.is_main_process() else nullcontext():
        asked, start = config.load_from, _find_start(config, recipe, data, options)
        config.load_from, config.resume = start.checkpoint, start.resume
        check_before_training(config, recipe.config)
        if dist.is_main_process():
            write_config(config, Path(config.work_dir, recipe.config.name), asked)
        if start.weights is not None:
            config.load_from = fetch_weights(start.weights)
        dist.barrier()
        # Whatever hooks the config lists: weights are checked, run.json is written, and memory does not grow.
        record = dict(type='RunRecordHook', description=describe_run(config, recipe.config, start.weights).to_dict())
        always = [dict(type='StartCheckHook'), record, dict(type='FreedMemoryHook')]
        config.custom_hooks = [*config.get('custom_hooks', []), *always]
        config.launcher = launcher_of_this_process()
        with plain_worker_errors(), errors_name(config.work_dir):
            runner = TrainingRunner.from_cfg(config)
            tune_for_cpu(runner.model)
            for note in start.notes:
                runner.logger.warning(note)
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
        check_resumable(options.resume)
        return _Start(str(options.resume), resume=True)
    notes: list[str] = []
    newest = newest_whole(config.work_dir, notes.append, check_resumable)
    if newest is None and notes:
        raise InputError(f'{folder}: no checkpoint there is whole: {notes[-1]}; remove them and start without --resume')
    if newest is None:
        raise InputError(f'{folder}: no checkpoint to resume from; start without --resume instead')
    return _Start(str(newest), resume=True, notes=tuple(notes))
