"""Steps on classes and scores."""

from dataclasses import dataclass, replace

import numpy as np

from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.postprocess.steps.base import DEFAULT_MASK_THRESHOLD, Step
from sartorius.predictions.structures import ImagePredictions


@dataclass(frozen=True)
class VoteClass(Step):
    """Gives all cells of the image the class with the greatest sum of squared scores (an image shows one cell type).

    Squares, because a model's hundreds of faint candidates of a wrong class together must not outvote a dozen clear
    cells. Equal sums: the class that comes first.
    """

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        if not len(predictions):
            return predictions
        classes, votes_for = np.unique(predictions.labels, return_inverse=True)
        winner = np.bincount(votes_for, weights=predictions.scores.astype(np.float64) ** 2).argmax()
        return replace(predictions, labels=np.full_like(predictions.labels, classes[winner]))


@dataclass(frozen=True)
class ScoreThreshold(Step):
    """Keeps the cells whose score reaches the threshold of their class."""

    thresholds: PerClass

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        # In the scores' own precision: as a double, a score of float32(.35) lies below a threshold of .35.
        thresholds = values_of(self.thresholds, predictions.labels).astype(predictions.scores.dtype)
        return predictions.select(predictions.scores >= thresholds)


@dataclass(frozen=True)
class RescoreByMask(Step):
    """Multiplies each score by the mean probability of the cell's mask over what belongs to the cell.

    So a cell that the mask head draws with doubt ranks below one as well scored that it draws clearly (the rule of the
    competition's 1st place). The mean is taken on the RoI grid, not in image pixels: the grid spans the box evenly, and
    nothing has to be pasted. A cell whose grid nowhere reaches the threshold scores 0.

    Attributes:
        thresholds: A point of the grid belongs to the cell when its probability reaches the threshold.
    """

    thresholds: PerClass = DEFAULT_MASK_THRESHOLD

    changes_scores = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        soft_masks = predictions.soft_masks
        limits = values_of(self.thresholds, predictions.labels).astype(soft_masks.dtype)
        inside = soft_masks >= limits[:, None, None]
        sums = soft_masks.sum(axis=(1, 2), where=inside, dtype=np.float64)
        means = sums / np.maximum(inside.sum(axis=(1, 2)), 1)
        return replace(predictions, scores=(predictions.scores * means).astype(predictions.scores.dtype))
