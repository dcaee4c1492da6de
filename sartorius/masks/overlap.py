"""No two cells share a pixel: the better score keeps it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError


def resolve_overlaps(
    crops: Sequence[MaskCrop],
    scores: NDArray[np.floating],
    size: Size,
    min_remaining: float | NDArray[np.floating] = 0.0,
) -> tuple[MaskCrop, ...]:
    """Gives every pixel to the best-scored cell that covers it.

    Cells take their pixels in the order of their scores (equal scores: the earlier cell first). A cell of which less
    than ``min_remaining`` is still free is dropped, and takes no pixel: they stay free for the cells after it. So the
    pixels of a kept cell depend on the kept cells of a better score alone, and leaving out the cells below any score
    changes nothing above it. (The tuner relies on this.)

    Args:
        crops: Binary masks; what lies outside the image is cut off first.
        scores: ``(N,)``.
        size: Image ``(height, width)``.
        min_remaining: Fraction in [0, 1] of the cell's own pixels, one for all or ``(N,)``.

    Returns:
        One crop a cell, in the order given, no two of which share a pixel; a cell that was dropped or wholly covered
        has no pixel set.
    """
    from sartorius.masks.kernels import geometry

    if np.shape(scores) != (len(crops),):
        raise InputError(f'{len(crops)} cells need as many scores, given are scores of shape {np.shape(scores)}')
    inside = PackedMasks.from_crops(crops).clipped(size)
    order = np.argsort(-np.asarray(scores), kind='stable')
    fractions = np.ascontiguousarray(np.broadcast_to(np.asarray(min_remaining, dtype=np.float64), len(crops)))
    taken = np.zeros(size, dtype=bool)
    pixels = geometry.resolve(inside.pixels, inside.windows, order, fractions, taken)
    return tuple(PackedMasks(pixels, inside.windows).crops)
