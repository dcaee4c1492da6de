"""What is wrong with each cell, and what the score would be if it were right: hand-written cases and properties."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sartorius.annotations.reading import load_annotations
from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import CATEGORIES, ERRORS, ImageErrors, classify_cells
from sartorius.evaluation.error_analysis import ALL, BORDER, CELL_COLUMNS, analyse_errors, error_gains
from sartorius.evaluation.metric import image_score, score_images
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.utils.errors import InputError

SIZE = (6, 24)


def bar(start: int, length: int, row: int = 2) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


def box(x: int, y: int, width: int, height: int) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def ring(x: int, y: int, width: int, height: int) -> MaskCrop:
    """A box without its inside."""
    mask = np.ones((height, width), dtype=bool)
    mask[1:-1, 1:-1] = False
    return MaskCrop(mask, x, y)


NO_PIXELS = MaskCrop(np.zeros((2, 3), dtype=bool), 4, 1)
WHOLE = box(0, 0, SIZE[1], SIZE[0])
OUTSIDE = box(100, 100, 3, 3)


@pytest.mark.parametrize(
    ('gt', 'pred', 'gt_categories', 'pred_categories'),
    [
        # 20 of 20 pixels; 19 of 20 are an IoU of .95, which the last threshold does not count.
        ([bar(0, 20)], [bar(0, 20)], ['correct'], ['correct']),
        ([bar(0, 20)], [bar(0, 19)], ['inexact outline'], ['inexact outline']),
        # 16 and 15 of 20 pixels: above .75 and at .75.
        ([bar(0, 20)], [bar(0, 16)], ['inexact outline'], ['inexact outline']),
        ([bar(0, 20)], [bar(0, 15)], ['poor outline'], ['poor outline']),
        # 11, 10, 3 and 2 of 20: above .5 a match; at .5 none; above .1 a near miss; at .1 unrelated.
        ([bar(0, 20)], [bar(0, 11)], ['poor outline'], ['poor outline']),
        ([bar(0, 20)], [bar(0, 10)], ['near miss'], ['near miss']),
        ([bar(0, 20)], [bar(0, 3)], ['near miss'], ['near miss']),
        ([bar(0, 20)], [bar(0, 2)], ['missed'], ['spurious']),
        ([bar(0, 5)], [bar(12, 5)], ['missed'], ['spurious']),
        ([bar(0, 5)], [], ['missed'], []),
        ([], [bar(0, 5)], [], ['spurious']),
        ([], [], [], []),
        # One prediction over two gt cells; it matches the first (8 of 14).
        ([bar(0, 8), bar(8, 6)], [bar(0, 14)], ['merged', 'merged'], ['merged']),
        # It covers all of the first and exactly half of the second: no merge.
        ([bar(0, 8), bar(8, 6)], [bar(0, 11)], ['poor outline', 'missed'], ['poor outline']),
        # Merged, though neither is matched (6 of 18 each), and a third piece on one of them.
        (
            [bar(0, 6), bar(12, 6)],
            [bar(2, 14), bar(0, 2)],
            ['merged', 'merged'],
            ['merged', 'duplicate'],
        ),
        # Two halves of a cell; then three pieces of which none alone would count as near.
        ([bar(0, 20)], [bar(0, 10), bar(10, 10)], ['split'], ['split', 'split']),
        ([bar(0, 20)], [bar(0, 2), bar(5, 2), bar(9, 2)], ['split'], ['split'] * 3),
        # Two crumbs that together make up a tenth: nothing was split.
        ([bar(0, 20)], [bar(0, 1), bar(5, 1)], ['missed'], ['spurious', 'spurious']),
        # A second prediction on a matched cell, or half of it, which is not enough.
        ([bar(0, 12)], [bar(0, 8), bar(8, 4)], ['poor outline'], ['poor outline', 'duplicate']),
        ([bar(0, 12)], [bar(0, 8), bar(8, 8)], ['poor outline'], ['poor outline', 'spurious']),
        # Two near ones: the better is the near miss (3 of 6 before 3 of 15; 5 of 16 before 3 of 10).
        ([bar(0, 6)], [bar(3, 12), bar(0, 3)], ['near miss'], ['spurious', 'near miss']),
        ([bar(4, 10)], [bar(9, 11), bar(4, 3)], ['near miss'], ['near miss', 'duplicate']),
        # The same cell labelled twice: one is matched, and the other is a double label.
        ([bar(0, 8), bar(0, 8)], [bar(0, 8)], ['correct', 'double label'], ['correct']),
        ([bar(0, 12), bar(0, 4)], [bar(0, 12)], ['correct', 'double label'], ['correct']),
        # Labelled twice and not predicted: one is missed, the larger.
        ([bar(0, 8), bar(0, 9)], [], ['double label', 'missed'], []),
        # Two predicted pieces of a cell that is labelled twice: one label is split, the other a double.
        (
            [bar(0, 20), bar(0, 20)],
            [bar(0, 10), bar(10, 10)],
            ['split', 'double label'],
            ['split', 'split'],
        ),
        # Twice labelled, twice predicted: each is matched once (6 of 10 and 6 of 10).
        ([bar(0, 10), bar(3, 10)], [bar(0, 6), bar(7, 6)], ['poor outline'] * 2, ['poor outline'] * 2),
        # A ring of 14 of 20 pixels, solid in the other: IoU .7, and 1 when filled. On either side.
        ([ring(1, 1, 5, 4)], [box(1, 1, 5, 4)], ['wrong holes'], ['wrong holes']),
        ([box(1, 1, 5, 4)], [ring(1, 1, 5, 4)], ['wrong holes'], ['wrong holes']),
        # A small cell inside a ring has nothing to do with it; one that fills it has.
        ([ring(2, 0, 6, 5)], [box(3, 1, 4, 1)], ['missed'], ['spurious']),
        ([ring(0, 0, 22, 6)], [box(1, 1, 20, 4)], ['wrong holes'], ['wrong holes']),
        # A ring of 18 of 30 pixels and a box of 3 of its 5 columns. Filled: 18 of 30; the outline is what is wrong.
        ([ring(1, 0, 5, 6)], [box(1, 0, 3, 6)], ['near miss'], ['near miss']),
        # A ring of 48 around 72 pixels, predicted solid: an IoU of .4 matches nothing, and is 1 when filled.
        ([ring(0, 0, 20, 6)], [box(0, 0, 20, 6)], ['wrong holes'], ['wrong holes']),
        # Nothing matches a cell without pixels, and a prediction without pixels stands for nothing.
        ([NO_PIXELS, bar(0, 5)], [bar(0, 5), OUTSIDE], ['missed', 'correct'], ['correct', 'spurious']),
        # The whole image as one cell.
        ([WHOLE], [box(0, 0, 4, 6), box(4, 0, 4, 6)], ['split'], ['split', 'split']),
        ([box(0, 0, 4, 6), box(4, 0, 4, 6)], [WHOLE], ['merged', 'merged'], ['merged']),
    ],
)
def test_categories(gt, pred, gt_categories, pred_categories) -> None:
    errors = classify_cells(gt, pred, SIZE)
    assert errors.gt_category.tolist() == gt_categories
    assert errors.pred_category.tolist() == pred_categories


def test_two_splits_are_two_errors() -> None:
    gt, pred = [bar(0, 10), bar(12, 10)], [bar(0, 5), bar(17, 5), bar(5, 5), bar(12, 5)]
    errors = classify_cells(gt, pred, SIZE)
    assert errors.category.tolist() == ['split', 'split']
    assert errors.pred_group.tolist() == errors.gt_group[[0, 1, 0, 1]].tolist()


@st.composite
def disjoint_cells(draw) -> list[MaskCrop]:
    """Cells of a label image, in which no two share a pixel; they may have holes and several parts."""
    labels = np.zeros(SIZE, dtype=np.int64)
    for number in range(1, draw(st.integers(0, 6)) + 1):
        x, y = draw(st.integers(0, SIZE[1] - 1)), draw(st.integers(0, SIZE[0] - 1))
        labels[y : y + draw(st.integers(1, 6)), x : x + draw(st.integers(1, 12))] = number
    for y, x in draw(st.lists(st.tuples(st.integers(1, SIZE[0] - 2), st.integers(1, SIZE[1] - 2)), max_size=3)):
        labels[y, x] = 0
    return [MaskCrop.from_full(labels == number) for number in np.unique(labels[labels > 0])]


BOXES = st.builds(box, st.integers(-1, 23), st.integers(-1, 5), st.integers(1, 14), st.integers(1, 6))
ANY_CELLS = st.lists(st.one_of(BOXES, st.sampled_from([WHOLE, bar(3, 9), ring(2, 0, 6, 5)])), max_size=6)
GT = st.one_of(disjoint_cells(), ANY_CELLS)


def pixels(crop: MaskCrop) -> set[tuple[int, int]]:
    return set(map(tuple, np.argwhere(crop.to_full(SIZE)).tolist()))


def correct_groups(
    gt: list[MaskCrop], pred: list[MaskCrop], errors: ImageErrors, corrected: np.ndarray
) -> list[MaskCrop]:
    """Predictions after some groups were corrected."""
    kept = [crop for crop, group in zip(pred, errors.pred_group, strict=True) if not corrected[group]]
    return kept + [crop for crop, group in zip(gt, errors.gt_group, strict=True) if corrected[group] and pixels(crop)]


@given(GT, st.one_of(disjoint_cells(), ANY_CELLS))
@settings(deadline=None)
def test_each_category_means_what_it_says(gt, pred) -> None:
    """Against the definitions, word by word, in sets of pixels and fractions."""
    errors = classify_cells(gt, pred, SIZE)
    gt_pixels, pred_pixels = [pixels(crop) for crop in gt], [pixels(crop) for crop in pred]

    def iou(gt_cell: int, pred_cell: int) -> Fraction:
        both = gt_pixels[gt_cell] | pred_pixels[pred_cell]
        return Fraction(len(gt_pixels[gt_cell] & pred_pixels[pred_cell]), max(len(both), 1))

    def half_on(one: set, other: set) -> bool:
        return 2 * len(one & other) > len(one)

    assert sorted({*errors.gt_group, *errors.pred_group}) == list(range(len(errors.category)))
    for group, category in enumerate(errors.category.tolist()):
        own_gt = np.flatnonzero(errors.gt_group == group).tolist()
        own_pred = np.flatnonzero(errors.pred_group == group).tolist()
        match category:
            case 'missed' | 'double label':
                assert (len(own_gt), len(own_pred)) == (1, 0)
                others = [other for other in range(len(gt)) if other != own_gt[0]]
                if category == 'double label':
                    assert any(half_on(gt_pixels[own_gt[0]], gt_pixels[other]) for other in others)
            case 'spurious' | 'duplicate':
                assert (len(own_gt), len(own_pred)) == (0, 1)
                hosts = [
                    errors.gt_category[other]
                    for other in range(len(gt))
                    if half_on(pred_pixels[own_pred[0]], gt_pixels[other])
                ]
                assert (category == 'duplicate') == any(host not in ('missed', 'double label') for host in hosts)
            case 'merged':
                assert len(own_gt) > 1
                assert len(own_pred) == 1
                assert all(half_on(gt_pixels[index], pred_pixels[own_pred[0]]) for index in own_gt)
            case 'split':
                assert len(own_gt) == 1
                assert len(own_pred) > 1
                assert all(half_on(pred_pixels[index], gt_pixels[own_gt[0]]) for index in own_pred)
                assert all(iou(own_gt[0], index) <= Fraction(1, 2) for index in own_pred)
            case _:
                assert (len(own_gt), len(own_pred)) == (1, 1)
                value = iou(own_gt[0], own_pred[0])
                bounds = {
                    'correct': (Fraction(19, 20), 1),
                    'inexact outline': (Fraction(3, 4), Fraction(19, 20)),
                    'poor outline': (Fraction(1, 2), Fraction(3, 4)),
                    'near miss': (Fraction(1, 10), Fraction(1, 2)),
                    # A prediction may lie in the hole of a ground-truth cell.
                    'wrong holes': (-1, Fraction(19, 20)),
                }
                low, high = bounds[category]
                assert low < value <= high


@pytest.mark.slow
@given(GT, disjoint_cells(), st.data())
@settings(deadline=None)
@example([bar(0, 8), bar(0, 8)], [bar(0, 5), bar(5, 3)], None)
@example([], [bar(0, 3)], None)
@example([NO_PIXELS, bar(0, 9)], [bar(0, 8)], None)
def test_a_correction_is_the_metric_of_the_edited_cells_and_never_lowers_it(gt, pred, data) -> None:
    errors = classify_cells(gt, pred, SIZE)
    groups = len(errors.category)
    score = image_score(mask_iou(gt, pred, SIZE))
    kinds = [errors.category == category for category in CATEGORIES]
    some = [np.array(data.draw(st.lists(st.booleans(), min_size=groups, max_size=groups)), bool)] if data else []
    for corrected in [*kinds, *some]:
        score_after = errors.score_with(corrected)
        after = correct_groups(gt, pred, errors, corrected)
        assert score_after == pytest.approx(image_score(mask_iou(gt, after, SIZE)))
        assert score_after >= score - 1e-12
        # Correcting more on top does not lower it either.
        assert errors.score_with(corrected | kinds[1]) >= score_after - 1e-12
    for group, loss in enumerate(errors.losses().tolist()):
        assert loss == pytest.approx(errors.score_with(np.arange(groups) == group) - score, abs=1e-12)
        assert errors.category[group] != 'correct' or loss == pytest.approx(0, abs=1e-12)


@given(GT, st.one_of(disjoint_cells(), ANY_CELLS))
@settings(deadline=None)
@example([WHOLE] * 4, [WHOLE] * 3)
@example([bar(0, 6)] * 5 + [WHOLE], [])
def test_with_everything_corrected_the_score_is_one(gt, pred) -> None:
    """Also where predictions overlap, against the rules of the competition."""
    gt = [crop for crop in gt if pixels(crop)]
    errors = classify_cells(gt, pred, SIZE)
    assert errors.score_with(np.ones(len(errors.category), dtype=bool)) == 1
    # What is correct is a true positive at every threshold already.
    assert errors.score_with(errors.category != 'correct') == 1


@given(GT, disjoint_cells(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_cells_changes_nothing(gt, pred, random) -> None:
    def by_pixels(gt: list[MaskCrop], pred: list[MaskCrop]) -> list[list[tuple]]:
        errors = classify_cells(gt, pred, SIZE)
        sides = ((gt, errors.gt_group), (pred, errors.pred_group))
        losses = errors.losses()
        return [
            sorted(
                (sorted(pixels(crop)), str(errors.category[group]), round(float(losses[group]), 9))
                for crop, group in zip(crops, groups, strict=True)
            )
            for crops, groups in sides
        ]

    shuffled = [random.sample(cells, len(cells)) for cells in (gt, pred)]
    assert by_pixels(*shuffled) == by_pixels(gt, pred)


def annotate(crops: list[MaskCrop], image_id: str, label: int, size: tuple[int, int] = SIZE) -> ImageAnnotations:
    return ImageAnnotations(image_id, size, tuple(crops), np.full(len(crops), label))


@pytest.fixture
def gt() -> dict[str, ImageAnnotations]:
    return {
        'a': annotate([bar(1, 10), bar(12, 10)], 'a', 2),
        'b': annotate([bar(0, 4)], 'b', 2),
        'c': annotate([bar(1, 8), bar(12, 4)], 'c', 0),
    }


PRED = {
    'a': (bar(1, 10), bar(12, 5), bar(17, 5), bar(2, 3, 4)),  # correct, split in two, spurious
    'c': (bar(1, 6),),  # an IoU of .75: TP at five thresholds of ten; the other cell is missed
}


def test_scores_corrected_alone_and_one_after_another(gt) -> None:
    analysis = analyse_errors(gt, PRED)
    alone = analysis.alone.set_index('image_id')
    assert alone['score'].tolist() == pytest.approx(score_images(gt, PRED)['score'].tolist())
    # a: TP 1, 2 gt, 4 pred; without the spurious one 3 pred; with the split cell corrected TP 2, 2 gt, 3 pred.
    assert alone.loc['a', ['score', 'spurious', 'split', 'missed']].tolist() == pytest.approx(
        [1 / 5, 1 / 4, 2 / 3, 0.2]
    )
    # b: one missed cell. It touches the border of the image.
    assert alone.loc['b', ['score', 'spurious', 'missed', BORDER]].tolist() == [0, 0, 1, 1]
    # c: five thresholds with TP 1, 2 gt, 1 pred.
    assert alone.loc['c', ['score', 'missed', 'poor outline', 'border']].tolist() == pytest.approx(
        [5 / 10 / 2, (5 + 5 / 3) / 10, 1 / 2, 5 / 10 / 2]
    )
    cumulative = analysis.cumulative.set_index('image_id')
    assert cumulative.loc['a', ['spurious', 'duplicate', 'split', 'merged']].tolist() == pytest.approx(
        [1 / 4, 1 / 4, 1, 1]
    )
    assert cumulative.loc['c', ['spurious', 'missed', 'near miss', 'poor outline']].tolist() == pytest.approx(
        [1 / 4, (5 + 5 / 3) / 10, (5 + 5 / 3) / 10, 1]
    )
    assert cumulative[ERRORS[-1]].tolist() == [1, 1, 1]


def test_gains_by_cell_type(gt) -> None:
    table = error_gains(analyse_errors(gt, PRED)).set_index(['cell_type', 'error'])
    assert list(dict.fromkeys(table.index.get_level_values(0))) == [ALL, 'shsy5y', 'cort']
    assert table.loc[ALL].index.tolist() == [*ERRORS, BORDER]
    missed = table.loc[(ALL, 'missed')]
    gain_of_c = (5 + 5 / 3) / 10 - 1 / 4
    assert missed[['n_gt', 'n_pred']].tolist() == [2, 0]
    assert missed['score'] == pytest.approx((1 / 5 + 0 + 1 / 4) / 3)
    assert missed['gain'] == pytest.approx((0 + 1 + gain_of_c) / 3)
    assert table.loc[('cort', 'missed'), 'gain'] == pytest.approx(1 / 2)
    assert table.loc[('shsy5y', 'missed'), 'gain'] == pytest.approx(gain_of_c)
    assert table.loc[('cort', 'split'), ['n_gt', 'n_pred']].tolist() == [1, 2]
    assert table.loc[(ALL, 'double label'), 'cumulative'] == 1
    assert table.loc[(ALL, BORDER), ['n_gt', 'n_pred']].tolist() == [1, 0]
    assert np.isnan(table.loc[(ALL, BORDER), 'cumulative'])


def test_table_of_cells(gt) -> None:
    cells = analyse_errors(gt, PRED).cells
    assert tuple(cells.columns) == CELL_COLUMNS
    assert len(cells) == 10
    row = cells[(cells['image_id'] == 'a') & (cells['side'] == 'pred')].iloc[1]
    assert row[['cell_type', 'number', 'category', 'iou', 'area']].tolist() == ['cort', 2, 'split', 0.5, 5]
    # Pixels 12 to 16 of row 2.
    assert (row['x'], row['y']) == (14, 2)
    assert not row['border']
    split = cells[(cells['image_id'] == 'a') & (cells['group'] == row['group'])]
    assert split['side'].tolist() == ['gt', 'pred', 'pred']
    assert split['loss'].tolist() == pytest.approx([2 / 3 - 1 / 5] * 3)
    assert cells[cells['image_id'] == 'b']['border'].tolist() == [True]
    assert cells[cells['category'] == 'correct']['loss'].tolist() == [0, 0]


@pytest.mark.parametrize(
    ('cell', 'touches'),
    [
        (box(0, 2, 3, 2), True),
        (box(2, 0, 3, 2), True),
        (box(21, 2, 3, 2), True),
        (box(2, 4, 3, 2), True),
        (box(1, 1, 22, 4), False),
        (box(-3, 2, 5, 2), True),
        # The window reaches the border, the cell does not.
        (MaskCrop(np.pad(np.ones((2, 2), dtype=bool), 1), 0, 0), False),
        (NO_PIXELS, False),
        (OUTSIDE, False),
    ],
)
def test_border(cell, touches) -> None:
    cells = analyse_errors({'a': annotate([cell], 'a', 0)}, {}).cells
    assert cells['border'].tolist() == [touches]


def test_a_border_error_is_corrected_with_all_its_cells() -> None:
    # The prediction touches the border and covers two ground-truth cells that do not.
    gt = {'a': annotate([box(1, 1, 8, 4), box(10, 1, 8, 4)], 'a', 1)}
    analysis = analyse_errors(gt, {'a': [box(0, 1, 18, 4)]})
    assert analysis.alone[BORDER].tolist() == [1]
    assert error_gains(analysis).set_index('error').loc[BORDER, ['n_gt', 'n_pred']].iloc[0].tolist() == [
        0,
        1,
    ]


def test_images_without_cells() -> None:
    analysis = analyse_errors({'a': annotate([], 'a', 0), 'b': annotate([], 'b', 0)}, {'b': [bar(0, 3)]})
    assert analysis.alone[['score', 'missed', 'spurious', BORDER]].to_numpy().tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert analysis.cells['loss'].tolist() == [1]
    gains = error_gains(analysis)
    assert set(gains['cell_type']) == {ALL, 'none'}
    assert len(analyse_errors({'a': annotate([], 'a', 0)}, {}).cells) == 0


def test_an_unknown_image_is_refused(gt) -> None:
    with pytest.raises(InputError, match="'z'"):
        analyse_errors(gt, {'z': []})


def test_real_cells_moved_by_some_pixels(real_data) -> None:
    """Each of the real cells is in the table once, and the cumulative scores end at 1."""
    gt = load_annotations(real_data / 'train.csv')
    rng = np.random.default_rng(0)
    pred = {}
    for image_id, image in gt.items():
        moved = [MaskCrop(crop.mask, crop.x + dx, crop.y + dy) for crop, dx, dy in _shifts(image.crops, rng)]
        pred[image_id] = [crop for crop in moved if rng.random() > 0.1]
    analysis = analyse_errors(gt, pred)
    assert (analysis.cells['side'] == 'gt').sum() == sum(map(len, gt.values()))
    assert (analysis.cumulative[list(ERRORS)].diff(axis=1).iloc[:, 1:] >= -1e-12).all(axis=None)
    assert (analysis.cumulative[ERRORS[-1]] == 1).all()
    pd.testing.assert_series_equal(analysis.alone['score'], score_images(gt, pred)['score'])


def _shifts(crops, rng):
    return zip(crops, *rng.integers(-3, 4, (2, len(crops))).tolist(), strict=True)
