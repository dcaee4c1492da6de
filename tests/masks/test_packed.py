"""Cells packed into one array, against one full-size bitmap a cell."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.masks.kernels import geometry
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError

SIDES = st.integers(1, 9)
SIZES = st.tuples(SIDES, SIDES)
CROPS = st.builds(
    MaskCrop,
    arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), fill=st.nothing()),
    st.integers(-4, 9),
    st.integers(-4, 9),
)


@st.composite
def cells_in_image(draw) -> tuple[PackedMasks, tuple[int, int]]:
    """Cells whose windows lie inside an image, tight or not, some without pixels, and the size of that image."""
    size = draw(SIZES)
    crops = draw(st.lists(CROPS, max_size=4))
    return PackedMasks.from_crops([crop.clipped(size) for crop in crops]), size


def bitmaps(packed: PackedMasks, size: tuple[int, int]) -> np.ndarray:
    """bool ``(N, height, width)``, pixel by pixel from the two arrays."""
    full = np.zeros((len(packed.windows), *size), dtype=bool)
    pixels = iter(packed.pixels.tolist())
    for bitmap, (x1, y1, x2, y2) in zip(full, packed.windows.tolist(), strict=True):
        for y in range(y1, y2):
            for x in range(x1, x2):
                if next(pixels) and 0 <= x < size[1] and 0 <= y < size[0]:
                    bitmap[y, x] = True
    assert next(pixels, None) is None
    return full


def rows_of(*rows: str) -> np.ndarray:
    return np.array([[pixel == '#' for pixel in row] for row in rows])


def two_cells() -> PackedMasks:
    return PackedMasks.from_crops([MaskCrop(rows_of('.#.', '##.'), 2, 1), MaskCrop(rows_of('#', '.', '#'), 0, 0)])


def operations(packed: PackedMasks, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What every operation makes of some cells inside an image, as plain arrays."""
    height, width = size
    made = {
        'selected': packed.select(np.arange(len(packed))[::-1]),
        'tight': packed.tight(),
        'clipped': packed.clipped((height // 2, width // 2)),
        'moved': packed.moved(2, -1),
        'flipped': packed.flipped(size, True, True),
        'turned': packed.turned(size),
        'resized': packed.resized(size, (width, height)),
        'filled': packed.filled(),
    }
    results = {f'{name} {part}': getattr(cells, part) for name, cells in made.items() for part in ('pixels', 'windows')}
    return {**results, 'labels': packed.to_labels(size), 'areas': packed.areas, 'bases': packed.bases}


def test_hand_written_cells():
    packed = two_cells()
    assert len(packed) == 2
    assert packed.pixels.tolist() == [False, True, False, True, True, False, True, False, True]
    assert packed.windows.tolist() == [[2, 1, 5, 3], [0, 0, 1, 3]]
    assert packed.bases.tolist() == [0, 6, 9]
    assert (packed.heights.tolist(), packed.widths.tolist(), packed.areas.tolist()) == ([2, 3], [3, 1], [3, 2])
    assert [cell.tolist() for cell in packed.cells][1] == [[True], [False], [True]]
    assert [crop.window for crop in packed.crops] == [(2, 1, 5, 3), (0, 0, 1, 3)]
    assert packed.tight().windows.tolist() == [[2, 1, 4, 3], [0, 0, 1, 3]]
    assert packed.to_labels((3, 5)).tolist() == [[2, 0, 0, 0, 0], [0, 0, 0, 1, 0], [2, 0, 1, 1, 0]]


@pytest.mark.parametrize(
    ('operation', 'window', 'rows'),
    [
        # The cell is '.##' over '#..' at column 1 and row 2 of an image of 4 rows and 6 columns.
        (lambda cell: cell, [1, 2, 4, 4], ['.##', '#..']),
        (lambda cell: cell.flipped((4, 6), True, False), [2, 2, 5, 4], ['##.', '..#']),
        (lambda cell: cell.flipped((4, 6), False, True), [1, 0, 4, 2], ['#..', '.##']),
        (lambda cell: cell.flipped((4, 6), True, True), [2, 0, 5, 2], ['..#', '##.']),
        (lambda cell: cell.turned((4, 6)), [2, 2, 4, 5], ['#.', '#.', '.#']),  # the last column becomes the first row
        (lambda cell: cell.moved(-3, 1), [-2, 3, 1, 5], ['.##', '#..']),
        (lambda cell: cell.clipped((3, 3)), [1, 2, 3, 3], ['.#']),
        (lambda cell: cell.clipped((3, 3)).tight(), [2, 2, 3, 3], ['#']),
        (lambda cell: cell.resized((4, 6), (8, 6)), [1, 4, 4, 8], ['.##', '.##', '#..', '#..']),
        (lambda cell: cell.resized((4, 6), (2, 3)), [1, 1, 2, 2], ['#']),  # reads rows 0, 2 and columns 0, 2, 4
    ],
)
def test_hand_written_operations(operation, window, rows):
    moved = operation(PackedMasks.from_crops([MaskCrop(rows_of('.##', '#..'), 1, 2)]))
    assert moved.windows.tolist() == [window]
    assert moved.cells[0].tolist() == rows_of(*rows).tolist()


@settings(deadline=None)
@given(st.lists(CROPS, max_size=4), SIZES)
def test_crops_come_back(crops, size):
    packed = PackedMasks.from_crops(crops)
    assert [crop.window for crop in packed.crops] == [crop.window for crop in crops]
    assert [cell.tolist() for cell in packed.cells] == [crop.mask.tolist() for crop in crops]
    assert packed.areas.tolist() == [crop.area for crop in crops]
    assert packed.bases.tolist() == np.cumsum([0, *(crop.mask.size for crop in crops)]).tolist()
    assert bitmaps(packed, size).tolist() == [crop.to_full(size).tolist() for crop in crops]


def test_crops_may_be_views_of_any_layout():
    image = np.random.default_rng(0).random((12, 10)) < 0.5
    crops = [MaskCrop(image[::2, 1::3], 0, 0), MaskCrop(image.T[2:5], 1, 1), MaskCrop(image[::-1, ::-1], 0, 0)]
    assert [cell.tolist() for cell in PackedMasks.from_crops(crops).cells] == [crop.mask.tolist() for crop in crops]


@settings(deadline=None)
@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7), elements=st.integers(0, 5)))
def test_labels_there_and_back(labels):
    packed = PackedMasks.from_labels(labels)
    assert len(packed) == labels.max(initial=0)
    assert bitmaps(packed, labels.shape).tolist() == [(labels == n + 1).tolist() for n in range(len(packed))]
    assert np.array_equal(packed.windows, packed.tight().windows)
    assert packed.to_labels(labels.shape).tolist() == labels.tolist()


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32, np.uint32, np.uint64, '>i4'])
def test_labels_of_any_whole_numbers(dtype):
    labels = np.zeros((4, 6), dtype=dtype)
    labels[1:3, 2:5] = 1
    assert PackedMasks.from_labels(labels).windows.tolist() == [[2, 1, 5, 3]]
    assert PackedMasks.from_labels(labels.T[::-1]).windows.tolist() == [[1, 1, 3, 4]]


def test_a_number_without_pixels_is_a_cell_without_pixels():
    assert PackedMasks.from_labels(np.array([[0, 1, 3, 3]])).windows.tolist() == [[1, 0, 2, 1], [0] * 4, [2, 0, 4, 1]]


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (np.array([[0, -2]]), 'no negative labels, here is -2'),
        (np.array([[0.0, 1.0]]), 'not 2-D float64'),
        (np.array([[False, True]]), 'not 2-D bool'),  # a mask of all cells together
        (np.zeros((2, 2, 2), dtype=int), 'not 3-D int64'),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        PackedMasks.from_labels(labels)


@settings(deadline=None)
@given(st.lists(CROPS, min_size=1, max_size=4), st.data())
def test_select(crops, data):
    packed = PackedMasks.from_crops(crops)
    # With repeats, from the end, none.
    chosen = np.array(data.draw(st.lists(st.integers(-len(crops), len(crops) - 1), max_size=6)), dtype=np.int64)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(crops), max_size=len(crops))))
    for index in (chosen, kept):
        selected, expected = packed.select(index), [crops[place] for place in np.arange(len(crops))[index]]
        assert [crop.window for crop in selected.crops] == [crop.window for crop in expected]
        assert [cell.tolist() for cell in selected.cells] == [crop.mask.tolist() for crop in expected]


@pytest.mark.parametrize('index', [2, -3])
def test_select_knows_no_other_cells(index):
    with pytest.raises(IndexError):
        two_cells().select(np.array([0, index]))


@settings(deadline=None)
@given(st.lists(CROPS, max_size=4))
def test_tight(crops):
    packed = PackedMasks.from_crops(crops)
    tight = packed.tight()
    assert bitmaps(tight.moved(5, 5), (22, 22)).tolist() == bitmaps(packed.moved(5, 5), (22, 22)).tolist()
    # MaskCrop leaves a cell without pixels where it was.
    windows = [crop.tight().window if crop.area else (0, 0, 0, 0) for crop in crops]
    assert tight.windows.tolist() == list(map(list, windows))
    assert tight.tight() is tight


@settings(deadline=None)
@given(st.lists(CROPS, max_size=4), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_clipped(crops, size):
    packed = PackedMasks.from_crops(crops)
    clipped = packed.clipped(size)
    assert bitmaps(clipped, size).tolist() == bitmaps(packed, size).tolist()
    x1, y1, x2, y2 = clipped.windows.T
    assert ((x1 >= 0) & (y1 >= 0) & (x2 <= size[1]) & (y2 <= size[0])).all()
    windows = [crop.clipped(size).window for crop in crops]
    has_pixels = (clipped.heights > 0) & (clipped.widths > 0)
    assert clipped.windows[has_pixels].tolist() == [list(windows[cell]) for cell in np.flatnonzero(has_pixels)]
    assert (clipped.windows[~has_pixels] == 0).all()
    assert clipped.clipped(size) is clipped


@pytest.mark.parametrize('x', [-(10**12), -7, 7, 10**12])
@pytest.mark.parametrize('y', [-(10**12), -6, 0, 6, 10**12])
def test_cells_far_outside_have_no_pixels_inside(x, y):
    packed = two_cells().moved(x, y)
    assert packed.clipped((5, 6)).windows.tolist() == [[0] * 4] * 2
    assert not packed.to_labels((5, 6)).any()
    assert packed.moved(-x, -y).windows.tolist() == two_cells().windows.tolist()


def test_an_image_inside_a_window_larger_than_it():
    packed = PackedMasks.from_crops([MaskCrop(np.ones((300, 400), dtype=bool), -50, -90)])
    inside = packed.clipped((3, 4))
    assert inside.windows.tolist() == [[0, 0, 4, 3]]
    assert inside.pixels.tolist() == [True] * 12


@settings(deadline=None)
@given(cells_in_image(), st.booleans(), st.booleans())
def test_flipped(cells, horizontal, vertical):
    packed, size = cells
    expected = bitmaps(packed, size)[:, :: -1 if vertical else 1, :: -1 if horizontal else 1]
    flipped = packed.flipped(size, horizontal, vertical)
    assert bitmaps(flipped, size).tolist() == expected.tolist()
    back = flipped.flipped(size, horizontal, vertical)
    assert back.windows.tolist() == packed.windows.tolist()
    assert back.pixels.tolist() == packed.pixels.tolist()


@settings(deadline=None)
@given(cells_in_image())
def test_turned(cells):
    packed, size = cells
    turned = packed.turned(size)
    expected = np.rot90(bitmaps(packed, size), axes=(1, 2))
    assert bitmaps(turned, size[::-1]).tolist() == expected.tolist()
    back = turned.turned(size[::-1]).turned(size).turned(size[::-1])
    assert back.windows.tolist() == packed.windows.tolist()
    assert back.pixels.tolist() == packed.pixels.tolist()


@settings(deadline=None)
@given(st.lists(CROPS, max_size=3), SIZES, st.booleans())
def test_mirroring_moves_what_lies_outside_the_image_too(crops, size, horizontal):
    packed = PackedMasks.from_crops(crops)
    around = (size[0] + 40, size[1] + 40)
    expected = bitmaps(packed.moved(20, 20), around)
    assert bitmaps(packed.turned(size).moved(20, 20), around[::-1]).tolist() == np.rot90(expected, axes=(1, 2)).tolist()
    flipped = bitmaps(packed.flipped(size, horizontal, not horizontal).moved(20, 20), around)
    assert flipped.tolist() == np.flip(expected, axis=2 if horizontal else 1).tolist()


@settings(deadline=None)
@given(cells_in_image(), st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_resized_equals_opencv(cells, new):
    packed, size = cells
    expected = [
        cv2.resize(bitmap.astype(np.uint8), new[::-1], interpolation=cv2.INTER_NEAREST).astype(bool).tolist()
        for bitmap in bitmaps(packed, size)
    ]
    resized = packed.resized(size, new)
    assert bitmaps(resized, new).tolist() == expected
    assert resized.clipped(new).areas.tolist() == resized.areas.tolist()


@pytest.mark.parametrize('new', [(1000, 1354), (800, 1083), (521, 703), (260, 352), (333, 451), (64, 64), (1, 1)])
def test_resized_equals_opencv_at_real_sizes(new):
    image = (np.random.default_rng(0).random((520, 704)) < 0.5).astype(np.uint8)
    packed = PackedMasks.from_crops([MaskCrop(image > 0, 0, 0), MaskCrop(image[131:190, 77:99] > 0, 77, 131)])
    resized = packed.resized((520, 704), new)
    expected = cv2.resize(image, new[::-1], interpolation=cv2.INTER_NEAREST) > 0
    assert np.array_equal(resized.cells[0], expected)
    x1, y1, x2, y2 = resized.windows[1]
    assert np.array_equal(resized.cells[1], expected[y1:y2, x1:x2])


@pytest.mark.parametrize(('old', 'new'), [((0, 5), (3, 3)), ((5, 5), (3, 0))])
def test_images_without_pixels_are_not_resized(old, new):
    with pytest.raises(InputError, match='cannot be resized'):
        PackedMasks.from_crops([]).resized(old, new)


@settings(deadline=None)
@given(cells_in_image())
def test_filled_equals_scipy(cells):
    packed, size = cells
    filled = packed.filled()
    assert filled.windows.tolist() == packed.windows.tolist()
    expected = [ndimage.binary_fill_holes(bitmap).tolist() for bitmap in bitmaps(packed, size)]
    assert bitmaps(filled, size).tolist() == expected


def test_filled_walks_winding_paths():
    rng = np.random.default_rng(0)
    # Near the density at which background stops to percolate, paths to the border are long.
    masks = [rng.random((60, 50)) < density for density in (0.3, 0.38, 0.41, 0.44, 0.5)]
    filled = PackedMasks.from_crops([MaskCrop(mask, 0, 0) for mask in masks]).filled()
    for cell, mask in zip(filled.cells, masks, strict=True):
        assert np.array_equal(cell, ndimage.binary_fill_holes(mask))


@settings(deadline=None)
@given(st.lists(CROPS, max_size=5), SIZES)
def test_later_cells_lie_on_top_of_the_labels(crops, size):
    packed = PackedMasks.from_crops(crops)
    expected = np.zeros(size, dtype=int)
    for number, bitmap in enumerate(bitmaps(packed, size), start=1):
        expected[bitmap] = number
    labels = packed.to_labels(size)
    assert labels.dtype == np.int32
    assert labels.tolist() == expected.tolist()


def test_hand_written_labels():
    block = MaskCrop(np.ones((2, 2), dtype=bool), 1, 0)
    # The corner of the second lies on the first; the third lies outside.
    packed = PackedMasks.from_crops([block, MaskCrop(rows_of('##', '#.'), 2, 1), MaskCrop(block.mask, -2, 1)])
    assert packed.to_labels((3, 4)).tolist() == [[0, 1, 1, 0], [0, 1, 2, 2], [0, 0, 2, 0]]


@pytest.mark.parametrize(
    'crops',
    [
        [],
        [MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)],
        [MaskCrop(np.zeros((0, 3), dtype=bool), 2, 1), MaskCrop(np.zeros((3, 0), dtype=bool), 1, 2)],
        [MaskCrop(np.zeros((3, 3), dtype=bool), 1, 1)] * 2,
    ],
)
def test_without_pixels(crops):
    packed = PackedMasks.from_crops(crops)
    assert len(packed) == len(crops)
    results = operations(packed, (6, 8))
    assert not any(results[name].any() for name in results if name.endswith('pixels') or name in ('labels', 'areas'))
    assert all(len(results[name]) == len(crops) for name in results if name.endswith('windows'))
    assert (results['tight windows'] == 0).all()


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (6, 1), (6, 7)])
def test_cells_of_the_whole_image_and_of_one_pixel(size):
    whole = PackedMasks.from_crops([MaskCrop(np.ones(size, dtype=bool), 0, 0)])
    assert whole.turned(size).windows.tolist() == [[0, 0, *size]]
    assert whole.resized(size, (5, 3)).windows.tolist() == [[0, 0, 3, 5]]
    for cells in (whole.flipped(size, True, True), whole.tight(), whole.clipped(size), whole.filled()):
        assert cells.windows.tolist() == whole.windows.tolist()
        assert cells.pixels.all()
    assert (whole.to_labels(size) == 1).all()
    corner = PackedMasks.from_crops([MaskCrop(np.ones((1, 1), dtype=bool), 0, 0)])
    assert corner.flipped(size, True, True).windows.tolist() == [[size[1] - 1, size[0] - 1, size[1], size[0]]]
    assert corner.turned(size).windows.tolist() == [[0, size[1] - 1, 1, size[1]]]


@pytest.mark.parametrize(
    ('pixels', 'windows', 'message'),
    [
        (np.ones(6, dtype=bool), [[0, 0, 3, 3]], 'hold 9 pixels, given are 6'),
        (np.ones(9, dtype=bool), [[0, 0, 3, 2]], 'hold 6 pixels, given are 9'),
        (np.ones(0, dtype=bool), [[0, 0, 1, 1], [4, 0, 3, 1]], r'window 1 .* before it begins: \[4, 0, 3, 1\]'),
        (np.ones(1, dtype=np.uint8), [[0, 0, 1, 1]], 'not 1-D uint8'),
        (np.ones((1, 1), dtype=bool), [[0, 0, 1, 1]], 'not 2-D bool'),
        (np.ones(1, dtype=bool), [[0.0, 0.0, 1.0, 1.0]], r'not float64 \(1, 4\)'),
        (np.ones(1, dtype=bool), [0, 0, 1, 1], r'not int64 \(4,\)'),
    ],
)
def test_arrays_that_do_not_fit_are_refused(pixels, windows, message):
    with pytest.raises(InputError, match=message):
        PackedMasks(pixels, np.array(windows))


def test_cells_move_by_whole_pixels():
    with pytest.raises(InputError, match='integers'):
        two_cells().moved(0.5, 0)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.slow
@pytest.mark.parametrize(
    'change',
    [
        lambda pixels, windows: (read_only(pixels), read_only(windows)),
        lambda pixels, windows: (pixels.repeat(2)[::2], np.asfortranarray(windows)),
        lambda pixels, windows: (pixels[::-1].copy()[::-1], windows.repeat(3, axis=1)[:, ::3]),
        lambda pixels, windows: (pixels, windows.astype(np.int32)),
        lambda pixels, windows: (pixels, windows.astype('>u2')),
    ],
)
def test_arrays_of_any_layout_give_the_same_and_stay_as_they_are(change):
    packed, size = PackedMasks.from_crops([crop.clipped((4, 5)) for crop in two_cells().crops]), (4, 5)
    pixels, windows = change(packed.pixels, packed.windows)
    before = pixels.copy(), windows.copy()
    results, expected = operations(PackedMasks(pixels, windows), size), operations(packed, size)
    for name, result in results.items():
        np.testing.assert_array_equal(result, expected[name], err_msg=name)
        assert result.dtype == expected[name].dtype
    assert np.array_equal(pixels, before[0])
    assert np.array_equal(windows, before[1])


def test_loops_compile_once_whatever_the_number_of_cells():
    operations(two_cells(), (4, 5))
    loops = [loop for loop in vars(geometry).values() if hasattr(loop, 'signatures')]
    compiled = [len(loop.signatures) for loop in loops]
    for cells in ([], two_cells().crops[:1], two_cells().crops * 2):
        operations(PackedMasks.from_crops(cells), (4, 5))
    assert [len(loop.signatures) for loop in loops] == compiled


@pytest.fixture
def uncompiled(monkeypatch):
    """The loops as plain Python, where reading beyond an array raises."""
    for name, loop in vars(geometry).copy().items():
        if hasattr(loop, 'py_func'):
            monkeypatch.setattr(geometry, name, loop.py_func)


def test_no_loop_leaves_its_arrays(uncompiled):
    rng = np.random.default_rng(0)
    for density in (0, 0.1, 0.5, 1):
        masks = [rng.random(rng.integers(0, 6, 2)) < density for _ in range(8)]
        crops = [MaskCrop(mask, *rng.integers(-5, 9, 2).tolist()) for mask in masks]
        for size in ((1, 1), (7, 1), (6, 8)):
            packed = PackedMasks.from_crops([crop.clipped(size) for crop in crops])
            assert (operations(packed, size)['selected windows'] == packed.windows[::-1]).all()
        # Nothing but resized needs windows inside the image; that reads the parts inside.
        packed = PackedMasks.from_crops(crops)
        operations(packed, (6, 8))
        assert packed.flipped((2, 2), True, True).tight().areas.tolist() == packed.areas.tolist()


@pytest.mark.parametrize('name', ['5d066f4c3eef'])
def test_real_cells(real_data, name):
    size = (520, 704)
    lines = (real_data / 'train.csv').read_text().splitlines()
    crops = [kaggle_rle.decode(line.split(',')[1], size) for line in lines if line.startswith(name)]
    assert len(crops) == 547
    packed = PackedMasks.from_crops(crops)
    assert packed.tight() is packed
    turned, filled = packed.turned(size), packed.filled()
    for number in range(0, 547, 40):
        full = crops[number].to_full(size)
        assert np.array_equal(turned.crops[number].to_full(size[::-1]), np.rot90(full))
        assert np.array_equal(filled.crops[number].to_full(size), ndimage.binary_fill_holes(full))
    labels = np.zeros(size, dtype=int)
    for number, crop in enumerate(crops, start=1):
        labels[crop.to_full(size)] = number
    assert np.array_equal(packed.to_labels(size), labels)
