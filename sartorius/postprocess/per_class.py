"""Parameters that are one number, or one number per class."""

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError

PerClass = float | Mapping[str, float]
"""One number for every class, or one per class by its name: ``dict(shsy5y=.15, astro=.35, cort=.55)``."""


def check_per_class(value: object, name: str, highest: float = 1.0) -> PerClass:
    """Checks a parameter, and returns it as plain types.

    Args:
        value: A number, or a mapping from class names to numbers. Which names it must have is known once the
            predictions are (:func:`in_order_of`).
        name: Name of the parameter in messages, for example ``ScoreThreshold threshold``.
        highest: Numbers lie in ``[0, highest]``, and are finite, as JSON has no infinity.

    Raises:
        InputError: Neither of the two, a mapping without entries or with a key that is no text, a number out of range.
    """
    if not isinstance(value, Mapping):
        return _check_number(value, name, highest)
    if not value:
        raise InputError(f'{name} is empty; give one number per class, or one number for all')
    for key in value:
        if not isinstance(key, str):
            raise InputError(f'{name}: the key {key!r} is no class name; write it in quotes')
    return {key: _check_number(number, f'{name}, {key}', highest) for key, number in value.items()}


def in_order_of(parameter: PerClass, classes: Sequence[str], name: str) -> PerClass:
    """The parameter for predictions of some classes: one number per class in their order, or one number for all.

    Args:
        parameter: Of :func:`check_per_class`. It may have numbers of further classes, which are left out.
        classes: Class names in the order of the labels.
        name: Name of the parameter in messages.

    Raises:
        InputError: It has no number for one of the classes.
    """
    if not isinstance(parameter, Mapping) or not classes:
        return parameter
    for own in classes:
        if own not in parameter:
            raise InputError(
                f'{name} has no number for the class {own!r}, only for {", ".join(parameter)}; give one number per '
                'class of the data, or one number for all'
            )
    return {own: parameter[own] for own in classes}


def values_of(parameter: PerClass, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The parameter's value for each cell, float64 ``(N,)``.

    Args:
        parameter: One number, or one per class in the order of the labels (:func:`in_order_of`).
        labels: int64 ``(N,)``.

    Raises:
        InputError: A label that the parameter has no number for.
    """
    if not isinstance(parameter, Mapping):
        return np.full(len(labels), parameter, dtype=np.float64)
    unknown = labels[(labels < 0) | (labels >= len(parameter))]
    if unknown.size:
        raise InputError(
            f'label {unknown[0]} is none of the classes {", ".join(parameter)}; give the post-processing steps '
            'one number for all classes'
        )
    return np.array(list(parameter.values()), dtype=np.float64)[labels]


def _check_number(value: object, name: str, highest: float) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f'{name} is {value!r}; give a number, or one per class such as dict(shsy5y=1, ...)')
    number = float(value)
    if not (0 <= number <= highest and isfinite(number)):
        limits = f'lie between 0 and {highest:g}' if isfinite(highest) else 'be finite and not below 0'
        raise InputError(f'{name} is {number:g}; it must {limits}')
    return number
