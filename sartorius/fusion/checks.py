"""Checks of images, weights and the fusion methods' parameters."""

from collections.abc import Collection, Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from sartorius.predictions.store import check_values
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

MAX_WEIGHT_RATIO = 1e6


def check_weights(weights: Sequence[float] | None, models: int) -> NDArray[np.float64]:
    """Weights of ``models`` models, the largest scaled to 1; equal if None.

    Raises:
        InputError: No model, another number of weights, a weight that is not above 0, or weights too far apart.
    """
    if models == 0:
        raise InputError('nothing to fuse; give at least one set of predictions')
    values = np.ones(models) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (models,):
        raise InputError(f'{values.size} weights for {models} sets of predictions; give one weight each')
    for value in values:
        if not (np.isfinite(value) and value > 0):
            raise InputError(f'weight {value:g} is not above 0; leave the set out instead')
    if values.max() / values.min() > MAX_WEIGHT_RATIO:
        raise InputError(f'weights {values.min():g} and {values.max():g} are more than a million times apart')
    return values / values.max()


def check_iou(value: object) -> None:
    """Refuses an IoU threshold outside (0, 1).

    Raises:
        InputError: It is no number, or lies outside.
    """
    if not (_is_number(value) and 0 < value < 1):
        raise InputError(f'the IoU threshold is {_show(value)}; it must lie between 0 and 1')


def check_number(
    name: str, value: object, lowest: float | None = None, highest: float | None = None, above: float | None = None
) -> None:
    """Refuses what is no number of a range, NaN included.

    Raises:
        InputError: Naming the parameter, the value and the range.
    """
    limits = {'at least': lowest, 'at most': highest, 'above': above}
    within = _is_number(value) and (
        (lowest is None or value >= lowest)
        and (highest is None or value <= highest)
        and (above is None or value > above)
    )
    if not within:
        wanted = ' and'.join(f' {words} {limit:g}' for words, limit in limits.items() if limit is not None)
        raise InputError(f'{name} is {_show(value)}; it must be a number{wanted}')


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuses what is none of the choices.

    Raises:
        InputError: Naming them.
    """
    if value not in choices:
        raise InputError(f'{name} is {value!r}; choose from {", ".join(choices)}')


def check_images(images: Sequence[ImagePredictions]) -> None:
    """Whether several models' predictions of one image go together.

    Raises:
        InputError: No model, sizes that differ, cells that are post-processed already, or bad values.
    """
    if not images:
        raise InputError('nothing to fuse; give at least one set of predictions')
    image_id, size = images[0].image_id, images[0].size
    for image in images:
        check_values(image)
        if image.size != size:
            raise InputError(
                f'image {image_id}: {image.size[1]}x{image.size[0]} px in one set, {size[1]}x{size[0]} in another; '
                'predict on the same files'
            )
        if image.crops is not None:
            raise InputError(f'image {image_id}: already post-processed; fuse predictions as the models gave them')


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _show(value: object) -> str:
    return f'{value:g}' if _is_number(value) else repr(value)
