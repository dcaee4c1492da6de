"""Cutting cells out and pasting them, on images that a person can check and against full-size bitmaps."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.pasting import CellPatch, CellSource, PasteCanvas, local_background
from sartorius.masks.crop import MaskCrop

PER_CELL = ('gt_masks', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags')


def make_sample(image: np.ndarray, crops: list[MaskCrop], label: int = 0) -> dict[str, Any]:
    height, width = image.shape[:2]
    masks = CroppedMasks(crops, height, width)
    return {
        'img': np.repeat(image.astype(np.uint8)[:, :, None], 3, axis=2),
        'img_shape': (height, width),
        'gt_masks': masks,
        'gt_bboxes': masks.get_bboxes(),
        'gt_bboxes_labels': np.full(len(masks), label),
        'gt_ignore_flags': np.zeros(len(masks), dtype=bool),
    }


def random_sample(height: int, width: int, cells: int, seed: int, label: int = 0) -> dict[str, Any]:
    """Noise, and cells that are noise too, some of one pixel, some larger than the image, many overlapping."""
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(cells):
        size = rng.integers(1, rng.choice([2, 6, 40]), size=2)
        x, y = int(rng.integers(-3, width)), int(rng.integers(-3, height))
        crops.append(MaskCrop(rng.random(size) < rng.uniform(0.2, 1.1), x, y))
    crops = [crop for crop in crops if crop.clipped((height, width)).area]
    return make_sample(rng.integers(0, 256, (height, width)), crops, label)


def square(side: int, x: int, y: int) -> MaskCrop:
    return MaskCrop(np.ones((side, side), dtype=bool), x, y)


def canvas(sample: dict[str, Any], rim: int = 0, on_top: bool = False, min_visible: float = 0.25) -> PasteCanvas:
    return PasteCanvas(sample, rim, on_top, min_visible, match_background=False)


def assert_legal(results: dict[str, Any]) -> None:
    """One entry a cell everywhere; boxes tight and of a width and a height; a uint8 image."""
    masks = results['gt_masks']
    assert results['img'].dtype == np.uint8
    assert results['img'].shape == (masks.height, masks.width, 3)
    assert {len(results[key]) for key in PER_CELL} == {len(masks)}
    assert torch.equal(results['gt_bboxes'].tensor, masks.get_bboxes().tensor)
    assert (results['gt_bboxes'].widths > 0).all()
    assert (results['gt_bboxes'].heights > 0).all()
    for cell in masks.to_ndarray():
        rows, columns = np.nonzero(cell)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box in masks.windows.tolist()


class TestOneCell:
    SOURCE = np.full((9, 9), 100)
    SOURCE[3:6, 3:6] = 200

    def patch(self, margin: int = 0) -> CellPatch:
        return CellSource(make_sample(self.SOURCE, [square(3, 3, 3)], label=2)).cut(0, margin)[0]

    def test_pixels_of_a_hard_edge(self):
        target = canvas(make_sample(np.full((8, 10), 120), []))
        assert target.paste(self.patch(margin=2), 4, 1)
        results = target.finish()
        expected = np.full((8, 10), 120)
        expected[3:6, 6:9] = 200
        np.testing.assert_array_equal(results['img'][:, :, 1], expected)
        assert results['gt_bboxes'].tensor.tolist() == [[6, 3, 9, 6]]
        assert results['gt_bboxes_labels'].tolist() == [2]
        assert results['gt_ignore_flags'].tolist() == [False]
        assert results['gt_masks'].areas.tolist() == [9]

    def test_the_rim_fades(self):
        target = canvas(make_sample(np.full((8, 10), 120), []), rim=3)
        assert target.paste(self.patch(margin=3), 1, 0)
        # The source's ground is 20 darker: at distances of 1, 2 and 3 pixels, 3/4, 2/4 and 1/4 of that are left.
        assert target.image[4, :, 0].tolist() == [120, 115, 110, 105, 200, 200, 200, 105, 110, 115]

    def test_a_rim_of_one_pixel(self):
        target = canvas(make_sample(np.full((8, 10), 120), []), rim=1)
        assert target.paste(self.patch(margin=1), 0, 0)
        # Half of the difference beside the cell; at a corner, at a distance of about 1.4, a third of it.
        assert target.image[0, :6, 0].tolist() == [114, 110, 110, 110, 114, 120]

    def test_the_background_is_matched(self):
        target = PasteCanvas(make_sample(np.full((8, 10), 120), []), 3, False, 0, match_background=True)
        assert target.paste(self.patch(margin=3), 0, 0)
        expected = np.full((8, 10), 120)
        expected[3:6, 3:6] = 220
        np.testing.assert_array_equal(target.image[:, :, 0], expected)

    def test_neighbours_in_the_source_stay_there(self):
        image = self.SOURCE.copy()
        image[2, :] = 250
        source = CellSource(make_sample(image, [square(3, 3, 3), MaskCrop(np.ones((1, 9), dtype=bool), 0, 2)]))
        target = canvas(make_sample(np.full((9, 9), 100), []), rim=3)
        assert target.paste(*source.cut(0, 3))
        np.testing.assert_array_equal(target.image[:, :, 0], self.SOURCE)

    def test_cells_near_the_source_border_are_cut_with_less_around(self):
        patch, x, y = CellSource(make_sample(self.SOURCE, [square(3, 0, 5)])).cut(0, 2)
        assert (x, y) == (0, 3)
        assert patch.cell.shape == (6, 5)
        assert patch.cell[2:5, :3].all()

    @pytest.mark.parametrize(('x', 'area'), [(0, 9), (-1, 6), (-2, 3), (-3, 0), (9, 3), (10, 0), (400, 0), (-400, 0)])
    def test_the_image_border_cuts(self, x, area):
        target = canvas(make_sample(np.full((8, 10), 120), []))
        assert target.paste(self.patch(), x, 2) == (area > 0)
        results = target.finish()
        assert_legal(results)
        assert results['gt_masks'].areas.sum() == np.count_nonzero(results['img'][:, :, 0] == 200) == area
        strict = canvas(make_sample(np.full((8, 10), 120), []), min_visible=0.5)
        assert strict.paste(self.patch(), x, 2) == (area >= 4.5)


class TestRoom:
    """A 4x4 cell of the sample, and 2x2 cells of grey 200 that are pasted on it."""

    def sample(self) -> dict[str, Any]:
        image = np.full((10, 10), 100)
        image[2:6, 2:6] = 50
        return make_sample(image, [square(4, 2, 2)])

    def patch(self, side: int = 2) -> CellPatch:
        return CellSource(make_sample(np.full((side, side), 200), [square(side, 0, 0)], label=1)).cut(0, 0)[0]

    def test_free_ground(self):
        target = canvas(self.sample())
        assert not target.paste(self.patch(), 5, 5)
        assert target.paste(self.patch(), 6, 5)
        assert not target.paste(self.patch(), 7, 6)
        results = target.finish()
        assert results['gt_masks'].windows.tolist() == [[2, 2, 6, 6], [6, 5, 8, 7]]
        assert (results['img'][2:6, 2:6] == 50).all()

    def test_on_top_the_original_is_cut(self):
        target = canvas(self.sample(), on_top=True)
        assert target.paste(self.patch(), 5, 5)
        results = target.finish()
        assert results['gt_masks'].areas.tolist() == [15, 4]
        assert results['gt_bboxes'].tensor.tolist() == [[2, 2, 6, 6], [5, 5, 7, 7]]
        assert results['gt_bboxes_labels'].tolist() == [0, 1]

    def test_boxes_of_cut_originals_are_tight(self):
        target = canvas(self.sample(), on_top=True)
        assert target.paste(self.patch(4), 2, 4)
        assert target.finish()['gt_bboxes'].tensor.tolist() == [[2, 2, 6, 4], [2, 4, 6, 8]]

    @pytest.mark.parametrize(('least', 'cells'), [(0.5, 2), (0.51, 1)])
    def test_originals_of_which_too_little_is_left_are_dropped(self, least, cells):
        target = canvas(self.sample(), on_top=True, min_visible=least)
        assert target.paste(self.patch(4), 2, 4)
        results = target.finish()
        assert len(results['gt_masks']) == cells
        assert_legal(results)

    def test_originals_wholly_covered_are_dropped_even_without_a_limit(self):
        target = canvas(self.sample(), on_top=True, min_visible=0)
        assert target.paste(self.patch(10), 0, 0)
        assert target.finish()['gt_bboxes_labels'].tolist() == [1]

    def test_later_cells_lie_under_earlier_ones(self):
        target = canvas(self.sample(), on_top=True)
        assert target.paste(self.patch(2), 7, 7)
        assert target.paste(self.patch(3), 6, 6)
        # Of nine pixels two columns and rows are hidden: five show. The third cell would show none.
        assert not target.paste(self.patch(1), 7, 7)
        assert target.finish()['gt_masks'].areas.tolist() == [16, 4, 5]


def paste_slowly(
    sample: dict[str, Any], patches: list[tuple[CellPatch, int, int]], rim: int, on_top: bool, min_visible: float
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Image, remains of the cells and pasted cells, all full-size; the image has a wide border at work."""
    border = 50
    originals = [np.pad(mask.astype(bool), border) for mask in sample['gt_masks']]
    image = np.pad(sample['img'].astype(float), ((border, border), (border, border), (0, 0)))
    inside = np.pad(np.ones(sample['img'].shape[:2], dtype=bool), border)
    every_original = np.any([*originals, np.zeros_like(inside)], axis=0)
    pasted = []
    for patch, x, y in patches:
        height, width = patch.cell.shape
        place = slice(y + border, y + border + height), slice(x + border, x + border + width)
        whole, others, near = (np.zeros_like(inside) for _ in range(3))
        whole[place], others[place], near[place] = patch.cell, patch.others, True
        levels = np.zeros_like(image)
        levels[place] = patch.image
        others |= np.any([*pasted, np.zeros_like(inside)], axis=0)
        if not on_top:
            others |= every_original
        cell = whole & inside & ~others
        if not cell.any() or cell.sum() < min_visible * whole.sum():
            continue
        if not on_top and (whole & inside & others).any():
            continue
        distance = cv2.distanceTransform((~cell).astype(np.uint8), cv2.DIST_L2, 5)
        weight = np.where(cell, 1, np.clip(1 - distance / (rim + 1), 0, 1) * (near & ~others))
        image = np.rint(image + weight[:, :, None] * (levels - image))
        pasted.append(cell)
    cover = np.any([*pasted, np.zeros_like(inside)], axis=0)
    remains = [cell & ~cover for cell in originals]
    remains = [left for left, cell in zip(remains, originals, strict=True) if left.sum() >= min_visible * cell.sum()]

    def cut(full: np.ndarray) -> np.ndarray:
        return full[border:-border, border:-border]

    return cut(image), [cut(cell) for cell in remains if cell.any()], [cut(cell) for cell in pasted]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    source_shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    rim=st.integers(0, 4),
    on_top=st.booleans(),
    min_visible=st.sampled_from([0.0, 0.25, 0.7, 1.0]),
    quarters=st.integers(0, 3),
    flip=st.booleans(),
)
def test_equals_full_size_bitmaps(seed, shape, source_shape, rim, on_top, min_visible, quarters, flip):
    rng = np.random.default_rng(seed)
    sample = random_sample(*shape, cells=6, seed=seed)
    source = CellSource(random_sample(*source_shape, cells=12, seed=seed + 1, label=1))
    copies = sample['img'].copy(), sample['gt_masks'].to_ndarray(), source.image.copy(), source.masks.to_ndarray()
    patches = []
    for index in range(len(source.masks)):
        x, y = int(rng.integers(-20, shape[1] + 5)), int(rng.integers(-20, shape[0] + 5))
        patches.append((source.cut(index, rim)[0].turned(quarters, flip), x, y))
    target = canvas(sample, rim, on_top, min_visible)
    for patch in patches:
        target.paste(*patch)
    results = target.finish()

    image, remains, pasted = paste_slowly(sample, patches, rim, on_top, min_visible)
    # The weights of the rim are float32 here and float64 there.
    assert np.abs(results['img'] - image).max() <= 1
    bitmaps = results['gt_masks'].to_ndarray()
    np.testing.assert_array_equal(bitmaps, np.reshape([*remains, *pasted], bitmaps.shape))
    assert results['gt_bboxes_labels'].tolist() == [0] * len(remains) + [1] * len(pasted)
    assert_legal(results)

    # What must hold whatever the version: nobody shares a pixel with a pasted cell, and no pixel is lost.
    cover = bitmaps[len(remains) :].sum(axis=0)
    assert cover.max(initial=0) <= 1
    assert (bitmaps[: len(remains)].sum(axis=0)[cover > 0] == 0).all()
    if not on_top:
        np.testing.assert_array_equal(bitmaps[: len(remains)], copies[1])
    after = sample['img'], sample['gt_masks'].to_ndarray(), source.image, source.masks.to_ndarray()
    for now, before in zip(after, copies, strict=True):
        np.testing.assert_array_equal(now, before)


class TestPatch:
    def patch(self) -> CellPatch:
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (7, 9))
        return CellSource(make_sample(image, [square(3, 2, 1), square(2, 5, 3)])).cut(0, 4)[0]

    @pytest.mark.parametrize('quarters', range(-1, 5))
    def test_turns_and_flips_are_those_of_numpy(self, quarters):
        patch = self.patch()
        for name in ('image', 'cell', 'others'):
            turned = np.rot90(getattr(patch, name), quarters)
            np.testing.assert_array_equal(getattr(patch.turned(quarters), name), turned)
            np.testing.assert_array_equal(getattr(patch.turned(quarters, flip=True), name), turned[:, ::-1])

    @pytest.mark.parametrize('quarters', [0, 1, 2, 3])
    def test_free_angles_agree_with_quarter_turns(self, quarters):
        warped, turned = self.patch().warped(90.0 * quarters, 1.0), self.patch().turned(quarters)
        for name in ('image', 'cell', 'others'):
            np.testing.assert_array_equal(getattr(warped, name), getattr(turned, name))

    def test_scale(self):
        image = np.zeros((60, 60))
        bitmap = np.zeros((60, 60), dtype=np.uint8)
        cv2.ellipse(bitmap, (30, 30), (20, 10), 0, 0, 360, 1, -1)
        patch = CellSource(make_sample(image, [MaskCrop.from_full(bitmap > 0)])).cut(0, 5)[0]
        for scale in (0.5, 1.3, 2.0):
            warped = patch.warped(33.0, scale)
            assert warped.cell.sum() == pytest.approx(scale**2 * bitmap.sum(), rel=0.05)
            rows, columns = np.nonzero(warped.cell)
            assert abs(rows.mean() - (warped.cell.shape[0] - 1) / 2) < 1
            assert abs(columns.mean() - (warped.cell.shape[1] - 1) / 2) < 1
            assert rows.min() > 0
            assert rows.max() < warped.cell.shape[0] - 1

    def test_a_cell_may_vanish_when_it_is_made_smaller(self):
        # 4x4 pixels become 2x2, and all of these are read from around the cell.
        patch = CellSource(make_sample(np.zeros((6, 6)), [square(2, 2, 2)])).cut(0, 1)[0].warped(0.0, 0.3)
        assert patch.cell.shape == (2, 2)
        target = canvas(make_sample(np.zeros((9, 9)), []), min_visible=0)
        assert not target.paste(patch, 4, 4)
        assert len(target.finish()['gt_masks']) == 0

    def test_resized_as_the_sample_was(self):
        bitmap = np.zeros((20, 30), dtype=bool)
        bitmap[5:15, 10:16] = True
        image = np.where(bitmap, 200, 100)
        source = CellSource(make_sample(image, [MaskCrop.from_full(bitmap)]), scale_factor=(2.0, 1.5))
        assert source.image.shape == (30, 60, 3)
        assert source.masks.areas.tolist() == [15 * 12]
        loaded = {**make_sample(image, [MaskCrop.from_full(bitmap)]), 'scale_factor': (2.0, 1.5)}
        assert CellSource(loaded, scale_factor=(2.0, 1.5)).image is loaded['img']
        assert CellSource(loaded, scale_factor=(1.0, 1.5)).image.shape == (20, 15, 3)


class TestBackground:
    def test_cells_are_left_out(self):
        image = np.full((60, 80, 3), 90, dtype=np.uint8)
        occupied = np.zeros((60, 80), dtype=bool)
        occupied[10:50, 10:70] = True
        image[occupied] = 250
        np.testing.assert_allclose(local_background(image, occupied), 90)

    def test_follows_the_lighting(self):
        ramp = np.linspace(80, 180, 800)
        image = np.repeat(ramp.astype(np.uint8)[None, :, None], 300, axis=0).repeat(3, axis=2)
        background = local_background(image, np.zeros((300, 800), dtype=bool))
        assert background.shape == (38, 100, 3)
        # Half a window away from the sides, where the mirrored image is looked at.
        differences = background[:, 13:-13, 0] - ramp[::8][13:-13]
        # A tenth of the way towards the image's mean.
        assert np.abs(differences).max() < 0.1 * 50 + 1
        assert background[:, -1, 0].mean() - background[:, 0, 0].mean() > 60

    @pytest.mark.parametrize('shape', [(1, 1), (3, 700), (8, 8)])
    def test_no_ground_at_all(self, shape):
        image = np.full((*shape, 3), 70, dtype=np.uint8)
        np.testing.assert_allclose(local_background(image, np.ones(shape, dtype=bool)), 70)
