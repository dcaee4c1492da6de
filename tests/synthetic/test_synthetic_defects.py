"""Planted label defects: how often, of which cells, and in which order."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.synthetic import DefectRates, make_image
from sartorius.synthetic.planted_defects import DEFECTS, hollow_out, plant_defects
from sartorius.utils.classes import CELL_TYPES
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
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(), np.random.default_rng(0))
    assert [cell.source for cell in cells] == list(range(len(crops)))
    assert all(cell.crop is crop and cell.defect is None for cell, crop in zip(cells, crops, strict=True))


def test_duplicates_follow_their_cell_one_pixel_beside_it(crops):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(duplicated=1.0), np.random.default_rng(0))
    assert len(cells) == 2 * len(crops)
    for index, crop in enumerate(crops):
        first, second = cells[2 * index], cells[2 * index + 1]
        assert (first.crop, first.defect, first.source) == (crop, None, index)
        assert (second.defect, second.source) == ('duplicated', index)
        one, two = first.crop.to_full(SIZE), second.crop.to_full(SIZE)
        assert (one ^ two).any()
        assert (two <= ndimage.binary_dilation(one)).all()


def test_missing_cells_have_no_mask(crops):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(missing=1.0), np.random.default_rng(0))
    assert [(cell.crop, cell.defect) for cell in cells] == [(None, 'missing')] * len(crops)


def test_every_planted_defect_changes_its_mask(crops):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(convex_filled=0.5, hollow=0.5), np.random.default_rng(0))
    assert {cell.defect for cell in cells} >= {'convex-filled', 'hollow'}
    for cell in cells:
        changed = (cell.crop.mask != crops[cell.source].mask).any()
        assert changed == (cell.defect is not None)


def test_rates_are_shares_of_the_cells():
    many = tuple(MaskCrop(np.ones((9, 9), dtype=bool), 10 * index, 0) for index in range(2000))
    rates = DefectRates(hollow=0.2, duplicated=0.1, missing=0.05)
    cells = plant_defects(many, 'cort', (20, 20_000), rates, np.random.default_rng(0))
    share = {name: sum(cell.defect == name for cell in cells) / len(many) for name in DEFECTS}
    expected = dict.fromkeys(DEFECTS, 0) | {'hollow': 0.2, 'duplicated': 0.1, 'missing': 0.05}
    assert share == pytest.approx(expected, abs=0.03)


def test_the_first_defects_do_not_depend_on_later_draws():
    """What a seed plants in given cells is part of the command line's promise."""
    corner = np.ones((20, 24), dtype=bool)
    corner[8:, 8:] = False
    crops = tuple(MaskCrop(corner, 30 * (number % 10), 30 * (number // 10)) for number in range(40))
    rates = DefectRates(convex_filled=0.2, hollow=0.2, duplicated=0.2, missing=0.2)
    cells = plant_defects(crops, 'astro', SIZE, rates, np.random.default_rng(3))
    text = '\n'.join(
        f'{cell.source} {cell.defect} {"" if cell.crop is None else kaggle_rle.encode(cell.crop, SIZE)}'
        for cell in cells
    )
    assert (
        hashlib.sha256(text.encode()).hexdigest() == '9d77635531b1338d66b1410133221258bc51bfc85109193bc6054049f034df23'
    )


@pytest.mark.parametrize(
    ('rates', 'message'),
    [
        ({'hollow': -0.1}, 'rate of hollow is -0.1; it must lie between 0 and 1'),
        ({'missing': 1.1}, 'rate of missing is 1.1'),
        ({'hollow': 0.6, 'missing': 0.6}, 'add up to 1.2; they must not exceed 1'),
        ({'speck': 0.5, 'wrong_class': 0.7}, 'add up to 1.2; they must not exceed 1'),
        ({'twice': 1.5}, 'rate of twice is 1.5'),
    ],
)
def test_bad_rates_are_refused(rates, message):
    with pytest.raises(InputError, match=message):
        DefectRates(**rates)


def test_images_annotated_twice_are_a_share_of_their_own():
    rates = DefectRates(hollow=1.0, twice=0.3)
    one = (MaskCrop(np.ones((9, 9), dtype=bool), 5, 5),)
    planted = [plant_defects(one, 'cort', (40, 40), rates, np.random.default_rng(seed)) for seed in range(500)]
    twice = [[cell.defect for cell in cells] == [None, 'twice'] for cells in planted]
    assert np.mean(twice) == pytest.approx(0.3, abs=0.06)
    # A cell gets one defect at most: the others are hollow, these are not.
    assert all(
        again or [cell.defect for cell in cells] == ['hollow'] for cells, again in zip(planted, twice, strict=True)
    )


def test_second_annotations_follow_all_first_ones(crops):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(twice=1.0), np.random.default_rng(0))
    assert [cell.source for cell in cells] == 2 * list(range(len(crops)))
    assert all(cell.crop is crop and cell.defect is None for cell, crop in zip(cells, crops, strict=False))
    assert {cell.defect for cell in cells[len(crops) :]} == {'twice'}


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_a_wrong_class_is_any_but_the_own_and_the_mask_stays(crops, cell_type):
    cells = plant_defects(crops, cell_type, SIZE, DefectRates(wrong_class=1.0), np.random.default_rng(0))
    assert {cell.cell_type for cell in cells} == set(CELL_TYPES) - {cell_type}
    assert all(cell.crop is crop and cell.defect == 'wrong-class' for cell, crop in zip(cells, crops, strict=True))


def test_slivers_follow_their_cell(crops):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(sliver=1.0), np.random.default_rng(0))
    places = [place for place, cell in enumerate(cells) if cell.defect == 'sliver']
    assert len(places) > 0.9 * len(crops)
    for place in places:
        assert cells[place].source == cells[place - 1].source
        assert cells[place - 1].crop is crops[cells[place].source]
        assert cells[place - 1].defect is None


@pytest.mark.parametrize('defect', ['speck', 'pieces', 'overlapping', 'outsized'])
def test_a_changed_mask_takes_the_place_of_the_true_one(crops, defect):
    cells = plant_defects(crops, 'astro', SIZE, DefectRates(**{defect: 1.0}), np.random.default_rng(0))
    assert [cell.source for cell in cells] == list(range(len(crops)))
    assert {cell.defect for cell in cells} >= {defect}
    for cell, crop in zip(cells, crops, strict=True):
        assert (cell.crop is crop) == (cell.defect is None)
        assert cell.cell_type is None
        assert cell.crop.clipped(SIZE).area == cell.crop.area > 0


def test_small_and_large_masks_are_about_as_many():
    crops = make_image('cort', SIZE, np.random.default_rng(0), cells=100).crops
    cells = plant_defects(crops, 'cort', SIZE, DefectRates(outsized=1.0), np.random.default_rng(0))
    areas = np.array([cell.crop.area for cell in cells])
    assert ((areas < 10) | (areas > 30 * 254)).all()
    assert np.mean(areas < 10) == pytest.approx(0.5, abs=0.15)


def test_the_same_seed_plants_the_same_defects(crops):
    rates = DefectRates(**dict.fromkeys(['speck', 'pieces', 'sliver', 'overlapping', 'outsized', 'wrong_class'], 1 / 6))
    first, second, other = (
        [
            (cell.source, cell.defect, cell.cell_type, kaggle_rle.encode(cell.crop, SIZE))
            for cell in plant_defects(crops, 'astro', SIZE, rates, np.random.default_rng(seed))
        ]
        for seed in (4, 4, 5)
    )
    assert first == second
    assert first != other
    assert len({cell[1] for cell in first}) == 7
