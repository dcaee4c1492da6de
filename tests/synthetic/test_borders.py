"""Borders of cells: the margin before the background, the seams beside other cells, and how both look in an image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.borders import CellMap
from sartorius.synthetic.image import make_image

SIZE = (40, 40)


def rectangle(width: int, height: int, x: int, y: int) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def test_a_body_keeps_its_margin_but_is_not_cut_by_the_border_of_the_image() -> None:
    cell = rectangle(12, 9, 0, 4)
    body, window = CellMap.of([cell], SIZE).body(cell, 2.0)
    assert body[window].tolist()[0] == [0.0] * 12
    assert (body[window][2:7, :10] > 0.8).all()
    assert (body[window][:, 11] == 0).all()


def test_a_cell_too_thin_for_its_margin_has_a_body() -> None:
    cell = rectangle(20, 2, 5, 5)
    body, window = CellMap.of([cell], SIZE).body(cell, 2.0)
    assert (body[window] > 0).all()


def test_bodies_of_touching_cells_go_on_across_the_border_between_them() -> None:
    left, right = rectangle(10, 12, 5, 5), rectangle(10, 12, 15, 5)
    alone, _ = CellMap.of([left], SIZE).body(left, 2.0)
    together, window = CellMap.of([left, right], SIZE).body(left, 2.0)
    assert (alone[window][:, -1] == 0).all()
    assert (together[window][3:-3, 3:] > 0.8).all()
    assert (together[window][0] == 0).all()


@pytest.mark.parametrize('sisters', [False, True])
def test_a_seam_is_thin_and_only_beside_another_cell(sisters: bool) -> None:
    left, right = rectangle(18, 8, 2, 5), rectangle(18, 8, 20, 5)
    family = rectangle(36, 8, 2, 5) if sisters else None
    rng = np.random.default_rng(0)
    for _ in range(20):
        thickness = CellMap.of([left, right], SIZE).seams(left, family, rng)
        assert thickness.shape == (8, 18) and thickness.min() >= 0
        assert (np.diff(thickness[4]) <= 0).all() and thickness[4, -1] < 1
        assert thickness[:, :12] == pytest.approx(1)


def test_a_cell_apart_from_others_has_no_seam() -> None:
    cell, other = rectangle(10, 8, 5, 5), rectangle(10, 8, 20, 5)
    assert (CellMap.of([cell, other], SIZE).seams(cell, None, np.random.default_rng(0)) == 1).all()


@given(seed=st.integers(0, 10**6))
def test_the_map_is_that_of_a_slow_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crops = [rectangle(*rng.integers(2, 12, 2).tolist(), *rng.integers(0, 28, 2).tolist()) for _ in range(5)]
    cell_map = CellMap.of(crops, SIZE)
    covered = np.any([crop.to_full(SIZE) for crop in crops], axis=0)
    assert np.array_equal(cell_map.mask, covered)
    rows, columns = np.nonzero(~covered)
    for row, column in rng.integers(0, 40, (10, 2)):
        distance = np.hypot(rows - row, columns - column).min()
        # OpenCV's quick distances are off by a few hundredths.
        assert cell_map.depth[row, column] == pytest.approx(distance, rel=0.06, abs=0.06)


def test_cells_touch_with_less_of_a_rim_than_they_have_towards_the_background() -> None:
    """On the real images borders between cells are as grey as the background on average, the outer rim is bright."""
    between, outer = [], []
    for seed in range(4):
        made = make_image('shsy5y', (256, 256), np.random.default_rng(seed))
        inside = [crop.to_full(made.size) for crop in made.crops]
        cells = np.any(inside, axis=0)
        touches = np.sum([ndimage.binary_dilation(mask, np.ones((3, 3))) for mask in inside], axis=0) > 1
        far_in = ndimage.binary_erosion(cells, np.ones((5, 5)))
        between.append(made.image[touches & far_in])
        outer.append(made.image[cells & ~ndimage.binary_erosion(cells)])
    assert np.concatenate(between).mean() < np.concatenate(outer).mean() - 2
