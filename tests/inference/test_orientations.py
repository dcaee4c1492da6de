"""The eight views: where a box and a mask go, and that they come back."""

import numpy as np
import pytest

from sartorius.inference.orientations import ORIENTATIONS, View, get_orientation
from sartorius.utils.errors import InputError

SIZE = (4, 6)


def box_of(image: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(image)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('none', [1, 0, 3, 1]),
        ('horizontal', [3, 0, 5, 1]),  # 6 px wide: columns 1, 2 become 4, 3
        ('vertical', [1, 3, 3, 4]),  # 4 px high: row 0 becomes row 3
        ('diagonal', [3, 3, 5, 4]),
        ('rot90', [0, 3, 1, 5]),  # counter-clockwise: the top row becomes the left column, read upwards
        ('rot270', [3, 1, 4, 3]),  # clockwise: the top row becomes the right column
        ('transpose', [3, 3, 4, 5]),
        ('antitranspose', [0, 1, 1, 3]),
    ],
)
def test_box_lands_by_hand(name: str, expected: list[int]) -> None:
    box = np.array([[1, 0, 3, 1]], dtype=np.float32)
    assert ORIENTATIONS[name].boxes(box, SIZE).tolist() == [expected]


@pytest.mark.parametrize('view', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_box_follows_the_image(view: View) -> None:
    image = np.zeros(SIZE, dtype=np.uint8)
    image[1:3, 0:2] = 1
    turned = view.image(image)
    assert turned.shape == view.size(SIZE)
    assert view.boxes(np.array([[0, 1, 2, 3]], np.float32), SIZE).tolist() == [box_of(turned)]


@pytest.mark.parametrize('view', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_boxes_come_back(view: View) -> None:
    boxes = np.random.default_rng(0).uniform(0, 4, (20, 4)).astype(np.float32)
    np.testing.assert_allclose(view.undo_boxes(view.boxes(boxes, SIZE), SIZE), boxes, atol=1e-6)


@pytest.mark.parametrize('view', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_soft_masks_come_back(view: View) -> None:
    masks = np.random.default_rng(0).random((3, 5, 5)).astype(np.float32)
    turned = np.stack([view.image(mask) for mask in masks])
    np.testing.assert_array_equal(view.undo_soft_masks(turned), masks)


def test_all_views_differ() -> None:
    image = np.arange(9).reshape(3, 3)
    assert len({view.image(image).tobytes() for view in ORIENTATIONS.values()}) == 8


def test_unknown_view_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'rot45'.*rot90"):
        get_orientation('rot45')
