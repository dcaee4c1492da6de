"""Clustering of boxes and of cells, best score first."""

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.kernels.boxes import box_iou
from sartorius.utils.compiled import compiled


@compiled
def cluster_boxes(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float,
    moving: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Assigns each box to the cluster of its label whose centre it overlaps most, or to a new one.

    Args:
        boxes: float64 ``(N, 4)``, with an area.
        scores: float64 ``(N,)``, weighted, above 0.
        labels: int64 ``(N,)``.
        threshold: A box joins a cluster if its IoU with the centre is greater.
        moving: Whether a cluster's centre is the mean of its boxes so far, weighted by their scores, as in WBF;
            otherwise it is the first box, as in NMS and NMW.

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
            overlap = box_iou(centres, cluster, boxes, index)
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


@compiled
def cluster_by_pairs(
    rows: NDArray[np.int64], columns: NDArray[np.int64], ious: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """Clusters in which every two members are a pair: complete linkage, best score first.

    Args:
        rows: int64 ``(P,)``, ascending: the later cell of each pair that may be in one cluster.
        columns: int64 ``(P,)``: its earlier cell.
        ious: float64 ``(P,)``.
        count: Number of cells N.

    Returns:
        int64 ``(N,)``: cluster of each cell. Of the clusters that a cell may join it joins the one with the largest
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
