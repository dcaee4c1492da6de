"""The steps of post-processing. docs/extending/step.md says how to add one.

They are registered in an order in which they can stand in a chain. Cells of all classes compete wherever cells compete,
and a parameter with one number per class counts for the weaker cell of a pair. Of cells with equal scores the
earlier one wins. The chain drops cells without a finite score or with an unusable box before the first step
(:func:`sartorius.postprocess.base.drop_unusable`), so that no step meets them.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.nms import box_nms, containment_nms, gaussian_soft_nms, linear_soft_nms, mask_nms
from sartorius.masks.overlap import resolve_overlaps
from sartorius.masks.pieces import drop_fragments, fill_holes, largest_piece
from sartorius.postprocess.base import (
    DEFAULT_MASK_THRESHOLD,
    STEPS,
    Step,
    Tunable,
    areas_of,
    change_crops,
    drop_unusable,
    parameter,
    register_step,
    with_crops,
)
from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.predictions.structures import ImagePredictions

__all__ = ['STEPS', 'Step', 'areas_of', 'drop_unusable', 'with_crops']


@register_step
@dataclass(frozen=True)
class VoteClass(Step):
    """Gives all cells of the image the class with the largest sum of squared scores (an image shows one cell type).

    Squares, because a model's hundreds of low-scored candidates of a wrong class together must not outvote a dozen
    high-scored cells. Equal sums: the class that comes first.
    """

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        if not len(predictions):
            return predictions
        classes, votes_for = np.unique(predictions.labels, return_inverse=True)
        winner = np.bincount(votes_for, weights=predictions.scores.astype(np.float64) ** 2).argmax()
        return replace(predictions, labels=np.full_like(predictions.labels, classes[winner]))


@register_step
@dataclass(frozen=True)
class RescoreByMask(Step):
    """Multiplies each score by the mean probability of the cell's mask over the points that belong to the cell.

    So a cell whose mask is uncertain ranks below one of the same score whose mask is certain (the rule of the
    competition's 1st place). The mean is taken on the RoI grid, not in image pixels: the grid spans the box evenly, and
    nothing has to be pasted. A cell whose grid nowhere reaches the threshold scores 0.

    Attributes:
        threshold: A point of the grid belongs to the cell if its probability reaches the threshold.
    """

    threshold: PerClass = parameter(DEFAULT_MASK_THRESHOLD)

    changes_scores = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        soft_masks = predictions.soft_masks
        limits = values_of(self.threshold, predictions.labels).astype(soft_masks.dtype)
        inside = soft_masks >= limits[:, None, None]
        sums = soft_masks.sum(axis=(1, 2), where=inside, dtype=np.float64)
        means = sums / np.maximum(inside.sum(axis=(1, 2)), 1)
        return replace(predictions, scores=(predictions.scores * means).astype(predictions.scores.dtype))


@register_step
@dataclass(frozen=True)
class LinearSoftNMS(Step):
    """Multiplies a cell's score by ``1 - IoU`` for each better-scored cell if their boxes' IoU is above the threshold.

    No cell is dropped before a ``ScoreThreshold`` that follows (:func:`sartorius.masks.nms.linear_soft_nms`).
    """

    iou_threshold: PerClass = parameter()

    changes_scores = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        thresholds = values_of(self.iou_threshold, predictions.labels)
        lowered = linear_soft_nms(predictions.boxes, predictions.scores, thresholds)
        return replace(predictions, scores=lowered.astype(predictions.scores.dtype))


@register_step
@dataclass(frozen=True)
class GaussianSoftNMS(Step):
    """Multiplies a cell's score by ``exp(-IoU ** 2 / sigma)`` for each better-scored cell; otherwise as LinearSoftNMS.

    Attributes:
        sigma: Above 0; the smaller, the more the score of an overlapping cell falls.
    """

    sigma: PerClass = parameter(0.5, above=0)

    changes_scores = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        sigmas = values_of(self.sigma, predictions.labels)
        lowered = gaussian_soft_nms(predictions.boxes, predictions.scores, sigmas)
        return replace(predictions, scores=lowered.astype(predictions.scores.dtype))


@register_step
@dataclass(frozen=True)
class ScoreThreshold(Step):
    """Keeps the cells whose score reaches the threshold of their class."""

    threshold: PerClass = parameter(
        tunable=Tunable('score', 'score threshold', tuple(n / 1000 for n in range(25, 951, 25)))
    )

    drops_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        # In the scores' own precision: as a double, a score of float32(.35) lies below a threshold of .35.
        thresholds = values_of(self.threshold, predictions.labels).astype(predictions.scores.dtype)
        return predictions.select(predictions.scores >= thresholds)


@register_step
@dataclass(frozen=True)
class BoxNMS(Step):
    """Drops a cell whose box has an IoU above the threshold with the box of a better-scored kept cell."""

    iou_threshold: PerClass = parameter()

    drops_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        thresholds = values_of(self.iou_threshold, predictions.labels)
        return predictions.select(np.sort(box_nms(predictions.boxes, predictions.scores, thresholds)))


@register_step
@dataclass(frozen=True)
class MaskThreshold(Step):
    """Binarises the soft masks in image pixels: a pixel belongs to a cell whose probability reaches the threshold.

    Predictions that have binary masks already keep them.
    """

    threshold: PerClass = parameter(
        DEFAULT_MASK_THRESHOLD, tunable=Tunable('mask', 'mask threshold', tuple(n / 100 for n in range(35, 86, 5)))
    )

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return with_crops(predictions, self.threshold)


@register_step
@dataclass(frozen=True)
class FillHoles(Step):
    """Fills the holes of every cell: background pixels that its own pixels enclose."""

    on_pixels = True
    grows_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        inside = [crop.clipped(predictions.size) for crop in predictions.crops]
        return replace(predictions, crops=fill_holes(inside))


@register_step
@dataclass(frozen=True)
class ConvexFill(Step):
    """Breaks masks as the competition's annotation tool broke those of astrocytes, hidden test set included.

    Bays are filled by straight horizontal runs, and branches that point up are left hollow
    (:func:`sartorius.masks.convex_fill.fill_as_convex`). It belongs after ``FillHoles``, which would close the branches
    again.

    Attributes:
        enabled: 0 for the classes whose cells keep their masks: ``dict(shsy5y=0, astro=1, cort=0)``.
    """

    enabled: PerClass = parameter(1.0)

    on_pixels = True
    grows_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        cells = zip(predictions.crops, values_of(self.enabled, predictions.labels) > 0, strict=True)
        broken = (fill_as_convex(crop.clipped(predictions.size)) if own else crop for crop, own in cells)
        return replace(predictions, crops=tuple(broken))


@register_step
@dataclass(frozen=True)
class MaskNMS(Step):
    """Drops a cell whose mask has an IoU above the threshold with the mask of a better-scored kept cell."""

    iou_threshold: PerClass = parameter(tunable=Tunable('nms', 'mask NMS IoU', (0.1, 0.2, 0.3, 0.4, 0.5)))

    drops_cells = True
    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        thresholds = values_of(self.iou_threshold, predictions.labels)
        kept = mask_nms(predictions.crops, predictions.scores, predictions.size, thresholds)
        return predictions.select(np.sort(kept))


@register_step
@dataclass(frozen=True)
class ContainmentNMS(Step):
    """Drops a cell that shares more than a fraction of the smaller one's pixels with a better-scored kept cell.

    So a fragment inside a better cell is dropped, and a mask over several cells one of which scores better, however
    small their IoU is. (To drop a cell of which better ones together cover too much is the rule of ``RemoveOverlap``'s
    ``min_remaining``.)
    """

    threshold: PerClass = parameter()

    drops_cells = True
    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        thresholds = values_of(self.threshold, predictions.labels)
        kept = containment_nms(predictions.crops, predictions.scores, predictions.size, thresholds)
        return predictions.select(np.sort(kept))


@register_step
@dataclass(frozen=True)
class RemoveOverlap(Step):
    """Gives every pixel to its best-scored cell, and drops the cells of which too little is left, or nothing.

    Attributes:
        min_remaining: Minimum fraction of a cell's own pixels that no better-scored cell took. A cell that is dropped
            takes no pixels itself (:func:`sartorius.masks.overlap.resolve_overlaps`).
    """

    min_remaining: PerClass = parameter(0.0, tunable=Tunable('remaining', 'min remaining', (0.0, 0.3, 0.5, 0.7, 0.9)))

    drops_cells = True
    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        fractions = values_of(self.min_remaining, predictions.labels)
        resolved = resolve_overlaps(predictions.crops, predictions.scores, predictions.size, fractions)
        predictions = replace(predictions, crops=resolved)
        return predictions.select(areas_of(predictions) > 0)


@register_step
@dataclass(frozen=True)
class KeepLargestComponent(Step):
    """Cuts every cell down to its largest connected piece.

    Pixels that touch at a corner are connected. Of equally large pieces the one with the topmost pixel is kept.
    """

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return change_crops(predictions, largest_piece)


@register_step
@dataclass(frozen=True)
class DropFragments(Step):
    """Removes the small pieces of every cell. Its largest piece is always kept.

    Pixels that touch at a corner are connected.

    Attributes:
        min_fraction: A piece is removed if it has less than this fraction of the pixels of the cell's largest piece.
        min_area: A piece is removed if it has fewer pixels.
    """

    min_fraction: PerClass = parameter(0.1)
    min_area: PerClass = parameter(0.0, at_most=inf)

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return change_crops(predictions, drop_fragments, self.min_fraction, self.min_area)


@register_step
@dataclass(frozen=True)
class MaxArea(Step):
    """Drops the cells that have more pixels inside the image than the maximum area of their class."""

    max_area: PerClass = parameter(at_most=inf)

    drops_cells = True
    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        return predictions.select(areas_of(predictions) <= values_of(self.max_area, predictions.labels))


@register_step
@dataclass(frozen=True)
class MinArea(Step):
    """Drops the cells that have fewer pixels inside the image than the minimum area of their class, or none at all."""

    min_area: PerClass = parameter(
        at_most=inf, tunable=Tunable('area', 'min area, px', tuple(float(pixels) for pixels in range(0, 301, 25)))
    )

    drops_cells = True
    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        areas = areas_of(predictions)
        return predictions.select((areas > 0) & (areas >= values_of(self.min_area, predictions.labels)))
