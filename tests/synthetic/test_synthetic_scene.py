"""Outlines, and how cells find their places."""

import cv2
import numpy as np
import pytest

from sartorius.synthetic.cell_types import SPECS, OutlineSpec, Spread
from sartorius.synthetic.scene import MAX_COVERAGE, place_cells
from sartorius.synthetic.shapes import CellShape, draw_shapes, rasterise, round_shape
from sartorius.utils.errors import InputError

NO_TIPS = np.zeros((0, 3))


def square(side):
    """A square cell around its centre."""
    half = (side - 1) / 2
    corners = np.array([(-half, -half), (half, -half), (half, half), (-half, half)])
    return CellShape((corners,), NO_TIPS, 1.0, float(side**2))


def test_rasterise_fills_a_square_and_puts_it_in_its_place():
    crop = rasterise(square(5).polygons, 10, 20).tight()
    assert crop.window == (8, 18, 13, 23)
    assert crop.mask.all()


def test_rasterise_fills_what_polygons_shut_in():
    # Four bars of a frame around a hole.
    bars = [(0, 0, 8, 1), (0, 7, 8, 8), (0, 0, 1, 8), (7, 0, 8, 8)]
    polygons = tuple(np.array([(a, b), (c, b), (c, d), (a, d)], dtype=float) for a, b, c, d in bars)
    crop = rasterise(polygons, 3, 4).tight()
    assert crop.window == (3, 4, 12, 13)
    assert crop.mask.all()


@pytest.mark.parametrize('cell_type', ['shsy5y', 'cort'])
@pytest.mark.parametrize('area', [60, 240, 2000])
def test_bodies_have_the_area_that_was_asked_for(cell_type, area):
    shapes = draw_shapes(
        SPECS[cell_type].outline, SPECS[cell_type].has_arms, np.full(50, float(area)), np.random.default_rng(0)
    )
    areas = np.array([shape.crop(0.3, 0.7).area for shape in shapes])
    assert areas.mean() == pytest.approx(area, rel=0.04)
    # The thin ends of cusps are a few pixels more or less.
    assert (abs(areas / area - 1) < 0.15).all()


def test_astrocytes_differ_in_form_but_keep_the_mean_area():
    shapes = draw_shapes(SPECS['astro'].outline, True, np.full(400, 900.0), np.random.default_rng(0))
    areas = np.array([shape.crop(0, 0).area for shape in shapes])
    lengths = np.array([max(shape.crop(0, 0).tight().mask.shape) for shape in shapes])
    assert areas.mean() == pytest.approx(900, rel=0.06)
    assert lengths.max() > 3 * lengths.min()
    depths = np.array([shape.depth for shape in shapes])
    assert 0.3 < (depths < 0.45).mean() < 0.5  # sheets, of low contrast


def test_scaling_a_shape_scales_its_tips_but_not_their_direction():
    shape = CellShape(square(4).polygons, np.array([(2.0, 1.0, 0.5)]), 1.0, 16.0).scaled(3)
    assert shape.tips.tolist() == [[6.0, 3.0, 0.5]]
    assert shape.target_area == 144


def test_spread_has_its_mean_and_range():
    values = Spread(80, 64, 5, 594).draw(np.random.default_rng(0), 20_000)
    assert values.mean() == pytest.approx(80, rel=0.05)
    assert values.std() == pytest.approx(64, rel=0.1)
    assert values.min() >= 5
    assert values.max() <= 594


def test_cells_that_meet_are_cut_and_touch():
    shapes = [square(12)] * 30
    cells = place_cells(shapes, (64, 96), 1.0, 0.0, np.random.default_rng(1))
    labels = np.zeros((64, 96), dtype=int)
    for number, cell in enumerate(cells, start=1):
        x1, y1, x2, y2 = cell.crop.window
        assert (labels[y1:y2, x1:x2][cell.crop.mask] == 0).all()
        labels[y1:y2, x1:x2][cell.crop.mask] = number
    assert any(cell.crop.area < 144 for cell in cells)
    left, right = labels[:, :-1], labels[:, 1:]
    assert ((left != right) & (left > 0) & (right > 0)).any()


def test_a_later_cell_lies_whole_on_an_earlier_one():
    # At overlap rate 0 the cell on top is never cut: at least the last one has its whole area.
    cells = place_cells([square(12)] * 20, (200, 200), 1.0, 0.0, np.random.default_rng(3))
    assert cells[-1].crop.area == cells[-1].shape.crop(cells[-1].x, cells[-1].y).clipped((200, 200)).area


def test_crowds_are_made_of_smaller_cells():
    size = (96, 128)
    cells = place_cells([square(30)] * 60, size, 0.5, 0.0, np.random.default_rng(0))
    assert len(cells) == 60
    assert sum(cell.crop.area for cell in cells) <= 1.1 * MAX_COVERAGE * size[0] * size[1]


def test_long_cells_that_fit_into_no_gap_round_up():
    bar = CellShape((np.array([(-40.0, -1), (40, -1), (40, 1), (-40, 1)]),), NO_TIPS, 1.0, 240.0)
    cells = place_cells([bar] * 60, (96, 96), 0.0, 0.0, np.random.default_rng(0))
    assert len(cells) == 60
    assert round_shape(bar, 8).crop(0, 0).area == pytest.approx(np.pi * 64, rel=0.1)


def test_too_many_cells_are_refused():
    with pytest.raises(InputError, match='an image of 40x32 has no room for 22 cells'):
        place_cells([square(12)] * 22, (32, 40), 0.5, 0.0, np.random.default_rng(0))


def test_sides_sag_between_cusps_and_bulge_between_bumps() -> None:
    def convexity(cusped: bool) -> float:
        outline = OutlineSpec((3, 3), (2.5, 2.5), (3.0, 3.0), 0.0, Spread(1.0, 1e-6, 1, 1), cusped)
        (shape,) = draw_shapes(outline, False, np.array([4000.0]), np.random.default_rng(0))
        crop = shape.crop(0.0, 0.0)
        hull = cv2.convexHull(np.argwhere(crop.mask)[:, ::-1].astype(np.int32))
        return crop.area / cv2.contourArea(hull)

    assert convexity(cusped=True) < 0.85 < 0.95 < convexity(cusped=False)
