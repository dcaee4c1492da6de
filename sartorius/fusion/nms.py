"""Fusion by non-maximum suppression."""

import numpy as np

from sartorius.fusion.candidates import Candidates, Fusion


def nms(candidates: Candidates, iou_threshold: float) -> Fusion:
    """The best box of each overlapping group, unchanged.

    A model's scores are multiplied by its weight, of which the largest is 1: equal weights change no score. (What
    ensemble-boxes does with weights divides every score by the number of models.)
    """
    # Imported here because numba, which it loads, takes longer to start than a command's --help may.
    from ensemble_boxes import nms as nms_of_all

    scores = candidates.scores * candidates.weights[candidates.models]
    boxes, kept_scores, labels = nms_of_all([candidates.boxes], [scores], [candidates.labels], iou_thr=iou_threshold)
    labels = labels.astype(np.int64)
    # ensemble-boxes returns copies of its inputs and not which they are: they are found again by their exact values.
    first_of: dict[bytes, int] = {}
    for index, row in enumerate(zip(candidates.boxes, scores, candidates.labels, strict=True)):
        first_of.setdefault(_key(*row), index)
    kept = [first_of[_key(*row)] for row in zip(boxes, kept_scores, labels, strict=True)]
    return Fusion(boxes=boxes, scores=kept_scores, labels=labels, kept=np.array(kept, dtype=np.int64))


def _key(box: np.ndarray, score: np.float64, label: np.int64) -> bytes:
    return box.tobytes() + score.tobytes() + label.tobytes()
