"""Sizes of pixels and times between frames, in whatever unit a file gives them."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress

_MICROMETRES = {
    'µm': 1, 'um': 1, 'micron': 1, 'microns': 1, 'micrometer': 1, 'micrometre': 1, 'nm': 1e-3, 'nanometer': 1e-3,
    'mm': 1e3, 'millimeter': 1e3, 'cm': 1e4, 'centimeter': 1e4, 'm': 1e6, 'meter': 1e6, 'å': 1e-4, 'angstrom': 1e-4,
    'pm': 1e-6, 'picometer': 1e-6,
}  # fmt: skip
_SECONDS = {
    's': 1, 'sec': 1, 'second': 1, 'seconds': 1, 'ms': 1e-3, 'msec': 1e-3, 'millisecond': 1e-3, 'µs': 1e-6, 'us': 1e-6,
    'microsecond': 1e-6, 'ns': 1e-9, 'nanosecond': 1e-9, 'min': 60, 'minute': 60, 'minutes': 60, 'h': 3600, 'hr': 3600,
    'hour': 3600, 'hours': 3600, 'd': 86400, 'day': 86400,
}  # fmt: skip


def length_um(value: object, unit: str) -> float | None:
    """A length in micrometres; None if it is no number above 0, or its unit is not one of microscopes.

    Inches are of printers and screens.
    """
    return _times(value, _MICROMETRES.get(_unit(unit)))


def seconds(value: object, unit: str) -> float | None:
    """A time in seconds; None if it is no number above 0, or its unit is not one of time."""
    return _times(value, _SECONDS.get(_unit(unit)))


def square_pixels(sizes_um: Sequence[float | None]) -> tuple[float | None, tuple[str, ...]]:
    """Side of pixels of a width and a height: of a square of the same area, with a note, where they differ."""
    x, y = sizes_um
    if x is None:
        return None, ()
    if y is None or abs(x - y) <= 0.01 * x:
        return x, ()
    side = math.sqrt(x * y)
    return side, (f'its pixels are {x:.4g} x {y:.4g} µm, not square; {side:.4g} µm, of the same area, is taken',)


def _times(value: object, factor: float | None) -> float | None:
    if factor is not None:
        with suppress(TypeError, ValueError):
            number = float(value) * factor
            if math.isfinite(number) and number > 0:
                return number
    return None


def _unit(text: str) -> str:
    """Lower case, and one sign for micro: there are two, ImageJ spells one out, and in Latin-1 it has two letters."""
    text = re.sub(r'\\u([0-9a-fA-F]{4})', lambda code: chr(int(code[1], 16)), text).strip().casefold()
    return text.replace('μ', 'µ').replace('âµ', 'µ')
