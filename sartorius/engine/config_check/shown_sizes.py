"""Enlargement of images by a pipeline: at both ends of its random range and in the middle."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mmcv

from sartorius.engine.signatures import targets_of
from sartorius.masks.crop import Size

ENDS = ('smallest', 'middle', 'largest')


@dataclass(frozen=True)
class Shown:
    """Size of a pipeline's output for an image.

    Attributes:
        factors: Enlargement of height and width.
        size: Height and width in pixels of the output: of the window where the pipeline cuts one.
    """

    factors: tuple[float, float]
    size: Size

    @property
    def window(self) -> tuple[float, float]:
        """Height and width of the output, in pixels of the image on disk."""
        return self.size[0] / self.factors[0], self.size[1] / self.factors[1]


def shown_sizes(pipeline: Sequence[Mapping[str, Any]], size: Size) -> tuple[Shown, Shown, Shown]:
    """Output sizes at the smallest, the middle and the largest scale of a pipeline.

    Transforms that change no size, or that are not in the table below, are skipped.

    Args:
        pipeline: Transforms in config form.
        size: Height and width of the image on disk.
    """
    outputs = []
    for end in range(len(ENDS)):
        shown = Shown((1.0, 1.0), size)
        for step in pipeline:
            change = _CHANGES.get(str(step.get('type')).split('.')[-1])
            shown = change(step, shown, end) if change else shown
        outputs.append(shown)
    return tuple(outputs)


def _value(step: Mapping[str, Any], key: str) -> Any:
    """An argument of a transform: the config's, or the default of its class."""
    if key in step:
        return step[key]
    default = inspect.signature(targets_of(step['type'])[0]).parameters[key].default
    return None if default is inspect.Parameter.empty else default


def _between(low: float, high: float, end: int) -> float:
    """Lower end, geometric mean or upper end of a range."""
    return (low, math.sqrt(low * high), high)[end]


def _fit(shown: Shown, scale: Any, keep_ratio: bool) -> Shown:
    """Resized to ``(width, height)``, or into it where the ratio of the sides is kept; or by a factor."""
    height, width = shown.size
    if isinstance(scale, int | float) or keep_ratio:
        wide, high = mmcv.rescale_size((width, height), scale if isinstance(scale, int | float) else tuple(scale))
    else:
        wide, high = scale
    return Shown((shown.factors[0] * high / height, shown.factors[1] * wide / width), (int(high), int(wide)))


def _resize(step: Mapping[str, Any], shown: Shown, _end: int) -> Shown:
    factor = step.get('scale_factor')
    if factor is None:
        return _fit(shown, step['scale'], step.get('keep_ratio', False))
    across, down = factor if isinstance(factor, list | tuple) else (factor, factor)
    height, width = shown.size
    return _fit(shown, (int(width * across + 0.5), int(height * down + 0.5)), keep_ratio=False)


def _random_resize(step: Mapping[str, Any], shown: Shown, end: int) -> Shown:
    scale, ratios = step['scale'], step.get('ratio_range')
    if ratios is not None:
        factor = _between(*ratios, end)
        scale = tuple(int(length * factor) for length in scale)
    elif isinstance(scale[0], list | tuple):
        edges = [sorted(pair) for pair in zip(*scale, strict=True)]
        scale = tuple(round(_between(low, high, end)) for low, high in edges)
    return _fit(shown, scale, step.get('keep_ratio', False))


def _choice_resize(step: Mapping[str, Any], shown: Shown, end: int) -> Shown:
    keep = step.get('keep_ratio', False)
    choices = sorted((_fit(shown, scale, keep) for scale in step['scales']), key=lambda output: math.prod(output.size))
    return choices[(0, len(choices) // 2, -1)[end]]


def _tile(step: Mapping[str, Any], shown: Shown, end: int) -> Shown:
    tile, factor = _value(step, 'tile_size'), _between(*_value(step, 'scale_range'), end)
    return _fit(Shown(shown.factors, tuple(tile)), factor, keep_ratio=True)


def _cell_crop(step: Mapping[str, Any], shown: Shown, _end: int) -> Shown:
    return Shown(shown.factors, tuple(_value(step, 'crop_size')))


def _crop(step: Mapping[str, Any], shown: Shown, _end: int) -> Shown:
    wanted = step['crop_size']
    if step.get('crop_type', 'absolute') == 'relative':
        wanted = (shown.size[0] * wanted[0], shown.size[1] * wanted[1])
    # MMDetection's crop sizes are (height, width), and smaller images are kept as they are.
    return Shown(shown.factors, (min(shown.size[0], int(wanted[0])), min(shown.size[1], int(wanted[1]))))


_CHANGES: dict[str, Callable[[Mapping[str, Any], Shown, int], Shown]] = {
    'Resize': _resize,
    'RandomResize': _random_resize,
    'RandomChoiceResize': _choice_resize,
    'RandomTile': _tile,
    'RandomCellCrop': _cell_crop,
    'RandomCrop': _crop,
}
