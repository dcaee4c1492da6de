"""Non-maximum suppression: of cells that overlap too much the best-scored one stays, or the others' scores fall."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.iou import Overlaps, overlaps
from sartorius.utils.errors import InputError


def box_iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU of every box of ``first`` with every box of ``second``.

    Args:
        first: ``(N, 4)``: ``x1, y1, x2, y2``, half-open.
        second: ``(M, 4)``.

    Returns:
        float64 ``(N, M)``; 0 where both boxes have no area.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas, others = (np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second))
    union = areas[:, None] + others[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def box_nms(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], iou_thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """Greedy NMS on boxes.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: ``(N,)``; of equal scores the earlier box comes first.
        iou_thresholds: One for all boxes, or ``(N,)``: a box goes when its IoU with a kept box of a better score is
            strictly greater than its own threshold.

    Returns:
        int64 indices of the boxes that stay, best score first.
    """
    return _greedy(scores, iou_thresholds, lambda best, rest: box_iou(boxes[best : best + 1], boxes[rest])[0])


def mask_nms(
    crops: Sequence[MaskCrop], scores: NDArray[np.floating], size: Size, iou_thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """Greedy NMS on the pixels inside an image of ``(height, width)``; otherwise as :func:`box_nms`."""
    found = overlaps(crops, crops, size)
    return _suppress(scores, iou_thresholds, found, found.iou)


def containment_nms(
    crops: Sequence[MaskCrop], scores: NDArray[np.floating], size: Size, thresholds: float | NDArray[np.floating]
) -> NDArray[np.int64]:
    """As :func:`mask_nms`, but by the share of the smaller of two cells that lies in the other, in place of the IoU.

    So a fragment inside a cell goes if the cell scores better, and a mask over several cells goes if one of these
    scores better, however small their IoU is.
    """
    found = overlaps(crops, crops, size)
    smaller = np.minimum(found.areas[found.rows], found.other_areas[found.columns])
    return _suppress(scores, thresholds, found, found.shared / np.maximum(smaller, 1))


def soft_nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    decay: Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Scores after Soft-NMS: no box goes, but each better-scored one that overlaps it lowers its score.

    The box with the best score is taken, the scores of the rest are multiplied by their decay, and so on with the best
    score of the rest. Source: Bodla et al., Soft-NMS, ICCV 2017, algorithm 1 without its threshold.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: ``(N,)``; of equal scores the earlier box comes first.
        decay: Takes float64 ``(M,)`` IoUs with the box just taken and int64 ``(M,)`` indices of the boxes left, and
            returns their M factors in [0, 1], such as :func:`linear_decay` and :func:`gaussian_decay`.

    Returns:
        float64 ``(N,)`` in the order of the boxes.
    """
    lowered = np.array(scores, dtype=np.float64)
    rest = np.arange(len(lowered))
    while rest.size > 1:
        first = lowered[rest].argmax()
        best, rest = rest[first], np.delete(rest, first)
        lowered[rest] *= decay(box_iou(boxes[best : best + 1], boxes[rest])[0], rest)
    return lowered


def linear_decay(iou: NDArray[np.float64], thresholds: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Soft-NMS factors ``1 - IoU`` where the IoU is strictly greater than the threshold, else 1."""
    return np.where(iou > thresholds, 1 - iou, 1.0)


def gaussian_decay(iou: NDArray[np.float64], sigmas: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """Soft-NMS factors ``exp(-IoU ** 2 / sigma)``; sigmas above 0, the smaller the steeper."""
    return np.exp(-np.square(iou) / sigmas)


def _suppress(
    scores: NDArray[np.floating],
    thresholds: float | NDArray[np.floating],
    found: Overlaps,
    amounts: NDArray[np.float64],
) -> NDArray[np.int64]:
    """As :func:`_greedy`, for pairs within one set and the amount that each overlaps by."""
    from sartorius.masks.kernels import pairs

    if np.shape(scores) != found.areas.shape:
        raise InputError(f'{len(found.areas)} cells need as many scores, given are scores of shape {np.shape(scores)}')
    order = np.argsort(-np.asarray(scores), kind='stable')
    limits = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(order))
    stays = pairs.suppress(order, found.borders, found.columns, amounts, np.ascontiguousarray(limits))
    return order[stays[order]]


def _greedy(
    scores: NDArray[np.floating],
    iou_thresholds: float | NDArray[np.floating],
    iou_with: Callable[[int, NDArray[np.int64]], NDArray[np.floating]],
) -> NDArray[np.int64]:
    """Keeps the best-scored cell, drops what overlaps it too much, and goes on with the rest."""
    limits = np.broadcast_to(np.asarray(iou_thresholds, dtype=np.float64), len(scores))
    rest = np.argsort(-np.asarray(scores), kind='stable')
    kept = []
    while rest.size:
        best, rest = int(rest[0]), rest[1:]
        kept.append(best)
        rest = rest[iou_with(best, rest) <= limits[rest]]
    return np.array(kept, dtype=np.int64)
