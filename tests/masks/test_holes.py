import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.pieces import fill_holes


def crop_of(*rows: str) -> MaskCrop:
    return MaskCrop(np.array([[pixel == '#' for pixel in row] for row in rows]), 5, 7)


@pytest.mark.parametrize(
    ('hollow', 'solid'),
    [
        (['###', '#.#', '###'], ['###', '###', '###']),
        # Closed only diagonally: background connects by edges, so this is a hole.
        (['.#.', '#.#', '.#.'], ['.#.', '###', '.#.']),
        # Open at the bottom edge of the crop.
        (['###', '#.#', '#.#'], ['###', '#.#', '#.#']),
        # Two holes, and a dent that is none.
        (['#####.', '#.#.##', '#####.'], ['#####.', '######', '#####.']),
        # A cell within the hole of another piece.
        (['#####', '#...#', '#.#.#', '#...#', '#####'], ['#####'] * 5),
    ],
)
def test_fills_what_is_enclosed(hollow, solid):
    (filled,) = fill_holes([crop_of(*hollow)])
    assert (filled.mask == crop_of(*solid).mask).all()
    assert (filled.x, filled.y) == (5, 7)


def test_keeps_empty_and_solid_crops():
    empty = MaskCrop(np.zeros((0, 0), dtype=bool), 3, 4)
    solid = crop_of('##', '##')
    filled = fill_holes([empty, solid])
    assert [crop.window for crop in filled] == [empty.window, solid.window]
    assert [crop.area for crop in filled] == [0, 4]
    assert fill_holes([]) == ()


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.integers(0, 3), st.integers(0, 3))
def test_equals_filling_the_full_size_mask(mask, x, y):
    size = (20, 20)
    crop = MaskCrop(mask, x, y)
    (filled,) = fill_holes([crop])
    assert (filled.to_full(size) == ndimage.binary_fill_holes(crop.to_full(size))).all()
