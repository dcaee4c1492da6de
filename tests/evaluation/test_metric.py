"""The competition's mAP against hand-written cases and a slow version in sets of pixels and fractions."""

import doctest
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation import matching, metric
from sartorius.evaluation.bootstrap import Estimate
from sartorius.evaluation.metric import (
    IOU_THRESHOLDS,
    count_tp,
    format_interval,
    format_score_summary,
    image_score,
    score_images,
    summarise_scores,
)
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (2, 24)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


def annotate(crops: list[MaskCrop], image_id: str = 'a', cell_type: str = 'cort') -> ImageAnnotations:
    """Ground truth of one class."""
    return ImageAnnotations(image_id, SIZE, tuple(crops), np.full(len(crops), CELL_TYPES.index(cell_type)))


def max_pairs(candidates: list[set[int]], taken: frozenset[int] = frozenset()) -> int:
    """Largest number of one-to-one pairs, by trying everything; candidates[i]: predictions that cell i may match."""
    if not candidates:
        return 0
    first, rest = candidates[0], candidates[1:]
    tries = [1 + max_pairs(rest, taken | {pred}) for pred in first - taken]
    return max([max_pairs(rest, taken), *tries])


def slow_score(gt: list[MaskCrop], pred: list[MaskCrop]) -> Fraction:
    """The rule, word by word, without a floating-point number."""
    gt_pixels = [set(map(tuple, np.argwhere(crop.to_full(SIZE)).tolist())) for crop in gt]
    pred_pixels = [set(map(tuple, np.argwhere(crop.to_full(SIZE)).tolist())) for crop in pred]
    if not gt and not pred:
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
        fp, fn = len(pred) - tp, len(gt) - tp
        total += Fraction(tp, tp + fp + fn)
    return total / 10


# Bars of a few pixels overlap, coincide and meet the thresholds exactly all the time.
BARS = st.lists(st.builds(bar, st.integers(0, 4), st.integers(1, 20)), max_size=5)


def test_thresholds_are_the_nearest_doubles():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@given(BARS, BARS)
@example([bar(0, 20)], [bar(0, 11)])
def test_equals_the_slow_version(gt, pred):
    assert image_score(mask_iou(gt, pred, SIZE)) == pytest.approx(float(slow_score(gt, pred)), abs=1e-12)


@given(st.data())
def test_tp_is_the_largest_matching_of_any_matrix(data):
    shape = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))
    levels = st.sampled_from([0.0, 0.5, *(np.nextafter(t, 1) for t in IOU_THRESHOLDS), *IOU_THRESHOLDS, 1.0])
    values = data.draw(st.lists(levels, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    iou = np.array(values, dtype=np.float64).reshape(shape)
    expected = [
        max_pairs([set(np.flatnonzero(row > threshold).tolist()) for row in iou]) for threshold in IOU_THRESHOLDS
    ]
    tp = count_tp(iou)
    assert tp.dtype == np.int64
    assert tp.tolist() == expected


LABELS = st.lists(st.integers(0, 3), min_size=48, max_size=48)


@given(LABELS, st.dictionaries(st.integers(0, 47), st.integers(0, 3), max_size=20))
def test_label_images_score_as_the_field_counts_them(labels, changes):
    """Cells that do not overlap, counted from the table of overlaps of two label images, as published tools do it."""
    gt = np.array(labels).reshape(SIZE)
    pred = gt.copy()
    pred.flat[list(changes)] = list(changes.values())
    overlaps = np.zeros((4, 4))
    np.add.at(overlaps, (gt, pred), 1)
    unions = overlaps.sum(axis=1, keepdims=True) + overlaps.sum(axis=0, keepdims=True) - overlaps
    iou = (overlaps / np.maximum(unions, 1))[1:, 1:]
    gt_cells, pred_cells = ([cells == label for label in (1, 2, 3) if (cells == label).any()] for cells in (gt, pred))
    tp = np.array([(iou > threshold).sum() for threshold in IOU_THRESHOLDS])
    cells = len(gt_cells) + len(pred_cells)
    expected = (tp / (cells - tp)).mean() if cells else 1.0
    crops = [[MaskCrop.from_full(mask) for mask in masks] for masks in (gt_cells, pred_cells)]
    assert image_score(mask_iou(*crops, SIZE)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('percent', range(50, 100, 5))
def test_an_iou_at_a_threshold_is_no_true_positive(percent):
    # percent / 5 of 20 pixels are predicted: the IoU is the threshold itself, and only the thresholds below are passed.
    tp = count_tp(mask_iou([bar(0, 20)], [bar(0, percent // 5)], SIZE))
    assert tp.tolist() == [int(threshold < percent) for threshold in range(50, 100, 5)]


def test_a_prediction_matches_one_ground_truth_cell_only():
    # The image is annotated twice: 2 ground-truth cells, 1 prediction, so that TP = 1, FN = 1 at each threshold.
    assert image_score(mask_iou([bar(0, 10), bar(0, 10)], [bar(0, 10)], SIZE)) == 0.5


def test_a_greedy_choice_would_lose_a_pair():
    # pred 0 overlaps both gt cells, pred 1 only gt 0. Taking the best IoU first (gt 0, pred 0) leaves gt 1.
    iou = np.array([[0.9, 0.6], [0.8, 0.0]])
    assert count_tp(iou).tolist() == [2, 2, 1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ('gt', 'pred', 'score'),
    [
        ([bar(0, 5)], [], 0.0),  # missed
        ([], [bar(0, 5)], 0.0),  # spurious
        ([], [], 1.0),  # neither ground truth nor prediction
        ([bar(0, 5)], [bar(0, 5)], 1.0),  # perfect
        ([bar(0, 5)], [bar(0, 5), bar(8, 5)], 0.5),  # a true and a false positive
        ([bar(0, 5)], [bar(12, 5)], 0.0),  # elsewhere
        ([bar(0, 5)], [bar(0, 4)], 0.6),  # IoU 0.8: above .5, .55, .6, .65, .7 and .75, not above .8
    ],
)
def test_hand_written_images(gt, pred, score):
    assert image_score(mask_iou(gt, pred, SIZE)) == pytest.approx(score)


def test_table_has_one_row_per_image():
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
    # Image a: six thresholds with both cells, four with TP 1, FP 1, FN 1 (1 / 3).
    assert table['score'].tolist() == pytest.approx([(6 + 4 / 3) / 10, 0, 1])


def test_an_unknown_image_is_refused():
    with pytest.raises(InputError, match="'b'"):
        score_images({'a': annotate([])}, {'a': [], 'b': []})


def test_no_image_is_refused():
    with pytest.raises(InputError, match='no image'):
        score_images({}, {})
    with pytest.raises(InputError, match='no image'):
        summarise_scores(score_images({'a': annotate([])}, {}).iloc[:0], {})


def test_summary_adds_up():
    gt = {
        'a': annotate([bar(0, 5)], 'a', 'cort'),
        'b': annotate([bar(0, 5), bar(8, 5)], 'b', 'cort'),
        'c': annotate([bar(0, 5)], 'c', 'astro'),
    }
    pred = {'a': [bar(0, 5)], 'b': [bar(0, 5)], 'c': [bar(0, 4), bar(9, 2)]}
    summary = summarise_scores(score_images(gt, pred), {})
    # c: IoU 0.8, six thresholds with TP 1, FP 1, FN 0.
    assert summary.score.mean == pytest.approx((1 + 0.5 + 0.3) / 3)
    assert summary.per_class['cell_type'].tolist() == ['astro', 'cort']
    assert summary.per_class['images'].tolist() == [1, 2]
    assert summary.per_class['score'].tolist() == pytest.approx([0.3, 0.75])
    at_50, at_80 = (summary.per_threshold.iloc[index] for index in (0, 6))
    assert (at_50['tp'], at_50['fp'], at_50['fn']) == (3, 1, 1)
    assert at_50['precision'] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert (at_80['tp'], at_80['fp'], at_80['fn']) == (2, 2, 2)
    assert summary.per_threshold['precision'].mean() == pytest.approx(summary.score.mean)


def scored_bars(images: int) -> pd.DataFrame:
    """Table of images with one cell each, of which half to all pixels are predicted."""
    rng = np.random.default_rng(0)
    gt = {str(index): annotate([bar(0, 20)], str(index)) for index in range(images)}
    return score_images(gt, {str(index): [bar(0, int(rng.integers(10, 21)))] for index in range(images)})


def test_interval_holds_the_score_narrows_with_images_and_is_repeatable():
    table = scored_bars(200)
    many, few = (summarise_scores(rows, {}).score for rows in (table, table[:10]))
    for score in (many, few):
        assert score.low < score.mean < score.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert summarise_scores(table, {}).score == many
    # The mean of 200 scores is nearly normal: 1.96 standard errors to each side.
    error = 1.96 * table['score'].std(ddof=0) / 200**0.5
    assert (many.low, many.high) == pytest.approx((many.mean - error, many.mean + error), abs=0.005)


def test_intervals_are_over_groups():
    """200 images of 5 groups, all images of a group alike: as uncertain as 5 images."""
    five = scored_bars(5)
    table = pd.concat([five.assign(image_id=[f'{name}_{copy}' for name in five['image_id']]) for copy in range(40)])
    groups = {image_id: image_id.split('_')[0] for image_id in table['image_id']}
    summary, of_five = summarise_scores(table, groups), summarise_scores(five, {})
    assert summary.score == pytest.approx(of_five.score)
    assert summarise_scores(table, {}).score.low > summary.score.low
    columns = ['score', 'low', 'high', 'groups']
    assert summary.groups == 5
    assert summary.per_class[columns].to_numpy() == pytest.approx(of_five.per_class[columns].to_numpy())


def test_interval_of_one_image_is_its_score():
    summary = summarise_scores(score_images({'a': annotate([bar(0, 5)])}, {'a': [bar(0, 4)]}), {'b': 'other'})
    assert summary.score == pytest.approx((0.6, 0.6, 0.6))


def test_a_single_group_has_no_interval():
    assert format_interval(Estimate(0.5, 0.25, 0.75), 3) == '0.250 to 0.750 (3 groups)'
    assert format_interval(Estimate(0.5, 0.5, 0.5), 1) == '- (1 group)'


def test_summary_as_text():
    summary = summarise_scores(score_images({'a': annotate([bar(0, 5)])}, {'a': [bar(0, 4)]}), {})
    lines = format_score_summary(summary).splitlines()
    assert lines[0].split()[:5] == ['class', 'images', 'gt', 'pred', 'mAP']
    assert lines[1].split() == ['all', '1', '1', '1', '0.6000', '-', '(1', 'group)']
    assert lines[2].split()[0] == 'cort'
    assert lines[-1].split() == ['0.95', '0', '1', '1', '0.0000']


def test_the_examples_of_docstrings_and_docs_run(repo_root):
    for module in (metric, matching):
        failed, run = doctest.testmod(module)
        assert run
        assert not failed
    failed, run = doctest.testfile(str(repo_root / 'docs/metric.md'), module_relative=False)
    assert run
    assert not failed
