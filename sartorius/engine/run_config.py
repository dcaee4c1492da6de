"""Config of a run, built in one place from a config file and the options of the command line."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sartorius.datasets.sartorius import OwnDataset, classes_of
from sartorius.engine.config import (
    ALL_IMAGES,
    LOADERS,
    SYNTHETIC_DATASET,
    Fold,
    default_work_dir,
    innermost,
    load_config,
    parse_options,
    synthetic_part,
)
from sartorius.engine.data_fit import fit_to_data
from sartorius.engine.mixed_precision import has_bfloat16
from sartorius.engine.small import arguments_of, learn_all_layers
from sartorius.models.model_file import find_model
from sartorius.models.outputs import box_limits
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import BASE_DIR

SHIPPED_WEIGHTS = 'shipped'
"""``load_from`` of a config that starts from the model that comes with the package."""
FUSED_OPTIMIZERS = ('Adam', 'AdamW', 'SGD')
"""Of torch, which have a fused step on CPUs."""


@dataclass(frozen=True)
class RecipeOptions:
    """The config of a run.

    Attributes:
        config: Config file.
        small: Whether to use its small variant, which learns on a CPU.
        cfg_options: ``KEY=VALUE`` words that change it.
    """

    config: Path
    small: bool = False
    cfg_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataOptions:
    """The images of a run.

    Attributes:
        data_root: Folder that the file names of the annotations start from; the config's if None.
        annotations: Folder that tools/prepare_sartorius.py wrote; the config's if None.
        fold: Fold that is held out for validation, or ``all`` to train on every annotated image; the config's if None.
    """

    data_root: Path | None = None
    annotations: Path | None = None
    fold: Fold | None = None


@dataclass(frozen=True)
class TrainOptions:
    """How a config is trained.

    Attributes:
        work_dir: Where the run is written; ``default_work_dir`` if None.
        resume: Checkpoint to go on from, ``auto`` for the latest in the work dir; None for a new run.
        load_from: Checkpoint or URL of the first weights; the config's if None.
        from_scratch: Whether pre-trained weights are dropped and all layers learn.
        from_shipped: Whether the first weights are those of the model that comes with the package.
        seed: Seed of weights, order and augmentation, 0 or more; the config's if None.
        iterations: Length of the run, 1 or more, its schedule stretched; the config's if None.
        validation: Whether checkpoints are scored on the held-out images.
        amp: Whether to use mixed precision: float16 on a GPU, bfloat16 on a CPU that has it.
        tensorboard: Whether to log to TensorBoard as well.
        wandb: Whether to log to Weights & Biases as well.
    """

    work_dir: Path | None = None
    resume: str | None = None
    load_from: str | None = None
    from_scratch: bool = False
    from_shipped: bool = False
    seed: int | None = None
    iterations: int | None = None
    validation: bool = True
    amp: bool = False
    tensorboard: bool = False
    wandb: bool = False


def build_train_config(
    recipe: RecipeOptions, data: DataOptions = DataOptions(), train: TrainOptions = TrainOptions()
) -> Config:
    """Config of a training run: files, classes, fold, seed, schedule and machine resolved.

    ``init_from`` is kept as it is: its checkpoint is looked up when the run starts.

    Raises:
        UsageError: An option is out of range, a fold of data without folds is asked for, or wandb is not installed.
        InputError: The config cannot be read, or has no such key as ``--cfg-options`` names.
    """
    config = _read_recipe(recipe, data)
    config.work_dir = str(train.work_dir or default_work_dir(recipe.config, data.fold, recipe.small).resolve())
    config.val_evaluator.max_cells = box_limits(config).max_per_img
    if train.from_scratch:
        _drop_pretrained_weights(config)
    if train.load_from is not None:
        config.load_from = train.load_from
    _resolve_shipped(config, train)
    if train.iterations is not None:
        _set_iterations(config, train.iterations)
    if not train.validation or config.fold == ALL_IMAGES:
        _skip_validation(config)
    if config.fold == ALL_IMAGES:
        # No image is left to validate on.
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
    _set_seed(config, train.seed)
    _add_loggers(config, train)
    if train.amp and torch.cuda.is_available():
        config.optim_wrapper.type = 'AmpOptimWrapper'
        config.optim_wrapper.loss_scale = 'dynamic'
    elif train.amp and has_bfloat16():
        config.optim_wrapper.type = 'CpuAmpOptimWrapper'
    _adapt_to_machine(config)
    _fuse_optimizer(config)
    return config


def build_prediction_config(recipe: RecipeOptions, data: DataOptions, split: str) -> Config:
    """Config for predicting one split of the data, which is the data set of its ``test_dataloader``.

    Args:
        recipe: Which config.
        data: Which images; the fold of ``val`` and ``train``.
        split: ``test``, ``val``, ``train`` or ``unlabelled``.

    Raises:
        UsageError: A fold of data without folds is asked for.
        InputError: The config cannot be read, or there is no such annotation file.
    """
    config = _read_recipe(recipe, data)
    if config.get('fit_to_data'):
        raise InputError(
            f'{innermost(config.train_dataloader.dataset).ann_file}: no such annotation file, by which this config '
            f'knows its classes; {OwnDataset.MADE_BY} makes it'
        )
    path = Path(config.annotations, 'unlabelled.json')
    if split != 'unlabelled':
        path = Path(innermost(config[f'{split}_dataloader'].dataset).ann_file)
    if not path.is_file():
        dataset = config.test_dataloader.dataset
        own_classes = bool(dataset.get('metainfo', {}).get('classes'))
        fix = 'write it, or choose another --split' if own_classes else f'{DATASETS.get(dataset.type).MADE_BY} makes it'
        raise InputError(f'{path}: no such annotation file; {fix}')
    config.test_dataloader.dataset.ann_file = str(path)
    _adapt_to_machine(config)
    return config


def _read_recipe(recipe: RecipeOptions, data: DataOptions) -> Config:
    """The config, or its small variant, with ``--cfg-options``, pointed at the data."""
    config = load_config(recipe.config, parse_options(recipe.cfg_options), recipe.small)
    _set_data(config, data)
    return config


def _set_data(config: Config, data: DataOptions) -> None:
    """Points data sets and metric at folders and at a fold; relative folders of the config start at ``BASE_DIR``."""
    has_folds = Path(config.val_dataloader.dataset.ann_file).name.startswith('fold')
    if data.fold is not None and not has_folds:
        raise UsageError(f'--fold {data.fold}: the data of this config have no folds; run it without --fold')
    config.fold = (config.get('fold') if data.fold is None else data.fold) if has_folds else None
    root = _absolute(config.data_root if data.data_root is None else data.data_root)
    folder = _absolute(config.annotations if data.annotations is None else data.annotations)
    for loader in LOADERS:
        dataset = innermost(config[loader].dataset)
        if dataset.type == SYNTHETIC_DATASET:
            continue
        dataset.data_root = str(root)
        dataset.ann_file = str(folder / _file_of_fold(Path(dataset.ann_file).name, config.fold))
    fit_to_data(config)
    validated = config.val_dataloader.dataset
    config.val_evaluator.ann_file = validated.ann_file
    config.val_evaluator.classes = list(classes_of(validated))
    config.val_evaluator.cell_types = validated.get('filter_cfg', {}).get('cell_types')
    config.data_root, config.annotations = str(root), str(folder)


def _file_of_fold(name: str, fold: Fold | None) -> str:
    """File of a fold in place of that of another, ``all.json`` for training on all; other files keep their name."""
    if fold is None or not name.startswith('fold'):
        return name
    return f'{ALL_IMAGES}.json' if fold == ALL_IMAGES else f'fold{fold}_{name.split("_", 1)[1]}'


def _drop_pretrained_weights(config: Config) -> None:
    """Starts from random weights with all layers learning."""
    config.load_from = None
    backbone = config.model.backbone
    init_default_scope('mmdet')
    if 'init_cfg' in arguments_of(backbone):
        backbone.init_cfg = None
    learn_all_layers(backbone)


def _resolve_shipped(config: Config, train: TrainOptions) -> None:
    """Names the file of the package's model where it is wanted, by option or by ``load_from='shipped'`` of a config.

    Raises:
        UsageError: Other first weights are asked for at the same time.
    """
    if train.from_shipped:
        for option, given in (('--load-from', train.load_from is not None), ('--from-scratch', train.from_scratch)):
            if given:
                raise UsageError(f'--from-shipped and {option} ask for different first weights; give one of them')
        config.init_from = None
        _drop_pretrained_weights(config)
        config.load_from = SHIPPED_WEIGHTS
    if config.load_from == SHIPPED_WEIGHTS:
        config.load_from = str(find_model())


def _set_iterations(config: Config, iterations: int) -> None:
    """Makes a run longer or shorter, its learning rate schedule with it.

    Validation and checkpoints keep their intervals, but come at least once, at the end.
    """
    if iterations < 1:
        raise UsageError(f'--iterations must be at least 1, not {iterations}')
    stretch = iterations / config.train_cfg.max_iters
    for scheduler in config.param_scheduler:
        scheduler.begin = round(scheduler.begin * stretch)
        # A schedule without iterations is an error.
        scheduler.end = max(round(scheduler.end * stretch), scheduler.begin + 1)
    config.train_cfg.max_iters = iterations
    config.train_cfg.val_interval = min(config.train_cfg.val_interval, iterations)
    config.default_hooks.checkpoint.interval = min(config.default_hooks.checkpoint.interval, iterations)


def _skip_validation(config: Config) -> None:
    """Lets a run only train: the last checkpoints are kept, and none is the best."""
    config.train_cfg.val_begin = config.train_cfg.max_iters + 1
    config.default_hooks.checkpoint.save_best = None


def _set_seed(config: Config, seed: int | None) -> None:
    """Gives weights, order and augmentation of a run one seed."""
    if seed is not None:
        if seed < 0:
            raise UsageError(f'--seed must be 0 or more, not {seed}')
        config.randomness.seed = seed
    config.train_dataloader.dataset.seed = config.randomness.seed
    if drawn := synthetic_part(config.train_dataloader.dataset):
        drawn.seed = config.randomness.seed


def _add_loggers(config: Config, train: TrainOptions) -> None:
    backends = config.visualizer.vis_backends
    if train.tensorboard:
        backends.append(dict(type='TensorboardVisBackend'))
    if train.wandb:
        if importlib.util.find_spec('wandb') is None:
            raise UsageError('--wandb needs its client: pip install wandb, then wandb login, or WANDB_MODE=offline')
        name = Path(config.work_dir).name
        backends.append(dict(type='MetricsWandbBackend', init_kwargs=dict(project='sartorius', name=name)))


def _adapt_to_machine(config: Config) -> None:
    """Removes what needs a GPU on a machine without one."""
    if torch.cuda.is_available():
        return
    config.env_cfg.dist_cfg.backend = 'gloo'
    # The runner's own wrapper passes device_ids, which torch refuses for modules on the CPU.
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def _fuse_optimizer(config: Config) -> None:
    """Lets the optimiser do its step in one pass over the weights on a CPU, where torch does not by itself."""
    optimizer = config.optim_wrapper.optimizer
    if optimizer.type in FUSED_OPTIMIZERS and not torch.cuda.is_available() and not optimizer.get('foreach'):
        optimizer.setdefault('fused', True)


def _absolute(folder: str | Path) -> Path:
    """A folder of the command line is absolute by now; one from a config is relative to ``BASE_DIR``."""
    folder = Path(folder).expanduser()
    return folder if folder.is_absolute() else BASE_DIR / folder
