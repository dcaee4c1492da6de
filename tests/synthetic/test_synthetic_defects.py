"""Planted label defects."""

import numpy as np
import pytest
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic import DefectRates, make_image
from sartorius.synthetic.defects import DEFECTS, hollow_out, plant_defects
from sartorius.utils.errors import InputError

SIZE = (256, 320)


@pytest.fixture(scope='module')
def crops():
    return make_image('astro', SIZE, np.random.default_rng(0), cells=40).crops


def test_a_hollow_cell_is_a_shell():
    shell = hollow_out(MaskCrop(np.ones((8, 9), dtype=bool), 1, 2))
    expected = np.ones((8, 9), dtype=bool)
    expected[2:-2, 2:-2] = False
    assert (shell.mask == expected).all()


def test_filling_the_holes_of_a_hollow_cell_gives_it_back(crops):
    for crop in crops:
        assert (ndimage.binary_fill_holes(hollow_out(crop).mask) == crop.mask).all()


def test_no_rate_plants_nothing(crops):
    cells = plant_defects(crops, SIZE, DefectRates(), np.random.default_rng(0))
    assert [cell.source for cell in cells] == list(range(len(crops)))
    assert all(cell.crop is crop and cell.defect is None for cell, crop in zip(cells, crops, strict=True))


def test_duplicates_follow_their_cell_one_pixel_beside_it(crops):
    cells = plant_defects(crops, SIZE, DefectRates(duplicated=1.0), np.random.default_rng(0))
    assert len(cells) == 2 * len(crops)
    for index, crop in enumerate(crops):
        first, second = cells[2 * index], cells[2 * index + 1]
        assert (first.crop, first.defect, first.source) == (crop, None, index)
        assert (second.defect, second.source) == ('duplicated', index)
        one, two = first.crop.to_full(SIZE), second.crop.to_full(SIZE)
        assert (one ^ two).any()
        assert (two <= ndimage.binary_dilation(one)).all()


def test_missing_cells_have_no_mask(crops):
    cells = plant_defects(crops, SIZE, DefectRates(missing=1.0), np.random.default_rng(0))
    assert [(cell.crop, cell.defect) for cell in cells] == [(None, 'missing')] * len(crops)


def test_every_planted_defect_changes_its_mask(crops):
    cells = plant_defects(crops, SIZE, DefectRates(convex_filled=0.5, hollow=0.5), np.random.default_rng(0))
    assert {cell.defect for cell in cells} >= {'convex-filled', 'hollow'}
    for cell in cells:
        changed = (cell.crop.mask != crops[cell.source].mask).any()
        assert changed == (cell.defect is not None)


def test_rates_are_shares_of_the_cells():
    many = tuple(MaskCrop(np.ones((9, 9), dtype=bool), 10 * index, 0) for index in range(2000))
    rates = DefectRates(hollow=0.2, duplicated=0.1, missing=0.05)
    cells = plant_defects(many, (20, 20_000), rates, np.random.default_rng(0))
    share = {name: sum(cell.defect == name for cell in cells) / len(many) for name in DEFECTS}
    assert share == pytest.approx({'convex-filled': 0, 'hollow': 0.2, 'duplicated': 0.1, 'missing': 0.05}, abs=0.03)


@pytest.mark.parametrize(
    ('rates', 'message'),
    [
        ({'hollow': -0.1}, 'rate of hollow is -0.1; it must lie between 0 and 1'),
        ({'missing': 1.1}, 'rate of missing is 1.1'),
        ({'hollow': 0.6, 'missing': 0.6}, 'add up to 1.2; they must not exceed 1'),
    ],
)
def test_bad_rates_are_refused(rates, message):
    with pytest.raises(InputError, match=message):
        DefectRates(**rates)
