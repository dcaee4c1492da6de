"""How prediction shows images to a model: once or in several views, whole or in tiles, with given boxes or none."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from mmengine.config import Config, ConfigDict

from sartorius.inference.orientations import get_orientation
from sartorius.inference.tiles import cut_tiles
from sartorius.models.outputs import box_limits
from sartorius.utils.errors import InputError, did_you_mean

BASE_CONFIG = '../_base_/tta.py'
TILE_KEYS = ('size', 'margin', 'scale')
# A larger number is an edge whose brackets were forgotten.
LARGEST_FACTOR = 16

Scale = tuple[int, int] | float
"""Long and short edge in pixels that an image is fitted into, or a factor on its height and width."""


def set_inference_mode(
    config: Config, tta: bool = False, tiles: bool = False, boxes: Mapping[str, Any] | None = None
) -> None:
    """Changes the model and the test pipeline of a config for another prediction than that of a whole image once.

    The steps before the pipeline's ``Resize`` are done once an image. ``Resize`` and the steps after it are done for
    each view, of each tile; the last one packs.

    Args:
        config: Changed in place.
        tta: In the views ``tta_orientations``, at each of ``tta_scales``, merged by ``tta_model``.
        tiles: In tiles as ``tiles`` says.
        boxes: Draw masks in given boxes instead of finding any: the arguments of :class:`LoadBoxPrompts`.

    Raises:
        InputError: The config lacks one of these keys or the ``Resize``, or its value cannot be used.
    """
    loading, resize, steps = _split(config)
    views, scales = (read_orientations(config), read_scales(config)) if tta else (['none'], [_own_scale(resize)])
    settings = read_tiles(config) if tiles else None
    if settings is None:
        resizes = [_resized(resize, scale) for scale in scales]
    else:
        resizes = [_for_tiles(resize, scale, settings) for scale in scales]
    if boxes is not None:
        merging = dict(type='BoxPromptedModel')
    else:
        merging = dict(_value_of(config, 'tta_model')) if tta else None
    shown = [*resizes, *steps] if merging is None else _in_views(views, resizes, steps)
    if settings is not None:
        config.model = ConfigDict(
            type='TiledModel',
            module=config.model,
            tile_size=settings['size'],
            margin=settings['margin'],
            pipeline=shown,
            nms_iou=box_limits(config).nms.iou_threshold,
            predictor=merging,
        )
        # The image is packed as it is: the tiles are cut and scaled when it is their turn.
        shown = steps[-1:]
    elif merging is not None:
        config.model = ConfigDict(merging, module=config.model)
    if boxes is not None:
        shown = [*shown, dict(type='LoadBoxPrompts', **boxes)]
    config.test_dataloader.dataset.pipeline = [*loading, *shown]


def read_orientations(config: Config) -> list[str]:
    """Names of the config's views.

    Raises:
        InputError: There are none, or one is unknown; the message names the nearest.
    """
    views = _value_of(config, 'tta_orientations')
    if isinstance(views, str) or not isinstance(views, Sequence) or not views:
        raise InputError(f'tta_orientations is {views!r}; write a list of views, such as [none,horizontal]')
    for view in views:
        get_orientation(view)
    return list(views)


def read_scales(config: Config) -> list[Scale]:
    """The config's scales: each a long and a short edge that an image is fitted into, or a factor on its size.

    Raises:
        InputError: There are none, or one is neither a pair of lengths nor a factor.
    """
    scales = _value_of(config, 'tta_scales')
    if (
        not isinstance(scales, Sequence)
        or not scales
        or not all(_is_pair(scale) or _is_factor(scale) for scale in scales)
    ):
        raise InputError(
            f'tta_scales is {scales!r}; write a list of long and short edges, such as [(2000,1040)], or of factors, '
            'such as [2.0]'
        )
    return [float(scale) if _is_factor(scale) else tuple(scale) for scale in scales]


def read_tiles(config: Config) -> dict[str, Any]:
    """``size`` ``(height, width)``, ``margin`` in pixels and ``scale`` of the config's tiles.

    Raises:
        InputError: A value is missing, unknown or out of range.
    """
    tiles = dict(_value_of(config, 'tiles'))
    for key in tiles:
        if key not in TILE_KEYS:
            raise InputError(f'tiles has no {key!r}{did_you_mean(key, TILE_KEYS)}')
    size, margin, scale = (tiles.get(key) for key in TILE_KEYS)
    if not _is_pair(size):
        raise InputError(f'tiles.size is {size!r}; write height and width in pixels, such as (520,704)')
    if not isinstance(margin, int):
        raise InputError(f'tiles.margin is {margin!r}; write whole pixels')
    if not isinstance(scale, Real) or not scale > 0:
        raise InputError(f'tiles.scale is {scale!r}; write by how much a tile is enlarged, such as 2.0')
    # Refuses a margin that does not fit the size.
    cut_tiles(size, size, margin)
    return dict(size=tuple(size), margin=margin, scale=float(scale))


def _split(config: Config) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
    """The test pipeline's steps before ``Resize``, that step, and those after it."""
    pipeline = list(config.test_dataloader.dataset.pipeline)
    for place, step in enumerate(pipeline):
        if step['type'] == 'Resize' and _own_scale(step) is not None:
            return pipeline[:place], step, pipeline[place + 1 :]
    raise InputError('the test pipeline has no Resize with a scale, in whose place views and tiles are scaled')


def _in_views(
    views: Sequence[str], resizes: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The steps as one that makes every view at every scale, and keeps its name on the packed sample."""
    *between, pack = steps
    pack = dict(pack, meta_keys=(*pack['meta_keys'], 'tta_orientation'))
    turns = [dict(type='Orient', view=view) for view in views]
    return [dict(type='TestTimeAug', transforms=[turns, list(resizes), *([step] for step in between), [pack]])]


def _for_tiles(resize: dict[str, Any], scale: tuple[int, int], tiles: Mapping[str, Any]) -> dict[str, Any]:
    """Enlarges tiles by their own factor, times what a scale is to the scale of the pipeline.

    The factor is that of a whole tile for smaller ones too, where fitting these into the scale would enlarge them more.
    """
    own = _own_scale(resize)
    if _is_factor(scale) != _is_factor(own):
        raise InputError(
            f'tta_scales holds {scale!r} and the test pipeline resizes to {own!r}; with --tiles, write both as factors '
            'or both as long and short edge'
        )
    more = scale / own if _is_factor(scale) else _fit(scale, tiles['size']) / _fit(own, tiles['size'])
    return _resized(resize, tiles['scale'] * more)


def _own_scale(resize: Mapping[str, Any]) -> Scale | None:
    """The long and short edge, or the factor, of a ``Resize``; None if it has neither."""
    return resize.get('scale', resize.get('scale_factor'))


def _resized(resize: Mapping[str, Any], scale: Scale) -> dict[str, Any]:
    """A ``Resize`` like another one, to another scale."""
    others = {key: value for key, value in resize.items() if key not in ('scale', 'scale_factor')}
    if _is_factor(scale):
        return others | dict(scale_factor=scale)
    # Turned views would be stretched.
    return others | dict(scale=scale, keep_ratio=True)


def _fit(scale: Sequence[int], size: Sequence[int]) -> float:
    """By how much an image of some size is enlarged to fit into a long and a short edge."""
    return min(max(scale) / max(size), min(scale) / min(size))


def _is_factor(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value <= LARGEST_FACTOR


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
