"""Boxes of an image compared with each other: IoU, and Soft-NMS."""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled


@compiled
def box_iou(boxes: NDArray[np.float64], index: int, others: NDArray[np.float64], other: int) -> float:
    """IoU of a box of ``boxes`` and one of ``others``: rows of arrays, as slicing them takes longer than this."""
    width = min(boxes[index, 2], others[other, 2]) - max(boxes[index, 0], others[other, 0])
    if width <= 0:
        return 0.0
    height = min(boxes[index, 3], others[other, 3]) - max(boxes[index, 1], others[other, 1])
    if height <= 0:
        return 0.0
    shared = width * height
    area = (boxes[index, 2] - boxes[index, 0]) * (boxes[index, 3] - boxes[index, 1])
    other_area = (others[other, 2] - others[other, 0]) * (others[other, 3] - others[other, 1])
    return shared / (area + other_area - shared)


@compiled
def soft_nms(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    thresholds: NDArray[np.float64],
    sigmas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Scores after Soft-NMS: the best box lowers those of its label that it overlaps, then the best of the rest does.

    Args:
        boxes: float64 ``(N, 4)``.
        scores: float64 ``(N,)``; of equal scores the earlier box comes first.
        labels: int64 ``(N,)``: boxes of different labels leave each other alone.
        thresholds: float64 ``(N,)``, for the linear decay: an IoU above the weaker box's multiplies its score by
            1 - IoU.
        sigmas: float64 ``(N,)``, for the Gaussian decay, which replaces the linear one where a box's sigma is above 0:
            exp(-IoU^2 / sigma).

    Returns:
        float64 ``(N,)``.
    """
    decayed = scores.copy()
    # The boxes still to come; the best of them is found while those before are lowered.
    waiting = np.arange(len(boxes))
    best, best_score = 0, -np.inf
    for place in range(len(boxes)):
        if decayed[place] > best_score:
            best, best_score = place, decayed[place]
    for count in range(len(boxes), 0, -1):
        chosen = waiting[best]
        waiting[best : count - 1] = waiting[best + 1 : count]
        best, best_score = 0, -np.inf
        for place in range(count - 1):
            other = waiting[place]
            score = decayed[other]
            overlap = box_iou(boxes, chosen, boxes, other)
            if overlap > 0 and labels[other] == labels[chosen]:
                if sigmas[other] > 0:
                    score *= np.exp(-overlap * overlap / sigmas[other])
                elif overlap > thresholds[other]:
                    score *= 1 - overlap
                decayed[other] = score
            if score > best_score:
                best, best_score = place, score
    return decayed
