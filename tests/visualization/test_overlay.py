"""Cells drawn on an image: known pixels."""

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.overlay import (
    BELOW_BASELINE,
    FN_COLOR,
    FP_COLOR,
    GUTTER,
    TITLE_HEIGHT,
    TP_COLOR,
    class_color,
    compare,
    draw_cells,
    draw_text,
    side_by_side,
)

RED = np.array([[200, 0, 0]], dtype=np.uint8)


def square(x: int, y: int, side: int = 5) -> MaskCrop:
    return MaskCrop(np.ones((side, side), dtype=bool), x, y)


def test_a_hundred_classes_differ_in_colour() -> None:
    assert len({class_color(label) for label in range(100)}) == 100


def test_outline_and_filling_of_a_square() -> None:
    image = np.full((9, 9), 100, dtype=np.uint8)
    drawn = draw_cells(image, [square(2, 2)], RED, alpha=0.25)
    assert drawn.shape == (9, 9, 3)
    assert drawn.dtype == np.uint8
    # 100 stays outside; the border of the square is the colour itself; inside a quarter of the colour.
    expected = np.full((9, 9, 3), 100)
    expected[2:7, 2:7] = (200, 0, 0)
    expected[3:6, 3:6] = (125, 75, 75)
    np.testing.assert_array_equal(drawn, expected)
    assert (image == 100).all()


def test_no_outline_when_its_width_is_zero() -> None:
    drawn = draw_cells(np.full((9, 9), 100, np.uint8), [square(2, 2)], RED, alpha=0.25, thickness=0)
    assert drawn[2, 2].tolist() == [125, 75, 75]


def test_a_colour_image_keeps_its_colours_and_is_not_changed() -> None:
    image = np.full((6, 6, 3), (10, 20, 30), dtype=np.uint8)
    drawn = draw_cells(image, [square(0, 0, 2)], RED)
    assert drawn[5, 5].tolist() == [10, 20, 30]
    assert (image == (10, 20, 30)).all()


def test_cells_are_cut_at_the_image() -> None:
    drawn = draw_cells(np.zeros((4, 4), np.uint8), [square(-3, -3), square(20, 20)], np.repeat(RED, 2, axis=0))
    assert np.argwhere(drawn[..., 0]).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_later_filling_does_not_dull_an_outline() -> None:
    colors = np.array([[200, 0, 0], [0, 200, 0]], dtype=np.uint8)
    drawn = draw_cells(np.zeros((12, 12), np.uint8), [square(1, 1), square(3, 3, 7)], colors)
    assert drawn[5, 5].tolist() == [200, 0, 0]


def test_touching_cells_get_two_colours() -> None:
    drawn = draw_cells(np.zeros((8, 12), np.uint8), [square(0, 0), square(5, 0)], alpha=1)
    assert drawn[2, 2].tolist() != drawn[2, 7].tolist()


def test_no_cells_is_the_image() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(draw_cells(image, []), image[..., None].repeat(3, axis=2))


@pytest.mark.parametrize(
    'image',
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)],
    ids=['16 bits', 'four channels', 'one row'],
)
def test_other_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match='to_uint8'):
        draw_cells(image, [])


def test_colours_must_fit_the_cells() -> None:
    with pytest.raises(InputError, match=r'2 cells need \(2, 3\)'):
        draw_cells(np.zeros((9, 9), np.uint8), [square(0, 0), square(1, 1)], RED)


def test_compare_shows_true_positives_false_negatives_and_false_positives() -> None:
    matched, missed, spurious = square(2, 2), square(12, 2), square(22, 2)
    panel = compare(np.full((10, 30), 90, np.uint8), [matched, missed], [matched, spurious])
    assert panel.shape == (10 + TITLE_HEIGHT, 4 * 30 + 3 * GUTTER, 3)
    first = panel[TITLE_HEIGHT:, :30]
    last = panel[TITLE_HEIGHT:, -30:]
    assert (first == 90).all()
    assert [tuple(last[2, x].tolist()) for x in (2, 12, 22)] == [TP_COLOR, FN_COLOR, FP_COLOR]
    # The ground truth shows the first two cells, the predictions the first and the third.
    gt, pred = panel[TITLE_HEIGHT:, 38:68], panel[TITLE_HEIGHT:, 76:106]
    assert [(gt[2, x] != 90).any() for x in (2, 12, 22)] == [True, True, False]
    assert [(pred[2, x] != 90).any() for x in (2, 12, 22)] == [True, False, True]


def test_compare_without_ground_truth_has_two_pictures() -> None:
    panel = compare(np.full((10, 30), 90, np.uint8), None, [square(2, 2)])
    assert panel.shape == (10 + TITLE_HEIGHT, 2 * 30 + GUTTER, 3)


def test_titles_are_dark_on_white_and_cut_at_the_picture() -> None:
    pictures = [np.zeros((4, 60, 3), np.uint8)] * 2
    page = side_by_side(pictures, ['A title that is much longer than its picture', ''])
    assert page[:TITLE_HEIGHT, :60].min() < 60
    assert (page[:TITLE_HEIGHT, 60:] == 255).all()


def test_lines_of_text_stand_on_one_baseline() -> None:
    flat, deep = draw_text('none'), draw_text('gypsy')
    assert flat.shape[0] == deep.shape[0] == TITLE_HEIGHT
    lowest = [np.flatnonzero((text < 128).any(axis=(1, 2))).max() for text in (flat, deep)]
    # The letters of 'none' end on the baseline; descenders reach below it and are not cut.
    assert lowest[0] == TITLE_HEIGHT - BELOW_BASELINE - 1
    assert lowest[0] + 2 < lowest[1] < TITLE_HEIGHT - 1
    assert draw_text('').shape == (TITLE_HEIGHT, 0, 3)
    # Image ids may hold letters beyond ASCII: other ink than that of a missing glyph.
    assert not np.array_equal(draw_text('ж'), draw_text('\uffff'))
