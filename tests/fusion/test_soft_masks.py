"""Resampling and averaging of soft masks, against slow versions and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion.soft_masks import agreement, resample_soft_mask, resample_soft_masks, weighted_mean
from sartorius.masks.paste import paste_soft_mask


def sample_slowly(soft_mask, box, x, y):
    """Value of a soft mask at one point of the image: bilinear, zeros around the grid, nothing outside the box."""
    side = len(soft_mask)
    x1, y1, x2, y2 = box
    if not (x1 <= x <= x2 and y1 <= y <= y2):
        return 0.0
    column, row = (x - x1) / (x2 - x1) * side - 0.5, (y - y1) / (y2 - y1) * side - 0.5
    value = 0.0
    for i in range(side):
        for j in range(side):
            value += max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * soft_mask[i, j]
    return value


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), side=st.integers(1, 5), grid=st.integers(1, 5))
def test_every_point_equals_a_slow_look_up(seed, side, grid):
    rng = np.random.default_rng(seed)
    soft_mask = rng.random((side, side)).astype(np.float32)
    from_box, to_box = (np.concatenate([c, c + rng.uniform(0.5, 9, 2)]) for c in rng.uniform(-4, 4, (2, 2)))
    steps = (np.arange(grid) + 0.5) / grid
    expected = [
        [
            sample_slowly(
                soft_mask, from_box, to_box[0] + u * (to_box[2] - to_box[0]), to_box[1] + v * (to_box[3] - to_box[1])
            )
            for u in steps
        ]
        for v in steps
    ]
    np.testing.assert_allclose(resample_soft_mask(soft_mask, from_box, to_box, grid), expected, atol=1e-5)


def test_the_same_box_changes_nothing():
    soft_masks = np.random.default_rng(0).random((5, 28, 28)).astype(np.float32)
    boxes = np.float32([[3.3, 4.7, 21.9, 17.2]] * 5)
    np.testing.assert_allclose(resample_soft_masks(soft_masks, boxes, boxes), soft_masks, atol=1e-4)


@pytest.mark.parametrize(
    ('from_box', 'to_box', 'expected'),
    [
        # One column of the 2x2 grid to the right: what was on the right is now on the left.
        ([0, 0, 4, 4], [2, 0, 6, 4], [[0.2, 0], [0.4, 0]]),
        # One row up.
        ([0, 0, 4, 4], [0, -2, 4, 2], [[0, 0], [0.1, 0.2]]),
        # No overlap.
        ([0, 0, 4, 4], [4, 4, 8, 8], [[0, 0], [0, 0]]),
        # A grid cell alone: its centre, and half way to its neighbours, at a quarter of a cell from the centre.
        ([0, 0, 4, 4], [0, 0, 4, 4], [[0.1, 0.2], [0.3, 0.4]]),
    ],
)
def test_shifts_by_hand(from_box, to_box, expected):
    soft_mask = np.float32([[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_allclose(resample_soft_mask(soft_mask, np.array(from_box), np.array(to_box)), expected, atol=1e-6)


@pytest.mark.parametrize('seed', range(5))
def test_it_is_what_pasting_gives(seed):
    """A box of S by S whole pixels has its grid's centres on the pixels' centres: paste full size, and cut it out."""
    rng = np.random.default_rng(seed)
    side, size = 12, (60, 70)
    soft_mask = rng.random((side, side)).astype(np.float32)
    corner = rng.integers(0, 40, 2)
    to_box = np.concatenate([corner, corner + side])
    from_box = np.concatenate([corner, corner + side]) + rng.uniform(-3, 3, 4)
    full = np.zeros(size)
    pasted, left, top = paste_soft_mask(soft_mask, from_box, size)
    full[top : top + pasted.shape[0], left : left + pasted.shape[1]] = pasted
    yy, xx = np.mgrid[: size[0], : size[1]] + 0.5
    inside = (xx >= from_box[0]) & (xx <= from_box[2]) & (yy >= from_box[1]) & (yy <= from_box[3])
    expected = (full * inside)[to_box[1] : to_box[3], to_box[0] : to_box[2]]
    np.testing.assert_allclose(resample_soft_mask(soft_mask, from_box, to_box), expected, atol=1e-5)


def test_no_masks_are_no_problem():
    none = np.zeros((0, 4))
    assert resample_soft_masks(np.zeros((0, 28, 28), np.float32), none, none, 14).shape == (0, 14, 14)
    assert weighted_mean(np.zeros((0, 7, 7), np.float32), np.zeros(0), np.zeros(0, np.int64)).shape == (0, 7, 7)


def test_weighted_mean_by_hand():
    masks = np.float32([[[1.0]], [[0.0]], [[0.5]]])
    means = weighted_mean(masks, np.array([3, 1, 0.2]), np.array([0, 0, 1]))
    np.testing.assert_allclose(means, [[[0.75]], [[0.5]]])


def test_agreement_of_binary_masks_is_their_iou():
    first = np.float32([[[1, 1], [0, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    second = np.float32([[[1, 0], [1, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    np.testing.assert_allclose(agreement(first, second), [1 / 3, 1, 0])
