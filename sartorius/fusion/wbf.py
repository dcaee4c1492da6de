"""Fusion by weighted boxes."""

from dataclasses import dataclass

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.checks import check_choice, check_iou
from sartorius.fusion.cluster_scores import CONF_TYPES, cluster_scores


@dataclass(frozen=True)
class WBF:
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, https://arxiv.org/abs/1910.13302).

    Best score first, each box joins the fused box of its class that it overlaps most. A fused box is the mean of its
    members, weighted by model weight times score. By the default ``conf_type`` its score is the weighted mean of its
    members' scores, times the share of the models' weight that found it: a cell that one of two equal models found at
    0.8 scores 0.4. (The default of ensemble-boxes, ``avg``, counts boxes and not models, so that two boxes of one model
    pass for two models.)

    Attributes:
        iou_threshold: A box joins where its IoU is greater. The default is above the IoU of .6 up to which the models'
            own NMS leaves two boxes standing: below, a faint double of one model would join the clear box of another
            and drag its place and score down (docs/fusion.md has what that costs).
        conf_type: One of :data:`sartorius.fusion.cluster_scores.CONF_TYPES`.
    """

    iou_threshold: float = 0.7
    conf_type: str = 'box_and_model_avg'

    def __post_init__(self) -> None:
        check_iou(self.iou_threshold)
        check_choice('conf_type', self.conf_type, CONF_TYPES)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        owners, firsts, centres = cluster_boxes(
            candidates.boxes, candidates.weighted_scores, candidates.labels, self.iou_threshold, True
        )
        return Fusion(
            # The means are taken in single precision and may pass the limits by a rounding error.
            boxes=centres.clip(0, 1),
            scores=cluster_scores(candidates, owners, self.conf_type),
            labels=candidates.labels[firsts],
            owners=owners,
        )
