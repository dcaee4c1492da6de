"""Non-maximum suppression: of cells that overlap too much the best-scored one stays."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.iou import overlaps


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
    from sartorius.masks.kernels import pairs

    found = overlaps(crops, crops, size)
    order = np.argsort(-np.asarray(scores), kind='stable')
    limits = np.broadcast_to(np.asarray(iou_thresholds, dtype=np.float64), len(crops))
    stays = pairs.suppress(order, found.borders, found.columns, found.iou, np.ascontiguousarray(limits))
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
