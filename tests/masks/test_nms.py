"""Non-maximum suppression on boxes and masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import box_iou, box_nms, mask_nms

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
    # The second overlaps both others, which do not overlap each other: it goes, the third stays.
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


def test_no_cells():
    assert box_nms(boxes_of(), np.zeros(0), 0.5).tolist() == []
    assert mask_nms([], np.zeros(0), SIZE, 0.5).tolist() == []


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
