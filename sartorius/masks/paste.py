"""From the mask head's RoI grid to the pixels of the image."""

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size


def paste_soft_mask(
    soft_mask: NDArray[np.float32], box: NDArray[np.float32], size: Size
) -> tuple[NDArray[np.float32], int, int]:
    """Probabilities of one cell on the image pixels that its box touches.

    The geometry is MMDetection's (``_do_paste_mask`` in ``fcn_mask_head.py``: ``grid_sample`` with
    ``align_corners=False`` and zeros around the grid): the centre of pixel column ``x`` lies at grid coordinate
    ``(x + .5 - x1) / (x2 - x1) * S - .5``, and bilinear interpolation is a product of one matrix for the rows and one
    for the columns. MMDetection also gives the pixels within half a grid cell around the box a value; it is below .5
    and left out here.

    Args:
        soft_mask: float32 ``(S, S)``: probabilities that span the box; row 0 is its top.
        box: ``x1, y1, x2, y2`` in pixels, half-open; may reach past the image.
        size: Image ``(height, width)``.

    Returns:
        float32 ``(h, w)`` probabilities, and the column and row of their top left pixel. ``(0, 0)`` of shape for a box
        that is not finite, has no width or height, or lies outside the image.
    """
    window = box_window(box, size)
    if window is None:
        return np.zeros((0, 0), dtype=np.float32), 0, 0
    left, top, right, bottom = window
    x1, y1, x2, y2 = (float(value) for value in box)
    rows = _interpolation(top, bottom, y1, y2, soft_mask.shape[0])
    columns = _interpolation(left, right, x1, x2, soft_mask.shape[1])
    return rows @ soft_mask @ columns.T, left, top


def binarise(
    soft_masks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    size: Size,
    thresholds: float | NDArray[np.floating] = 0.5,
) -> tuple[MaskCrop, ...]:
    """Binary masks in image pixels: where the pasted probability reaches the threshold.

    Args:
        soft_masks: float32 ``(N, S, S)``, as in :func:`paste_soft_mask`.
        boxes: float32 ``(N, 4)``.
        size: Image ``(height, width)``.
        thresholds: One for all cells, or ``(N,)``.

    Returns:
        One crop a cell; its window is the part of the box inside the image, and is empty for a degenerate box.
    """
    limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float32), len(boxes))
    crops = []
    for soft_mask, box, limit in zip(soft_masks, boxes, limits, strict=True):
        probabilities, left, top = paste_soft_mask(soft_mask, box, size)
        crops.append(MaskCrop(probabilities >= limit, left, top))
    return tuple(crops)


def box_window(box: NDArray[np.floating], size: Size) -> tuple[int, int, int, int] | None:
    """Pixels ``left, top, right, bottom`` (half-open) of an image that a box touches; None if there are none."""
    height, width = size
    x1, y1, x2, y2 = box
    if not (np.isfinite(box).all() and x1 < x2 and y1 < y2):
        return None
    # Clipped before the conversion to int, which a huge float would not survive.
    left, right = int(max(np.floor(x1), 0)), int(min(np.ceil(x2), width))
    top, bottom = int(max(np.floor(y1), 0)), int(min(np.ceil(y2), height))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _interpolation(first: int, last: int, low: float, high: float, grid: int) -> NDArray[np.float32]:
    """Bilinear weights ``(last - first, grid)`` of the grid's values for pixels ``first`` to ``last`` of one axis.

    The weight of a grid point falls linearly from 1 to 0 at the next one, and points around the grid count as 0.
    """
    coordinates = (np.arange(first, last) + (0.5 - low)) * (grid / (high - low)) - 0.5
    distances = np.abs(coordinates[:, None] - np.arange(grid))
    return np.maximum(1 - distances, 0).astype(np.float32)
