"""Which found cell hits which true cell."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.evaluation.matching import match_cells
from sartorius.evaluation.metric import count_matches
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou

SIZE = (12, 30)
BARS = st.builds(
    lambda x, width: MaskCrop(np.ones((2, width), dtype=bool), x, 4), st.integers(0, 20), st.integers(1, 9)
)


def bar(x: int, width: int) -> MaskCrop:
    return MaskCrop(np.ones((1, width), dtype=bool), x, 3)


def test_an_iou_of_exactly_one_half_is_no_hit() -> None:
    # 2 of 4 pixels in common, then 3 of 4.
    assert match_cells([bar(0, 4)], [bar(0, 2)], SIZE).hits == 0
    matches = match_cells([bar(0, 4)], [bar(0, 3)], SIZE)
    assert matches.hits == 1
    assert matches.gt_iou.tolist() == matches.pred_iou.tolist() == [0.75]


def test_a_true_cell_is_hit_once() -> None:
    matches = match_cells([bar(0, 10)], [bar(0, 8), bar(0, 9), bar(20, 3)], SIZE)
    assert matches.gt_matched.tolist() == [True]
    # The better of the two wins; the other is extra, though it lies on the cell.
    assert matches.pred_matched.tolist() == [False, True, False]
    assert matches.pred_iou.tolist() == [0.8, 0.9, 0]


def test_more_pairs_win_over_a_better_pair() -> None:
    gt, pred = [bar(0, 10), bar(0, 7)], [bar(0, 8), bar(0, 16)]
    # The first found cell meets the second true one best (7/8), but then the second found cell stands alone with the
    # first true one (10/16): both pairs count.
    assert match_cells(gt, pred, SIZE).hits == 2


def test_no_cells() -> None:
    assert match_cells([], [bar(0, 3)], SIZE).pred_matched.tolist() == [False]
    assert match_cells([bar(0, 3)], [], SIZE).gt_iou.tolist() == [0]
    assert match_cells([], [], SIZE).hits == 0


@given(gt=st.lists(BARS, max_size=7), pred=st.lists(BARS, max_size=7))
@settings(deadline=None)
def test_there_are_as_many_hits_as_the_score_counts(gt: list[MaskCrop], pred: list[MaskCrop]) -> None:
    matches = match_cells(gt, pred, SIZE)
    expected = int(count_matches(mask_iou(gt, pred, SIZE))[0])
    assert matches.hits == int(matches.gt_matched.sum()) == expected
