"""The loops over pairs of cells and over shared pixels, against full-size bitmaps and pairs one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.masks.kernels import geometry, pairs
from sartorius.masks.nms import containment_nms, mask_nms
from sartorius.masks.overlap import resolve_overlaps
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError

CROPS = st.lists(
    st.builds(
        MaskCrop,
        arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), fill=st.nothing()),
        st.integers(-4, 9),
        st.integers(-4, 9),
    ),
    max_size=6,
)
SIZE = (10, 11)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


def find_pairs(a: PackedMasks, b: PackedMasks, order: np.ndarray | None = None) -> list[dict[int, int]]:
    """Of each cell of ``a`` the cells of ``b`` whose windows meet its own, and the pixels shared."""
    order = np.argsort(b.windows[:, 1], kind='stable') if order is None else order
    borders, others, shared = pairs.shared_pixels(a.pixels, a.windows, b.pixels, b.windows, order)
    assert borders[0] == 0
    assert borders[-1] == len(others) == len(shared)
    found = [
        dict(zip(others[start:stop].tolist(), shared[start:stop].tolist(), strict=True))
        for start, stop in zip(borders[:-1], borders[1:], strict=True)
    ]
    assert sum(map(len, found)) == len(others), 'a pair is listed twice'
    return found


def pixels_of(crop: MaskCrop) -> set[tuple[int, int]]:
    return {(crop.x + int(x), crop.y + int(y)) for y, x in np.argwhere(crop.mask)}


def window_of(crop: MaskCrop) -> set[tuple[int, int]]:
    return pixels_of(MaskCrop(np.ones_like(crop.mask), crop.x, crop.y))


def find_pairs_slowly(a: list[MaskCrop], b: list[MaskCrop]) -> list[dict[int, int]]:
    return [
        {
            column: len(pixels_of(first) & pixels_of(second))
            for column, second in enumerate(b)
            if window_of(first) & window_of(second)
        }
        for first in a
    ]


def suppress_slowly(order, overlaps: np.ndarray, limits) -> list[bool]:
    """The rule with a full matrix: of the cells in ``order`` each is kept that no earlier kept one rules out."""
    kept: list[int] = []
    for cell in order:
        if all(overlaps[better, cell] <= limits[cell] for better in kept):
            kept.append(cell)
    return [cell in kept for cell in range(len(order))]


def pairs_of(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Borders, others and amounts of the pairs of a matrix that are not 0."""
    rows, columns = np.nonzero(overlaps)
    return np.searchsorted(rows, np.arange(len(overlaps) + 1)), columns, overlaps[rows, columns]


def resolve_slowly(crops, order, fractions, taken) -> list[np.ndarray]:
    result = [np.zeros(SIZE, dtype=bool) for _ in crops]
    for cell in order:
        full = crops[cell].to_full(SIZE)
        left = full & ~taken
        if not left.sum() < fractions[cell] * full.sum():
            result[cell] = left
            taken |= left
    return result


def test_hand_written_pairs():
    cells = PackedMasks.from_crops([bar(0, 4), bar(2, 4), bar(0, 4, row=1), bar(6, 1)])
    assert find_pairs(cells, cells) == [{0: 4, 1: 2}, {0: 2, 1: 4}, {2: 4}, {3: 1}]


def test_windows_that_meet_may_share_no_pixel():
    # Two triangles in one window; a window that only touches it is no pair.
    lower, upper = MaskCrop(np.tri(4, k=-1, dtype=bool), 0, 0), MaskCrop(np.tri(4, dtype=bool).T, 0, 0)
    cells = PackedMasks.from_crops([lower, upper, bar(4, 2), bar(0, 4, row=4)])
    assert find_pairs(cells, cells) == [{0: 6, 1: 0}, {0: 0, 1: 10}, {2: 2}, {3: 4}]


def test_a_tall_cell_meets_those_far_below_its_top():
    tall = MaskCrop(np.ones((50, 1), dtype=bool), 3, 0)
    dots = [MaskCrop(np.ones((1, 1), dtype=bool), 3, y) for y in (0, 20, 49, 50, -1)]
    expected = {0: 1, 1: 1, 2: 1}
    assert find_pairs(PackedMasks.from_crops([tall]), PackedMasks.from_crops(dots)) == [expected]
    found = find_pairs(PackedMasks.from_crops(dots), PackedMasks.from_crops([bar(0, 9, row=60), tall]))
    assert found == [{1: 1}, {1: 1}, {1: 1}, {}, {}]


@settings(deadline=None)
@given(CROPS, CROPS, st.randoms(use_true_random=False))
def test_pairs_equal_sets_of_pixels(a, b, random):
    expected = find_pairs_slowly(a, b)
    first, second = PackedMasks.from_crops(a), PackedMasks.from_crops(b)
    assert find_pairs(first, second) == expected
    # Equal tops may stand in any order.
    order = list(range(len(b)))
    random.shuffle(order)
    order.sort(key=lambda cell: b[cell].y)
    assert find_pairs(first, second, np.array(order, dtype=np.int64)) == expected


@pytest.mark.parametrize(('a', 'b'), [([], []), ([bar(0, 1)], []), ([], [bar(0, 1)])])
def test_no_cells_on_a_side(a, b):
    assert find_pairs(PackedMasks.from_crops(a), PackedMasks.from_crops(b)) == [{}] * len(a)


@pytest.mark.parametrize(
    ('order', 'limits', 'kept'),
    [
        # 0 and 1 overlap by .5, 1 and 2 by .6; 0 and 2 not at all.
        ([0, 1, 2], [0.4, 0.4, 0.4], [True, False, True]),  # what went rules out nothing
        ([1, 0, 2], [0.4, 0.4, 0.4], [False, True, False]),
        ([0, 1, 2], [0.5, 0.5, 0.5], [True, True, False]),  # .5 is not more than .5
        ([0, 1, 2], [0.0, 0.7, 0.0], [True, True, False]),  # its own limit counts
        ([2, 1, 0], [0.0, 0.7, 0.0], [False, True, True]),
        ([0, 1, 2], [1.0, 1.0, 1.0], [True, True, True]),
    ],
)
def test_hand_written_suppression(order, limits, kept):
    # Every cell overlaps itself wholly, and does not go for that.
    overlaps = np.array([[1, 0.5, 0], [0.5, 1, 0.6], [0, 0.6, 1]])
    assert pairs.suppress(np.array(order), *pairs_of(overlaps), np.array(limits)).tolist() == kept


@settings(deadline=None)
@given(st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_suppression_equals_the_slow_version(count, seed):
    rng = np.random.default_rng(seed)
    overlaps = rng.choice([0, 0, 0.25, 0.5, 0.75, 1], (count, count))
    overlaps = np.maximum(overlaps, overlaps.T)
    order, limits = rng.permutation(count), rng.choice([0, 0.25, 0.5, 1], count)
    found = pairs.suppress(order, *pairs_of(overlaps), limits)
    assert found.tolist() == suppress_slowly(order.tolist(), overlaps, limits)


@pytest.mark.parametrize(
    ('order', 'fractions', 'areas'),
    [
        ([0, 1, 2], [0, 0, 0], [4, 2, 2]),
        ([1, 0, 2], [0, 0, 0], [2, 4, 2]),
        ([0, 1, 2], [0.5, 0.5, 0.5], [4, 2, 2]),  # exactly the fraction is enough
        ([0, 1, 2], [0.5, 0.51, 0.5], [4, 0, 4]),  # what a dropped cell wanted is still free
        ([0, 1, 2], [1.1, 0, 0], [0, 4, 2]),
    ],
)
def test_hand_written_settling(order, fractions, areas):
    # Each covers half of the next.
    cells = PackedMasks.from_crops([bar(0, 4), bar(2, 4), bar(4, 4)])
    taken = np.zeros((1, 8), dtype=bool)
    resolved = geometry.resolve(cells.pixels, cells.windows, np.array(order), np.array(fractions, dtype=float), taken)
    assert PackedMasks(resolved, cells.windows).areas.tolist() == areas
    assert taken.sum() == sum(areas)


@settings(deadline=None)
@given(CROPS, st.data())
def test_settling_equals_the_slow_version(crops, data):
    count = len(crops)
    order = np.array(data.draw(st.permutations(range(count))), dtype=np.int64)
    fractions = np.array(data.draw(st.lists(st.sampled_from([0, 0.3, 0.5, 1]), min_size=count, max_size=count)), float)
    taken = data.draw(arrays(bool, SIZE))
    taken_slowly = taken.copy()
    inside = PackedMasks.from_crops(crops).clipped(SIZE)
    before = inside.pixels.copy()
    resolved = PackedMasks(geometry.resolve(inside.pixels, inside.windows, order, fractions, taken), inside.windows)
    expected = resolve_slowly(crops, order, fractions, taken_slowly)
    assert [crop.to_full(SIZE).tolist() for crop in resolved.crops] == [full.tolist() for full in expected]
    assert taken.tolist() == taken_slowly.tolist()
    assert np.array_equal(inside.pixels, before)


@pytest.mark.slow
def test_arrays_that_cannot_be_written_to():
    rng = np.random.default_rng(0)
    cells = PackedMasks.from_crops([MaskCrop(rng.random((3, 4)) < 0.5, x, x // 2) for x in range(6)])
    order, overlaps, limits = np.arange(6), np.full((6, 6), 0.5), np.linspace(0, 1, 6)
    taken = np.zeros((6, 9), dtype=bool)
    expected = find_pairs(cells, cells)
    kept = pairs.suppress(order, *pairs_of(overlaps), limits)
    resolved = geometry.resolve(cells.pixels, cells.windows, order, limits, taken.copy())
    for array in (cells.pixels, cells.windows, order, limits):
        array.flags.writeable = False
    assert find_pairs(cells, cells) == expected
    assert np.array_equal(pairs.suppress(order, *pairs_of(overlaps), limits), kept)
    assert np.array_equal(geometry.resolve(cells.pixels, cells.windows, order, limits, taken), resolved)


@pytest.mark.parametrize('scores', [np.ones(2), np.ones(4), np.ones((3, 1))])
def test_other_than_one_score_a_cell_is_refused(scores):
    # The loops would read beyond the cells.
    cells = [bar(0, 4), bar(2, 4), bar(4, 4)]
    for operation in (resolve_overlaps, mask_nms, containment_nms):
        with pytest.raises(InputError, match='3 cells need as many scores'):
            operation(cells, scores, SIZE, 0.5)


@pytest.fixture
def uncompiled(monkeypatch):
    """The loops as plain Python, where reading or writing beyond an array raises."""
    for module in (geometry, pairs):
        for name, loop in vars(module).copy().items():
            if hasattr(loop, 'py_func'):
                monkeypatch.setattr(module, name, loop.py_func)


def test_no_loop_leaves_its_arrays(uncompiled):
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 7, 7, 7, 7):
        a, b = (
            [MaskCrop(rng.random(rng.integers(0, 6, 2)) < 0.6, *rng.integers(-4, 10, 2).tolist()) for _ in range(count)]
            for _ in range(2)
        )
        assert find_pairs(PackedMasks.from_crops(a), PackedMasks.from_crops(b)) == find_pairs_slowly(a, b)
        order, limits = rng.permutation(count), rng.random(count)
        overlaps = rng.choice([0, 0.5, 1], (count, count))
        overlaps = np.maximum(overlaps, overlaps.T)
        kept = pairs.suppress(order, *pairs_of(overlaps), limits)
        assert kept.tolist() == suppress_slowly(order.tolist(), overlaps, limits)
        inside, taken = PackedMasks.from_crops(a).clipped(SIZE), np.zeros(SIZE, dtype=bool)
        resolved = geometry.resolve(inside.pixels, inside.windows, order, limits, taken)
        expected = resolve_slowly(a, order, limits, np.zeros(SIZE, dtype=bool))
        assert PackedMasks(resolved, inside.windows).areas.tolist() == [full.sum() for full in expected]


def test_real_cells(real_data):
    size = (520, 704)
    lines = (real_data / 'train.csv').read_text().splitlines()
    crops = [kaggle_rle.decode(line.split(',')[1], size) for line in lines if line.startswith('5d066f4c3eef')]
    found = find_pairs(PackedMasks.from_crops(crops), PackedMasks.from_crops(crops))
    flat = sparse.vstack([sparse.csr_array(crop.to_full(size).reshape(1, -1), dtype=int) for crop in crops])
    expected = (flat @ flat.T).toarray()
    assert len(found) == len(crops) == 547
    assert sum(sum(row.values()) for row in found) == expected.sum()
    for row, shared in enumerate(found):
        assert {column: count for column, count in shared.items() if count} == {
            int(column): int(expected[row, column]) for column in np.flatnonzero(expected[row])
        }
