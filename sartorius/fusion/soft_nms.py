"""Fusion by soft non-maximum suppression."""

from dataclasses import dataclass

import numpy as np

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.checks import check_choice, check_iou, check_number

DECAYS = ('gaussian', 'linear')


@dataclass(frozen=True)
class SoftNMS:
    """Soft-NMS (Bodla et al. 2017, https://arxiv.org/abs/1704.04503): boxes stay, but overlapped ones score less.

    Best score first, each box lowers the scores of the boxes of its class that it overlaps. Scores are multiplied by
    the models' weights as in NMS. (``soft_nms`` of ensemble-boxes drops the same boxes, but gives the rest the scores
    that they came with.)

    Attributes:
        decay: ``gaussian``: an IoU of u multiplies a score by exp(-u^2 / sigma); ``linear``: by 1 - u, where u is
            greater than ``iou_threshold``.
        sigma: Of the Gaussian decay.
        iou_threshold: Of the linear decay.
        min_score: Boxes whose score falls to this or below are dropped.
    """

    decay: str = 'gaussian'
    sigma: float = 0.5
    iou_threshold: float = 0.5
    min_score: float = 0.001

    def __post_init__(self) -> None:
        check_choice('decay', self.decay, DECAYS)
        check_number('sigma', self.sigma, above=0)
        check_iou(self.iou_threshold)
        check_number('min_score', self.min_score, lowest=0, highest=1)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import decay_scores

        sigma = self.sigma if self.decay == 'gaussian' else 0.0
        scores = decay_scores(
            candidates.boxes, candidates.weighted_scores, candidates.labels, self.iou_threshold, sigma
        )
        kept = np.flatnonzero(scores > self.min_score)
        owners = np.full(len(scores), -1)
        owners[kept] = np.arange(len(kept))
        return Fusion(candidates.boxes[kept], scores[kept], candidates.labels[kept], owners, kept)
