"""A crop is the full-size mask with the empty part left away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7))


def pixels_of(crop: MaskCrop) -> set[tuple[int, int]]:
    """Image pixels (x, y) of a crop, one by one."""
    height, width = crop.mask.shape
    return {(crop.x + x, crop.y + y) for y in range(height) for x in range(width) if crop.mask[y, x]}


def test_hand_written_cell():
    full = np.array(
        [
            [0, 0, 0, 0, 0],
            [0, 0, 1, 1, 0],
            [0, 0, 0, 1, 0],
        ],
        dtype=bool,
    )
    crop = MaskCrop.from_full(full)
    assert crop.mask.tolist() == [[True, True], [False, True]]
    assert (crop.x, crop.y, crop.area, crop.window) == (2, 1, 3, (2, 1, 4, 3))
    assert crop.to_full((3, 5)).tolist() == full.tolist()


@given(MASKS)
def test_from_full_and_to_full_are_inverse(full):
    assert MaskCrop.from_full(full).to_full(full.shape).tolist() == full.tolist()


@given(MASKS, st.integers(-9, 9), st.integers(-9, 9))
def test_tight_keeps_the_pixels_and_no_empty_border(mask, x, y):
    crop = MaskCrop(mask, x, y)
    tight = crop.tight()
    assert pixels_of(tight) == pixels_of(crop)
    assert tight.area == crop.area == len(pixels_of(crop))
    if tight.area == 0:
        assert tight.mask.shape == (0, 0)
    else:
        borders = [tight.mask[0], tight.mask[-1], tight.mask[:, 0], tight.mask[:, -1]]
        assert all(border.any() for border in borders)


@given(MASKS, st.integers(-9, 9), st.integers(-9, 9), st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_clipped_and_to_full_keep_what_lies_inside_the_image(mask, x, y, size):
    crop = MaskCrop(mask, x, y)
    inside = {(px, py) for px, py in pixels_of(crop) if 0 <= px < size[1] and 0 <= py < size[0]}
    assert pixels_of(crop.clipped(size)) == inside
    full = crop.to_full(size)
    assert full.shape == size
    assert {(px, py) for py, px in np.argwhere(full).tolist()} == inside


@pytest.mark.parametrize(
    'mask',
    [
        np.zeros((2, 2), dtype=np.uint8),  # numbers are no mask
        np.zeros(4, dtype=bool),  # a flat list of pixels has no shape
        np.zeros((1, 2, 2), dtype=bool),  # a stack of masks is not one cell
    ],
)
def test_other_arrays_are_refused(mask):
    with pytest.raises(InputError, match='2-D bool array'):
        MaskCrop(mask, 0, 0)
