"""Non-maximum suppression on boxes and masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import (
    box_iou,
    box_nms,
    containment_nms,
    gaussian_soft_nms,
    linear_soft_nms,
    mask_nms,
    paired_box_iou,
)

SIZE = (20, 40)


def boxes_of(*rows) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 50 / 150),
        ((10, 0, 20, 10), 0.0),  # touching
        ((0, 0, 5, 5), 25 / 100),  # inside
        ((3, 3, 3, 3), 0.0),  # no area
    ],
)
def test_box_iou(box, expected):
    assert box_iou(boxes_of((0, 0, 10, 10)), boxes_of(box)) == pytest.approx(expected)


def test_box_iou_of_two_boxes_without_area_is_zero():
    assert box_iou(boxes_of((3, 3, 3, 3)), boxes_of((3, 3, 3, 3))) == 0


def test_suppressed_boxes_suppress_nothing():
    # The second overlaps both others, which do not overlap each other: it is dropped, the third is kept.
    boxes = boxes_of((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10))
    assert box_nms(boxes, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_result_is_in_the_order_of_the_scores_and_equal_scores_keep_theirs():
    boxes = boxes_of((0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 10, 10))
    assert box_nms(boxes, np.array([0.5, 0.9, 0.5]), 0.5).tolist() == [1, 0]


def test_iou_equal_to_the_threshold_stays_and_the_weaker_box_decides():
    boxes, scores = boxes_of((0, 0, 10, 10), (0, 0, 10, 5)), np.array([0.9, 0.8])
    assert box_nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert box_nms(boxes, scores, np.array([0.1, 0.6])).tolist() == [0, 1]
    assert box_nms(boxes, scores, np.array([0.6, 0.1])).tolist() == [0]


def test_mask_nms_looks_at_pixels_not_boxes():
    # Two triangles fill the same box and share its diagonal alone.
    lower = MaskCrop(np.tri(8, dtype=bool), 4, 4)
    upper = MaskCrop(np.tri(8, dtype=bool).T, 4, 4)
    assert mask_nms([lower, upper, lower], np.array([0.7, 0.8, 0.9]), SIZE, 0.5).tolist() == [2, 1]


# A cell of 100 pixels; a bar of 10 of which it holds 8; a bar of 5 of which it holds 3. The bars do not meet.
CELL, MOST, HALF = (
    MaskCrop(np.ones(shape, dtype=bool), x, y) for shape, x, y in [((10, 10), 0, 0), ((1, 10), 2, 2), ((1, 5), 7, 5)]
)


@pytest.mark.parametrize(
    ('scores', 'threshold', 'kept'),
    [
        ([0.9, 0.8, 0.7], 0.85, [0, 1, 2]),
        ([0.9, 0.8, 0.7], 0.8, [0, 1, 2]),  # 8 of 10 is not more than .8
        ([0.9, 0.8, 0.7], 0.7, [0, 2]),
        ([0.9, 0.8, 0.7], 0.5, [0]),
        ([0.7, 0.8, 0.6], 0.7, [1, 2]),  # a better-scored fragment costs the cell its place
        ([0.7, 0.6, 0.8], 0.7, [2, 0]),
    ],
)
def test_containment_nms_divides_by_the_smaller_cell(scores, threshold, kept):
    assert containment_nms([CELL, MOST, HALF], np.array(scores), SIZE, threshold).tolist() == kept


def test_containment_nms_takes_the_threshold_of_the_weaker_cell():
    scores = np.array([0.9, 0.8, 0.7])
    assert containment_nms([CELL, MOST, HALF], scores, SIZE, np.array([0.1, 0.9, 0.1])).tolist() == [0, 1]


def test_containment_counts_pixels_inside_the_image():
    # Of the 4 x 4 cell at the corner 2 x 2 pixels lie in the image, and all of these in the larger one.
    outside = MaskCrop(np.ones((4, 4), dtype=bool), -2, -2)
    empty = MaskCrop(np.zeros((3, 3), dtype=bool), 0, 0)
    scores = np.array([0.9, 0.8, 0.7])
    assert containment_nms([CELL, outside, empty], scores, SIZE, 0.99).tolist() == [0, 2]


@pytest.mark.parametrize(
    ('suppress', 'parameter', 'lowered'),
    [
        # The second overlaps both others by an IoU of 1/3, which do not overlap each other. It comes last:
        # .8 * 2/3 = .53 and .8 * exp(-2/9) = .64 are less than .7, and the third box lowers it once more.
        (linear_soft_nms, 0.3, [0.9, 0.8 * 4 / 9, 0.7]),
        (linear_soft_nms, 1 / 3, [0.9, 0.8, 0.7]),
        (linear_soft_nms, np.array([0, 0.4, 0]), [0.9, 0.8, 0.7 * 2 / 3]),
        (gaussian_soft_nms, 0.5, [0.9, 0.8 * np.exp(-4 / 9), 0.7]),
    ],
)
def test_soft_nms(suppress, parameter, lowered):
    boxes = boxes_of((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10))
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), parameter).tolist() == pytest.approx(lowered)
    # Boxes of different labels leave each other alone.
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), parameter, np.arange(3)).tolist() == [0.9, 0.8, 0.7]


def test_soft_nms_of_equal_boxes_with_equal_scores_leaves_the_first_as_it_is():
    boxes = boxes_of(*[(0, 0, 10, 10)] * 3)
    assert linear_soft_nms(boxes, np.array([0.5, 0.5, 0.5]), 0.5).tolist() == [0.5, 0, 0]


def slow_soft_nms(boxes, scores, factor):
    """Bodla et al., algorithm 1: take the best box, lower the rest, and so on."""
    lowered, rest = np.array(scores, dtype=np.float64), np.arange(len(scores))
    while rest.size > 1:
        first = lowered[rest].argmax()
        best, rest = rest[first], np.delete(rest, first)
        lowered[rest] *= factor(box_iou(boxes[[best]], boxes[rest])[0], rest)
    return lowered


@settings(deadline=None)
@given(count=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_soft_nms_equals_the_slow_version(count, seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 12, (count, 2))], axis=1).astype(np.float32)
    scores, limits = rng.integers(-1, 5, count) / 4, rng.uniform(0.01, 1, count)
    slow = slow_soft_nms(boxes, scores, lambda iou, rest: np.where(iou > limits[rest], 1 - iou, 1.0))
    np.testing.assert_array_equal(linear_soft_nms(boxes, scores, limits), slow)
    slow = slow_soft_nms(boxes, scores, lambda iou, rest: np.exp(-np.square(iou) / limits[rest]))
    # numpy and numba round exp differently in the last bit of a double, which single precision does not show.
    np.testing.assert_array_equal(gaussian_soft_nms(boxes, scores, limits).astype(np.float32), slow.astype(np.float32))


def test_boxes_in_pairs_have_the_iou_of_the_matrix():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 9, (2, 30, 2))
    first, second = np.concatenate([corners, corners + rng.uniform(-1, 9, (2, 30, 2))], axis=2)
    np.testing.assert_array_equal(paired_box_iou(first, second), np.diag(box_iou(first, second)))


def test_no_cells():
    assert box_nms(boxes_of(), np.zeros(0), 0.5).tolist() == []
    assert mask_nms([], np.zeros(0), SIZE, 0.5).tolist() == []
    assert containment_nms([], np.zeros(0), SIZE, 0.5).tolist() == []
    assert linear_soft_nms(boxes_of(), np.zeros(0), 0.5).tolist() == []
    assert gaussian_soft_nms(boxes_of(), np.zeros(0), 0.5).tolist() == []


@settings(deadline=None)
@given(count=st.integers(1, 15), seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_box_nms_equals_the_slow_version(count, seed, threshold):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 20, (count, 2))
    boxes = np.concatenate([corners, corners + rng.integers(0, 12, (count, 2))], axis=1).astype(np.float32)
    scores = rng.integers(0, 4, count) / 4
    kept: list[int] = []
    for index in sorted(range(count), key=lambda index: (-scores[index], index)):
        if all(box_iou(boxes[[index]], boxes[[other]])[0, 0] <= threshold for other in kept):
            kept.append(index)
    assert box_nms(boxes, scores, threshold).tolist() == kept


@settings(deadline=None)
@given(count=st.integers(1, 12), seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_containment_nms_equals_the_slow_version(count, seed, threshold):
    rng = np.random.default_rng(seed)
    shapes, corners = rng.integers(0, 9, (count, 2)), rng.integers(-4, 20, (count, 2))
    crops = [MaskCrop(rng.random(tuple(shape)) < 0.7, *map(int, at)) for shape, at in zip(shapes, corners, strict=True)]
    full = [crop.to_full(SIZE) for crop in crops]
    scores = rng.integers(0, 4, count) / 4
    kept: list[int] = []
    for index in sorted(range(count), key=lambda index: (-scores[index], index)):
        shared = [np.count_nonzero(full[index] & full[other]) for other in kept]
        smaller = [min(full[index].sum(), full[other].sum()) for other in kept]
        if all(own <= threshold * area for own, area in zip(shared, smaller, strict=True)):
            kept.append(index)
    assert containment_nms(crops, scores, SIZE, threshold).tolist() == kept
