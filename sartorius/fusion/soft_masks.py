"""Soft masks of one cell from several boxes: resampled onto one box's grid, and averaged."""

import numpy as np
from numpy.typing import NDArray


def resample_soft_mask(
    soft_mask: NDArray[np.floating],
    from_box: NDArray[np.floating],
    to_box: NDArray[np.floating],
    grid: int | None = None,
) -> NDArray[np.float32]:
    """One soft mask ``(S, S)`` seen from another box; see :func:`resample_soft_masks`."""
    return resample_soft_masks(soft_mask[None], np.asarray(from_box)[None], np.asarray(to_box)[None], grid)[0]


def resample_soft_masks(
    soft_masks: NDArray[np.floating],
    from_boxes: NDArray[np.floating],
    to_boxes: NDArray[np.floating],
    grid: int | None = None,
) -> NDArray[np.float32]:
    """Soft masks that span ``from_boxes``, sampled at the centres of grids that span ``to_boxes``.

    The value at a point is the one that :func:`sartorius.masks.paste.paste_soft_mask` gives there: bilinear between the
    centres of grid cells, zeros around the grid, nothing outside the mask's own box.

    Args:
        soft_masks: ``(N, S, S)``: probabilities; row 0 is the top of the box.
        from_boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, half-open, with an area.
        to_boxes: ``(N, 4)``, likewise.
        grid: Side of the grids returned; S if None.

    Returns:
        float32 ``(N, grid, grid)``.
    """
    side = soft_masks.shape[1]
    grid = side if grid is None else grid
    source = np.asarray(from_boxes, dtype=np.float64)
    target = np.asarray(to_boxes, dtype=np.float64)
    columns = _interpolation(source[:, 0::2], target[:, 0::2], side, grid)
    rows = _interpolation(source[:, 1::2], target[:, 1::2], side, grid)
    return rows @ soft_masks.astype(np.float32, copy=False) @ columns.transpose(0, 2, 1)


def weighted_mean(
    soft_masks: NDArray[np.float32], weights: NDArray[np.floating], groups: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Weighted mean of the soft masks of each group.

    Args:
        soft_masks: float32 ``(N, S, S)``.
        weights: ``(N,)``, not negative, and above 0 somewhere in each group.
        groups: int64 ``(N,)``: ascending, 0 to K - 1, each at least once.

    Returns:
        float32 ``(K, S, S)``.
    """
    if len(groups) == 0:
        return np.zeros((0, *soft_masks.shape[1:]), dtype=np.float32)
    starts = np.searchsorted(groups, np.arange(groups[-1] + 1))
    totals = np.add.reduceat(np.asarray(weights, dtype=np.float64), starts)
    shares = np.asarray(weights, dtype=np.float64) / totals[groups]
    # In double precision, so that the order of a group's members does not show after rounding.
    sums = np.add.reduceat(soft_masks * shares[:, None, None], starts, axis=0)
    return sums.clip(0, 1).astype(np.float32)


def agreement(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Soft IoU of pairs of masks on one grid: sum of the minima over sum of the maxima, 0 for two empty masks.

    Args:
        first: float32 ``(N, S, S)``.
        second: float32 ``(N, S, S)``.

    Returns:
        float32 ``(N,)`` in [0, 1]; of binary masks it is their IoU.
    """
    shared = np.minimum(first, second).sum(axis=(1, 2))
    union = np.maximum(first, second).sum(axis=(1, 2))
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _interpolation(
    source: NDArray[np.float64], target: NDArray[np.float64], side: int, grid: int
) -> NDArray[np.float32]:
    """Bilinear weights ``(N, grid, side)`` of one axis, from the ends ``(N, 2)`` of the boxes along it."""
    steps = (np.arange(grid) + 0.5) / grid
    points = target[:, :1] + steps * (target[:, 1:] - target[:, :1])
    coordinates = (points - source[:, :1]) / (source[:, 1:] - source[:, :1]) * side - 0.5
    distances = np.abs(coordinates[:, :, None].astype(np.float32) - np.arange(side, dtype=np.float32))
    inside = (coordinates >= -0.5) & (coordinates <= side - 0.5)
    return np.maximum(1 - distances, 0) * inside[:, :, None]
