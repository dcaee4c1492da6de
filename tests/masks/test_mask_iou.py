"""IoU of pairs of cells against sets of pixels."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou

CROPS = st.builds(
    MaskCrop,
    arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)),
    st.integers(-3, 6),
    st.integers(-3, 6),
)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


def pixels_of(crop: MaskCrop, size: tuple[int, int]) -> set[tuple[int, int]]:
    """The cell's pixels inside the image."""
    return set(map(tuple, np.argwhere(crop.to_full(size)).tolist()))


def test_hand_written_pairs():
    cells = [bar(0, 4), bar(2, 4), bar(0, 4, row=1)]
    # 2 shared of 6 pixels; another row shares nothing.
    assert mask_iou(cells, cells, (2, 8)).tolist() == [[1, 2 / 6, 0], [2 / 6, 1, 0], [0, 0, 1]]


@given(st.lists(CROPS, max_size=5), st.lists(CROPS, max_size=5), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_equals_sets_of_pixels(a, b, size):
    expected = np.zeros((len(a), len(b)))
    for row, first in enumerate(a):
        for column, second in enumerate(b):
            shared = pixels_of(first, size) & pixels_of(second, size)
            union = pixels_of(first, size) | pixels_of(second, size)
            expected[row, column] = float(Fraction(len(shared), len(union))) if union else 0
    found = mask_iou(a, b, size)
    assert found.shape == expected.shape
    assert found.dtype == np.float64
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(('a', 'b', 'shape'), [([], [], (0, 0)), ([bar(0, 1)], [], (1, 0)), ([], [bar(0, 1)], (0, 1))])
def test_no_cells_on_a_side(a, b, shape):
    assert mask_iou(a, b, (2, 2)).shape == shape


@pytest.mark.parametrize('percent', range(50, 100, 5))
def test_iou_at_a_threshold_is_the_very_double(percent):
    # 20 true pixels, of which percent / 5 are found: 11 of 20 is 0.55.
    assert mask_iou([bar(0, 20)], [bar(0, percent // 5)], (1, 20)).item() == percent / 100
