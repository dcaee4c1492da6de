"""Checks of images, weights and the fusion methods' parameters."""

import operator
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sartorius.predictions.store import check_values
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

MAX_WEIGHT_RATIO = 1e6
_COMPARISONS = {'at least': operator.ge, 'at most': operator.le, 'above': operator.gt, 'below': operator.lt}


def check_weights(weights: Sequence[float] | None, models: int) -> NDArray[np.float64]:
    """Weights of ``models`` models, scaled so that the largest is 1; equal if None.

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


def check_number(name: str, value: object, limits: Mapping[str, float] = MappingProxyType({})) -> None:
    """Refuses a value that is no number of a range, NaN included.

    Args:
        name: What the message calls the value.
        value: Any value.
        limits: Of the range: any of ``at least``, ``at most``, ``above`` and ``below``.

    Raises:
        InputError: Naming the parameter, the value and the range.
    """
    if not (_is_number(value) and all(_COMPARISONS[words](value, limit) for words, limit in limits.items())):
        wanted = ' and'.join(f' {words} {limit:g}' for words, limit in limits.items())
        raise InputError(f'{name} is {_show(value)}; it must be a number{wanted}')


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuses a value that is not among the choices.

    Raises:
        InputError: Naming the parameter, the value and the choices.
    """
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise InputError(f'{name} is {value!r}; choose from {", ".join(map(str, choices))}')


def check_images(images: Sequence[ImagePredictions]) -> None:
    """Refuses predictions of one image that cannot be fused.

    Args:
        images: Predictions of one image, one per model.

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
            raise InputError(
                f'image {image_id}: already post-processed; fuse the predictions that tools/test.py writes'
            )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _show(value: object) -> str:
    return f'{value:g}' if _is_number(value) else repr(value)
