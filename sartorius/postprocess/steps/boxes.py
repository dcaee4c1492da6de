"""Steps on boxes."""

from dataclasses import dataclass, replace

import numpy as np

from sartorius.masks.nms import box_nms, gaussian_soft_nms, linear_soft_nms
from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.postprocess.steps.base import Step
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError


@dataclass(frozen=True)
class BoxNMS(Step):
    """Drops a cell whose box has an IoU above the threshold with the box of a better-scored cell that stays.

    Cells of all classes compete; the threshold is that of the weaker cell.
    """

    iou_thresholds: PerClass

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        thresholds = values_of(self.iou_thresholds, predictions.labels)
        return predictions.select(np.sort(box_nms(predictions.boxes, predictions.scores, thresholds)))


@dataclass(frozen=True)
class LinearSoftNMS(Step):
    """Multiplies a cell's score by ``1 - IoU`` for each better-scored cell if their boxes' IoU is above the threshold.

    No cell goes before a ``ScoreThreshold`` that follows. Cells of all classes compete; the threshold is that of the
    weaker cell (:func:`sartorius.masks.nms.linear_soft_nms`).
    """

    iou_thresholds: PerClass

    changes_scores = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        thresholds = values_of(self.iou_thresholds, predictions.labels)
        lowered = linear_soft_nms(predictions.boxes, predictions.scores, thresholds)
        return replace(predictions, scores=lowered.astype(predictions.scores.dtype))


@dataclass(frozen=True)
class GaussianSoftNMS(Step):
    """Multiplies a cell's score by ``exp(-IoU ** 2 / sigma)`` for each better-scored cell; otherwise as LinearSoftNMS.

    Attributes:
        sigmas: Above 0; the smaller, the less is left of what overlaps.
    """

    sigmas: PerClass = 0.5

    changes_scores = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.sigmas.values() if isinstance(self.sigmas, dict) else [self.sigmas]) == 0:
            raise InputError('GaussianSoftNMS sigmas is 0; it must lie above 0 and not above 1')

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        sigmas = values_of(self.sigmas, predictions.labels)
        lowered = gaussian_soft_nms(predictions.boxes, predictions.scores, sigmas)
        return replace(predictions, scores=lowered.astype(predictions.scores.dtype))
