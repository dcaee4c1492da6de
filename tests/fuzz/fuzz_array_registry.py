"""The functions whose answers to hostile arrays are tried, and how an answer is compared."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from fuzz_judge import Wrong
from fuzz_mutations import Random

TESTS = Path(__file__).resolve().parents[1]
Size = tuple[int, int]

FUNCTIONS: dict[str, Callable[[Random], None]] = {}
"""By name: makes an input, calls the functions and raises :class:`Wrong` where they contradict the slow version."""


def function(check: Callable[[Random], None]) -> Callable[[Random], None]:
    """Adds a check to :data:`FUNCTIONS`."""
    FUNCTIONS[check.__name__] = check
    return check


def same(ours: Any, slow: Any, what: str) -> None:
    """Raises where two arrays differ."""
    if not np.array_equal(np.asarray(ours), np.asarray(slow)):
        raise Wrong(f'{what}: other than the slow version')


def holds(truth: object, what: str) -> None:
    """Raises unless something holds."""
    if not truth:
        raise Wrong(what)


def full(crops: Sequence[Any], size: Size) -> np.ndarray:
    """Full-size masks, by a loop over pixels that needs no window arithmetic."""
    masks = np.zeros((len(crops), *size), bool)
    for mask, crop in zip(masks, crops, strict=True):
        for row, column in np.argwhere(crop.mask).tolist():
            if 0 <= row + crop.y < size[0] and 0 <= column + crop.x < size[1]:
                mask[row + crop.y, column + crop.x] = True
    return masks


@cache
def test_module(name: str) -> ModuleType:
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, TESTS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
