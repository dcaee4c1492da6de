"""Overlaps resolved by score."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import resolve_overlaps

SIZE = (12, 16)


def block(x1: int, y1: int, x2: int, y2: int) -> MaskCrop:
    return MaskCrop(np.ones((y2 - y1, x2 - x1), dtype=bool), x1, y1)


def areas(crops) -> list[int]:
    return [crop.area for crop in crops]


def test_the_better_score_keeps_the_shared_pixels():
    weak, strong = block(0, 0, 4, 4), block(2, 0, 6, 4)
    first, second = resolve_overlaps([weak, strong], np.array([0.4, 0.9]), SIZE)
    assert areas([first, second]) == [8, 16]
    assert not first.to_full(SIZE)[:, 2:].any()


def test_of_equal_scores_the_earlier_cell_keeps_them():
    assert areas(resolve_overlaps([block(0, 0, 4, 4), block(2, 0, 6, 4)], np.array([0.5, 0.5]), SIZE)) == [16, 8]


def test_pixels_of_a_dropped_cell_are_free_for_the_next():
    # The second cell is half covered and dropped; the third then has its whole area, though it lies under the second.
    crops = [block(0, 0, 4, 4), block(2, 0, 6, 4), block(4, 0, 8, 4)]
    assert areas(resolve_overlaps(crops, np.array([0.9, 0.8, 0.7]), SIZE, min_remaining=0.6)) == [16, 0, 16]


@pytest.mark.parametrize(
    ('min_remaining', 'left'), [(0.5, 8), (0.51, 0), (np.array([0.0, 0.5]), 8), (np.array([1, 0.6]), 0)]
)
def test_exactly_the_minimum_fraction_is_kept(min_remaining, left):
    assert areas(
        resolve_overlaps([block(0, 0, 4, 4), block(2, 0, 6, 4)], np.array([0.9, 0.8]), SIZE, min_remaining)
    ) == [
        16,
        left,
    ]


def test_cells_are_cut_at_the_image_border():
    (outside, inside) = resolve_overlaps([block(20, 0, 24, 4), block(14, 10, 18, 14)], np.array([0.9, 0.8]), SIZE)
    assert outside.area == 0
    assert inside.window == (14, 10, 16, 12)


def random_crops(rng: np.random.Generator, count: int) -> list[MaskCrop]:
    shapes = rng.integers(0, 9, (count, 2))
    return [
        MaskCrop(rng.random(tuple(shape)) < 0.7, int(rng.integers(-4, 16)), int(rng.integers(-4, 12)))
        for shape in shapes
    ]


def resolve_slowly(crops, scores, min_remaining):
    """The rule pixel by pixel on full-size arrays."""
    order = sorted(range(len(crops)), key=lambda index: (-scores[index], index))
    free, result = np.ones(SIZE, dtype=bool), [np.zeros(SIZE, dtype=bool) for _ in crops]
    for index in order:
        full = crops[index].to_full(SIZE)
        left = full & free
        if left.sum() >= min_remaining * full.sum():
            result[index] = left
            free &= ~left
    return result


@settings(deadline=None)
@given(count=st.integers(0, 12), seed=st.integers(0, 2**32 - 1), min_remaining=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_equals_the_slow_version_and_shares_no_pixel(count, seed, min_remaining):
    rng = np.random.default_rng(seed)
    crops, scores = random_crops(rng, count), rng.integers(0, 4, count) / 4
    resolved = [crop.to_full(SIZE) for crop in resolve_overlaps(crops, scores, SIZE, min_remaining)]
    for fast, slow in zip(resolved, resolve_slowly(crops, scores, min_remaining), strict=True):
        np.testing.assert_array_equal(fast, slow)
    assert sum((full.astype(int) for full in resolved), np.zeros(SIZE, dtype=int)).max() <= 1


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.25, 0.5, 0.75]))
def test_weaker_cells_change_nothing_for_better_ones(seed, threshold):
    rng = np.random.default_rng(seed)
    crops, scores = random_crops(rng, 12), rng.integers(0, 5, 12) / 4
    better = np.flatnonzero(scores >= threshold)
    everything = resolve_overlaps(crops, scores, SIZE, 0.5)
    alone = resolve_overlaps([crops[index] for index in better], scores[better], SIZE, 0.5)
    for index, crop in zip(better, alone, strict=True):
        np.testing.assert_array_equal(everything[index].to_full(SIZE), crop.to_full(SIZE))
