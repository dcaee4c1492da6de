"""Fusion by weighted boxes."""

import numpy as np

from sartorius.fusion.candidates import Candidates, Fusion


def wbf(candidates: Candidates, iou_threshold: float) -> Fusion:
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, https://arxiv.org/abs/1910.13302).

    A fused box is the mean of its members, weighted by model weight times score. Its score is the weighted mean of its
    members' scores, times the share of the models' weight that found it: a cell that one of two equal models found at
    0.8 scores 0.4. (``box_and_model_avg`` of ensemble-boxes. Its default counts boxes and not models, so that two boxes
    of one model pass for two models, and with unequal weights exceeds 1.)
    """
    # Imported here because numba, which it loads, takes longer to start than a command's --help may.
    from ensemble_boxes import weighted_boxes_fusion

    boxes, scores, labels = weighted_boxes_fusion(
        candidates.of_each_model(candidates.boxes),
        candidates.of_each_model(candidates.scores),
        candidates.of_each_model(candidates.labels),
        weights=candidates.weights,
        iou_thr=iou_threshold,
        conf_type='box_and_model_avg',
    )
    # The means are taken in single precision and may pass the limits by a rounding error.
    return Fusion(boxes=boxes.clip(0, 1), scores=scores.clip(0, 1), labels=labels.astype(np.int64))
