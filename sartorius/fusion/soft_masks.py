"""Soft masks of one cell from several boxes: resampling to one box's grid, averaging, comparison."""

import zlib

import numpy as np
from numpy.typing import NDArray


def resample_soft_mask(
    soft_mask: NDArray[np.floating],
    from_box: NDArray[np.floating],
    to_box: NDArray[np.floating],
    grid: int | None = None,
) -> NDArray[np.float32]:
    """One soft mask ``(S, S)`` resampled to another box; see :func:`resample_soft_masks`."""
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
    from sartorius.fusion.kernels import masks

    grid = soft_masks.shape[1] if grid is None else grid
    resampled = np.empty((len(soft_masks), grid, grid), dtype=np.float32)
    masks.resample(
        np.ascontiguousarray(soft_masks, dtype=np.float32),
        np.ascontiguousarray(from_boxes, dtype=np.float64),
        np.ascontiguousarray(to_boxes, dtype=np.float64),
        resampled,
    )
    return resampled


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
    from sartorius.fusion.kernels import masks

    values = np.asarray(weights, dtype=np.float64)
    shares = values / np.bincount(groups, values)[groups]
    # In double precision, so that the order of a group's members has no effect after rounding.
    means = np.empty((groups[-1] + 1, *soft_masks.shape[1:]), dtype=np.float32)
    masks.weighted_mean(
        np.ascontiguousarray(soft_masks).reshape(len(groups), -1), shares, groups, means.reshape(len(means), -1)
    )
    return means


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


def fingerprints(soft_masks: NDArray[np.floating]) -> NDArray[np.int64]:
    """int64 ``(N,)``: checksum of each mask, to order cells that are equal in everything else."""
    return np.array([zlib.crc32(mask) for mask in np.ascontiguousarray(soft_masks)], dtype=np.int64)
