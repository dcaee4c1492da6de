"""Fixing convex fills: drawn shapes, shapes turned upside down, and the competition's own masks."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sartorius.annotations import load_annotations
from sartorius.masks.convex_fill import FillEnd, fill_as_convex, find_fill_ends, undo_convex_fill
from sartorius.masks.crop import MaskCrop
from sartorius.masks.pieces import fill_holes
from sartorius.synthetic import make_image


def arch(left_leg: int, right_leg: int, thickness: int = 6, width: int = 60) -> MaskCrop:
    """A beam with a leg at either end, of so many rows below the beam."""
    mask = np.zeros((thickness + max(left_leg, right_leg), width), dtype=bool)
    mask[:thickness] = True
    mask[: thickness + left_leg, :thickness] = True
    mask[: thickness + right_leg, -thickness:] = True
    return MaskCrop(mask, 3, 5)


def iou(first: MaskCrop, second: MaskCrop) -> float:
    return np.count_nonzero(first.mask & second.mask) / np.count_nonzero(first.mask | second.mask)


def break_solid(crop: MaskCrop) -> MaskCrop:
    return fill_holes([fill_as_convex(crop)])[0]


def test_the_fill_of_an_arch_ends_one_row_above_its_shorter_leg():
    broken = fill_as_convex(arch(left_leg=20, right_leg=30))
    # Rows 6 to 24 between the legs, columns 6 to 53, are filled; the left leg's last row is 25.
    assert broken.mask[24, 6:54].all()
    assert not broken.mask[25, 6:54].any()
    assert find_fill_ends(broken) == [FillEnd(y=24, x1=6, x2=54)]


@pytest.mark.parametrize('legs', [(20, 30), (30, 20), (20, 20), (8, 40)])
def test_some_of_an_arch_comes_back_and_its_outline_stays(legs):
    gt = arch(*legs)
    broken = fill_as_convex(gt)
    fixed, ends = undo_convex_fill(broken)
    assert len(ends) == 1
    assert (fixed.x, fixed.y, fixed.mask.shape) == (broken.x, broken.y, broken.mask.shape)
    assert iou(fixed, gt) > iou(broken, gt) + 0.05
    # All that is visible of the outline stays: the outer columns, the top row, both tips.
    for part in (np.s_[: gt.mask.shape[0], [0, -1]], np.s_[0, :]):
        assert (fixed.mask[part] == gt.mask[part]).all()


def test_some_of_a_deep_bay_comes_back():
    """Two legs of 8 px that part below a body, far deeper than bays of astrocytes are."""
    gt = np.zeros((70, 90), dtype=np.uint8)
    cv2.line(gt, (44, 8), (14, 58), 1, 8)
    cv2.line(gt, (44, 8), (74, 64), 1, 8)
    cv2.circle(gt, (44, 10), 9, 1, -1)
    gt = MaskCrop(gt.view(bool), 0, 0)
    broken = fill_as_convex(gt)
    assert iou(broken, gt) < 0.55
    assert iou(undo_convex_fill(broken)[0], gt) > iou(broken, gt) + 0.05


def test_an_arch_that_was_never_filled_stays():
    gt = arch(20, 30)
    fixed, ends = undo_convex_fill(gt)
    assert fixed is gt
    assert ends == []


@pytest.mark.parametrize('turned', ['upside down', 'on its side'])
def test_only_runs_below_count(turned):
    broken = fill_as_convex(arch(20, 30)).mask
    crop = MaskCrop(np.ascontiguousarray(broken[::-1] if turned == 'upside down' else broken.T), 0, 0)
    assert undo_convex_fill(crop) == (crop, [])


def test_a_branch_that_points_up_is_no_filled_bay():
    upward = MaskCrop(np.ascontiguousarray(arch(20, 30).mask[::-1]), 0, 0)
    broken = fill_as_convex(upward)
    assert broken.area < upward.area
    assert undo_convex_fill(broken) == (broken, [])
    assert (fill_holes([broken])[0].mask == upward.mask).all()


def test_holes_stay_as_they_are():
    broken = fill_as_convex(arch(20, 30))
    hollow = broken.mask.copy()
    hollow[2, 20:30] = False
    fixed, ends = undo_convex_fill(MaskCrop(hollow, 0, 0))
    assert ends == undo_convex_fill(broken)[1]
    assert (fixed.mask == undo_convex_fill(broken)[0].mask & hollow).all()


def test_runs_shorter_than_asked_for_are_left():
    broken = fill_as_convex(arch(20, 30, width=60))
    assert undo_convex_fill(broken, min_run=48)[1]
    assert undo_convex_fill(broken, min_run=49) == (broken, [])


def test_a_cell_unlike_the_fill_of_its_outline_is_left():
    # Beside the filled bay a second one that opens down and is empty: no convex fill left it so.
    broken = fill_as_convex(arch(20, 30)).mask
    both = np.zeros((broken.shape[0] + 40, broken.shape[1]), dtype=bool)
    both[: broken.shape[0]] = broken
    both[36:, -6:] = True
    both[36:42, :] = True
    both[36:70, :6] = True
    crop = MaskCrop(both, 0, 0)
    assert find_fill_ends(crop)
    assert undo_convex_fill(crop) == (crop, [])
    assert undo_convex_fill(crop, min_likeness=0.0)[1]


def test_cells_without_pixels_and_of_one_pixel():
    for mask in (np.zeros((0, 0), dtype=bool), np.zeros((3, 4), dtype=bool), np.ones((1, 1), dtype=bool)):
        crop = MaskCrop(mask, 0, 0)
        assert undo_convex_fill(crop) == (crop, [])


def slow_fill_ends(mask: np.ndarray, min_run: int) -> list[FillEnd]:
    """The same, pixel by pixel."""
    height, width = mask.shape

    def has(y: int, x: int) -> bool:
        return 0 <= y < height and 0 <= x < width and bool(mask[y, x])

    def tip_of_one_row(y: int, x: int, step: int) -> bool:
        stretch = [x]
        while has(y, stretch[-1] + step):
            stretch.append(stretch[-1] + step)
        return not any(has(y + 1, column + side) for column in stretch for side in (-1, 0, 1))

    found = []
    for y in range(height):
        x = 0
        while x < width:
            start = x
            while x < width and has(y, x) and not has(y + 1, x):
                x += 1
            legs = x - start >= min_run and has(y + 1, start - 1) and has(y + 1, x)
            if legs and (tip_of_one_row(y + 1, start - 1, -1) or tip_of_one_row(y + 1, x, 1)):
                found.append(FillEnd(y, start, x))
            x = max(x, start + 1)
    return found


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 12))), st.integers(1, 4))
def test_ends_are_those_of_the_slow_search(mask, min_run):
    assert find_fill_ends(MaskCrop(mask, 0, 0), min_run) == slow_fill_ends(mask, min_run)


@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 40)), elements=st.sampled_from([True] * 7 + [False]))
)
def test_mending_only_takes_away_and_leaves_the_outline(mask):
    crop = MaskCrop(mask, 2, 3)
    fixed, ends = undo_convex_fill(crop, min_run=3, min_likeness=0.0)
    assert not (fixed.mask & ~mask).any()
    assert bool(ends) == (fixed is not crop)
    # What is cut lies above a run, no higher than the run is long.
    allowed = np.zeros_like(mask)
    for end in ends:
        allowed[max(0, end.y - end.length) : end.y + 1] = True
    assert not (mask & ~fixed.mask & ~allowed).any()


def test_made_astrocytes_gain_by_mending():
    rng = np.random.default_rng(5)
    truths = [crop for _ in range(4) for crop in make_image('astro', (520, 704), rng).crops]
    pairs = [(gt, break_solid(gt)) for gt in truths]
    broken = [(gt, crop) for gt, crop in pairs if iou(gt, crop) < 0.95]
    assert len(broken) > 20
    before = np.array([iou(gt, crop) for gt, crop in broken])
    after = np.array([iou(gt, undo_convex_fill(crop)[0]) for gt, crop in broken])
    assert after.mean() > before.mean() + 0.03


@pytest.mark.slow
def test_real_unbroken_astrocytes_come_back_from_breaking(real_data):
    """Every annotated astrocyte that is not broken itself, broken as it stands and upside down, and fixed."""
    scores = {'as they stand': [], 'upside down': []}
    changed = []
    for name in ('train.csv', 'masks_without_images.csv'):
        if not (real_data / name).is_file():
            continue
        for image in load_annotations(real_data / name).values():
            if not len(image) or image.labels[0] != 1:
                continue
            for crop in fill_holes(image.crops):
                if undo_convex_fill(crop)[1]:
                    continue
                for turn, mask in (('as they stand', crop.mask), ('upside down', crop.mask[::-1])):
                    gt = MaskCrop(np.ascontiguousarray(mask), 0, 0)
                    broken = break_solid(gt)
                    fixed = undo_convex_fill(broken)[0]
                    scores[turn].append(iou(gt, fixed))
                    if turn == 'upside down' and iou(gt, broken) < 0.95:
                        changed.append((iou(gt, broken), scores[turn][-1]))
    means = {turn: np.mean(values) for turn, values in scores.items()}
    before, after = np.mean(changed, axis=0)
    print(f'{len(scores["upside down"])} masks, mean IoU {means}; of {len(changed)}: {before:.3f}, fixed {after:.3f}')
    assert means['as they stand'] > 0.99
    assert means['upside down'] > 0.95
    assert after > before + 0.04


@pytest.mark.slow
def test_real_masks_have_no_bay_that_opens_down(real_data):
    """The claim that the module's text makes: bays deeper than a row open up and not down."""
    deep = {'upright': 0, 'upside down': 0}
    for image in load_annotations(real_data / 'train.csv').values():
        for crop in fill_holes(image.crops):
            for turn, mask in (('upright', crop.mask), ('upside down', np.ascontiguousarray(crop.mask[::-1]))):
                gt = MaskCrop(mask, 0, 0)
                deep[turn] += iou(gt, break_solid(gt)) < 0.95
    assert deep['upright'] <= 2
    assert deep['upside down'] > 50
