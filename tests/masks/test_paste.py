"""Pasting soft masks into image pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.paste import binarise, box_windows, paste_soft_mask
from sartorius.utils.errors import InputError

SIZE = (40, 60)


def box_of(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_grid_that_fits_the_box_comes_back_as_it_is():
    soft = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    pasted, left, top = paste_soft_mask(soft, box_of(5, 3, 13, 11), SIZE)
    assert (left, top) == (5, 3)
    np.testing.assert_allclose(pasted, soft, atol=1e-6)


def test_enlarged_grid_interpolates_between_its_points():
    # One row of two grid values 0 and 1 over four pixels: the grid points lie at 1 and 3 px from the left edge, the
    # pixel centres at .5, 1.5, 2.5, 3.5; left of the first grid point a zero follows, as does right of the last.
    soft = np.array([[0, 1], [0, 1]], dtype=np.float32)
    pasted, _, _ = paste_soft_mask(soft, box_of(0, 0, 4, 4), SIZE)
    np.testing.assert_allclose(pasted[1], [0, 0.25, 0.75, 0.75], atol=1e-6)


def test_columns_and_rows_are_not_swapped():
    soft = np.zeros((4, 4), dtype=np.float32)
    soft[0, 3] = 1
    pasted, left, top = paste_soft_mask(soft, box_of(10, 20, 14, 24), SIZE)
    assert pasted[0, 3] == 1
    assert pasted.sum() == 1
    assert (left, top) == (10, 20)


@pytest.mark.parametrize(
    ('box', 'window'),
    [
        ((2, 3, 7, 9), (2, 3, 7, 9)),
        ((2.4, 3.6, 6.5, 8.1), (2, 3, 7, 9)),  # every pixel that it touches
        ((-5, -5, 3, 4), (0, 0, 3, 4)),  # clipped at the top left
        ((55, 35, 1e30, 1e30), (55, 35, 60, 40)),  # and at the bottom right
        ((60, 0, 70, 10), (0, 0, 0, 0)),  # right of the image
        ((-10, 0, 0, 10), (0, 0, 0, 0)),  # left of it
        ((5, 5, 5, 9), (0, 0, 0, 0)),  # no width
        ((7, 5, 5, 9), (0, 0, 0, 0)),  # negative width
        ((float('nan'), 0, 5, 5), (0, 0, 0, 0)),
        ((0, 0, float('inf'), 5), (0, 0, 0, 0)),
    ],
)
def test_window_of_a_box(box, window):
    assert box_windows(box_of(*box)[None], SIZE).tolist() == [list(window)]


def test_unusable_boxes_give_empty_crops():
    boxes = np.stack([box_of(5, 5, 5, 9), box_of(100, 100, 110, 110), box_of(2, 2, 6, 6)])
    crops = binarise(np.ones((3, 8, 8), dtype=np.float32), boxes, SIZE)
    assert [crop.area for crop in crops] == [0, 0, 16]


def test_threshold_is_reached_by_an_equal_probability_and_can_differ_by_cell():
    soft = np.full((2, 4, 4), 0.5, dtype=np.float32)
    boxes = np.stack([box_of(0, 0, 4, 4), box_of(10, 0, 14, 4)])
    assert [crop.area for crop in binarise(soft, boxes, SIZE)] == [16, 16]
    assert [crop.area for crop in binarise(soft, boxes, SIZE, np.array([0.5, 0.51]))] == [16, 0]


def test_no_cells():
    assert binarise(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), SIZE) == ()


coordinates = st.floats(-30, 90, width=32)


@settings(max_examples=80, deadline=None)
@given(
    x1=coordinates,
    y1=coordinates,
    width=st.floats(0.5, 80, width=32),
    height=st.floats(0.5, 80, width=32),
    grid=st.sampled_from([7, 14, 28]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_mmdetection(x1, y1, width, height, grid, seed):
    torch = pytest.importorskip('torch')
    fcn_mask_head = pytest.importorskip('mmdet.models.roi_heads.mask_heads.fcn_mask_head')
    box = box_of(x1, y1, x1 + width, y1 + height)
    soft = np.random.default_rng(seed).random((grid, grid), dtype=np.float32)
    full, _ = fcn_mask_head._do_paste_mask(
        torch.from_numpy(soft)[None, None], torch.from_numpy(box)[None], *SIZE, skip_empty=False
    )
    expected = full[0].numpy()
    pasted, left, top = paste_soft_mask(soft, box, SIZE)
    height, width = pasted.shape
    np.testing.assert_allclose(pasted, expected[top : top + height, left : left + width], atol=1e-5)
    # Around the box MMDetection's values stay below .5: the binary masks are the same from that threshold on.
    expected[top : top + height, left : left + width] = 0
    assert expected.max() < 0.5 + 1e-5


@pytest.mark.parametrize('shape', [(1, 4, 4), (2, 4, 5), (2, 4)])
def test_refuses_soft_masks_that_do_not_fit_the_boxes(shape):
    with pytest.raises(InputError, match='2 boxes want soft masks'):
        binarise(np.ones(shape, dtype=np.float32), np.stack([box_of(0, 0, 4, 4)] * 2), SIZE)
