"""Sizes of pixels and times between frames in the units that files give."""

import pytest

from sartorius.images.pixel_sizes import length_um, seconds, square_pixels


@pytest.mark.parametrize(
    ('value', 'unit', 'expected'),
    [
        *((0.5, unit, 0.5) for unit in ('µm', '\u03bcm', 'um', 'Micron', ' micrometer ', r'\u00B5m', r'\u00C2\u00B5m')),
        ('650', 'nm', 0.65),
        (0.001, 'mm', 1.0),
        (5e-7, 'm', 0.5),
        (5000, 'Å', 0.5),
        *((1, unit, None) for unit in ('inch', 'pixel', '', 'reference frame')),
        *((value, 'µm', None) for value in (0, -1, float('nan'), float('inf'), 'wide', None)),
    ],
)
def test_lengths(value: object, unit: str, expected: float | None) -> None:
    assert length_um(value, unit) == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    ('value', 'unit', 'expected'),
    [(2, 'min', 120), (500, 'ms', 0.5), (3, 'sec', 3), (1, 'Hour', 3600), (1, 'mm', None)],
)
def test_times(value: object, unit: str, expected: float | None) -> None:
    assert seconds(value, unit) == expected


def test_oblong_pixels_are_squares_of_their_area() -> None:
    assert square_pixels([0.5, 0.504]) == (0.5, ())
    assert square_pixels([0.5, None]) == (0.5, ())
    assert square_pixels([None, 0.5]) == (None, ())
    side, notes = square_pixels([0.4, 0.9])
    assert side == pytest.approx(0.6)
    assert notes == ('its pixels are 0.4 x 0.9 µm, not square; 0.6 µm, of the same area, is taken',)
