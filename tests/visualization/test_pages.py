"""The HTML pages: well-formed, self-contained, and true to what they show."""

import base64
import re
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import build_chain
from sartorius.postprocess.evaluate import evaluate_predictions
from sartorius.predictions.provenance import ModelSource
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError
from sartorius.visualization.charts import Series, axis_ticks, line_chart, scatter_chart, strip_chart
from sartorius.visualization.demo import ScoredStep, write_demo_page
from sartorius.visualization.gallery import Example, card
from sartorius.visualization.page import source_list
from sartorius.visualization.report_page import choose_images, write_report

from .html_page import HOSTILE, Page, check

CLASSES = ('shsy5y', 'astro', 'cort')
SIZE = (40, 60)
CHAIN = build_chain([{'type': 'ScoreThreshold', 'threshold': 0.5}])


def square(x: int, y: int, side: int = 10) -> MaskCrop:
    return MaskCrop(np.ones((side, side), dtype=bool), x, y)


def predicted(image_id: str, label: int, boxes: list[tuple[int, int]], scores: list[float]) -> ImagePredictions:
    """Squares of 10 pixels."""
    corners = np.array([(x, y, x + 10, y + 10) for x, y in boxes], dtype=np.float32).reshape(-1, 4)
    return ImagePredictions(
        image_id,
        SIZE,
        corners,
        np.array(scores, dtype=np.float32),
        np.full(len(boxes), label),
        np.ones((len(boxes), 10, 10), dtype=np.float32),
    )


@pytest.fixture
def predictions() -> PredictionSet:
    """Image a: two true positives and a weak cell; b: TP 1, FP 1; c: no predictions."""
    images = (
        predicted('a', 0, [(0, 0), (20, 0), (40, 20)], [0.9, 0.8, 0.2]),
        predicted('b', 1, [(0, 0), (45, 25)], [0.7, 0.6]),
        predicted('c', 2, [], []),
    )
    return PredictionSet(
        images, source=ModelSource(config='a&b.py', tta_orientations=('none',), versions={'torch': '2.13'})
    )


@pytest.fixture
def gt() -> dict[str, ImageAnnotations]:
    cells = {'a': (0, [(0, 0), (20, 0)]), 'b': (1, [(0, 0), (20, 20)]), 'c': (2, [(5, 5)]), 'd': (2, [(1, 1)])}
    return {
        name: ImageAnnotations(name, SIZE, tuple(square(*corner) for corner in corners), np.full(len(corners), label))
        for name, (label, corners) in cells.items()
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in 'abc':
        cv2.imwrite(str(folder / f'{name}.png'), rng.integers(100, 150, SIZE).astype(np.uint8))
    return folder


def test_report_with_ground_truth(tmp_path, predictions, gt, images) -> None:
    page = check(
        write_report(tmp_path / 'out', evaluate_predictions(predictions, CHAIN, gt), images, {'images': 'x/<y>'})
    )
    # a scores 1; b: TP 1, FP 1, FN 1 at every threshold; c scores 0.
    assert 'Score (mAP) 0.444' in page.text
    assert '4 cells predicted in 3 images' in page.text
    assert '5 annotated cells' in page.text
    assert '1 annotated images are not among the predictions' in page.text
    assert 'no predictions' in page.text
    assert 'x/<y>' in page.text
    assert 'a&b.py' in page.text
    assert 'ScoreThreshold threshold: 0.5' in page.text
    assert len(page.with_class('card')) == 3
    assert page.values('data-view').count('compare') == 3
    # False negatives of b and c, and a false positive in b; each error kind and type is pictured once.
    assert page.values('data-view').count('errors') == 3
    assert len([tag for tag, _ in page.elements if tag == 'figure']) == 3


def test_names_end_nothing_that_they_stand_in(tmp_path, images) -> None:
    name = HOSTILE.replace('/', '')
    (images / 'a.png').rename(images / f'{name}.png')
    predictions = PredictionSet(
        (predicted(name, 0, [(0, 0), (45, 25)], [0.9, 0.8]),), (HOSTILE,), ModelSource(config=HOSTILE)
    )
    squares = ImageAnnotations(name, SIZE, (square(0, 0), square(20, 20)), np.zeros(2, int))
    gt = GroundTruth({name: squares}, (HOSTILE,))
    page = check(write_report(tmp_path, evaluate_predictions(predictions, CHAIN, gt), images, {HOSTILE: HOSTILE}))
    assert page.text.count(' '.join(name.split())) > 2 and page.text.count(' '.join(HOSTILE.split())) > 4


def test_the_table_starts_with_the_lowest_score(tmp_path, predictions, gt, images) -> None:
    text = write_report(tmp_path, evaluate_predictions(predictions, CHAIN, gt), images).read_text()
    scores = re.findall(r'data-value="([\d.]+)">\d\.\d+<span class="meter">', text)
    assert [float(score) for score in scores] == pytest.approx([0, 1 / 3, 1])
    assert Page(text).values('aria-sort') == ['ascending']


def test_report_without_ground_truth(tmp_path, predictions, images) -> None:
    page = check(write_report(tmp_path, evaluate_predictions(predictions, CHAIN), images))
    assert 'no scores' in page.text
    assert 'mAP' not in page.text
    assert set(page.values('data-view')) == {'image', 'pred'}


def test_at_most_as_many_images_are_shown_as_asked_for(tmp_path, predictions, gt, images) -> None:
    page = check(write_report(tmp_path, evaluate_predictions(predictions, CHAIN, gt), images, max_images=2))
    assert len(page.with_class('card')) == 2
    assert len(page.with_class('id')) == 3
    page = check(write_report(tmp_path, evaluate_predictions(predictions, CHAIN, gt), images, max_images=0))
    assert len(page.with_class('card')) == 0
    assert 'figure' not in {tag for tag, _ in page.elements}


def test_a_missing_image_leaves_no_page(tmp_path, predictions, images) -> None:
    (images / 'b.png').unlink()
    with pytest.raises(InputError, match='image b is not in'):
        write_report(tmp_path / 'out', evaluate_predictions(predictions, CHAIN), images)
    assert not (tmp_path / 'out').exists()


def test_an_image_of_another_size_is_refused(tmp_path, predictions, images) -> None:
    cv2.imwrite(str(images / 'b.png'), np.zeros((41, 60), np.uint8))
    with pytest.raises(InputError, match=r'b\.png is 60x41 px, its predictions are for 60x40 px'):
        write_report(tmp_path, evaluate_predictions(predictions, CHAIN), images)


def test_images_are_chosen_from_every_type_low_typical_and_high(predictions, gt) -> None:
    table = evaluate_predictions(predictions, CHAIN, gt).table
    rows = [
        table.iloc[[0]].assign(image_id=f'{kind}{n}', cell_type=kind, score=n / 10)
        for kind in CLASSES
        for n in range(9)
    ]
    chosen = choose_images(pd.concat(rows), 'score', 9)
    assert chosen == {
        f'{kind}{number}': reason
        for kind in CLASSES
        for number, reason in ((0, 'low score'), (4, 'typical'), (8, 'high score'))
    }
    # Ordered by type and then by score.
    assert list(chosen)[:3] == ['shsy5y0', 'shsy5y4', 'shsy5y8']
    assert set(choose_images(pd.concat(rows), 'score', 100).values()) == {''}


def test_a_card_embeds_its_picture_and_every_cell_once() -> None:
    ring = MaskCrop(np.pad(np.zeros((4, 4), bool), 3, constant_values=True), 20, 5)
    image = np.full(SIZE, 60, np.uint8)
    image[:, 30:] = 200
    example = Example(
        '<i>', image, [square(0, 0), ring], [square(0, 0), square(40, 25)], np.array([0.91, 0.5]), 'astro'
    )
    text = card(example, 7, CLASSES)
    page = Page(text)
    assert '<i>' in page.words
    code = next(value for value in page.values('href') if value.startswith('data:image/webp;base64,'))
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(code.split(',')[1]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape[:2] == SIZE
    # As many outlines (an absolute M each) as entries; number, area, score and best IoU of each cell.
    paths = [attributes for tag, attributes in page.elements if tag == 'path']
    assert all(len(path['data-cells'].split()) == path['d'].count('M') for path in paths)
    cells = {(path['data-set'], entry) for path in paths for entry in path['data-cells'].split()}
    assert cells == {
        ('pred', '1,100,0.91,1.00'),
        ('pred', '2,84,0.50,0.00'),
        ('gt', '1,100,,1.00'),
        ('gt', '2,100,,0.00'),
    }
    assert sorted(path['class'].split()[1] for path in paths) == ['fn', 'fp', 'tp', 'tp']
    assert '1 TP 1 FN 1 FP' in page.text


def test_a_large_picture_is_embedded_smaller() -> None:
    text = card(Example('wide', np.zeros((300, 3200), np.uint8), []), 0, CLASSES)
    code = re.search(r'base64,([^"]+)"', text)[1]
    assert cv2.imdecode(np.frombuffer(base64.b64decode(code), np.uint8), 0).shape == (150, 1600)
    assert 'width="3200" height="300"' in text


def test_examples_are_checked() -> None:
    with pytest.raises(InputError, match='cell: the picture must be uint8'):
        Example('cell', np.zeros(SIZE, np.uint16), [])
    with pytest.raises(InputError, match='cell: 1 scores for 0 predictions'):
        Example('cell', np.zeros(SIZE, np.uint8), [], pred_scores=np.ones(1))


def test_demo_page(tmp_path) -> None:
    baseline = ScoredStep('threshold', 0.05, 'no <training>', is_baseline=True)
    steps = [baseline, ScoredStep('model', 0.2), ScoredStep('fused', 0.25)]
    example = Example('one', np.zeros(SIZE, np.uint8), [square(0, 0)], [square(0, 0)], cell_type='cort', score=0.5)
    page = check(write_demo_page(tmp_path / 'index.html', steps, [example], 'A <remark>.'))
    assert [attributes['class'] for tag, attributes in page.elements if tag == 'li'] == [
        'stage baseline',
        'stage',
        'stage best',
    ]
    bars = re.findall(r'--part: ([\d.]+)', (tmp_path / 'index.html').read_text())
    assert [float(bar) for bar in bars] == [0.2, 0.8, 1]
    assert 'no <training>' in page.text
    assert 'fused reaches a competition mAP of 0.250' in page.text
    assert 'threshold reaches 0.050. A <remark>.' in page.text


def test_demo_page_without_examples_or_score(tmp_path) -> None:
    check(write_demo_page(tmp_path / 'index.html', [ScoredStep('model', 0.0)], []))
    with pytest.raises(InputError, match='at least one step'):
        write_demo_page(tmp_path / 'index.html', [], [])


def test_source_is_indented_and_escaped() -> None:
    source = {'members': [{'config': '<a>', 'tta': True}, {'config': 'b', 'tta': None}], 'rate': 0.1, 'ids': [1, 2]}
    text = source_list(source)
    assert '&lt;a&gt;' in text
    assert '<dd>0.1</dd>' in text
    assert '<dd>1, 2</dd>' in text
    assert 'tta: yes' in text
    assert 'tta: -' in text


@pytest.mark.parametrize(
    ('largest', 'ticks'),
    [
        (0, [0, 1]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.41, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (0.6, [0, 0.2, 0.4, 0.6]),
        (7, [0, 2, 4, 6, 8]),
        (1546, [0, 500, 1000, 1500, 2000]),
    ],
)
def test_axis_ticks(largest: float, ticks: list[float]) -> None:
    assert axis_ticks(largest) == ticks


def test_charts_are_well_formed_and_within_their_frame() -> None:
    group = Series('a<b', 'k0', np.array([0.0, 0.5, 1.0]), ['x', 'y', 'z'], (0.2, 0.7))
    for svg in (
        strip_chart([group], 'score'),
        line_chart([group, group], [0.5, 0.7, 0.9], 'precision', 'IoU'),
        scatter_chart([(group, np.array([0.0, 800.0, 3.0]))], 'counts', 'gt', 'pred'),
        strip_chart([], 'nothing'),
    ):
        page = Page(svg)
        width, height = (float(value) for value in page.values('viewbox')[0].split()[2:])
        assert all(0 <= float(x) <= width for x in page.values('cx'))
        assert all(0 <= float(y) <= height for y in page.values('cy'))


def test_templates_are_in_the_package() -> None:
    folder = resources.files('sartorius.visualization') / 'templates'
    assert {entry.name for entry in folder.iterdir()} == {'page.html', 'page.css', 'page.js'}


def test_style_and_script_know_what_cards_are_made_of() -> None:
    """Every state, side and panel of a card has its rule or name in the templates."""
    folder = resources.files('sartorius.visualization') / 'templates'
    style, script = (folder.joinpath(name).read_text(encoding='utf-8') for name in ('page.css', 'page.js'))
    gt, pred = [square(0, 0), square(20, 20)], [square(0, 0), square(45, 25)]
    kinds = {'gt_errors': ['correct', 'missed'], 'pred_errors': ['correct', 'spurious']}
    page = Page(card(Example('cell', np.zeros(SIZE, np.uint8), pred, gt, **kinds), 0, CLASSES))
    paths = [attributes for tag, attributes in page.elements if tag == 'path']
    assert {path['data-set'] for path in paths} == {'gt', 'pred'}
    assert '[data-set=gt]' in style
    assert "names = { gt: 'Ground-truth cell', pred: 'Prediction' }" in script
    assert {path['class'].split()[1] for path in paths} == {'tp', 'fn', 'fp'}
    for state in ('tp', 'fn', 'fp'):
        assert f'.cells .{state} {{ --state: var(--{state}-color); }}' in style
        assert re.search(rf'\.compare {{[^}}]*--{state}-color: var\(--{state}\)', style)
        assert re.search(rf':root {{[^}}]*--{state}: #', style)
    # The viewer opens with the predictions.
    assert "let view = 'pred'" in script
    assert 'pred' in page.values('data-view')
