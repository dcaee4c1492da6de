"""What a planted defect makes of a mask: by hand, and on synthetic cells."""

import numpy as np
import pytest
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.synthetic import make_image
from sartorius.synthetic.mask_defects import (
    cut_in_two,
    far_too_large,
    far_too_small,
    grown_into_neighbours,
    second_outline,
    sliver_beside,
    with_speck,
)
from sartorius.utils.classes import CELL_TYPES

SIZE = (192, 256)
CORNERS = np.ones((3, 3), dtype=bool)


@pytest.fixture(scope='module', params=CELL_TYPES)
def crops(request):
    return make_image(request.param, SIZE, np.random.default_rng(1), cells=40).crops


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def box(width: int, height: int, x: int = 0, y: int = 0) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def inside(crop: MaskCrop, size: tuple[int, int] = SIZE) -> bool:
    return crop.clipped(size).area == crop.area


def piece_areas(mask: np.ndarray) -> list[int]:
    """Largest first; pixels that touch at a corner belong to one piece."""
    pieces, _ = ndimage.label(mask, structure=CORNERS)
    return sorted(np.bincount(pieces.ravel())[1:].tolist(), reverse=True)


class TestSpeck:
    def test_is_small_and_stands_clear_of_all_cells(self, crops, rng):
        occupied = np.any([crop.to_full(SIZE) for crop in crops], axis=0)
        specks = [with_speck(crop, occupied, rng) for crop in crops]
        assert sum(speck is not None for speck in specks) > 0.8 * len(crops)
        for crop, changed in zip(crops, specks, strict=True):
            if changed is None:
                continue
            assert inside(changed)
            true = crop.to_full(SIZE)
            speck = changed.to_full(SIZE) & ~true
            assert changed.area == crop.area + speck.sum()
            assert len(piece_areas(speck)) == 1
            assert 3 <= speck.sum() <= 20
            assert speck.sum() < 0.05 * crop.area
            # Two clear pixels between it and any cell, and no more than 12 between it and its own.
            assert not (ndimage.binary_dilation(speck, CORNERS, iterations=2) & occupied).any()
            assert (ndimage.binary_dilation(speck, CORNERS, iterations=12) & true).any()

    def test_of_a_square_of_8_px_has_3_px(self, rng):
        cell = box(8, 8, 20, 20)
        changed = with_speck(cell, cell.to_full((48, 48)), rng)
        assert piece_areas(changed.mask) == [64, 3]

    def test_small_cells_and_those_without_room_have_none(self, rng):
        cell = box(7, 8, 20, 20)
        assert with_speck(cell, cell.to_full((48, 48)), rng) is None
        cell = box(10, 10, 20, 20)
        assert with_speck(cell, np.ones((48, 48), dtype=bool), rng) is None
        # Beyond the cell are but 4 pixels on each side.
        assert with_speck(box(10, 10, 4, 4), box(10, 10, 4, 4).to_full((18, 18)), rng) is None


class TestPieces:
    def test_are_two_of_a_quarter_or_more_with_a_gap_between(self, crops, rng):
        cut = [cut_in_two(crop, rng) for crop in crops]
        assert sum(pieces is not None for pieces in cut) > 0.8 * len(crops)
        for crop, changed in zip(crops, cut, strict=True):
            if changed is None:
                continue
            areas = piece_areas(changed.mask)
            assert len(areas) == 2
            assert areas[1] >= crop.area / 4
            assert not (changed.to_full(SIZE) & ~crop.to_full(SIZE)).any()

    @pytest.mark.parametrize('upright', [False, True])
    def test_of_a_bar_by_hand(self, upright):
        bar = box(4, 20) if upright else box(20, 4)
        gaps = set()
        for seed in range(20):
            mask = cut_in_two(bar, np.random.default_rng(seed)).mask
            line = (mask if upright else mask.T).all(axis=1)
            assert (line == (mask if upright else mask.T).any(axis=1)).all()
            gaps.add(int((~line).sum()))
            assert not line[9:11].any()
            assert len(piece_areas(mask)) == 2
        assert gaps == {2, 3}

    def test_are_not_more_than_two(self, rng):
        # A comb of three teeth: cut across its middle, its back is one piece and each tooth another.
        comb = np.ones((11, 22), dtype=bool)
        comb[[3, 7], 2:] = False
        assert cut_in_two(MaskCrop(comb, 0, 0), rng) is None

    def test_of_a_cell_without_room_for_the_gap_are_none(self, rng):
        assert cut_in_two(box(2, 2), rng) is None


class TestSliver:
    def test_is_a_thin_strip_along_the_outside(self, crops, rng):
        slivers = [sliver_beside(crop, SIZE, rng) for crop in crops]
        assert sum(sliver is not None for sliver in slivers) > 0.9 * len(crops)
        for crop, sliver in zip(crops, slivers, strict=True):
            if sliver is None:
                continue
            assert inside(sliver)
            assert len(piece_areas(sliver.mask)) == 1
            assert 10 <= sliver.area <= 120
            # No pixel has all its four neighbours: nothing is 3 px wide.
            assert not ndimage.binary_erosion(np.pad(sliver.mask, 1)).any()
            true, strip = crop.to_full(SIZE), sliver.to_full(SIZE)
            assert not (strip & true).any()
            assert not (strip & ~ndimage.binary_dilation(true, CORNERS, iterations=2)).any()

    def test_of_a_square_goes_at_most_half_around(self, rng):
        for _ in range(20):
            strip = sliver_beside(box(20, 20, 10, 10), (40, 40), rng)
            # The ring around it has 84 pixels.
            assert 10 <= strip.area <= 2 * 42 + 2
            assert max(strip.mask.shape) >= 8

    def test_needs_room_in_the_image(self, rng):
        assert sliver_beside(box(30, 30), (30, 30), rng) is None


class TestOverlapping:
    def test_meets_a_neighbour_that_it_did_not_meet(self, crops):
        others = [[other for other in crops if other is not crop] for crop in crops]
        grown = [grown_into_neighbours(crop, rest, SIZE) for crop, rest in zip(crops, others, strict=True)]
        assert any(crop is not None for crop in grown)
        for crop, changed, rest in zip(crops, grown, others, strict=True):
            if changed is None:
                continue
            assert inside(changed)
            full = changed.to_full(SIZE)
            assert not (full & ~ndimage.binary_dilation(crop.to_full(SIZE), CORNERS, iterations=3)).any()
            assert not (crop.to_full(SIZE) & ~full).any()
            met_before, meets = (mask_iou([cell], rest, SIZE)[0] > 0 for cell in (crop, changed))
            assert (meets & ~met_before).any()

    @pytest.mark.parametrize(('gap', 'reaches'), [(0, True), (2, True), (3, False)])
    def test_reaches_3_px(self, gap, reaches):
        changed = grown_into_neighbours(box(10, 10, 10, 10), [box(5, 10, 20 + gap, 10)], SIZE)
        assert (changed is not None) == reaches
        if reaches:
            assert changed.window == (7, 7, 23, 23)

    def test_a_neighbour_that_it_overlaps_already_does_not_count(self):
        cell, other = box(10, 10, 10, 10), box(5, 10, 19, 10)
        assert grown_into_neighbours(cell, [other], SIZE) is None
        assert grown_into_neighbours(cell, [other, box(5, 5, 3, 12)], SIZE) is not None

    def test_ends_at_the_border(self):
        assert grown_into_neighbours(box(10, 10), [box(5, 10, 11, 0)], SIZE).window == (0, 0, 13, 13)


class TestOutsized:
    def test_large_masks_are_30_times_as_large_as_is_typical(self, crops, rng):
        large_ones = [far_too_large(crop, 240, SIZE, rng) for crop in crops]
        # A long cell, so much longer, leaves the image.
        assert sum(large is not None for large in large_ones) > 0.6 * len(crops)
        for large in large_ones:
            if large is None:
                continue
            assert 30 * 240 <= large.area <= 46 * 240
            assert inside(large)
            assert len(piece_areas(large.mask)) == 1

    def test_a_square_stays_a_square_about_its_middle(self, rng):
        large = far_too_large(box(10, 10, 95, 95), 100, (200, 200), rng)
        height, width = large.mask.shape
        assert height == width
        assert 55 <= height <= 68
        assert large.mask.all()
        assert abs(large.x + width / 2 - 100) <= 1

    def test_holes_are_filled(self, rng):
        ring = box(10, 10, 95, 95).mask.copy()
        ring[3:7, 3:7] = False
        assert far_too_large(MaskCrop(ring, 95, 95), 100, (200, 200), rng).mask.all()

    def test_an_image_without_room_gets_none(self, rng):
        assert far_too_large(box(10, 10, 20, 20), 240, (80, 80), rng) is None
        # In a corner it moves into the image.
        assert far_too_large(box(10, 10), 100, (80, 80), rng).window[:2] == (0, 0)

    def test_small_masks_have_a_few_pixels_in_the_cell(self, crops, rng):
        for crop in crops:
            small = far_too_small(crop, rng)
            assert 1 <= small.area <= 9
            assert len(piece_areas(small.mask)) == 1
            assert not (small.to_full(SIZE) & ~crop.to_full(SIZE)).any()

    def test_a_small_mask_lies_in_the_middle_of_a_square(self, rng):
        areas = set()
        for _ in range(50):
            small = far_too_small(box(7, 7, 10, 20), rng)
            areas.add(small.area)
            assert small.to_full(SIZE)[23, 13]
        assert areas == set(range(3, 10))


class TestSecondOutline:
    def test_differs_and_is_the_same_cell(self, crops, rng):
        second = [second_outline(crop, SIZE, rng) for crop in crops]
        ious = np.array([mask_iou([crop], [other], SIZE)[0, 0] for crop, other in zip(crops, second, strict=True)])
        assert 0.7 < np.median(ious) < 0.9
        assert ious.min() > 0.5
        assert ious.max() < 1
        assert all(inside(other) for other in second)

    def test_of_a_square_by_hand(self):
        # Wider, a square of 20 px has 20 px more on each side and lies over the first wherever it is moved; narrower,
        # it has 18 x 18 px, which all lie in the first.
        ious = {
            round(
                float(mask_iou([box(20, 20, 30, 30)], [second_outline(box(20, 20, 30, 30), SIZE, rng)], SIZE)[0, 0]), 4
            )
            for rng in map(np.random.default_rng, range(20))
        }
        assert ious == {round(400 / 480, 4), round(324 / 400, 4)}

    def test_thin_cells_are_drawn_wider(self, rng):
        thin = box(12, 3, 30, 30)
        assert all(second_outline(thin, SIZE, rng).area == 36 + 30 for _ in range(20))

    @pytest.mark.parametrize('corner', [(0, 0), (236, 0), (0, 172), (236, 172)])
    def test_differs_at_the_border_too(self, corner, rng):
        cell = box(20, 20, *corner)
        for _ in range(20):
            other = second_outline(cell, SIZE, rng)
            assert inside(other)
            assert 0.7 < mask_iou([cell], [other], SIZE)[0, 0] < 1
