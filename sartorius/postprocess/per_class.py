"""Parameters that are one number, or one number per cell type."""

from collections.abc import Mapping
from math import isfinite
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, did_you_mean

PerClass = float | Mapping[str, float]
"""One number for every class, or one per cell type: ``dict(shsy5y=.15, astro=.35, cort=.55)``."""


def check_per_class(value: object, name: str, highest: float = 1.0) -> PerClass:
    """Checks a parameter, and returns it as plain types with its cell types in the project's order.

    Args:
        value: A number, or a mapping with exactly one number per cell type.
        name: Name of the parameter in messages, for example ``ScoreThreshold threshold``.
        highest: Numbers lie in ``[0, highest]``, and are finite, as JSON has no infinity.

    Raises:
        InputError: Neither of the two, a cell type that is missing or unknown, a number out of range.
    """
    if not isinstance(value, Mapping):
        return _check_number(value, name, highest)
    for key in value:
        if key not in CELL_TYPES:
            raise InputError(f'{name}: unknown cell type {key!r}{did_you_mean(str(key), CELL_TYPES)}')
    missing = [cell_type for cell_type in CELL_TYPES if cell_type not in value]
    if missing:
        raise InputError(f'{name}: no value for {", ".join(missing)}; give one per cell type, or one number for all')
    return {cell_type: _check_number(value[cell_type], f'{name}, {cell_type}', highest) for cell_type in CELL_TYPES}


def values_of(parameter: PerClass, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The parameter's value for each cell, float64 ``(N,)``.

    Raises:
        InputError: The parameter has one number per cell type, and a label that is none of the cell types.
    """
    if not isinstance(parameter, Mapping):
        return np.full(len(labels), parameter, dtype=np.float64)
    unknown = labels[(labels < 0) | (labels >= len(CELL_TYPES))]
    if unknown.size:
        raise InputError(
            f'label {unknown[0]} is none of the cell types {", ".join(CELL_TYPES)}; give the post-processing steps '
            'one number for all classes'
        )
    return np.array([parameter[cell_type] for cell_type in CELL_TYPES], dtype=np.float64)[labels]


def _check_number(value: object, name: str, highest: float) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f'{name} is {value!r}; give a number, or one per cell type such as dict(shsy5y=1, ...)')
    number = float(value)
    if not (0 <= number <= highest and isfinite(number)):
        limits = f'lie between 0 and {highest:g}' if isfinite(highest) else 'be finite and not below 0'
        raise InputError(f'{name} is {number:g}; it must {limits}')
    return number
