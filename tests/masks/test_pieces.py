"""Cells in several pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.pieces import drop_fragments, join_pieces, largest_piece, piece_areas

# Pieces of 4, 2 and 1 pixels; the first hangs together by a corner.
THREE = '##...# ..##.# ...... #.....'
TWO = '##...# ..##.# ...... ......'
ONE = '##.... ..##.. ...... ......'


def crop_of(text: str) -> MaskCrop:
    return MaskCrop(np.array([[pixel == '#' for pixel in row] for row in text.split()]), 5, 7)


def test_piece_areas():
    assert piece_areas(crop_of(THREE)) == [4, 2, 1]
    assert piece_areas(MaskCrop(np.zeros((2, 3), dtype=bool), 0, 0)) == []


@pytest.mark.parametrize(
    ('cell', 'largest'),
    [
        (THREE, ONE),
        ('#.# ... #.#', '#.. ... ...'),  # four of one pixel: the topmost, and of these the left one
        ('..# ... ##.', '... ... ##.'),
        ('##. ..#', '##. ..#'),
    ],
)
def test_largest_piece(cell, largest):
    kept = largest_piece(crop_of(cell))
    np.testing.assert_array_equal(kept.mask, crop_of(largest).mask)
    assert (kept.x, kept.y) == (5, 7)


@pytest.mark.parametrize(
    ('min_fraction', 'min_area', 'left'),
    [
        (0, 0, THREE),
        (0.25, 0, THREE),  # a piece of exactly the fraction stays
        (0.26, 0, TWO),
        (0.51, 0, ONE),
        (1, 0, ONE),
        (0, 1, THREE),
        (0, 2, TWO),  # and one of exactly the area
        (0, 3, ONE),
        (0, 99, ONE),  # the largest piece stays however small it is
        (0.26, 3, ONE),
    ],
)
def test_drop_fragments(min_fraction, min_area, left):
    kept = drop_fragments(crop_of(THREE), min_fraction, min_area)
    np.testing.assert_array_equal(kept.mask, crop_of(left).mask)
    assert (kept.x, kept.y) == (5, 7)


def test_equally_large_pieces_all_stay():
    assert drop_fragments(crop_of('#.# ... #.#'), 1, 99).area == 4


@pytest.mark.parametrize('shape', [(0, 0), (2, 3)])
def test_an_empty_cell_stays_empty(shape):
    empty = MaskCrop(np.zeros(shape, dtype=bool), 0, 0)
    assert largest_piece(empty) is empty
    assert drop_fragments(empty, 0.5, 3) is empty


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=8)), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_the_largest_piece_always_stays_and_no_pixel_is_added(mask, fraction):
    crop = MaskCrop(mask, 0, 0)
    largest, kept = largest_piece(crop).mask, drop_fragments(crop, fraction, 0).mask
    assert (largest <= kept).all()
    assert (kept <= mask).all()
    assert kept.any() == mask.any()


@pytest.mark.parametrize(
    ('cell', 'gap', 'joined'),
    [
        (ONE, 3, ONE),
        ('###..### ###..### ###..###', 2, '######## ######## ########'),
        ('###...### ###...### ###...###', 2, '###...### ###...### ###...###'),
        ('###...### ###...### ###...###', 3, '######### ######### #########'),
        # A notch in the outline of one piece is no gap between two.
        (
            '###.### ###.### ####### ....... ....... ....... #######',
            1,
            '###.### ###.### ####### ....... ....... ....... #######',
        ),
    ],
)
def test_join_pieces(cell, gap, joined):
    result = join_pieces(crop_of(cell), gap)
    np.testing.assert_array_equal(result.mask, crop_of(joined).mask)
    assert (result.x, result.y) == (5, 7)


@given(npst.arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9))), st.integers(1, 4))
def test_joining_adds_pixels_only_and_never_a_piece(mask, gap):
    crop = MaskCrop(mask, 0, 0)
    joined = join_pieces(crop, gap)
    assert not (crop.mask & ~joined.mask).any()
    pieces = [ndimage.label(some.mask, structure=np.ones((3, 3)))[1] for some in (crop, joined)]
    assert pieces[1] < pieces[0] or joined is crop
