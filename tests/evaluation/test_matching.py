"""Matching of ground truth and predictions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.evaluation.matching import match
from sartorius.evaluation.metric import count_tp
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou

SIZE = (12, 30)
BARS = st.builds(
    lambda x, width: MaskCrop(np.ones((2, width), dtype=bool), x, 4), st.integers(0, 20), st.integers(1, 9)
)


def bar(x: int, width: int) -> MaskCrop:
    return MaskCrop(np.ones((1, width), dtype=bool), x, 3)


def test_an_iou_of_exactly_one_half_is_no_match() -> None:
    # 2 of 4 pixels in common, then 3 of 4.
    assert match([bar(0, 4)], [bar(0, 2)], SIZE).tp == 0
    matching = match([bar(0, 4)], [bar(0, 3)], SIZE)
    assert matching.tp == 1
    assert matching.gt_iou.tolist() == matching.pred_iou.tolist() == [0.75]


def test_a_ground_truth_cell_is_matched_once() -> None:
    matching = match([bar(0, 10)], [bar(0, 8), bar(0, 9), bar(20, 3)], SIZE)
    assert matching.gt_matched.tolist() == [True]
    # The better of the two wins; the other is a false positive, though it lies on the cell.
    assert matching.pred_matched.tolist() == [False, True, False]
    assert matching.pred_iou.tolist() == [0.8, 0.9, 0]


def test_more_pairs_win_over_a_better_pair() -> None:
    gt, pred = [bar(0, 10), bar(0, 7)], [bar(0, 8), bar(0, 16)]
    # pred 0 meets gt 1 best (7/8), but only gt 0 is left for pred 1 then (10/16): both pairs count.
    assert match(gt, pred, SIZE).tp == 2


def test_no_cells() -> None:
    assert match([], [bar(0, 3)], SIZE).pred_matched.tolist() == [False]
    assert match([bar(0, 3)], [], SIZE).gt_iou.tolist() == [0]
    assert match([], [], SIZE).tp == 0


@given(gt=st.lists(BARS, max_size=7), pred=st.lists(BARS, max_size=7))
@settings(deadline=None)
def test_tp_is_what_the_score_counts(gt: list[MaskCrop], pred: list[MaskCrop]) -> None:
    matching = match(gt, pred, SIZE)
    expected = int(count_tp(mask_iou(gt, pred, SIZE))[0])
    assert matching.tp == int(matching.gt_matched.sum()) == expected
    assert (matching.tp + matching.fn, matching.tp + matching.fp) == (len(gt), len(pred))
