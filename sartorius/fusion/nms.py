"""Fusion by non-maximum suppression."""

from dataclasses import dataclass

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.checks import check_iou


@dataclass(frozen=True)
class NMS:
    """The best box of each overlapping group, unchanged.

    A model's scores are multiplied by its weight, of which the largest is 1: equal weights change no score. (What
    ensemble-boxes does with weights divides every score by the sum of the weights as well.)

    Attributes:
        iou_threshold: A box goes where its IoU with a better one that stays is greater.
    """

    iou_threshold: float = 0.5

    def __post_init__(self) -> None:
        check_iou(self.iou_threshold)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        scores = candidates.weighted_scores
        owners, kept, boxes = cluster_boxes(candidates.boxes, scores, candidates.labels, self.iou_threshold, False)
        return Fusion(boxes, scores[kept], candidates.labels[kept], owners, kept)
