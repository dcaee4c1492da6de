"""Placement of the cells of an image, and the pixels that each of them keeps."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.shapes import CellShape, round_shape
from sartorius.utils.errors import InputError

MIN_AREA = 30
"""Minimum area of a cell in pixels, as in the competition's masks."""
MAX_COVERAGE = 0.5
"""Cells that would cover a larger share of the image are scaled down."""

_MIN_RADIUS = 3.0
_MIN_KEPT = 0.72
_TRIES = 12


@dataclass(frozen=True, eq=False)
class PlacedCell:
    """A placed cell.

    Attributes:
        crop: Tight mask inside the image; exactly the pixels that the rendering gives to the body.
        shape: Its form, with the origin at ``x, y``.
        x: Column of the centre in the image, in pixels.
        y: Row of the centre.
        family: The mask of the cell and its sisters together, where it has such: they are drawn as one body with seams.
    """

    crop: MaskCrop
    shape: CellShape
    x: float
    y: float
    family: MaskCrop | None = None


def place_cells(
    shapes: list[CellShape], size: Size, clumping: float, overlap_rate: float, rng: np.random.Generator
) -> tuple[PlacedCell, ...]:
    """Places every shape.

    A cell that meets one placed before it lies under it: it is cut at its outline, or, at ``overlap_rate``, keeps its
    whole mask, so that both masks hold the pixels they share.

    Args:
        shapes: Cells; scaled down together where they would cover more than :data:`MAX_COVERAGE` of the image.
        size: Image ``(height, width)``.
        clumping: Share of the cells that are put against another cell.
        overlap_rate: Share of the meeting cells that keep their whole mask.
        rng: Random generator.

    Returns:
        One cell a shape, from the bottom to the top.

    Raises:
        InputError: The image has no room for that many cells.
    """
    if len(shapes) > size[0] * size[1] / (2 * MIN_AREA):
        raise _no_room(size, len(shapes))
    shapes = _fitted(shapes, size)
    occupied = np.zeros(size, dtype=np.uint8)
    placed: list[PlacedCell] = []
    waiting: list[CellShape] = []
    draw_centre = _CentreDraw(size, clumping, rng)
    for shape in shapes:
        keep_whole = rng.random() < overlap_rate
        for _ in range(_TRIES):
            x, y = draw_centre(placed, shape)
            cell = _settle(shape, x, y, occupied, keep_whole)
            if cell is not None:
                _occupy(occupied, cell.crop)
                placed.append(cell)
                break
        else:
            waiting.append(shape)
    placed += _squeeze_in(waiting, occupied, len(shapes))
    return tuple(reversed(placed))


class _CentreDraw:
    """Draws centres: beside a placed cell, in one of a few loose groups, or anywhere."""

    def __init__(self, size: Size, clumping: float, rng: np.random.Generator) -> None:
        self.size, self.clumping, self.rng = size, clumping, rng
        groups = max(1, round(size[0] * size[1] / 60_000))
        self.groups = rng.uniform(0, 1, (groups, 2)) * (size[1], size[0])

    def __call__(self, placed: list[PlacedCell], shape: CellShape) -> tuple[float, float]:
        rng = self.rng
        if placed and rng.random() < self.clumping:
            neighbour = placed[int(rng.integers(len(placed)))]
            distance = (_radius(neighbour.shape) + _radius(shape)) * rng.uniform(0.75, 1.25)
            angle = rng.uniform(0, 2 * np.pi)
            return neighbour.x + distance * np.cos(angle), neighbour.y + distance * np.sin(angle)
        if rng.random() < 0.4:
            centre = self.groups[int(rng.integers(len(self.groups)))]
            x, y = rng.normal(centre, 60)
            return float(x), float(y)
        return rng.uniform(0, self.size[1]), rng.uniform(0, self.size[0])


def _radius(shape: CellShape) -> float:
    return float(np.sqrt(shape.target_area / np.pi))


def _fitted(shapes: list[CellShape], size: Size) -> list[CellShape]:
    """The shapes, smaller if together they would cover too much, but none below the minimum area."""
    total = sum(shape.target_area for shape in shapes)
    room = MAX_COVERAGE * size[0] * size[1]
    if total <= room:
        return shapes
    factor = np.sqrt(room / total)
    min_area = 1.3 * MIN_AREA
    return [shape.scaled(max(factor, min(1.0, np.sqrt(min_area / shape.target_area)))) for shape in shapes]


def _settle(shape: CellShape, x: float, y: float, occupied: NDArray[np.uint8], keep_whole: bool) -> PlacedCell | None:
    """The cell with its centre at ``x, y``, or None where too little of it would remain."""
    height, width = occupied.shape
    if not (0 <= x < width and 0 <= y < height):
        return None
    whole = shape.crop(x, y).clipped((height, width))
    x1, y1, x2, y2 = whole.window
    taken = (occupied[y1:y2, x1:x2] != 0) & whole.mask
    min_area = max(MIN_AREA, _MIN_KEPT * whole.area)
    if whole.area - np.count_nonzero(taken) < min_area:
        return None
    # The image's border may cut a cell in two as well as its neighbours may.
    mask = largest_piece(whole.mask if keep_whole else whole.mask & ~taken)
    if np.count_nonzero(mask) < min_area or (taken.any() and not keep_whole and _has_hole(mask)):
        return None
    return PlacedCell(MaskCrop(mask, x1, y1).tight(), shape, x, y)


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 4-connected part of a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count <= 2:
        return mask
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _has_hole(mask: NDArray[np.bool_]) -> bool:
    """Whether background is enclosed: no annotator would leave a hole where a small cell lies on a large one."""
    outside = np.pad(~mask, 1, constant_values=True).view(np.uint8)
    return cv2.connectedComponents(outside, connectivity=4)[0] > 2


def _occupy(occupied: NDArray[np.uint8], crop: MaskCrop) -> None:
    x1, y1, x2, y2 = crop.window
    occupied[y1:y2, x1:x2] |= crop.mask.view(np.uint8)


def _squeeze_in(waiting: list[CellShape], occupied: NDArray[np.uint8], wanted: int) -> Iterator[PlacedCell]:
    """Puts the shapes that were not placed into the widest gaps, scaled down if necessary."""
    while waiting:
        gaps = cv2.distanceTransform(np.pad(1 - occupied, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        left_over = []
        for shape in waiting:
            y, x = np.unravel_index(int(gaps.argmax()), gaps.shape)
            reach = float(gaps[y, x])
            cell = _settle_in_gap(shape, float(x), float(y), reach, occupied)
            _forget(gaps, int(x), int(y), reach)
            if cell is None:
                left_over.append(shape)
            else:
                _occupy(occupied, cell.crop)
                yield cell
        if len(left_over) == len(waiting):
            raise _no_room(occupied.shape, wanted)
        waiting = left_over


def _settle_in_gap(
    shape: CellShape, x: float, y: float, reach: float, occupied: NDArray[np.uint8]
) -> PlacedCell | None:
    """The cell as large as fits into a gap of a given radius; its neighbours may cut it a little."""
    for share in (1.3, 0.9, 0.6, 0.4, 0.25):
        factor = max(min(1.0, share * reach / _radius(shape)), np.sqrt(1.3 * MIN_AREA / shape.target_area))
        cell = _settle(shape.scaled(factor), x, y, occupied, keep_whole=False)
        if cell is not None:
            return cell
    # A star with arms fits into no small gap; a round cell does.
    return _settle(round_shape(shape, max(0.9 * reach, _MIN_RADIUS)), x, y, occupied, keep_whole=False)


def _forget(gaps: NDArray[np.float32], x: int, y: int, reach: float) -> None:
    """Excludes the surroundings of a place from the search until the next round."""
    radius = int(np.ceil(2 * reach)) + 1
    gaps[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = 0


def _no_room(size: Size, wanted: int) -> InputError:
    return InputError(
        f'an image of {size[1]}x{size[0]} has no room for {wanted} cells; ask for fewer cells, a lower density or a '
        'larger image'
    )
