"""Small variants of recipes (``--small``): the same method at a size that learns from scratch on two CPU cores.

A variant keeps what its recipe is about (detector, classes, pasting, where the first weights come from, averaging) and
changes how large it is: backbone, channels of the heads, number of candidates, tiles instead of whole images, schedule.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mmcv
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from sartorius.engine.signatures import parameters_of
from sartorius.utils.paths import CONFIG_DIR

SCHEDULE = CONFIG_DIR / '_base_' / 'schedules' / 'small.py'
CHANNELS = 64
"""Of the neck and of all heads."""
BATCH_SIZE = 4
# Images of the competition, (width, height): the factor by which a recipe enlarges them becomes that of any image.
IMAGE_SIZE = (704, 520)
TILE, SMALLER_TILE = 96, 64
"""Side in pixels of the tiles in training, and of those of recipes for prediction in small, enlarged tiles."""
MAX_TILE_SCALE = 3.0
"""Tiles in prediction are enlarged at most by this factor."""
SIZE_CHANGES = ('RandomChoiceResize', 'RandomResize', 'Resize', 'RandomCellCrop', 'RandomCrop', 'RandomTile')


def make_small(config: Config) -> None:
    """Turns a config into its small variant, in place.

    Args:
        config: A recipe as :func:`sartorius.engine.config.load_config` reads it.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    config.small = True
    config.load_from = None
    _shrink_model(config.model)
    _shrink_pipelines(config)
    _shorten(config)


def learn_all_layers(backbone: ConfigDict) -> None:
    """Unfreezes a backbone, as frozen random layers would stay random; sets only what its type takes."""
    for key, value in (('frozen_stages', -1), ('norm_eval', False)):
        if key in arguments_of(backbone):
            backbone[key] = value


def arguments_of(node: ConfigDict) -> frozenset[str]:
    """Names that the type of a model's part takes."""
    kind = MODELS.get(node.type)
    return frozenset() if kind is None else parameters_of(kind)[0]


def _shrink_resnet(backbone: ConfigDict) -> list[int]:
    """Depth 18 for 50, 34 for 101 and 50 for the deepest; as many channels in all stages: 32 to 256, or 64 to 512.

    ResNeXt keeps its bottlenecks and gets a quarter of the groups, of their width, and of the groups of its norms.
    """
    grouped = 'groups' in backbone
    backbone.depth = 50 if grouped else {101: 34, 152: 50}.get(backbone.depth, 18)
    bottlenecks = backbone.depth >= 50
    backbone.base_channels = 16 if bottlenecks else 32
    if grouped:
        backbone.groups, backbone.base_width = backbone.groups // 4, backbone.base_width // 4
    norm = backbone.get('norm_cfg', {})
    if 'num_groups' in norm:
        norm.num_groups //= 4
    width = backbone.base_channels * (4 if bottlenecks else 1)
    return [width, 2 * width, 4 * width, 8 * width]


def _shrink_cspnext(backbone: ConfigDict) -> list[int]:
    """A quarter of the width, one block per stage."""
    backbone.deepen_factor, backbone.widen_factor = 0.167, 0.25
    return [64, 128, 256]


SMALL_BACKBONES: dict[str, Callable[[ConfigDict], list[int]]] = {
    'ResNet': _shrink_resnet,
    'ResNeXt': _shrink_resnet,
    'Stride1StemResNet': _shrink_resnet,
    'CSPNeXt': _shrink_cspnext,
}
"""Functions that make a backbone small, in place, and return the channels of its maps; other types keep their size."""


def _shrink_model(model: ConfigDict) -> None:
    backbone = model.backbone
    if (backbone.get('init_cfg') or {}).get('type') == 'Pretrained':
        backbone.init_cfg = None
    if shrink := SMALL_BACKBONES.get(backbone.type):
        model.neck.in_channels = shrink(backbone)
    learn_all_layers(backbone)
    model.neck.out_channels = CHANNELS
    if 'num_csp_blocks' in model.neck:
        model.neck.num_csp_blocks = 1
    if 'roi_head' in model:
        _shrink_two_stages(model)
    else:
        model.bbox_head.in_channels = model.bbox_head.feat_channels = CHANNELS
    _unsync_norms(model)


def _shrink_two_stages(model: ConfigDict) -> None:
    """RPN and RoI heads of a quarter of the channels, shared by all classes, with fewer candidates and samples.

    Outlines are learnt from the cells of all classes at once.
    """
    model.rpn_head.in_channels = model.rpn_head.feat_channels = CHANNELS
    heads = model.roi_head
    for extractor in (heads.bbox_roi_extractor, heads.mask_roi_extractor):
        extractor.out_channels = CHANNELS
    for head in _listed(heads.bbox_head):
        head.update(in_channels=CHANNELS, fc_out_channels=256, reg_class_agnostic=True)
    for head in _listed(heads.mask_head):
        head.update(in_channels=CHANNELS, conv_out_channels=CHANNELS, class_agnostic=True)
    model.train_cfg.rpn_proposal.update(nms_pre=1000, max_per_img=500)
    for stage in _listed(model.train_cfg.rcnn):
        stage.sampler.num = 128


def _unsync_norms(node: Any) -> None:
    """Normalises within one process: ``SyncBN`` needs a GPU."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, dict) and value.get('type') == 'SyncBN':
            value.type = 'BN'
        elif isinstance(value, dict | list | tuple):
            _unsync_norms(value)


def _shrink_pipelines(config: Config) -> None:
    """Trains on enlarged tiles, and predicts whole images enlarged by the recipe's factor, whatever their size.

    Test-time augmentation is by scale alone, to be quick.
    """
    config.tiles.scale = min(config.tiles.scale, MAX_TILE_SCALE)
    enlarged = 1.0
    for loader in (config.val_dataloader, config.test_dataloader):
        pipeline = []
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                enlarged = _enlargement(step)
                step = ConfigDict(type='Resize', scale_factor=enlarged)
            pipeline.append(step)
        loader.dataset.pipeline = pipeline
    dataset = config.train_dataloader.dataset.dataset
    dataset.pipeline = _train_on_tiles(dataset.pipeline, enlarged, config.tiles.scale)
    config.train_dataloader.batch_size = BATCH_SIZE
    if 'tta_scales' in config:
        config.tta_orientations = ['none']
        config.tta_scales = [
            scale if isinstance(scale, float) else _enlargement(dict(scale=scale, keep_ratio=True))
            for scale in config.tta_scales
        ]


def _train_on_tiles(pipeline: Sequence[ConfigDict], enlarged: float, tiles_enlarged: float) -> list[ConfigDict]:
    """A training pipeline with one tile in the place of its first change of size, and without the others.

    Args:
        pipeline: Transforms of the recipe.
        enlarged: Factor of the images in prediction, by about which tiles are enlarged.
        tiles_enlarged: The same of tiles in prediction; used for recipes that train on :class:`RandomTile` with the
            default factors of that class.
    """
    changes = [step for step in pipeline if step.type in SIZE_CHANGES]
    own = next((step for step in changes if step.type == 'RandomTile'), ConfigDict())
    in_tiles = bool(own) and 'scale_range' not in own
    factor = tiles_enlarged if in_tiles else enlarged
    side = SMALLER_TILE if in_tiles else TILE
    tile = ConfigDict(
        type='RandomTile',
        tile_size=(side, side),
        scale_range=tuple(own.get('scale_range', (round(0.8 * factor, 2), round(1.25 * factor, 2)))),
        stride=None,
    )
    return [tile if step is changes[0] else step for step in pipeline if step not in changes[1:]]


def _enlargement(step: ConfigDict | dict[str, Any]) -> float:
    """Factor of a ``Resize`` on the height of the competition's images."""
    if step.get('scale_factor') is not None:
        return float(step['scale_factor'])
    return mmcv.rescale_size(IMAGE_SIZE, tuple(step['scale']), return_scale=True)[1]


def _shorten(config: Config) -> None:
    """The small schedule; gradients over half as many iterations, averages of weights over a tenth as many."""
    schedule = Config.fromfile(SCHEDULE)
    wrapper = schedule.optim_wrapper
    if steps := config.optim_wrapper.get('accumulative_counts', 0):
        wrapper.accumulative_counts = max(2, steps // 2)
    config.optim_wrapper = wrapper
    config.param_scheduler = schedule.param_scheduler
    config.train_cfg.update(schedule.train_cfg)
    config.pop('auto_scale_lr', None)
    config.default_hooks.checkpoint.interval = schedule.train_cfg.max_iters
    for hook in config.get('custom_hooks', []):
        if hook.type == 'EMAHook':
            hook.momentum *= 10
            # Iterations of the warm-up: half of those that the mean reaches back.
            hook.gamma = round(0.5 / hook.momentum)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
