"""Compressed run-length codes from any form of mask that COCO files hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, shown

MAX_REACH = 10
"""A polygon's points may lie outside the image by this many times its size: pycocotools takes memory for every pixel
along an edge."""


def compressed_counts(segmentation: Any, size: Size) -> str:
    """Compressed COCO ``counts`` of a mask in any form.

    Forms: an RLE dict of ``size`` and ``counts``, which are compressed (str or bytes) or a list of run lengths, as CVAT
    writes them; a list of polygons ``[[x1, y1, x2, y2, ...], ...]``, whose union is the mask, rasterised as COCO's own
    tools do; one flat polygon ``[x1, y1, x2, y2, ...]``; nothing (None, an empty list), a mask without pixels. A
    polygon of fewer than three points covers no pixel.

    Compressed counts are returned as they are: whether they are sound shows when they are decoded
    (:func:`sartorius.masks.packed_rle.decode_coco`).

    Args:
        segmentation: The mask.
        size: ``(height, width)`` of its image.

    Raises:
        InputError: Another form; an RLE of another size than the image, or whose run lengths do not fit it; a polygon
            with an odd number of values, or with a point that is not a number or lies far outside the image.
    """
    if isinstance(segmentation, Mapping):
        return _counts_of_rle(segmentation, size)
    polygons = [_checked(polygon, size) for polygon in polygons_of(segmentation)]
    # pycocotools would take four values for a box.
    areas = [polygon for polygon in polygons if not is_short(polygon)]
    if not areas:
        return _compress([size[0] * size[1]], size)
    return coco_mask.merge(coco_mask.frPyObjects(areas, *size))['counts'].decode('ascii')


def polygons_of(segmentation: Any) -> list[Any]:
    """Polygons of a ``segmentation`` that is no RLE: those of a list, the one of a flat list, or none.

    Raises:
        InputError: It is neither a list nor None.
    """
    if segmentation is None:
        return []
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise InputError('its segmentation is neither a list of polygons nor an RLE of size and counts')
    if segmentation and all(isinstance(value, int | float) for value in segmentation):
        return [segmentation]
    return list(segmentation)


def reaches_beyond(segmentation: Any, size: Size) -> bool:
    """Whether a polygon of a mask has a point more than a pixel outside its image of ``(height, width)``."""
    if isinstance(segmentation, Mapping):
        return False
    points = [np.asarray(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons_of(segmentation)]
    limits = np.array([size[1] + 1, size[0] + 1])
    return any(bool(((one < -1) | (one > limits)).any()) for one in points if len(one))


def is_short(polygon: Sequence[float]) -> bool:
    """Whether a polygon has fewer than three points, and so covers no pixel."""
    return len(polygon) < 6


def _checked(polygon: Any, size: Size) -> list[float]:
    """A polygon as a list of numbers."""
    try:
        values = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError('its segmentation has a polygon that is no list of numbers') from None
    if values.ndim != 1 or len(values) % 2:
        raise InputError(f'its segmentation has a polygon of {values.size} values; they must be x y pairs')
    if values.size and not np.abs(values).max() <= MAX_REACH * max(size):
        raise InputError('its segmentation has a polygon with a point that is no number or lies far outside the image')
    return values.tolist()


def _counts_of_rle(rle: Mapping[str, Any], size: Size) -> str:
    if not {'size', 'counts'} <= rle.keys():
        raise InputError('its segmentation is neither a list of polygons nor an RLE of size and counts')
    own = rle['size']
    if not isinstance(own, list | tuple) or len(own) != 2 or not all(isinstance(side, int | float) for side in own):
        raise InputError(f'its RLE has the size {shown(own)}, not height and width')
    if tuple(own) != tuple(size):
        height, width = own
        raise InputError(f'its mask is {width}x{height} pixels, its image {size[1]}x{size[0]}')
    counts = rle['counts']
    if isinstance(counts, bytes):
        return counts.decode('ascii', 'replace')
    if isinstance(counts, str):
        return counts
    if not isinstance(counts, Sequence) or not all(type(run) is int and run >= 0 for run in counts):
        raise InputError('its RLE counts are neither text nor a list of run lengths')
    if sum(counts) != size[0] * size[1]:
        raise InputError(
            f'its RLE covers {sum(counts)} pixels, its image of {size[1]}x{size[0]} has {size[0] * size[1]}'
        )
    return _compress(list(counts), size)


def _compress(runs: list[int], size: Size) -> str:
    rle = coco_mask.frPyObjects({'size': list(size), 'counts': runs}, *size)
    return rle['counts'].decode('ascii')
