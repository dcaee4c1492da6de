"""What all steps share."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.masks.paste import binarise
from sartorius.postprocess.per_class import PerClass, check_per_class, values_of
from sartorius.predictions.structures import ImagePredictions

DEFAULT_MASK_THRESHOLD = 0.5


class Step:
    """Base of all steps: checks the parameters when one is made.

    Attributes:
        on_pixels: Whether the step works on binary masks.
        grows_cells: Whether a cell can gain pixels, which others may have: the chain wants overlaps resolved
        afterwards.
        changes_scores: Whether scores change: the tuner wants ``ScoreThreshold`` afterwards.
        unbounded: Names of the parameters that may exceed 1.
    """

    on_pixels: ClassVar[bool] = False
    grows_cells: ClassVar[bool] = False
    changes_scores: ClassVar[bool] = False
    unbounded: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            highest = float('inf') if field.name in self.unbounded else 1.0
            checked = check_per_class(getattr(self, field.name), f'{type(self).__name__} {field.name}', highest)
            object.__setattr__(self, field.name, checked)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        """New predictions of the same image.

        Raises:
            InputError: A parameter is given a cell type and a label is none of them.
        """
        raise NotImplementedError


def with_crops(predictions: ImagePredictions, thresholds: PerClass = DEFAULT_MASK_THRESHOLD) -> ImagePredictions:
    """The same predictions with binary masks: their own if they have them, else the soft masks binarised."""
    if predictions.crops is not None:
        return predictions
    limits = values_of(thresholds, predictions.labels)
    return replace(predictions, crops=binarise(predictions.soft_masks, predictions.boxes, predictions.size, limits))


def change_crops(
    predictions: ImagePredictions, change: Callable[..., MaskCrop], *parameters: PerClass
) -> ImagePredictions:
    """The same predictions with every binary mask changed; a mask's part outside the image is cut off before.

    Args:
        predictions: Of one image.
        change: Takes a crop and the cell's own number of each parameter.
        parameters: One number, or one a cell type.
    """
    predictions = with_crops(predictions)
    numbers = [values_of(parameter, predictions.labels) for parameter in parameters]
    cells = zip(predictions.crops, *numbers, strict=True)
    return replace(predictions, crops=tuple(change(crop.clipped(predictions.size), *own) for crop, *own in cells))


def drop_unusable(predictions: ImagePredictions) -> ImagePredictions:
    """Leaves out cells whose score is not finite, or whose box is not finite or has no width or height.

    A box outside the image is no fault here: its mask has no pixel, and goes with the first step that drops such cells.
    """
    boxes = predictions.boxes
    usable = np.isfinite(predictions.scores) & np.isfinite(boxes).all(axis=1)
    usable &= (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return predictions if usable.all() else predictions.select(usable)


def areas_of(predictions: ImagePredictions) -> NDArray[np.int64]:
    """Pixels of each cell inside the image, int64 ``(N,)``; the predictions must have crops."""
    return PackedMasks.from_crops(predictions.crops).clipped(predictions.size).areas
