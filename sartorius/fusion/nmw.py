"""Fusion by non-maximum weighted boxes."""

from dataclasses import dataclass

import numpy as np

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.checks import check_iou


@dataclass(frozen=True)
class NMW:
    """Non-maximum weighted (Zhou et al. 2017, "CAD: Scale Invariant Framework for Real-Time Object Detection").

    Boxes are grouped as by NMS. A fused box is the mean of its group, weighted by model weight times score times IoU
    with the group's best box; its score is that of the best box, times its model's weight.

    Attributes:
        iou_threshold: A box joins the best box that it overlaps most, where its IoU is greater.
    """

    iou_threshold: float = 0.5

    def __post_init__(self) -> None:
        check_iou(self.iou_threshold)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        scores = candidates.weighted_scores
        owners, firsts, best = cluster_boxes(candidates.boxes, scores, candidates.labels, self.iou_threshold, False)
        shares = scores * _iou_of_pairs(candidates.boxes, best[owners])
        totals = np.bincount(owners, shares)
        means = np.stack([np.bincount(owners, shares * side) / totals for side in candidates.boxes.T], axis=1)
        alone = np.bincount(owners) == 1
        means[alone] = best[alone]
        return Fusion(means.clip(0, 1), scores[firsts], candidates.labels[firsts], owners)


def _iou_of_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of each box of ``(N, 4)`` with the one at the same place; both have an area."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = sides.clip(0).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return shared / (areas[0] + areas[1] - shared)
