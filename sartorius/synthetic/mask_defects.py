"""Defects of one cell's mask, as functions of the mask; None where the cell or the image leaves no room for one."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.pieces import largest_piece

LARGEST_FACTOR = 30
"""An outsized mask has at least this many times the pixels of its class's mean cell."""

_SHELL = 2.5
"""Thickness in pixels of the shell of a hollow mask."""
_SPECK_SIZE, _SPECK_SHARE = (3, 20), 0.05
_SPECK_GAP, _SPECK_REACH = 5, 10
"""Chessboard distance from a speck's centre to the nearest cell, and at most to its own: two clear pixels between."""
_SLIVER_LENGTH = (10, 60)
_SLIVER_TRIES = 8
_SMALL_SIZE = (3, 9)

_CORNERS_TOUCH = np.ones((3, 3), dtype=np.uint8)
_EDGES_TOUCH = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_WIDE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
_DISC_RADIUS = 2
_DISC = np.array(
    sorted(((y, x) for y in range(-2, 3) for x in range(-2, 3)), key=lambda pixel: pixel[0] ** 2 + pixel[1] ** 2)
)
"""Rows and columns of the pixels around one, the nearest first: the first n of them, up to 21, are a round piece."""


def hollow_out(crop: MaskCrop) -> MaskCrop:
    """A shell of the cell's outline; filling its holes restores the cell if that had none itself."""
    solid: NDArray[np.uint8] = np.pad(ndimage.binary_fill_holes(crop.mask).astype(np.uint8), 1)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Rounded, as the last bit differs from run to run.
    return MaskCrop(crop.mask & (inside.round(3) <= _SHELL), crop.x, crop.y)


def moved(crop: MaskCrop, direction: int, size: Size) -> MaskCrop:
    """The crop moved by one pixel right, down, left or up (0 to 3), inside the image."""
    right, down = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
    return MaskCrop(crop.mask, crop.x + right, crop.y + down).clipped(size)


def with_speck(crop: MaskCrop, occupied: NDArray[np.bool_], rng: np.random.Generator) -> MaskCrop | None:
    """The cell and a round piece of 3 to 20 px, less than 5 % of it, with two or more clear pixels around.

    Args:
        crop: A cell inside the image.
        occupied: bool ``(height, width)``: where any cell is.
        rng: Random generator.
    """
    largest = min(_SPECK_SIZE[1], int(np.ceil(_SPECK_SHARE * crop.area)) - 1)
    if largest < _SPECK_SIZE[0]:
        return None
    height, width = occupied.shape
    around = _padded(crop, _SPECK_REACH + _SPECK_GAP).clipped((height, width))
    x1, y1, x2, y2 = around.window
    from_cell = _chessboard_distance(around.mask)
    free = (_chessboard_distance(occupied[y1:y2, x1:x2]) >= _SPECK_GAP) & (from_cell <= _SPECK_REACH)
    rows, columns = np.arange(y1, y2)[:, None], np.arange(x1, x2)
    free &= (rows >= _DISC_RADIUS) & (rows < height - _DISC_RADIUS)
    free &= (columns >= _DISC_RADIUS) & (columns < width - _DISC_RADIUS)
    places = np.argwhere(free)
    if not len(places):
        return None
    pixels = places[rng.integers(len(places))] + _DISC[: rng.integers(_SPECK_SIZE[0], largest + 1)]
    mask = around.mask.copy()
    mask[tuple(pixels.T)] = True
    return MaskCrop(mask, x1, y1).tight()


def cut_in_two(crop: MaskCrop, rng: np.random.Generator) -> MaskCrop | None:
    """The cell without a band of 2 or 3 px straight across its middle, which leaves two pieces of a quarter or more."""
    pixels = np.argwhere(crop.mask)
    centred = pixels - pixels.mean(axis=0)
    along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, 1]
    # Rounded, so that in an upright cell whole rows are removed, not part of one.
    along = (along - np.median(along)).round(6)
    gap = int(rng.integers(2, 4))
    mask = crop.mask.copy()
    mask[tuple(pixels[(along >= -gap / 2) & (along < gap / 2)].T)] = False
    pieces, count = ndimage.label(mask, structure=_CORNERS_TOUCH)
    if count != 2 or np.bincount(pieces.ravel())[1:].min() < crop.area / 4:
        return None
    return MaskCrop(mask, crop.x, crop.y).tight()


def sliver_beside(crop: MaskCrop, size: Size, rng: np.random.Generator) -> MaskCrop | None:
    """A strip along the outside of the cell, nowhere wider than 2 px and 10 to 60 px long, at most half around it."""
    around = _padded(crop, 3)
    grown = cv2.dilate(around.mask.view(np.uint8), _CORNERS_TOUCH)
    outlines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)[:, 0]
    shortest = _SLIVER_LENGTH[0]
    longest = int(np.clip(len(outline) // 2, *_SLIVER_LENGTH))
    for _ in range(_SLIVER_TRIES):
        length, start = rng.integers(shortest, longest + 1), rng.integers(len(outline))
        columns, rows = np.roll(outline, -start, axis=0)[:length].T
        strip = np.zeros_like(around.mask)
        strip[rows, columns] = True
        # A second layer on one side, unless the strip itself runs in that direction.
        down, right = ((0, 1), (1, 0))[rng.integers(2)]
        strip[rows + down, columns + right] = True
        strip &= ~around.mask
        sliver = MaskCrop(strip, around.x, around.y)
        whole = sliver.clipped(size).area == sliver.area >= shortest
        # A strip is wider than 2 px if it has a pixel whose four neighbours belong to it too.
        if whole and not cv2.erode(strip.view(np.uint8), _EDGES_TOUCH).any():
            return sliver.tight()
    return None


def grown_into_neighbours(crop: MaskCrop, others: Iterable[MaskCrop], size: Size) -> MaskCrop | None:
    """The cell grown by 3 px all around, if it then shares pixels with a cell of ``others`` that it did not overlap."""
    grown = _dilated(crop, _WIDE, size)
    if any(_share_pixels(grown, other) and not _share_pixels(crop, other) for other in others):
        return grown
    return None


def far_too_large(crop: MaskCrop, typical_area: float, size: Size, rng: np.random.Generator) -> MaskCrop | None:
    """The cell's shape, without holes, at 30 to 45 times the typical area in pixels, over the cell in the image."""
    solid = ndimage.binary_fill_holes(crop.mask)
    min_area = LARGEST_FACTOR * typical_area
    factor = np.sqrt(min_area * rng.uniform(1.05, 1.5) / np.count_nonzero(solid))
    height, width = (max(1, round(side * factor)) for side in solid.shape)
    soft = cv2.resize(solid.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    # Centred on the cell, but as little beyond the image's border as possible.
    x = np.clip(crop.x + (crop.mask.shape[1] - width) // 2, 0, max(0, size[1] - width))
    y = np.clip(crop.y + (crop.mask.shape[0] - height) // 2, 0, max(0, size[0] - height))
    large = largest_piece(MaskCrop(soft >= 0.5, int(x), int(y)).clipped(size)).tight()
    return large if large.area >= min_area else None


def far_too_small(crop: MaskCrop, rng: np.random.Generator) -> MaskCrop:
    """A few pixels where the cell is widest: 3 to 9, or fewer in a thin cell."""
    around = _padded(crop, _DISC_RADIUS)
    depth = cv2.distanceTransform(around.mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Rounded: of pixels that are equally deep, the last bit, which differs from run to run, would choose.
    centre = np.unravel_index(int(depth.round(3).argmax()), depth.shape)
    pixels = centre + _DISC[: rng.integers(_SMALL_SIZE[0], _SMALL_SIZE[1] + 1)]
    mask = np.zeros_like(around.mask)
    mask[tuple(pixels.T)] = True
    return largest_piece(MaskCrop(mask & around.mask, around.x, around.y)).tight()


def second_outline(crop: MaskCrop, size: Size, rng: np.random.Generator) -> MaskCrop:
    """The cell as another annotator draws it: moved by one pixel, and one pixel wider or narrower all around.

    A cell of which less than two thirds would remain becomes wider, never narrower.
    """
    # Towards the middle of the image: at its border, a move outwards may cancel the widening.
    inwards = (0 if 2 * crop.x < size[1] else 2, 1 if 2 * crop.y < size[0] else 3)
    direction = inwards[rng.integers(2)]
    if rng.random() < 0.5:
        narrow = largest_piece(MaskCrop(ndimage.binary_erosion(crop.mask), crop.x, crop.y)).tight()
        if narrow.area >= crop.area * 2 / 3:
            return moved(narrow, direction, size)
    return moved(_dilated(crop, _EDGES_TOUCH, size), direction, size)


def _padded(crop: MaskCrop, margin: int) -> MaskCrop:
    return MaskCrop(np.pad(crop.mask, margin), crop.x - margin, crop.y - margin)


def _dilated(crop: MaskCrop, kernel: NDArray[np.uint8], size: Size) -> MaskCrop:
    around = _padded(crop, len(kernel) // 2)
    grown = cv2.dilate(around.mask.view(np.uint8), kernel).view(bool)
    return MaskCrop(grown, around.x, around.y).clipped(size).tight()


def _chessboard_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest pixel of the mask, which is not empty."""
    return cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_C, 3)


def _share_pixels(one: MaskCrop, other: MaskCrop) -> bool:
    x1, y1 = max(one.x, other.x), max(one.y, other.y)
    x2, y2 = min(one.window[2], other.window[2]), min(one.window[3], other.window[3])
    if x1 >= x2 or y1 >= y2:
        return False
    first, second = (crop.mask[y1 - crop.y : y2 - crop.y, x1 - crop.x : x2 - crop.x] for crop in (one, other))
    return bool((first & second).any())
