"""Configs for inference: one pass or test-time augmentation, whole images or tiles, own boxes or given ones."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any

from mmengine.config import Config, ConfigDict

from sartorius.inference.tiling import cut_tiles
from sartorius.inference.tta import get_orientation
from sartorius.masks.crop import Size
from sartorius.models.file_config import fit_factor
from sartorius.models.outputs import box_limits
from sartorius.utils.errors import InputError, did_you_mean

BASE_CONFIG = '../_base_/tta.py'
# A larger number is an edge whose brackets were forgotten.
MAX_FACTOR = 16

Scale = tuple[int, int] | float
"""Long and short edge in pixels that an image is fitted into, or a factor on its height and width."""


@dataclass(frozen=True)
class BoxPromptOptions:
    """Boxes whose masks are predicted, in place of boxes of the model's own; as in :class:`LoadBoxPrompts`.

    Attributes:
        path: Predictions file or COCO results.
        annotations: COCO JSON of the images.
        classes: The model's class names.
    """

    path: str
    annotations: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class InferenceOptions:
    """How a detector predicts; the parameters of each kind are the config's (``configs/_base_/tta.py``).

    Attributes:
        tta: Test-time augmentation: in ``tta_orientations``, at each of ``tta_scales``, merged by ``tta_model``.
        tiles: In overlapping tiles, with the settings ``tiles``.
        boxes: Predict the masks of these boxes; None predicts boxes and masks.
    """

    tta: bool = False
    tiles: bool = False
    boxes: BoxPromptOptions | None = None


@dataclass(frozen=True)
class TileSettings:
    """The config's ``tiles``.

    Attributes:
        size: ``(height, width)`` in pixels of the image.
        overlap: Pixels that neighbouring tiles share at least.
        scale: Factor by which a tile is enlarged.
    """

    size: Size
    overlap: int
    scale: float


TILE_KEYS = tuple(field.name for field in fields(TileSettings))


def build_inference_config(config: Config, options: InferenceOptions) -> Config:
    """Builds the config of an inference mode from one that predicts a whole image in one pass.

    The steps of the test pipeline before its ``Resize`` are done once per image. ``Resize`` and the steps after it are
    done for each augmentation, of each tile; the last one packs.

    Args:
        config: A detector's config; not changed.
        options: What to change.

    Returns:
        A copy in which ``model`` wraps the detector and the test pipeline makes its input.

    Raises:
        InputError: The config lacks one of the keys that the options need, or the ``Resize``, or a value cannot be
            used.
    """
    config = copy.deepcopy(config)
    loading, resize, after = split_pipeline(config)
    tiles = read_tiles(config) if options.tiles else None
    orientations, scales = (read_orientations(config), read_scales(config)) if options.tta else (['none'], [None])
    resizes = [_resize_step(resize, scale, tiles) for scale in scales]
    if options.boxes is not None:
        wrapper = dict(type='BoxPromptedModel')
    else:
        wrapper = dict(_value_of(config, 'tta_model')) if options.tta else None
    steps = [*resizes, *after] if wrapper is None else [_augmenting_step(orientations, resizes, after)]
    if tiles is not None:
        config.model = ConfigDict(
            type='TiledModel',
            module=config.model,
            tile_size=tiles.size,
            overlap=tiles.overlap,
            pipeline=steps,
            nms_iou=box_limits(config).nms.iou_threshold,
            predictor=wrapper,
        )
        # The image is packed at its own size; tiles are cut and scaled one by one.
        steps = after[-1:]
    elif wrapper is not None:
        config.model = ConfigDict(wrapper, module=config.model)
    if options.boxes is not None:
        steps = [*steps, dict(type='LoadBoxPrompts', **asdict(options.boxes))]
    config.test_dataloader.dataset.pipeline = [*loading, *steps]
    return config


def describe_inference(config: Config, options: InferenceOptions) -> dict[str, Any]:
    """Describes orientations, scales and tiles for a predictions file, in JSON types; only what the options use.

    Args:
        config: As in :func:`build_inference_config`.
        options: The same.
    """
    description: dict[str, Any] = {'tta': options.tta}
    if options.tta:
        description['tta_orientations'] = read_orientations(config)
        description['tta_scales'] = [
            scale if isinstance(scale, float) else list(scale) for scale in read_scales(config)
        ]
    if options.tiles:
        tiles = read_tiles(config)
        description['tiles'] = {'size': list(tiles.size), 'overlap': tiles.overlap, 'scale': tiles.scale}
    return description


def read_orientations(config: Config) -> list[str]:
    """Names of the config's orientations.

    Raises:
        InputError: There are none, or one is unknown; the message names the nearest.
    """
    names = _value_of(config, 'tta_orientations')
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise InputError(f'tta_orientations is {names!r}; write a list of orientations, such as [none,horizontal]')
    for name in names:
        get_orientation(name)
    return list(names)


def read_scales(config: Config) -> list[Scale]:
    """The config's scales: each a long and a short edge that an image is fitted into, or a factor on its size.

    Raises:
        InputError: There are none, or one is neither a pair of lengths nor a factor.
    """
    scales = _value_of(config, 'tta_scales')
    if (
        not isinstance(scales, Sequence)
        or not scales
        or not all(_is_pair(scale) or is_factor(scale) for scale in scales)
    ):
        raise InputError(
            f'tta_scales is {scales!r}; write a list of long and short edges, such as [(2000,1040)], or of factors, '
            'such as [2.0]'
        )
    return [float(scale) if is_factor(scale) else tuple(scale) for scale in scales]


def read_tiles(config: Config) -> TileSettings:
    """The config's tiles.

    Raises:
        InputError: A value is missing, unknown or out of range.
    """
    tiles = dict(_value_of(config, 'tiles'))
    for key in tiles:
        if key not in TILE_KEYS:
            raise InputError(f'tiles has no {key!r}{did_you_mean(key, TILE_KEYS)}')
    size, overlap, scale = (tiles.get(key) for key in TILE_KEYS)
    if not _is_pair(size):
        raise InputError(f'tiles.size is {size!r}; write height and width in pixels, such as (520,704)')
    if not isinstance(overlap, int):
        raise InputError(f'tiles.overlap is {overlap!r}; write whole pixels')
    if not isinstance(scale, Real) or not scale > 0:
        raise InputError(f'tiles.scale is {scale!r}; write the factor by which a tile is enlarged, such as 2.0')
    # Refuses an overlap that does not fit the size.
    cut_tiles(size, size, overlap)
    return TileSettings(tuple(size), overlap, float(scale))


def split_pipeline(config: Config) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
    """The test pipeline's steps before ``Resize``, that step, and those after it."""
    pipeline = list(config.test_dataloader.dataset.pipeline)
    for place, step in enumerate(pipeline):
        if step['type'] == 'Resize' and resize_scale(step) is not None:
            return pipeline[:place], step, pipeline[place + 1 :]
    raise InputError('the test pipeline has no Resize with a scale, which test-time augmentation and tiles replace')


def _augmenting_step(
    orientations: Sequence[str], resizes: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """One step that makes every orientation at every scale, and keeps the orientation's name on the packed sample."""
    *between, pack = after
    pack = dict(pack, meta_keys=(*pack['meta_keys'], 'tta_orientation'))
    orient = [dict(type='Orient', orientation=name) for name in orientations]
    return dict(type='TestTimeAug', transforms=[orient, list(resizes), *([step] for step in between), [pack]])


def _resize_step(resize: Mapping[str, Any], scale: Scale | None, tiles: TileSettings | None) -> dict[str, Any]:
    """The pipeline's ``Resize``, at another scale if one is given, or for tiles.

    Tiles are enlarged by their own factor, times the ratio of the scale to the pipeline's. The factor is that of a
    whole tile for smaller ones too, where fitting these into the scale would enlarge them more.
    """
    own = resize_scale(resize)
    others = {key: value for key, value in resize.items() if key not in ('scale', 'scale_factor')}
    scale = own if scale is None else scale
    if tiles is not None:
        if is_factor(scale) != is_factor(own):
            raise InputError(
                f'tta_scales holds {scale!r} and the test pipeline resizes to {own!r}; with --tiles, write both as '
                'factors or both as long and short edge'
            )
        ratio = scale / own if is_factor(scale) else fit_factor(scale, tiles.size) / fit_factor(own, tiles.size)
        return others | dict(scale_factor=tiles.scale * ratio)
    if is_factor(scale):
        return others | dict(scale_factor=scale)
    # Without keep_ratio, images turned by 90 degrees would be stretched.
    return others | dict(scale=scale, keep_ratio=True)


def resize_scale(resize: Mapping[str, Any]) -> Scale | None:
    """The long and short edge, or the factor, of a ``Resize``; None if it has neither."""
    return resize.get('scale', resize.get('scale_factor'))


def is_factor(value: object) -> bool:
    """Whether a scale is a factor on an image's height and width."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value <= MAX_FACTOR


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(length, int) and length > 0 for length in value)
    )


def _value_of(config: Config, key: str) -> Any:
    if key not in config:
        raise InputError(f"the config has no {key}; put '{BASE_CONFIG}' into its _base_ list")
    return config[key]
