"""Boxes and cells that are put together one after the other, best score first."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def cluster_boxes(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    moving: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Puts each box into the cluster of its label whose centre it overlaps most, or makes it the first of a new one.

    Args:
        boxes: float64 ``(N, 4)``, with an area.
        scores: float64 ``(N,)``, weighted, above 0.
        labels: int64 ``(N,)``.
        threshold: A box joins a cluster if its IoU with the centre is greater.
        moving: Whether a cluster's centre is the mean of its boxes so far, weighted by their scores, as in WBF;
            otherwise it stays the first box, as in NMS and NMW.

    Returns:
        Cluster of each box ``(N,)``, first box of each cluster ``(K,)``, and centres ``(K, 4)``.
    """
    owners = np.empty(len(boxes), np.int64)
    firsts = np.empty(len(boxes), np.int64)
    centres = np.empty((len(boxes), 4), np.float64)
    # In single precision as in ensemble-boxes: a centre must be the same to the last bit to take the same boxes.
    sums = np.empty((len(boxes), 4), np.float32)
    totals = np.empty(len(boxes), np.float64)
    count = 0
    for index in range(len(boxes)):
        best, best_iou = -1, threshold
        for cluster in range(count):
            overlap = _iou(centres, cluster, boxes, index)
            if overlap > best_iou and labels[firsts[cluster]] == labels[index]:
                best, best_iou = cluster, overlap
        if best < 0:
            best, count = count, count + 1
            firsts[best] = index
            centres[best] = boxes[index]
            sums[best] = scores[index] * boxes[index]
            totals[best] = scores[index]
        elif moving:
            totals[best] += scores[index]
            for side in range(4):
                sums[best, side] = sums[best, side] + scores[index] * boxes[index, side]
                centres[best, side] = np.float32(sums[best, side] / totals[best])
        owners[index] = best
    return owners, firsts[:count], centres[:count]


@njit(cache=True)
def decay_scores(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    sigma: float,
) -> NDArray[np.float64]:
    """Scores after soft-NMS: the best box lowers those of its label that it overlaps, then the best of the rest does.

    Args:
        boxes: float64 ``(N, 4)``, with an area.
        scores: float64 ``(N,)``, weighted.
        labels: int64 ``(N,)``.
        threshold: For the linear decay: an IoU above it multiplies a score by 1 - IoU.
        sigma: For the Gaussian decay, which takes its place where sigma is above 0: exp(-IoU^2 / sigma).
    """
    decayed = scores.copy()
    # The boxes still to come; the best of them is found while those before are lowered.
    waiting = np.arange(len(boxes))
    best = 0
    for count in range(len(boxes), 0, -1):
        chosen = waiting[best]
        waiting[best : count - 1] = waiting[best + 1 : count]
        best, best_score = 0, -1.0
        for place in range(count - 1):
            other = waiting[place]
            score = decayed[other]
            overlap = _iou(boxes, chosen, boxes, other)
            if overlap > 0 and labels[other] == labels[chosen]:
                if sigma > 0:
                    score *= np.exp(-overlap * overlap / sigma)
                elif overlap > threshold:
                    score *= 1 - overlap
                decayed[other] = score
            if score > best_score:
                best, best_score = place, score
    return decayed


@njit(cache=True)
def cluster_by_pairs(
    rows: NDArray[np.int64], columns: NDArray[np.int64], ious: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """Clusters in which every two members are a pair: complete linkage, best score first.

    Args:
        rows: int64 ``(P,)``, ascending: the later cell of each pair that may stand in one cluster.
        columns: int64 ``(P,)``: its earlier cell.
        ious: float64 ``(P,)``.
        count: Number of cells N.

    Returns:
        int64 ``(N,)``: cluster of each cell. Of the clusters that a cell may join it joins the one with the greatest
        mean IoU; the earliest of equal ones.
    """
    owners = np.empty(count, np.int64)
    sizes = np.zeros(count, np.int64)
    clusters = pair = 0
    pairs_with = np.zeros(count, np.int64)
    sums = np.zeros(count, np.float64)
    for cell in range(count):
        first = pair
        while pair < len(rows) and rows[pair] == cell:
            cluster = owners[columns[pair]]
            pairs_with[cluster] += 1
            sums[cluster] += ious[pair]
            pair += 1
        best, best_mean = -1, 0.0
        for place in range(first, pair):
            cluster = owners[columns[place]]
            if pairs_with[cluster] == sizes[cluster]:
                mean = sums[cluster] / sizes[cluster]
                if mean > best_mean or (mean == best_mean and cluster < best):
                    best, best_mean = cluster, mean
        for place in range(first, pair):
            cluster = owners[columns[place]]
            pairs_with[cluster], sums[cluster] = 0, 0.0
        if best < 0:
            best, clusters = clusters, clusters + 1
        owners[cell] = best
        sizes[best] += 1
    return owners


@njit(cache=True)
def _iou(boxes: NDArray[np.float64], index: int, others: NDArray[np.float64], other: int) -> float:
    """IoU of a box of ``boxes`` and one of ``others``: rows of arrays, as cutting them out takes longer than this."""
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
