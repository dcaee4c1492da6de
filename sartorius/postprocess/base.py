"""What all steps of post-processing share, and the registry of all steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.masks.paste import binarise
from sartorius.postprocess.per_class import PerClass, check_per_class, in_order_of, values_of
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

DEFAULT_MASK_THRESHOLD = 0.5


@dataclass(frozen=True)
class Tunable:
    """Declares that the tuner may search a step's parameter.

    Attributes:
        name: Name of the parameter in grids and tuning results; unique over all steps.
        title: Heading in tables and plots.
        values: Values that are tried by default, ascending.
    """

    name: str
    title: str
    values: tuple[float, ...]


def parameter(
    default: Any = MISSING, *, at_most: float = 1.0, above: float | None = None, tunable: Tunable | None = None
) -> Any:
    """Field of a :class:`Step`: one number from 0 to ``at_most``, or one per class.

    Args:
        default: Value where a config gives none; the parameter is required if missing.
        at_most: Upper limit, itself valid; infinity for none.
        above: Lower limit, itself not valid, in place of 0.
        tunable: Makes the tuner search the parameter.
    """
    return field(default=default, metadata={'at_most': at_most, 'above': above, 'tunable': tunable})


class Step:
    """Base of all steps: frozen dataclasses whose fields are made by :func:`parameter` and checked here.

    A step takes one image's predictions and returns new ones. Kept cells keep their order, boxes and soft masks.

    Attributes:
        drops_cells: Whether the step may drop cells; all others keep every cell, and keep some pixels of each cell that
            has pixels inside the image.
        on_pixels: Whether the step works on binary masks; soft masks are binarised at .5 first if they are not yet.
        grows_cells: Whether a cell can gain pixels, which others may have: the chain resolves overlaps afterwards.
        changes_scores: Whether scores change (they never rise): the tuner needs ``ScoreThreshold`` afterwards.
    """

    drops_cells: ClassVar[bool] = False
    on_pixels: ClassVar[bool] = False
    grows_cells: ClassVar[bool] = False
    changes_scores: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for one in fields(self):
            name, above = f'{type(self).__name__} {one.name}', one.metadata['above']
            checked = check_per_class(getattr(self, one.name), name, one.metadata['at_most'])
            lowest = min(checked.values()) if isinstance(checked, dict) else checked
            if above is not None and lowest <= above:
                raise InputError(f'{name} is {lowest:g}; it must lie above {above:g}')
            object.__setattr__(self, one.name, checked)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        """New predictions of the same image.

        Numbers per class are taken in the order of the labels: :meth:`for_classes` puts them into it.

        Raises:
            InputError: A parameter has one number per class, and none for a label.
        """
        raise NotImplementedError

    @property
    def is_per_class(self) -> bool:
        """Whether a parameter has one number per class."""
        return any(isinstance(getattr(self, one.name), Mapping) for one in fields(self))

    def for_classes(self, classes: Sequence[str]) -> Self:
        """The same step for labels that index into some class names.

        Raises:
            InputError: A parameter has one number per class, and none for one of the classes.
        """
        kind = type(self).__name__
        values = {one.name: in_order_of(getattr(self, one.name), classes, f'{kind} {one.name}') for one in fields(self)}
        return replace(self, **values)


STEPS: dict[str, type[Step]] = {}
"""The registered steps by the name that a config calls them."""


def register_step(step: type[Step]) -> type[Step]:
    """Class decorator that adds a step to :data:`STEPS` under its class name; configs, tuner and tests find it there.

    Raises:
        TypeError: The class is no dataclass of :class:`Step`, or a field was not made by :func:`parameter`.
        ValueError: The name is taken.
    """
    name = step.__name__
    if not (is_dataclass(step) and issubclass(step, Step)):
        raise TypeError(f'{name} must be a dataclass and a subclass of Step')
    for one in fields(step):
        if 'tunable' not in one.metadata:
            raise TypeError(f'{name}.{one.name} must be made by parameter(...)')
    if name in STEPS:
        raise ValueError(f'there is a step {name} already')
    STEPS[name] = step
    return step


def with_crops(predictions: ImagePredictions, threshold: PerClass = DEFAULT_MASK_THRESHOLD) -> ImagePredictions:
    """The same predictions with binary masks: their own if they have them, else the soft masks binarised."""
    if predictions.crops is not None:
        return predictions
    limits = values_of(threshold, predictions.labels)
    return replace(predictions, crops=binarise(predictions.soft_masks, predictions.boxes, predictions.size, limits))


def change_crops(
    predictions: ImagePredictions, change: Callable[..., MaskCrop], *parameters: PerClass
) -> ImagePredictions:
    """The same predictions with every binary mask changed; a mask's part outside the image is cut off before.

    Args:
        predictions: Of one image.
        change: Takes a crop and the cell's own number of each parameter.
        parameters: One number, or one per class in the order of the labels.
    """
    predictions = with_crops(predictions)
    numbers = [values_of(parameter, predictions.labels) for parameter in parameters]
    cells = zip(predictions.crops, *numbers, strict=True)
    return replace(predictions, crops=tuple(change(crop.clipped(predictions.size), *own) for crop, *own in cells))


def drop_unusable(predictions: ImagePredictions) -> ImagePredictions:
    """Drops cells whose score is not finite, or whose box is not finite or has no width or height.

    A box outside the image is valid here: its mask has no pixel, and is dropped by the first step that drops such
    cells.
    """
    boxes = predictions.boxes
    usable = np.isfinite(predictions.scores) & np.isfinite(boxes).all(axis=1)
    usable &= (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return predictions if usable.all() else predictions.select(usable)


def areas_of(predictions: ImagePredictions) -> NDArray[np.int64]:
    """Pixels of each cell inside the image, int64 ``(N,)``; the predictions must have crops."""
    return PackedMasks.from_crops(predictions.crops).clipped(predictions.size).areas
