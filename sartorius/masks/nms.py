"""Box IoU, NMS on boxes and on masks, and Soft-NMS."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import Overlaps, overlaps
from sartorius.utils.errors import InputError


def box_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU of every box of ``first`` with every box of ``second``.

    Args:
        first: ``(N, 4)``: ``x1, y1, x2, y2``, half-open.
        second: ``(M, 4)``.

    Returns:
        float64 ``(N, M)``; 0 where both boxes have no area.
    """
    first, second = np.asarray(first), np.asarray(second)
    return paired_box_iou(first[:, None], second[None])


def paired_box_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU of each box of ``(..., 4)`` with the box at the same place of an array of the same shape, or broadcast to it.

    Returns:
        float64 ``(...)``; 0 where both boxes have no area.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    areas, others = (np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1) for boxes in (first, second))
    union = areas + others - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def box_nms(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], iou_thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """Greedy NMS on boxes.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: ``(N,)``; of equal scores the earlier box comes first.
        iou_thresholds: One for all boxes, or ``(N,)``: a box is dropped if its IoU with a kept box of a better score
            is strictly greater than its own threshold.

    Returns:
        int64 indices of the kept boxes, best score first.
    """
    return _greedy(scores, iou_thresholds, lambda best, rest: box_iou(boxes[best : best + 1], boxes[rest])[0])


def mask_nms(
    crops: Sequence[MaskCrop], scores: NDArray[np.floating], size: Size, iou_thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """Greedy NMS on the pixels inside an image of ``(height, width)``; otherwise as :func:`box_nms`."""
    pairs = overlaps(crops, crops, size)
    return _suppress(scores, iou_thresholds, pairs, pairs.iou)


def containment_nms(
    crops: Sequence[MaskCrop], scores: NDArray[np.floating], size: Size, thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """As :func:`mask_nms`, but by the share of the smaller of two cells that lies in the other, in place of the IoU.

    So a fragment inside a cell is dropped if the cell scores better, and a mask over several cells is dropped if one of
    these scores better, however small their IoU is.
    """
    pairs = overlaps(crops, crops, size)
    smaller = np.minimum(pairs.areas[pairs.rows], pairs.other_areas[pairs.columns])
    return _suppress(scores, thresholds, pairs, pairs.shared / np.maximum(smaller, 1))


def linear_soft_nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    iou_thresholds: float | NDArray[np.floating],
    labels: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:
    """Scores after Soft-NMS: no box is dropped, but each better-scored one that overlaps it lowers its score.

    The box with the best score is taken, the scores of the rest are multiplied by their factors, and so on with the
    best score of the rest. The factor is ``1 - IoU`` where the IoU is strictly greater than the threshold, else 1.
    Source: Bodla et al., Soft-NMS, ICCV 2017, algorithm 1 without its threshold on the score.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels or any other unit, half-open.
        scores: ``(N,)``; of equal scores the earlier box comes first.
        iou_thresholds: One for all boxes, or ``(N,)``: that of the weaker box of a pair counts.
        labels: ``(N,)``: boxes of different labels leave each other alone; all compete if None.

    Returns:
        float64 ``(N,)`` in the order of the boxes.
    """
    return _soft_nms(boxes, scores, iou_thresholds, 0.0, labels)


def gaussian_soft_nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    sigmas: float | NDArray[np.floating],
    labels: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:
    """As :func:`linear_soft_nms`, with factors ``exp(-IoU ** 2 / sigma)``: sigmas above 0, the smaller the steeper."""
    return _soft_nms(boxes, scores, 0.0, sigmas, labels)


def _soft_nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    thresholds: float | NDArray[np.floating],
    sigmas: float | NDArray[np.floating],
    labels: NDArray[np.integer] | None,
) -> NDArray[np.float64]:
    from sartorius.masks.kernels import boxes as kernel

    count = len(scores)
    return kernel.soft_nms(
        np.ascontiguousarray(boxes, dtype=np.float64).reshape(-1, 4),
        np.ascontiguousarray(scores, dtype=np.float64),
        np.zeros(count, np.int64) if labels is None else np.ascontiguousarray(labels, dtype=np.int64),
        np.full(count, thresholds, dtype=np.float64),
        np.full(count, sigmas, dtype=np.float64),
    )


def _suppress(
    scores: NDArray[np.floating],
    thresholds: float | NDArray[np.floating],
    cell_pairs: Overlaps,
    amounts: NDArray[np.float64],
) -> NDArray[np.int64]:
    """As :func:`_greedy`, for pairs within one set and the amount that each overlaps by."""
    from sartorius.masks.kernels import pairs

    if np.shape(scores) != cell_pairs.areas.shape:
        raise InputError(
            f'{len(cell_pairs.areas)} cells need as many scores, given are scores of shape {np.shape(scores)}'
        )
    order = np.argsort(-np.asarray(scores), kind='stable')
    limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(order))
    kept = pairs.suppress(order, cell_pairs.borders, cell_pairs.columns, amounts, np.ascontiguousarray(limits))
    return order[kept[order]]


def _greedy(
    scores: NDArray[np.floating],
    iou_thresholds: float | NDArray[np.floating],
    iou_with: Callable[[int, NDArray[np.int64]], NDArray[np.floating]],
) -> NDArray[np.int64]:
    """Keeps the best-scored cell, drops the cells that overlap it too much, and repeats this with the rest."""
    limits = np.broadcast_to(np.asarray(iou_thresholds, dtype=np.float64), len(scores))
    rest = np.argsort(-np.asarray(scores), kind='stable')
    kept = []
    while rest.size:
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        rest = rest[iou_with(best, rest) <= limits[rest]]
    return np.array(kept, dtype=np.int64)
