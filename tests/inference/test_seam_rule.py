"""The seam rule of tiles: cores partition the image, and every cell that tiles predict is kept once, and whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.inference.tiling import SAME_CELL_IOU, Tile, choose_cells, count_cut, cut_tiles
from sartorius.utils.errors import InputError

INFINITE = float('inf')


@pytest.mark.parametrize(
    ('length', 'windows', 'seams'),
    [
        # Tiles of 60 px that overlap by at least 20, of which each begins 32 px after the one before it.
        pytest.param(1, [(0, 1)], [], id='one pixel'),
        pytest.param(59, [(0, 59)], [], id='smaller than a tile'),
        pytest.param(60, [(0, 60)], [], id='one tile'),
        pytest.param(61, [(0, 60), (32, 61)], [46], id='one pixel more'),
        pytest.param(92, [(0, 60), (32, 92)], [46], id='two tiles'),
        pytest.param(93, [(0, 60), (32, 92), (64, 93)], [46, 78], id='more than two tiles'),
    ],
)
def test_tiles_along_one_side(length: int, windows: list[tuple[int, int]], seams: list[int]) -> None:
    edges = [-INFINITE, *seams, INFINITE]
    wide = cut_tiles((60, length), (60, 60), 20)
    assert [(tile.window[0], tile.window[2]) for tile in wide] == windows
    assert [(tile.core[0], tile.core[2]) for tile in wide] == list(itertools.pairwise(edges))
    assert {(tile.window[1], tile.window[3], tile.core[1], tile.core[3]) for tile in wide} == {
        (0, 60, -INFINITE, INFINITE)
    }
    high = cut_tiles((length, 60), (60, 60), 20)
    assert [(tile.window[1], tile.window[3]) for tile in high] == windows
    assert [(tile.core[1], tile.core[3]) for tile in high] == list(itertools.pairwise(edges))


def test_tiles_of_the_competition_on_a_larger_image() -> None:
    """1024x1022 px: two columns that share 256 px, three rows that share 264 px."""
    tiles = cut_tiles((1022, 1024), (520, 704), 256)
    assert [tile.window for tile in tiles] == [
        (0, 0, 704, 520), (448, 0, 1024, 520),
        (0, 256, 704, 776), (448, 256, 1024, 776),
        (0, 512, 704, 1022), (448, 512, 1024, 1022),
    ]  # fmt: skip
    assert tiles[2].core == (-INFINITE, 388, 576, 644)


@pytest.mark.parametrize(('size', 'overlap'), [((60, 60), 1), ((60, 60), 60), ((60, 20), 20)])
def test_overlap_that_does_not_fit(size: tuple[int, int], overlap: int) -> None:
    with pytest.raises(InputError, match=f'overlap of {overlap} px; it must be at least 2 and less than a side'):
        cut_tiles((200, 200), size, overlap)


def test_a_cell_as_long_as_an_odd_overlap_is_kept_once_by_the_cores() -> None:
    """17 px: the shared strip is 56 to 73, the seam 64.5; the second tile cuts off a piece whose centre is 64."""
    tiles = cut_tiles((1, 74), (45, 45), 17)
    assert [tile.core[0] for tile in tiles] == [-INFINITE, 36.5, 64.5]
    boxes = np.array([[55, 0, 72, 1]], dtype=np.float32)
    owners, pred, _ = perfect_predictions(tiles, boxes)
    assert pred.tolist() == [[55, 0, 72, 1], [56, 0, 72, 1]]
    np.testing.assert_array_equal(pred[by_core_alone(tiles, owners, pred)], boxes)


def test_a_centre_on_a_seam_belongs_to_the_tile_after_it() -> None:
    first, second = cut_tiles((60, 92), (60, 60), 20)
    # The seam lies at column 46.
    boxes = np.array([[36, 0, 56, 9], [36, 0, 55, 9], [37, 0, 56, 9]], dtype=np.float32)
    assert first.holds(boxes).tolist() == [False, True, False]
    assert second.holds(boxes).tolist() == [True, False, True]
    assert first.depth(boxes).tolist() == [0, 0.5, -0.5]


def test_a_border_cuts_only_inside_the_image() -> None:
    first, second = cut_tiles((60, 92), (60, 60), 20)
    boxes = np.array([[0, 0, 9, 60], [50, 5, 59, 9], [50, 5, 57, 9], [33, 5, 50, 9]], dtype=np.float32)
    assert first.cuts(boxes).tolist() == [False, True, False, False]
    assert second.cuts(boxes).tolist() == [False, False, False, True]


def test_a_crop_is_the_window() -> None:
    image = np.arange(30 * 40 * 3).reshape(30, 40, 3)
    tile = cut_tiles((30, 40), (20, 20), 10)[3]
    left, top, right, bottom = tile.window
    np.testing.assert_array_equal(tile.crop(image), image[top:bottom, left:right])
    np.testing.assert_array_equal(np.array([0, 0, right - left, bottom - top]) + tile.offset, tile.window)


@st.composite
def tilings(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[Tile, ...], int]:
    """Image size, tiles and overlap."""
    overlap = draw(st.integers(2, 30))
    tile_size = tuple(draw(st.integers(overlap + 10, 70)) for _ in range(2))
    size = tuple(draw(st.integers(1, 150)) for _ in range(2))
    return size, cut_tiles(size, tile_size, overlap), overlap


@given(tilings(), st.data())
def test_cores_partition_the_image_with_half_the_overlap_around(tiling: tuple, data: st.DataObject) -> None:
    (height, width), tiles, overlap = tiling
    x = data.draw(st.floats(0, width, width=32))
    y = data.draw(st.floats(0, height, width=32))
    point = np.array([[x, y, x, y]], dtype=np.float32)
    assert sum(int(tile.holds(point)[0]) for tile in tiles) == 1
    for tile in tiles:
        left, top, right, bottom = tile.window
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        for border, edge, rim in zip(tile.window, tile.core, (0, 0, width, height), strict=True):
            assert border == rim if np.isinf(edge) else abs(border - edge) >= overlap / 2


def boxes_in(size: tuple[int, int], longest: int) -> st.SearchStrategy[list[tuple[int, int, int, int]]]:
    """Boxes inside an image whose sides are at most ``longest``."""

    @st.composite
    def box(draw: st.DrawFn) -> tuple[int, int, int, int]:
        spans = []
        for length in size[::-1]:
            start = draw(st.integers(0, length - 1))
            spans.append((start, draw(st.integers(start + 1, min(start + longest, length)))))
        (x1, x2), (y1, y2) = spans
        return x1, y1, x2, y2

    return st.lists(box(), max_size=25, unique=True)


def perfect_predictions(
    tiles: tuple[Tile, ...], boxes: np.ndarray, jitter: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, ...]:
    """Predictions of a perfect detector: for each tile the boxes clipped to its window, moved by the jitter.

    Returns:
        Index of the tile, box, and index of the cell of every prediction.
    """
    rng = np.random.default_rng(seed)
    pred, cells = [], []
    for tile in tiles:
        low, high = np.array(tile.window[:2]), np.array(tile.window[2:])
        inside = np.flatnonzero((np.minimum(boxes[:, 2:], high) > np.maximum(boxes[:, :2], low)).all(axis=1))
        moved = boxes[inside] + rng.uniform(-jitter, jitter, (len(inside), 4))
        pred.append(np.clip(moved, np.tile(low, 2), np.tile(high, 2)).astype(np.float32))
        cells.append(inside)
    owners = np.repeat(np.arange(len(tiles)), [len(inside) for inside in cells])
    return owners, np.concatenate(pred), np.concatenate(cells)


def ones(boxes: np.ndarray) -> np.ndarray:
    return np.ones(len(boxes), dtype=np.float32)


def labels_of(boxes: np.ndarray) -> np.ndarray:
    return np.zeros(len(boxes), dtype=np.int64)


def by_core_alone(tiles: tuple[Tile, ...], owners: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    held = np.zeros(len(boxes), dtype=bool)
    for number, tile in enumerate(tiles):
        held[owners == number] = tile.holds(boxes[owners == number])
    return np.flatnonzero(held)


@given(tilings(), st.data())
@settings(max_examples=200)
def test_cells_within_the_overlap_are_kept_once_and_whole(tiling: tuple, data: st.DataObject) -> None:
    """Cells may overlap by any amount, also by more than what makes two boxes the same cell."""
    size, tiles, overlap = tiling
    boxes = np.array(data.draw(boxes_in(size, overlap)), dtype=np.float32).reshape(-1, 4)
    owners, pred, cells = perfect_predictions(tiles, boxes)
    # One class per cell: no two cells can be taken for one. For a perfect detector the core alone would do.
    for kept in (choose_cells(tiles, owners, pred, ones(pred), cells, overlap), by_core_alone(tiles, owners, pred)):
        assert sorted(cells[kept].tolist()) == list(range(len(boxes)))
        np.testing.assert_array_equal(pred[kept], boxes[cells[kept]])
    # Of one class: the same boxes are kept, since no two are identical.
    kept = choose_cells(tiles, owners, pred, ones(pred), labels_of(pred), overlap)
    assert sorted(map(tuple, pred[kept].tolist())) == sorted(map(tuple, boxes.tolist()))


@pytest.mark.slow
def test_tiles_that_predict_slightly_different_boxes_keep_a_cell_once() -> None:
    """Cells side by side, some with their centre on a seam; boxes are off by up to 1.5 px."""
    corners = np.array(list(itertools.product(range(5, 385, 20), repeat=2)), dtype=np.float32)
    boxes = np.concatenate([corners + 1, corners + 19], axis=1)
    tiles = cut_tiles((400, 400), (100, 100), 48)
    by_cores = []
    for seed in range(5):
        owners, pred, cells = perfect_predictions(tiles, boxes, jitter=1.5, seed=seed)
        kept = choose_cells(tiles, owners, pred, ones(pred), labels_of(pred), 48)
        assert sorted(cells[kept].tolist()) == list(range(361))
        assert abs(pred[kept] - boxes[cells[kept]]).max() <= 1.5
        by_cores += np.bincount(cells[by_core_alone(tiles, owners, pred)], minlength=361).tolist()
    # Why the rule is needed: by the core alone some cells are lost, and others are kept twice.
    assert by_cores.count(0) > 5 and by_cores.count(2) > 5


@pytest.mark.parametrize(
    ('cell', 'largest'),
    [
        # Tiles of 60 px begin at 0, 32 and 64 px, their seams lie at 46 and 78 px.
        pytest.param((15, 5, 110, 25), (32, 5, 92, 25), id='through a whole tile and beyond'),
        pytest.param((10, 5, 70, 25), (10, 5, 60, 25), id='more to the left'),
        pytest.param((50, 5, 115, 25), (64, 5, 115, 25), id='more to the right'),
        pytest.param((10, 10, 110, 110), (32, 32, 92, 92), id='through tiles in both directions'),
        pytest.param((50, 37, 115, 57), (64, 37, 115, 57), id='more to the right, near a seam above'),
        pytest.param((0, 0, 123, 124), (0, 0, 60, 60), id='the whole image'),
    ],
)
def test_of_a_cell_that_no_tile_contains_the_largest_piece_is_kept(cell: tuple, largest: tuple) -> None:
    tiles = cut_tiles((124, 124), (60, 60), 20)
    owners, pred, _ = perfect_predictions(tiles, np.array([cell], dtype=np.float32))
    kept = choose_cells(tiles, owners, pred, ones(pred), labels_of(pred), 20)
    assert pred[kept].tolist() == [list(map(float, largest))]
    assert count_cut(tiles, owners[kept], pred[kept]) == 1


def test_a_cell_longer_than_the_overlap_inside_one_tile_is_kept_whole() -> None:
    """40 px long, with an overlap of 20: whole in the first tile alone."""
    tiles = cut_tiles((60, 92), (60, 60), 20)
    boxes = np.array([[14, 5, 54, 15]], dtype=np.float32)
    owners, pred, _ = perfect_predictions(tiles, boxes)
    kept = choose_cells(tiles, owners, pred, ones(pred), labels_of(pred), 20)
    assert len(owners) == 2
    np.testing.assert_array_equal(pred[kept], boxes)


def test_two_cells_in_nearly_the_same_box_stay_two() -> None:
    """Slanted neighbours; their centres are on either side of the seam at column 46."""
    tiles = cut_tiles((60, 92), (60, 60), 20)
    boxes = np.array([[36, 20, 54, 40], [39, 20, 56, 40]], dtype=np.float32)
    shared, union = (54 - 39) * 20, (56 - 36) * 20
    assert shared / union > SAME_CELL_IOU
    assert [tile.holds(boxes).tolist() for tile in tiles] == [[True, False], [False, True]]
    owners, pred, cells = perfect_predictions(tiles, boxes)
    kept = choose_cells(tiles, owners, pred, ones(pred), labels_of(pred), 20)
    assert sorted(cells[kept].tolist()) == [0, 1]
    # As if each tile had missed the other's cell.
    alone = np.array([0, 1]), boxes
    assert len(choose_cells(tiles, *alone, ones(boxes), labels_of(boxes), 20)) == 1
    assert len(choose_cells(tiles, *alone, ones(boxes), np.array([0, 1]), 20)) == 2


def test_the_models_own_nms_holds_across_tiles_too() -> None:
    """The same neighbours, IoU .75: the box with the better score is kept, whichever tile predicted it."""
    tiles = cut_tiles((60, 92), (60, 60), 20)
    boxes = np.array([[36, 20, 54, 40], [39, 20, 56, 40]], dtype=np.float32)
    owners, pred, cells = perfect_predictions(tiles, boxes)
    for better in (0, 1):
        scores = np.where(cells == better, 0.9, 0.8).astype(np.float32)
        kept = choose_cells(tiles, owners, pred, scores, labels_of(pred), 20, nms_iou=0.6)
        assert cells[kept].tolist() == [better]
        assert len(choose_cells(tiles, owners, pred, scores, cells, 20, nms_iou=0.6)) == 2
        assert len(choose_cells(tiles, owners, pred, scores, labels_of(pred), 20, nms_iou=0.8)) == 2


def test_no_predictions() -> None:
    tiles = cut_tiles((60, 100), (60, 60), 20)
    none = np.zeros(0, dtype=int), np.zeros((0, 4), dtype=np.float32)
    assert len(choose_cells(tiles, *none, np.zeros(0), np.zeros(0, dtype=int), 20, 0.5)) == 0
    assert count_cut(tiles, *none) == 0
