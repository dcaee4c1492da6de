"""The steps of post-processing: each takes one image's predictions and returns new ones.

Thresholds and areas are one number, or a number a cell type (:data:`sartorius.postprocess.per_class.PerClass`). Rules
that all steps keep:

- The cells that stay keep their order, and boxes and scores are never changed. Of cells with equal scores the earlier
  one wins.
- Where a step works on pixels and the soft masks are not binarised yet, it binarises them at .5.
- The chain removes cells without a finite score or with an unusable box before the first step
  (:func:`drop_unusable`), so that no step meets them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.holes import fill_holes
from sartorius.masks.nms import box_nms, mask_nms
from sartorius.masks.overlap import settle_overlaps
from sartorius.masks.paste import binarise
from sartorius.postprocess.per_class import PerClass, check_per_class, values_of
from sartorius.predictions.structures import ImagePredictions

DEFAULT_MASK_THRESHOLD = 0.5


class Step:
    """Base of all steps: checks the parameters when one is made.

    Attributes:
        on_pixels: Whether the step works on binary masks.
        highest: Upper limit of the step's parameters.
    """

    on_pixels: ClassVar[bool] = False
    highest: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            checked = check_per_class(getattr(self, field.name), f'{type(self).__name__} {field.name}', self.highest)
            object.__setattr__(self, field.name, checked)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        """New predictions of the same image.

        Raises:
            InputError: A parameter is given a cell type and a label is none of them.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class VoteClass(Step):
    """Gives all cells of the image the class with the greatest sum of squared scores (an image shows one cell type).

    Squares, because a model's hundreds of faint candidates of a wrong class together must not outvote a dozen clear
    cells. Equal sums: the class that comes first.
    """

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        if not len(predictions):
            return predictions
        winner = np.bincount(predictions.labels, weights=predictions.scores.astype(np.float64) ** 2).argmax()
        return replace(predictions, labels=np.full_like(predictions.labels, winner))


@dataclass(frozen=True)
class ScoreThreshold(Step):
    """Keeps the cells whose score reaches the threshold of their class."""

    thresholds: PerClass

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        # In the scores' own precision: as a double, a score of float32(.35) lies below a threshold of .35.
        thresholds = values_of(self.thresholds, predictions.labels).astype(predictions.scores.dtype)
        return predictions.select(predictions.scores >= thresholds)


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
class MaskThreshold(Step):
    """Binarises the soft masks in image pixels: a pixel belongs to a cell whose probability reaches the threshold.

    Predictions that have binary masks already keep them.
    """

    thresholds: PerClass = DEFAULT_MASK_THRESHOLD

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return with_crops(predictions, self.thresholds)


@dataclass(frozen=True)
class FillHoles(Step):
    """Fills the holes of every cell: pixels that its own pixels wall off from the outside."""

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return _change_crops(predictions, fill_holes)


@dataclass(frozen=True)
class KeepLargestComponent(Step):
    """Cuts every cell down to its largest connected piece.

    Pixels that touch at a corner are connected. Of equally large pieces the one with the topmost pixel stays.
    """

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return _change_crops(predictions, _largest_component)


@dataclass(frozen=True)
class LeastArea(Step):
    """Drops the cells that have fewer pixels inside the image than the least area of their class, or none at all."""

    areas: PerClass

    on_pixels = True
    highest = float('inf')

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        areas = areas_of(predictions)
        return predictions.select((areas > 0) & (areas >= values_of(self.areas, predictions.labels)))


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
class RemoveOverlap(Step):
    """Gives every pixel to its best-scored cell, and drops the cells of which too little is left, or nothing.

    Attributes:
        least_remaining: Least fraction of a cell's own pixels that no better-scored cell took. A cell that is dropped
            takes no pixels itself (:func:`sartorius.masks.overlap.settle_overlaps`).
    """

    least_remaining: PerClass = 0.0

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        least = values_of(self.least_remaining, predictions.labels)
        settled = settle_overlaps(predictions.crops, predictions.scores, predictions.size, least)
        settled_predictions = replace(predictions, crops=settled)
        return settled_predictions.select(areas_of(settled_predictions) > 0)


STEPS: dict[str, type[Step]] = {
    step.__name__: step
    for step in (
        VoteClass,
        ScoreThreshold,
        BoxNMS,
        MaskThreshold,
        FillHoles,
        KeepLargestComponent,
        LeastArea,
        MaskNMS,
        RemoveOverlap,
    )
}
"""Every step by the name that a config calls it."""


def with_crops(predictions: ImagePredictions, thresholds: PerClass = DEFAULT_MASK_THRESHOLD) -> ImagePredictions:
    """The same predictions with binary masks: their own if they have them, else the soft masks binarised."""
    if predictions.crops is not None:
        return predictions
    limits = values_of(thresholds, predictions.labels)
    return replace(predictions, crops=binarise(predictions.soft_masks, predictions.boxes, predictions.size, limits))


def drop_unusable(predictions: ImagePredictions) -> ImagePredictions:
    """Leaves out cells whose score is not finite, or whose box is not finite or has no width or height.

    A box outside the image is no fault here: its mask has no pixel, and goes with the first step that drops such cells.
    """
    boxes = predictions.boxes
    usable = np.isfinite(predictions.scores) & np.isfinite(boxes).all(axis=1)
    usable &= (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return predictions if usable.all() else predictions.select(usable)


def areas_of(predictions: ImagePredictions) -> np.ndarray:
    """Pixels of each cell inside the image, int64 ``(N,)``; the predictions must have crops."""
    return np.array([crop.clipped(predictions.size).area for crop in predictions.crops], dtype=np.int64)


def _change_crops(predictions: ImagePredictions, change: Callable[[MaskCrop], MaskCrop]) -> ImagePredictions:
    predictions = with_crops(predictions)
    return replace(predictions, crops=tuple(change(crop) for crop in predictions.crops))


def _largest_component(crop: MaskCrop) -> MaskCrop:
    pieces, count = ndimage.label(crop.mask, structure=np.ones((3, 3)))
    if count < 2:
        return crop
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    return MaskCrop(pieces == largest, crop.x, crop.y)
