"""The errors of a report: bars, table, and pictures of the costliest ones."""

import re
from functools import partial

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import CATEGORIES, ERRORS
from sartorius.evaluation.error_analysis import analyse_errors
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import build_chain
from sartorius.postprocess.evaluate import EvaluatedPredictions, evaluate_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.visualization.cell_figures import MARGIN, MIN_WINDOW, window_around
from sartorius.visualization.gallery import ERROR_COLORS, Example, card, color_rules
from sartorius.visualization.report_page_errors import costliest, error_section, main_errors

CLASSES = ('shsy5y', 'astro', 'cort')
SIZE = (100, 160)
CHAIN = build_chain([{'type': 'ScoreThreshold', 'threshold': 0.5}])


def square(x: int, y: int, side: int = 10) -> MaskCrop:
    return MaskCrop(np.ones((side, side), dtype=bool), x, y)


def annotated(image_id: str, label: int, *corners: tuple[int, int]) -> ImageAnnotations:
    crops = tuple(square(*corner) for corner in corners)
    return ImageAnnotations(image_id, SIZE, crops, np.full(len(crops), label))


GT = {
    'a': annotated('a', 0, (10, 10), (40, 40), (70, 70)),
    'b': annotated('b', 2, (5, 5), (60, 60)),
}


@pytest.fixture
def report() -> EvaluatedPredictions:
    """Image a: one correct, two missed, one spurious cell; b: one correct, one missed."""
    corners = {'a': (0, [(10, 10), (100, 80)]), 'b': (2, [(5, 5)])}
    images = [
        ImagePredictions(
            image_id,
            SIZE,
            np.array([(x, y, x + 10, y + 10) for x, y in places], dtype=np.float32),
            np.full(len(places), 0.9, dtype=np.float32),
            np.full(len(places), label),
            np.ones((len(places), 10, 10), dtype=np.float32),
        )
        for image_id, (label, places) in corners.items()
    ]
    return evaluate_predictions(PredictionSet(tuple(images)), CHAIN, GT)


def picture(image_id: str, seen: list[str]) -> np.ndarray:
    seen.append(image_id)
    return np.random.default_rng(0).integers(0, 255, SIZE).astype(np.uint8)


def test_every_category_has_a_colour_of_its_own() -> None:
    assert list(ERROR_COLORS) == list(CATEGORIES)
    assert len(set(ERROR_COLORS.values())) == len(CATEGORIES)
    assert '--x-poor-outline: #' in color_rules()
    assert '.x-poor-outline { --kind: var(--x-poor-outline); }' in color_rules()


def test_bars_go_from_zero_to_one(report) -> None:
    text = error_section(report, {}, None)
    bars = re.findall(r'<span class="bar-of-one">(.*?)</span>', text)
    parts = [[float(part) for part in re.findall(r'flex: ([\d.]+)', bar)] for bar in bars]
    # All images, shsy5y, cort. a: TP 1 of 4 cells; without the spurious one of 3; then none missing.
    assert len(bars) == 3
    assert parts[1] == pytest.approx([1 / 4, 1 / 12, 2 / 3], abs=1e-4)
    assert parts[2] == pytest.approx([1 / 2, 1 / 2], abs=1e-4)
    assert all(sum(bar) == pytest.approx(1, abs=1e-3) for bar in parts)
    assert 'title="missed: +0.667"' in bars[1]


def test_table_of_gains(report) -> None:
    text = error_section(report, {}, None)
    rows = re.findall(r'<tr><td class="text wrap">(.*?)</tr>', text)
    assert len(rows) == len(ERRORS) + 1
    cells = [re.sub('<[^>]*>', ' ', cell).strip() for cell in rows[ERRORS.index('missed')].split('</td>')][:-1]
    # Two cells missed in a: 3 TP of 4 cells. One in b. So .5 each, all and by class.
    assert cells == [f'missed {CATEGORIES["missed"]}', '3', '0', '+0.500', '+0.500', '+0.500']
    # No error is at the border.
    assert re.sub('<[^>]*>', ' ', rows[-1]).split()[-5:] == ['0'] * 5


def test_costliest_of_each_kind_and_type(report) -> None:
    worst = costliest(report.errors)
    assert worst[['category', 'cell_type', 'image_id']].to_numpy().tolist() == [
        ['spurious', 'shsy5y', 'a'],
        ['missed', 'shsy5y', 'a'],
        ['missed', 'cort', 'b'],
    ]
    # a: 1 of 4 cells, one missed less 2 of 4; b: 1 of 2.
    assert worst['loss'].tolist() == pytest.approx([1 / 3 - 1 / 4, 1 / 4, 1 / 2])


def test_the_larger_loss_is_shown() -> None:
    # One spurious cell beside one true, and one beside two.
    gt = {'many': annotated('many', 1, (10, 10), (40, 40)), 'few': annotated('few', 1, (10, 10))}
    pred = {name: [*cells.crops, square(100, 50)] for name, cells in gt.items()}
    worst = costliest(analyse_errors(gt, pred))
    assert worst[['image_id', 'category']].to_numpy().tolist() == [['few', 'spurious']]


def test_pictures_of_the_costliest(report) -> None:
    seen = []
    text = error_section(report, {'b': 7}, partial(picture, seen=seen))
    figures = re.findall('<figure>.*?</figure>', text)
    assert seen == ['a', 'a', 'b']
    assert len(figures) == 3
    spurious, _, missed = figures
    assert spurious.count('class="pred-line"') == 1
    assert 'gt-line"' not in spurious
    # The window around the predicted square at (100, 80) lies within the image.
    assert f'viewBox="77 44 {MIN_WINDOW} {MIN_WINDOW}"' in spurious
    assert missed.count('class="gt-line"') == 1
    assert 'data-card="#i7">b</button>' in missed
    assert 'data-card' not in spurious
    assert 'loss 0.5000' in missed


def test_neighbours_are_faint(report) -> None:
    near = {'a': annotated('a', 0, (10, 10), (25, 10))}
    pred = {'a': report.pred['a'].select([0])}
    table = report.table[report.table['image_id'] == 'a']
    errors = analyse_errors(near, {'a': pred['a'].crops})
    text = error_section(
        EvaluatedPredictions(table, pred, near, None, errors, CELL_TYPES, CHAIN, {}), {}, partial(picture, seen=[])
    )
    (figure,) = re.findall('<figure>.*?</figure>', text)
    classes = re.findall('<path class="([^"]*)"', figure)
    assert classes == ['gt-line faint', 'pred-line faint', 'gt-line']


@pytest.mark.parametrize(
    ('crops', 'window'),
    [
        # Small: the least window, around its middle.
        ([square(70, 40)], (47, 17, 47 + MIN_WINDOW, 17 + MIN_WINDOW)),
        # In two corners: moved into the image.
        ([square(0, 0)], (0, 0, MIN_WINDOW, MIN_WINDOW)),
        ([square(150, 90)], (160 - MIN_WINDOW, 100 - MIN_WINDOW, 160, 100)),
        # Two cells: their window of 60 x 40 and a margin; it would reach above the image.
        ([square(20, 20, 5), square(70, 50)], (20 - MARGIN, 0, 80 + MARGIN, 60 + 2 * MARGIN)),
        # Larger than the image is high: cut there.
        ([square(10, 10), square(130, 60)], (0, 0, 130 + 2 * MARGIN, 100)),
        # A cell without pixels has no place: the whole image.
        ([square(5, 5, 0)], (0, 0, 160, 100)),
    ],
)
def test_window_around_cells(crops, window) -> None:
    assert window_around(crops, SIZE) == window


def test_main_error_of_each_image(report) -> None:
    texts = main_errors(report.errors)
    assert [re.sub('<[^>]*>', '', texts[name]) for name in 'ab'] == ['missed 0.500', 'missed 0.500']
    perfect = analyse_errors({'a': GT['a']}, {'a': GT['a'].crops})
    assert main_errors(perfect) == {'a': ''}


def test_without_errors_nothing_is_shown_as_one() -> None:
    errors = analyse_errors({'a': GT['a']}, {'a': GT['a'].crops})
    assert costliest(errors).empty


def test_a_card_tells_the_kind_of_error() -> None:
    example = Example(
        'one',
        np.zeros(SIZE, np.uint8),
        [square(0, 0)],
        [square(0, 0), square(40, 25)],
        gt_errors=['poor outline', 'missed'],
        pred_errors=['poor outline'],
    )
    text = card(example, 0, CLASSES)
    assert 'data-view="errors"' in text
    assert 'data-cells="1,100,,1.00,poor-outline"' in text
    assert re.search(r'<path class="c\d fn x-missed" data-set="gt" data-cells="2,100,,0.00,missed"', text)
    assert 'data-view="errors"' not in card(Example('one', np.zeros(SIZE, np.uint8), [], []), 0, CLASSES)
