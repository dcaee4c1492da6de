"""Tiles of an image that is predicted piece by piece, and the rule by which each cell is kept once, and whole.

Neighbouring tiles overlap by at least twice a margin, and the middle of the overlap is the seam. Each tile answers for
its core, up to the seams around it, and sees a margin beyond. The cores are half-open and partition the plane. A cell
that is at most two margins high and wide lies whole in the tile whose core holds the centre of its box, and what any
other tile sees of it has its centre outside that tile's core: the core alone keeps such a cell once and whole.

But two tiles never say quite the same of one cell, and some cells are larger:

- A centre near a seam may lie on its own side for both tiles, or for neither. So a tile also names the cells that it
  sees whole up to a quarter of the margin outside its core, and cells of two tiles that are the same are kept once.
- Cells of two tiles are the same if they have the same class, an IoU of at least 0.5, and each is what the other tile
  found that fits the first one best. Where a tile cuts a cell, the other's box counts as far as that tile can see.
- Of the same cells the one kept is one that its tile does not cut, then one in its tile's core, then the one whose
  centre lies deepest in the core; of a cell that every tile cuts, the largest piece.
- Of what is left, two cells of different tiles and one class that overlap by more than the model's own NMS allows would
  not both have come out of the whole image: the better score stays.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sartorius.masks.crop import Size
from sartorius.masks.nms import box_iou
from sartorius.utils.errors import InputError

SAME_CELL_IOU = 0.5
# Tiles begin at multiples of so many pixels. Feature maps have strides of up to 32 and 64 pixels: at whole scales, what
# all tiles show of a place falls onto the same grid, and boxes come out as they do from the whole image.
ALIGNMENT = 32
# Of the margin: how far outside its core a tile still names the cells that it sees whole.
BAND = 0.25
# Pixels from a border inside the image up to which a box counts as cut by it.
CUT_SLACK = 2.0


@dataclass(frozen=True)
class Tile:
    """A window of an image and the part of it that it answers for; all edges are left, top, right, bottom in pixels.

    Attributes:
        window: What is shown to the model; half-open, inside the image.
        core: Cells whose box centre lies here are this tile's; half-open. Infinite where the window ends at the rim of
            the image.
    """

    window: tuple[int, int, int, int]
    core: tuple[float, float, float, float]

    @property
    def offset(self) -> NDArray[np.float32]:
        """float32 ``(4,)``: from boxes in the window to boxes in the image."""
        return np.array(self.window[:2] * 2, dtype=np.float32)

    def crop(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """The window's part of an image ``(H, W)`` or ``(H, W, C)``."""
        left, top, right, bottom = self.window
        return np.ascontiguousarray(image[top:bottom, left:right])

    def holds(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the centres of boxes ``(N, 4)`` in image pixels lie in the core."""
        left, top, right, bottom = self.core
        x, y = _centres(boxes)
        return (left <= x) & (x < right) & (top <= y) & (y < bottom)

    def depth(self, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
        """How many pixels the centres of boxes lie inside the core's nearest edge; negative outside."""
        left, top, right, bottom = self.core
        x, y = _centres(boxes)
        return np.min([x - left, right - x, y - top, bottom - y], axis=0)

    def cuts(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether boxes in image pixels reach a border of the window inside the image, as far as a model can tell."""
        outer = np.isinf(self.core)
        distances = np.abs(boxes - np.array(self.window, dtype=np.float32))
        return ((distances <= CUT_SLACK) & ~outer).any(axis=1)


def cut_tiles(size: Size, tile_size: Size, margin: int) -> tuple[Tile, ...]:
    """Cuts an image into overlapping tiles, row by row.

    Along each side, tiles begin at equal distances, the largest multiples of 32 px that let neighbours overlap by two
    margins; where two margins leave less of a tile than that, at just that distance. The last ones end with the image.

    Args:
        size: Image ``(height, width)`` in pixels.
        tile_size: ``(height, width)`` of a tile.
        margin: Pixels; a cell that is at most twice as high and wide is never cut.

    Raises:
        InputError: A margin under 1, or one that leaves a tile no core.
    """
    if margin < 1 or 2 * margin >= min(tile_size):
        raise InputError(
            f'tiles of {tuple(tile_size)} px with a margin of {margin} px; it must be at least 1 and under half a tile'
        )
    rows, columns = (_cut_side(length, tile, margin) for length, tile in zip(size, tile_size, strict=True))
    return tuple(
        Tile(window=(left, top, right, bottom), core=(core_left, core_top, core_right, core_bottom))
        for top, bottom, core_top, core_bottom in rows
        for left, right, core_left, core_right in columns
    )


def choose_cells(
    tiles: Sequence[Tile],
    owners: NDArray[np.integer],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.integer],
    margin: int,
    nms_iou: float | None = None,
) -> NDArray[np.int64]:
    """Which of the cells that the tiles of an image found are kept, by the rule that the module states.

    Args:
        tiles: As :func:`cut_tiles` made them with ``margin``.
        owners: ``(N,)``: number of the tile that found each cell.
        boxes: ``(N, 4)`` in pixels of the image.
        scores: ``(N,)``.
        labels: ``(N,)``.
        margin: Pixels.
        nms_iou: IoU above which the model's own NMS keeps one box of two; None if it has no NMS.

    Returns:
        Indices of the cells that are kept, ascending.
    """
    held, cut, depth = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool), np.zeros(len(boxes))
    for number, tile in enumerate(tiles):
        rows = np.flatnonzero(owners == number)
        held[rows], cut[rows], depth[rows] = tile.holds(boxes[rows]), tile.cuts(boxes[rows]), tile.depth(boxes[rows])
    candidate = held | ((depth > -BAND * margin) & ~cut)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort([-np.where(cut, areas, depth), ~held, cut])
    same, rivals = _compare(tiles, owners, boxes, labels, cut, np.inf if nms_iou is None else nms_iou)
    kept = _best_of_each(same, candidate, order)
    ranks = np.empty(len(boxes), dtype=np.int64)
    ranks[np.argsort(-scores, kind='stable')] = np.arange(len(boxes))
    rivals = np.take_along_axis(rivals, ranks[rivals].argsort(axis=1), axis=1)
    # When it is a cell's turn to drop others, all that could drop it have had theirs.
    for better, worse in rivals[ranks[rivals[:, 0]].argsort(kind='stable')].tolist():
        if kept[better]:
            kept[worse] = False
    return np.flatnonzero(kept)


def count_cut(tiles: Sequence[Tile], owners: NDArray[np.integer], boxes: NDArray[np.float32]) -> int:
    """How many boxes ``(N, 4)`` in pixels of the image are cut by the tile that they are taken from."""
    return sum(int(np.count_nonzero(tile.cuts(boxes[owners == number]))) for number, tile in enumerate(tiles))


def _best_of_each(
    pairs: NDArray[np.int64], candidate: NDArray[np.bool_], order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """bool ``(N,)``: of the candidates that pairs say are the same cell, the first in the order, and all others."""
    first, second = pairs[candidate[pairs].all(axis=1)].T
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(order), len(order)))
    # Linked by others, too: of a cell that is longer than two tiles, the ends have no window in common.
    _, cells = connected_components(links, directed=False)
    order = order[candidate[order]]
    _, best = np.unique(cells[order], return_index=True)
    kept = np.zeros(len(candidate), dtype=bool)
    kept[order[best]] = True
    return kept


def _compare(
    tiles: Sequence[Tile],
    owners: NDArray[np.integer],
    boxes: NDArray[np.float32],
    labels: NDArray[np.integer],
    cut: NDArray[np.bool_],
    nms_iou: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs ``(P, 2)`` of indices of what two tiles found: those that are the same cell, and those that NMS forbids."""
    same_cells, rivals = [np.zeros((0, 2), dtype=np.int64)], [np.zeros((0, 2), dtype=np.int64)]
    windows_of = np.array([tile.window for tile in tiles])
    rows_of = {number: np.flatnonzero(owners == number) for number in np.unique(owners).tolist()}
    for first, second in itertools.combinations(rows_of, 2):
        windows = windows_of[[first, second]]
        if (np.minimum(*windows[:, 2:]) <= np.maximum(*windows[:, :2])).any():
            continue
        ours, theirs = (
            rows_of[one][_meets(boxes[rows_of[one]], window)]
            for one, window in zip((first, second), windows[::-1], strict=True)
        )
        iou = _iou_as_seen(boxes, cut, ours, theirs, windows)
        iou *= labels[ours][:, None] == labels[theirs][None, :]
        if iou.size:
            rows, best = np.arange(len(ours)), iou.argmax(axis=1)
            same = (iou[rows, best] >= SAME_CELL_IOU) & (iou.argmax(axis=0)[best] == rows)
            same_cells.append(np.stack([ours[same], theirs[best[same]]], axis=1))
            rows, columns = np.nonzero(iou > nms_iou)
            rivals.append(np.stack([ours[rows], theirs[columns]], axis=1))
    return np.concatenate(same_cells), np.concatenate(rivals)


def _iou_as_seen(
    boxes: NDArray[np.float32],
    cut: NDArray[np.bool_],
    ours: NDArray[np.int64],
    theirs: NDArray[np.int64],
    windows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """IoU of the boxes at ``ours`` and ``theirs``, each as far as the other's tile sees if that tile cuts the other."""
    iou = np.zeros((len(ours), len(theirs)))
    for our_cut, their_cut in itertools.product((False, True), repeat=2):
        rows, columns = np.flatnonzero(cut[ours] == our_cut), np.flatnonzero(cut[theirs] == their_cut)
        one, other = boxes[ours[rows]], boxes[theirs[columns]]
        iou[np.ix_(rows, columns)] = box_iou(
            _clipped(one, windows[1]) if their_cut else one, _clipped(other, windows[0]) if our_cut else other
        )
    return iou


def _cut_side(length: int, tile: int, margin: int) -> list[tuple[int, int, float, float]]:
    """Along one side: start and end of each window and of its core."""
    if length <= tile:
        return [(0, length, -np.inf, np.inf)]
    step = tile - 2 * margin
    if step > ALIGNMENT:
        step -= step % ALIGNMENT
    starts = range(0, length - tile + step, step)
    seams = [(before + tile + after) // 2 for before, after in itertools.pairwise(starts)]
    edges = [-np.inf, *seams, np.inf]
    return [
        (start, min(start + tile, length), low, high)
        for start, low, high in zip(starts, edges[:-1], edges[1:], strict=True)
    ]


def _centres(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    return (x1 + x2) / 2, (y1 + y2) / 2


def _meets(boxes: NDArray[np.float32], window: NDArray[np.int64]) -> NDArray[np.bool_]:
    return ((boxes[:, :2] < window[2:]) & (boxes[:, 2:] > window[:2])).all(axis=1)


def _clipped(boxes: NDArray[np.float32], window: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
