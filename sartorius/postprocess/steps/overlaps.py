"""Steps on the pixels that cells share."""

from dataclasses import dataclass, replace

import numpy as np

from sartorius.masks.nms import containment_nms, mask_nms
from sartorius.masks.overlap import resolve_overlaps
from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.postprocess.steps.base import Step, areas_of, with_crops
from sartorius.predictions.structures import ImagePredictions


@dataclass(frozen=True)
class MaskNMS(Step):
    """Drops a cell whose mask has an IoU above the threshold with the mask of a better-scored cell that stays.

    Cells of all classes compete; the threshold is that of the weaker cell.
    """

    iou_thresholds: PerClass

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        thresholds = values_of(self.iou_thresholds, predictions.labels)
        kept = mask_nms(predictions.crops, predictions.scores, predictions.size, thresholds)
        return predictions.select(np.sort(kept))


@dataclass(frozen=True)
class ContainmentNMS(Step):
    """Drops a cell that shares more than a fraction of the smaller one's pixels with a better-scored cell that stays.

    So what goes is a fragment inside a better cell, and a mask over several cells one of which scores better, however
    small their IoU is. (That a cell goes when better ones together cover too much of it is the rule of
    ``RemoveOverlap``'s ``min_remaining``.) Cells of all classes compete; the threshold is that of the weaker cell.
    """

    thresholds: PerClass

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        thresholds = values_of(self.thresholds, predictions.labels)
        kept = containment_nms(predictions.crops, predictions.scores, predictions.size, thresholds)
        return predictions.select(np.sort(kept))


@dataclass(frozen=True)
class RemoveOverlap(Step):
    """Gives every pixel to its best-scored cell, and drops the cells of which too little is left, or nothing.

    Attributes:
        min_remaining: Least fraction of a cell's own pixels that no better-scored cell took. A cell that is dropped
            takes no pixels itself (:func:`sartorius.masks.overlap.resolve_overlaps`).
    """

    min_remaining: PerClass = 0.0

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        least = values_of(self.min_remaining, predictions.labels)
        resolved = resolve_overlaps(predictions.crops, predictions.scores, predictions.size, least)
        resolved_predictions = replace(predictions, crops=resolved)
        return resolved_predictions.select(areas_of(resolved_predictions) > 0)
