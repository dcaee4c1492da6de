"""Outlines filled as if they were convex: by hand, and as the annotated astrocytes are."""

import csv

import numpy as np
import pytest

from sartorius.masks import kaggle_rle
from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.masks.pieces import fill_holes

SIZE = (520, 704)


def crop_of(text: str) -> MaskCrop:
    return MaskCrop(np.array([[pixel == '#' for pixel in row] for row in text.split()]), 5, 7)


@pytest.mark.parametrize(
    ('cell', 'broken'),
    [
        ('##### ##### #####', '##### ##### #####'),  # convex
        # An arch: the scan follows the two outer edges, and the bay between them is filled down to the last row.
        ('####### ####### ##...## ##...## ##...##', '####### ####### ####### ####### ##...##'),
        # A cup: the scan starts in the left branch, of the right one the outline alone is drawn.
        (
            '###....### ###....### ###....### ###....### ########## ########## ##########',
            '###....### ###....#.# ###....#.# ###....#.# ########## ########## ##########',
        ),
        # Holes count as filled.
        ('##### #...# #...# #####', '##### ##### ##### #####'),
        # Pieces one by one, and a cell of one pixel.
        ('#.###.# ..###..', '#.###.# ..###..'),
    ],
)
def test_by_hand(cell, broken):
    filled = fill_as_convex(crop_of(cell))
    np.testing.assert_array_equal(filled.mask, crop_of(broken).mask)
    assert (filled.x, filled.y) == (5, 7)


@pytest.mark.parametrize('shape', [(0, 0), (0, 4), (3, 5)])
def test_an_empty_cell_stays_empty(shape):
    empty = MaskCrop(np.zeros(shape, dtype=bool), 0, 0)
    assert fill_as_convex(empty) is empty


def test_a_view_into_a_larger_mask_will_do():
    mask = np.zeros((20, 20), dtype=bool)
    mask[4:9, 3:10] = crop_of('####### ####### ##...## ##...## ##...##').mask
    filled = fill_as_convex(MaskCrop(mask[4:9, 3:10], 3, 4))
    assert filled.area == 32
    assert mask.sum() == 26


def test_breaks_filled_cells_as_the_annotation_tool_did(real_data):
    """Masks with closed branches filled and broken again are as annotated; upside down the rule finds nothing."""
    with (real_data / 'train.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['cell_type'] == 'astro']
    crops = [kaggle_rle.decode(row['annotation'], SIZE).tight() for row in rows]
    filled = fill_holes(crops)
    hollow = [n for n, (crop, solid) in enumerate(zip(crops, filled, strict=True)) if solid.area > crop.area]
    assert len(hollow) > 50

    def mean_iou(changed: list[MaskCrop]) -> float:
        return float(np.mean([mask_iou([changed[n]], [crops[n]], SIZE) for n in hollow]))

    upside_down = [MaskCrop(crop.mask[::-1], crop.x, crop.y) for crop in filled]
    turned_back = [MaskCrop(crop.mask[::-1], crop.x, crop.y) for crop in map(fill_as_convex, upside_down)]
    assert mean_iou([fill_as_convex(crop) for crop in filled]) > 0.98
    assert mean_iou(filled) < 0.97
    assert mean_iou(turned_back) < 0.97
