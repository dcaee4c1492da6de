"""The competition's mAP against hand-written cases and a slow version in sets of pixels and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.metric import (
    IOU_THRESHOLDS,
    count_matches,
    format_summary,
    image_score,
    score_images,
    summarise,
)
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (2, 24)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


def annotate(crops: list[MaskCrop], image_id: str = 'a', cell_type: str = 'cort') -> ImageAnnotations:
    """True cells of one class."""
    return ImageAnnotations(image_id, SIZE, tuple(crops), np.full(len(crops), CELL_TYPES.index(cell_type)))


def max_pairs(candidates: list[set[int]], taken: frozenset[int] = frozenset()) -> int:
    """Largest number of one-to-one pairs, by trying everything: candidates[i] are the found cells that i may have."""
    if not candidates:
        return 0
    first, rest = candidates[0], candidates[1:]
    tries = [1 + max_pairs(rest, taken | {pred}) for pred in first - taken]
    return max([max_pairs(rest, taken), *tries])


def slow_score(true: list[MaskCrop], pred: list[MaskCrop]) -> Fraction:
    """The rule, word by word, without a floating-point number."""
    gt_pixels = [set(map(tuple, np.argwhere(crop.to_full(SIZE)).tolist())) for crop in true]
    pred_pixels = [set(map(tuple, np.argwhere(crop.to_full(SIZE)).tolist())) for crop in pred]
    if not true and not pred:
        return Fraction(1)
    total = Fraction(0)
    for percent in range(50, 100, 5):
        candidates = [
            {
                index
                for index, b in enumerate(pred_pixels)
                if a & b and Fraction(len(a & b), len(a | b)) > Fraction(percent, 100)
            }
            for a in gt_pixels
        ]
        tp = max_pairs(candidates)
        fp, fn = len(pred) - tp, len(true) - tp
        total += Fraction(tp, tp + fp + fn)
    return total / 10


# Bars of a few pixels overlap, coincide and meet the thresholds exactly all the time.
BARS = st.lists(st.builds(bar, st.integers(0, 4), st.integers(1, 20)), max_size=5)


def test_thresholds_are_the_nearest_doubles():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@given(BARS, BARS)
@example([bar(0, 20)], [bar(0, 11)])
def test_equals_the_slow_version(true, pred):
    assert image_score(mask_iou(true, pred, SIZE)) == pytest.approx(float(slow_score(true, pred)), abs=1e-12)


@given(st.data())
def test_matching_is_the_largest_on_any_matrix(data):
    shape = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
    levels = st.sampled_from([0.0, 0.5, *(np.nextafter(t, 1) for t in IOU_THRESHOLDS), *IOU_THRESHOLDS, 1.0])
    values = data.draw(st.lists(levels, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    iou = np.array(values, dtype=np.float64).reshape(shape)
    expected = [
        max_pairs([set(np.flatnonzero(row > threshold).tolist()) for row in iou]) for threshold in IOU_THRESHOLDS
    ]
    counts = count_matches(iou)
    assert counts.dtype == np.int64
    assert counts.tolist() == expected


LABELS = st.lists(st.integers(0, 3), min_size=48, max_size=48)


@given(LABELS, st.dictionaries(st.integers(0, 47), st.integers(0, 3), max_size=20))
def test_label_images_score_as_the_field_counts_them(labels, changes):
    """Cells that do not overlap, counted from the table of overlaps of two label images, as published tools do it."""
    true = np.array(labels).reshape(SIZE)
    pred = true.copy()
    pred.flat[list(changes)] = list(changes.values())
    overlaps = np.zeros((4, 4))
    np.add.at(overlaps, (true, pred), 1)
    unions = overlaps.sum(axis=1, keepdims=True) + overlaps.sum(axis=0, keepdims=True) - overlaps
    iou = (overlaps / np.maximum(unions, 1))[1:, 1:]
    gt_cells, pred_cells = ([cells == label for label in (1, 2, 3) if (cells == label).any()] for cells in (true, pred))
    hits = np.array([(iou > threshold).sum() for threshold in IOU_THRESHOLDS])
    cells = len(gt_cells) + len(pred_cells)
    expected = (hits / (cells - hits)).mean() if cells else 1.0
    crops = [[MaskCrop.from_full(mask) for mask in masks] for masks in (gt_cells, pred_cells)]
    assert image_score(mask_iou(*crops, SIZE)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('percent', range(50, 100, 5))
def test_an_iou_at_a_threshold_is_no_hit(percent):
    # percent / 5 of 20 pixels are found: the IoU is the threshold itself, and only the thresholds below are passed.
    counts = count_matches(mask_iou([bar(0, 20)], [bar(0, percent // 5)], SIZE))
    assert counts.tolist() == [int(threshold < percent) for threshold in range(50, 100, 5)]


def test_one_found_cell_cannot_hit_two_true_cells():
    # The image is annotated twice: 2 true cells, 1 found, so that TP = 1, FN = 1 at each threshold.
    assert image_score(mask_iou([bar(0, 10), bar(0, 10)], [bar(0, 10)], SIZE)) == 0.5


def test_a_greedy_choice_would_lose_a_pair():
    # Found 0 overlaps both true cells, found 1 only true 0. Taking the best IoU first (true 0, found 0) leaves true 1.
    iou = np.array([[0.9, 0.6], [0.8, 0.0]])
    assert count_matches(iou).tolist() == [2, 2, 1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ('true', 'pred', 'score'),
    [
        ([bar(0, 5)], [], 0.0),  # missed
        ([], [bar(0, 5)], 0.0),  # spurious
        ([], [], 1.0),  # nothing to find, nothing found
        ([bar(0, 5)], [bar(0, 5)], 1.0),  # perfect
        ([bar(0, 5)], [bar(0, 5), bar(8, 5)], 0.5),  # a hit and a spurious cell
        ([bar(0, 5)], [bar(12, 5)], 0.0),  # elsewhere
        ([bar(0, 5)], [bar(0, 4)], 0.6),  # IoU 0.8: above .5, .55, .6, .65, .7 and .75, not above .8
    ],
)
def test_hand_written_images(true, pred, score):
    assert image_score(mask_iou(true, pred, SIZE)) == pytest.approx(score)


def test_table_has_a_row_an_image():
    gt = {
        'a': annotate([bar(0, 5), bar(8, 5)], 'a', 'astro'),
        'b': annotate([bar(0, 5)], 'b', 'shsy5y'),
        'c': annotate([], 'c'),
    }
    table = score_images(gt, {'c': [], 'a': [bar(0, 5), bar(8, 4)]})
    assert table['image_id'].tolist() == ['a', 'b', 'c']
    assert table['cell_type'].tolist() == ['astro', 'shsy5y', 'none']
    assert table['n_gt'].tolist() == [2, 1, 0]
    assert table['n_pred'].tolist() == [2, 0, 0]
    assert table['tp_50'].tolist() == [2, 0, 0]
    assert table['tp_80'].tolist() == [1, 0, 0]
    # Image a: six thresholds with both cells, four with one of two found and two true (1 / 3).
    assert table['score'].tolist() == pytest.approx([(6 + 4 / 3) / 10, 0, 1])


def test_an_unknown_image_is_refused():
    with pytest.raises(InputError, match="'b'"):
        score_images({'a': annotate([])}, {'a': [], 'b': []})


def test_no_image_is_refused():
    with pytest.raises(InputError, match='no image'):
        score_images({}, {})
    with pytest.raises(InputError, match='no image'):
        summarise(score_images({'a': annotate([])}, {}).iloc[:0])


def test_summary_adds_up():
    gt = {
        'a': annotate([bar(0, 5)], 'a', 'cort'),
        'b': annotate([bar(0, 5), bar(8, 5)], 'b', 'cort'),
        'c': annotate([bar(0, 5)], 'c', 'astro'),
    }
    pred = {'a': [bar(0, 5)], 'b': [bar(0, 5)], 'c': [bar(0, 4), bar(9, 2)]}
    summary = summarise(score_images(gt, pred))
    # c: IoU 0.8, six thresholds with TP = 1 of one true and two found cells.
    assert summary.score == pytest.approx((1 + 0.5 + 0.3) / 3)
    assert summary.per_class['cell_type'].tolist() == ['astro', 'cort']
    assert summary.per_class['images'].tolist() == [1, 2]
    assert summary.per_class['score'].tolist() == pytest.approx([0.3, 0.75])
    at_50, at_80 = (summary.per_threshold.iloc[index] for index in (0, 6))
    assert (at_50['tp'], at_50['fp'], at_50['fn']) == (3, 1, 1)
    assert at_50['precision'] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert (at_80['tp'], at_80['fp'], at_80['fn']) == (2, 2, 2)
    assert summary.per_threshold['precision'].mean() == pytest.approx(summary.score)


def test_interval_holds_the_score_narrows_with_images_and_is_repeatable():
    rng = np.random.default_rng(0)
    few = {str(index): annotate([bar(0, 20)], str(index)) for index in range(10)}
    many = {str(index): annotate([bar(0, 20)], str(index)) for index in range(200)}
    pred = {str(index): [bar(0, int(rng.integers(10, 21)))] for index in range(200)}
    narrow = summarise(score_images(many, pred))
    wide = summarise(score_images(few, {image_id: pred[image_id] for image_id in few}))
    for summary in (narrow, wide):
        assert summary.interval[0] < summary.score < summary.interval[1]
    assert narrow.interval[1] - narrow.interval[0] < (wide.interval[1] - wide.interval[0]) / 2
    assert summarise(score_images(many, pred)).interval == narrow.interval
    # The mean of 200 scores is nearly normal: 1.96 standard errors to each side.
    scores = score_images(many, pred)['score']
    error = 1.96 * scores.std(ddof=0) / 200**0.5
    assert narrow.interval == pytest.approx((narrow.score - error, narrow.score + error), abs=0.005)


def test_interval_of_one_image_is_its_score():
    summary = summarise(score_images({'a': annotate([bar(0, 5)])}, {'a': [bar(0, 4)]}))
    assert summary.interval == (summary.score, summary.score) == pytest.approx((0.6, 0.6))


def test_summary_as_text():
    summary = summarise(score_images({'a': annotate([bar(0, 5)])}, {'a': [bar(0, 4)]}))
    lines = format_summary(summary).splitlines()
    assert lines[1].split() == ['all', '1', '1', '1', '0.6000', '0.6000', 'to', '0.6000']
    assert lines[2].split()[0] == 'cort'
    assert lines[-1].split() == ['0.95', '0', '1', '1', '0.0000']
