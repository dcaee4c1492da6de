"""Pictures and page of training samples: true to the samples."""

import re

import numpy as np
import pytest

from sartorius.images.grey_levels import stretch, stretch_limits
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.overlay import CELL_COLORS, TITLE_HEIGHT
from sartorius.visualization.samples import Sample, SampleRow, draw_sample, sample_page

CLASSES = ('shsy5y', 'astro', 'cort')


def square(x: int, y: int, side: int = 10) -> MaskCrop:
    return MaskCrop(np.ones((side, side), bool), x, y)


def sample_of(labels: list[int], size: tuple[int, int] = (40, 600), level: int = 100, **parts) -> Sample:
    """Cells of 10 pixels side by side on a flat image."""
    crops = [square(20 * number, 5) for number in range(len(labels))]
    boxes = np.array([crop.window for crop in crops], np.float32).reshape(-1, 4)
    defaults = {'title': 'Sample 7', 'number': 7, 'ignored': np.zeros(len(labels), bool)}
    parts = {**defaults, 'image': np.full(size, level, np.uint8), 'boxes': boxes, **parts}
    return Sample(crops=crops, labels=np.array(labels, dtype=np.int64), **parts)


def colors_in(picture: np.ndarray, rows: slice) -> set[tuple[int, int, int]]:
    return set(map(tuple, picture[rows].reshape(-1, 3).tolist())) & set(CELL_COLORS)


def test_cells_are_outlined_in_the_colour_of_their_class() -> None:
    picture = draw_sample(sample_of([2, 0, 2]), 'one', CLASSES)
    assert picture.shape == (40 + TITLE_HEIGHT, 600, 3)
    body = picture[TITLE_HEIGHT:]
    assert [tuple(body[5, x].tolist()) for x in (0, 20, 40)] == [CELL_COLORS[2], CELL_COLORS[0], CELL_COLORS[2]]
    # Filled lightly: between the image and the colour, nearer the image.
    inside = body[10, 5].astype(int)
    assert (np.abs(inside - 100) < np.abs(inside - CELL_COLORS[2])).all()
    assert (inside != 100).any()
    assert (body[30] == 100).all()
    # The title has a square of each class that is there.
    assert colors_in(picture, slice(0, TITLE_HEIGHT)) == {CELL_COLORS[0], CELL_COLORS[2]}


def test_boxes_are_drawn_where_asked_for_and_where_they_are_numbers() -> None:
    boxes = np.array([[100, 20, 130, 35], [np.nan, 0, 1, 1]], np.float32)
    plain, boxed = (draw_sample(sample_of([1, 1], boxes=boxes), 'one', CLASSES, asked) for asked in (False, True))
    different = np.argwhere((plain != boxed).any(axis=2)) - (TITLE_HEIGHT, 0)
    assert different.min(axis=0).tolist() == [20, 100]
    assert different.max(axis=0).tolist() == [34, 129]
    assert tuple(boxed[TITLE_HEIGHT + 20, 110].tolist()) == CELL_COLORS[1]


def test_small_samples_are_enlarged_by_a_whole_number() -> None:
    picture = draw_sample(sample_of([0], size=(40, 192)), 'one', CLASSES)
    assert picture.shape == (3 * 40 + TITLE_HEIGHT, 3 * 192, 3)
    assert tuple(picture[TITLE_HEIGHT + 3 * 5, 3 * 9].tolist()) == CELL_COLORS[0]
    assert tuple(picture[TITLE_HEIGHT + 3 * 5, 3 * 10].tolist()) == (100, 100, 100)


def test_grey_levels_of_a_row_are_stretched_alike() -> None:
    raw = sample_of([], image=np.arange(90, 110, dtype=np.uint8).repeat(50).reshape(20, 50))
    row = SampleRow('one', raw, [sample_of([], level=100), sample_of([], level=105), raw]).stretched()
    levels = [int(sample.image[0, 0]) for sample in row.samples[:2]]
    assert 60 < levels[1] - levels[0] < 75
    np.testing.assert_array_equal(row.raw.image, stretch(raw.image))
    np.testing.assert_array_equal(row.samples[2].image, row.raw.image)


def test_stretching_by_given_limits() -> None:
    image = np.array([[10, 20, 30, 40]], np.uint8)
    assert stretch(image, (20, 40)).tolist() == [[0, 0, 128, 255]]
    assert stretch(image).tolist() == stretch(image, stretch_limits(image)).tolist()


@pytest.fixture
def rows() -> list[SampleRow]:
    raw = sample_of([2, 2, 1], title='Raw', number=None)
    flagged = sample_of([2], problems=('mask without pixels: cell 1',), title='Sample <9>')
    ignored = sample_of([2, 1], ignored=np.array([False, True]))
    return [SampleRow('a&b', raw, [ignored, flagged]), SampleRow('c', raw, [sample_of([])])]


def test_page(rows) -> None:
    page = sample_page(rows, CLASSES, {'config': 'x/<y>.py'})
    assert page.count('<article') == 2
    assert page.count('data-view="raw"') == 2
    assert '3 samples of 2 images' in page
    assert '<h3>a&amp;b</h3><span>1 astro, 2 cort</span>' in page
    assert 'x/&lt;y&gt;.py' in page
    assert 'Sample &lt;9&gt;' in page
    assert page.count('mask without pixels: cell 1') == 2  # in the summary and below its picture
    assert page.count('class="panel flagged"') == 1
    assert '<dt>Without cells</dt><dd>1<' in page
    assert '<dt>With problems</dt><dd>1<' in page
    assert '<dt>Cells per sample</dt><dd>1<small>median; 0 to 2<' in page
    # Every reference leads to an element of the page, every id stands once.
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {name[1:] for name in re.findall(r'(?:href|data-image)="(#[^"]+)"', page)} <= set(ids)


def own(label: int) -> str:
    return f'style="--own: rgb({" ".join(map(str, CELL_COLORS[label]))})"'


def test_each_cell_is_on_the_page_once_in_the_colour_of_its_class(rows) -> None:
    page = sample_page(rows[:1], CLASSES, {})
    attributes = r'class="([^"]+)" (style="[^"]+") data-set="([^"]+)" data-cells="([^"]+)" d="([^"]+)"'
    paths = re.findall(f'<path {attributes}', page)
    assert [path[:4] for path in paths] == [
        ('shape', own(1), 'astro cell', '3,100,,'),
        ('shape', own(2), 'cort cell', '1,100,, 2,100,,'),
        ('shape ignored', own(1), 'astro cell (ignored)', '2,100,,'),
        ('shape', own(2), 'cort cell', '1,100,,'),
        ('shape', own(2), 'cort cell', '1,100,,'),
    ]
    assert all(outline.count('M') == len(cells.split()) for *_, cells, outline in paths)


def test_boxes_on_the_page(rows) -> None:
    assert ' box"' not in sample_page(rows, CLASSES, {})
    page = sample_page(rows, CLASSES, {}, with_boxes=True)
    assert '<path class="box" ' + own(2) + ' d="M0 5H10V15H0zM20 5H30V15H20z"/>' in page
