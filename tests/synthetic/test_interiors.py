"""What is seen inside flat cells."""

from dataclasses import replace

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import InteriorSpec
from sartorius.synthetic.interiors import interior

EMPTY = InteriorSpec(
    nuclei=0.0,
    nucleus_length=(6, 6),
    nucleus_depth=(5, 5),
    granules=(0, 0),
    granule_depth=8,
    fibres=(0, 0),
    fibre_depth=6,
)
STRIP = MaskCrop(np.ones((24, 90), dtype=bool), 3, 5)


def seen(**changes):
    return interior(STRIP, replace(EMPTY, **changes), np.random.default_rng(0))


def test_an_empty_interior_adds_nothing():
    assert seen().shape == STRIP.mask.shape
    assert not seen().any()


def test_a_nucleus_lies_along_the_cell_where_it_is_thickest():
    layer = seen(nuclei=1.0)
    rows, columns = np.nonzero(layer > 2.5)
    # 12 px long and 7.8 px wide, nucleoli included.
    assert 9 <= np.ptp(columns) <= 14
    assert 5 <= np.ptp(rows) <= 9
    assert abs(rows.mean() - 11.5) < 2
    assert layer[0].max() < 0.5


def test_fibres_run_along_the_cell():
    layer = seen(fibres=(3, 3))
    assert layer.any()
    assert np.abs(np.diff(layer, axis=1)).sum() < 0.7 * np.abs(np.diff(layer, axis=0)).sum()


def test_granules_gather_around_the_nucleus():
    layer = seen(granules=(30, 30))
    rows, columns = np.nonzero(layer)
    assert 10 <= len(rows) <= 30
    row, column = 11.5, columns.mean()
    assert np.abs(columns - column).mean() < 10
    assert np.abs(rows - row).mean() < 6


@pytest.mark.parametrize('shape', [(1, 1), (1, 30), (3, 2)])
def test_slivers_are_no_error(shape):
    full = replace(EMPTY, nuclei=1.0, granules=(5, 5), fibres=(20, 20))
    layer = interior(MaskCrop(np.ones(shape, dtype=bool), 0, 0), full, np.random.default_rng(1))
    assert np.isfinite(layer).all()
    assert layer.shape == shape
