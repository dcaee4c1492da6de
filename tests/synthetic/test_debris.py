"""Debris and dead cells between the cells and on them."""

from dataclasses import replace

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import SPECS, DebrisSpec
from sartorius.synthetic.debris import _add_discs, add_dead_cells
from sartorius.synthetic.rendering import ImageStyle, to_grey

SIZE = (300, 300)


def test_remains_are_dark_in_a_bright_ring():
    style = replace(ImageStyle.draw(SPECS['cort'], np.random.default_rng(0)), grain=0.0, tilt=(0.0, 0.0))
    spec = DebrisSpec(specks=(0, 0), remains=(4, 4), clouds=(0, 0), heaps=(0, 0), clinging=0.0, depth=(60, 60))
    thickness = np.zeros(SIZE, dtype=np.float32)
    add_dead_cells(thickness, (), spec, 1.0, np.random.default_rng(0))
    grey = to_grey(thickness, style, np.random.default_rng(0)).astype(int)
    row, column = np.unravel_index(grey.argmin(), SIZE)
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(rows - row, columns - column)
    rings = [grey[(distance > radius - 0.5) & (distance <= radius + 0.5)].mean() for radius in range(1, 9)]
    assert grey.min() < 110
    assert max(rings) > 132
    assert abs(grey[distance > 30] - 128).max() <= 1


def test_a_disc_has_its_area_and_may_lie_across_or_beyond_the_border():
    thickness = np.zeros(SIZE, dtype=np.float32)
    _add_discs(thickness, np.array([[150.0, 100.0]]), np.array([4.0]), np.array([2.0]))
    assert thickness.sum() == pytest.approx(2 * np.pi * 4**2, rel=0.03)
    assert thickness.max() == 2
    assert thickness[100, 146] > 0 == thickness[100, 143]
    thickness[:] = 0
    _add_discs(thickness, np.array([[0.0, 150.0]]), np.array([4.0]), np.array([2.0]))
    assert thickness.sum() == pytest.approx(np.pi * 4**2, rel=0.05)
    thickness[:] = 0
    beyond = np.array([[-8.0, 5.0], [5.0, -8.0], [308.0, 5.0], [5.0, 308.0]])
    _add_discs(thickness, beyond, np.full(4, 3.0), np.ones(4))
    assert not thickness.any()


def test_vesicles_of_heaps_are_dark_rings_around_bright_middles():
    thickness = np.zeros(SIZE, dtype=np.float32)
    _add_discs(thickness, np.array([[150.0, 100.0]]), np.array([3.0]), np.array([2.0]), lens=1.3)
    assert thickness[99:101, 149:151].max() < 0
    assert thickness[100, 147] > 1


def test_as_many_heaps_lie_on_cells_as_asked_and_anywhere_without_cells():
    spec = DebrisSpec(specks=(0, 0), remains=(0, 0), clouds=(0, 0), heaps=(4, 4), clinging=0.8, depth=(60, 60))
    cell = MaskCrop(np.ones((60, 60), dtype=bool), x=120, y=120)
    rng = np.random.default_rng(0)

    def share_on_cell(cells):
        # One heap an image: on top of each other they would hide how many there are.
        touched = np.zeros(SIZE)
        for _ in range(200):
            thickness = np.zeros(SIZE, dtype=np.float32)
            add_dead_cells(thickness, cells, spec, 1.0, rng)
            touched += thickness != 0
        return touched[120:180, 120:180].sum() / touched.sum()

    assert 0.3 < share_on_cell((cell,)) < 0.6
    assert share_on_cell(()) < 0.1
