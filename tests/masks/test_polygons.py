"""Polygons and ellipses as masks, by centres of pixels."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sartorius.masks.crop import MaskCrop
from sartorius.masks.polygons import ellipse, fill_polygons
from sartorius.utils.errors import InputError
from sartorius.visualization.outlines import outlines

SIZE = (9, 12)
SQUARE = np.array([(2, 1), (6, 1), (6, 5), (2, 5)])


def inside(rings, x, y):
    """Whether a ray to the left of a point crosses an odd number of sides: the definition, point by point."""
    crossings = 0
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if min(y1, y2) < y <= max(y1, y2):
                crossings += Fraction(x1) + Fraction(y - y1) * Fraction(x2 - x1) / Fraction(y2 - y1) < x
    return crossings % 2 == 1


@given(arrays(bool, SIZE), st.integers(0, 30), st.integers(0, 30))
@settings(deadline=None)
def test_outlines_along_edges_of_pixels_come_back_exactly(mask, x, y):
    crop = MaskCrop(mask, x, y)
    found = fill_polygons(outlines(crop), (40, 44))
    assert np.array_equal(found.to_full((40, 44)), crop.to_full((40, 44)))


@given(st.lists(arrays(np.float64, (4, 2), elements=st.integers(-24, 60).map(lambda n: n / 4)), min_size=1, max_size=3))
@settings(deadline=None)
def test_any_polygons_against_the_definition(rings):
    expected = [[inside(rings, x + 0.5, y + 0.5) for x in range(SIZE[1])] for y in range(SIZE[0])]
    assert np.array_equal(fill_polygons(rings, SIZE).to_full(SIZE), expected)


def test_a_ring_within_a_ring_is_a_hole():
    hole = np.array([(3, 2), (5, 2), (5, 4), (3, 4)])
    assert fill_polygons([SQUARE, hole], SIZE).area == 16 - 4


def test_halves_of_a_square_share_no_pixel():
    upper, lower = SQUARE[[0, 1, 2]], SQUARE[[0, 2, 3]]
    masks = [fill_polygons([ring], SIZE).to_full(SIZE) for ring in (upper, lower)]
    assert not (masks[0] & masks[1]).any() and (masks[0] | masks[1]).sum() == 16


def test_a_polygon_whose_sides_run_through_centres_as_imagej_fills_it():
    """ImageJ 1.53t fills 475 pixels; of five more the centre lies on the left side."""
    ring = np.array([(5, 60), (25, 62), (30, 80), (12, 85), (3, 70)])
    mask = fill_polygons([ring], (90, 120)).to_full((90, 120))
    assert mask.sum() == 475 and not mask[[62, 67, 72, 77, 82], [4, 3, 4, 7, 10]].any()


@pytest.mark.parametrize('rings', [[], [SQUARE[:2]], [SQUARE + 100], [SQUARE * 0.08]])
def test_what_holds_no_centre_has_no_pixels(rings):
    assert fill_polygons(rings, SIZE).area == 0


@pytest.mark.parametrize(('axes', 'angle'), [((3, 3), 0.0), ((4, 2), 0.0), ((2, 4), np.pi / 2), ((3.5, 1.2), 0.7)])
def test_ellipse_is_the_polygon_of_many_corners(axes, angle):
    turns = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    along, across = axes[0] * np.cos(turns), axes[1] * np.sin(turns)
    x, y = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
    ring = np.stack([x + 6.1, y + 4.3], axis=1)
    found = ellipse((6.1, 4.3), axes, angle, SIZE)
    assert found.area and np.array_equal(found.to_full(SIZE), fill_polygons([ring], SIZE).to_full(SIZE))


@pytest.mark.parametrize('far', [np.nan, np.inf, 1e308, -(2.0**53)])
def test_a_corner_without_a_place_is_refused(far):
    ring = SQUARE.astype(float)
    ring[1, 0] = far
    with pytest.raises(InputError, match='not within 1e.07 pixels'):
        fill_polygons([ring], SIZE)
