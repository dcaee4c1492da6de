"""Connected pieces of a mask and the holes in them."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks


def fill_holes(crops: Sequence[MaskCrop]) -> tuple[MaskCrop, ...]:
    """The same cells with every background region that a cell encloses filled.

    Background pixels connect by their edges, so that an outline closed only diagonally encloses too; background that
    touches the border of the image is open. The result equals ``scipy.ndimage.binary_fill_holes`` of each full-size
    mask.

    Args:
        crops: Any crops; they may be empty and need not be tight.

    Returns:
        Crops of the same windows.
    """
    return tuple(PackedMasks.from_crops(crops).filled().crops)


_CORNERS_TOUCH = np.ones((3, 3), dtype=bool)


def piece_areas(crop: MaskCrop) -> list[int]:
    """Pixels of each piece, the largest first; none for an empty cell."""
    pieces, _ = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    return sorted(np.bincount(pieces.ravel())[1:].tolist(), reverse=True)


def largest_piece(crop: MaskCrop) -> MaskCrop:
    """Only the largest piece; of equally large ones the one with the topmost pixel.

    Returns:
        A crop of the same window; the cell itself, not a copy, if it is of one piece or empty.
    """
    pieces, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return crop
    return MaskCrop(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1, crop.x, crop.y)


def drop_fragments(crop: MaskCrop, min_fraction: float, min_area: float) -> MaskCrop:
    """The cell without its small pieces. The largest piece is always kept, and with it all that are as large.

    Args:
        crop: Any crop.
        min_fraction: A piece is removed if it has less than this fraction, in [0, 1], of the largest piece's pixels.
        min_area: A piece is removed if it has fewer pixels.

    Returns:
        A crop of the same window; the cell itself, not a copy, if it is of one piece or empty.
    """
    pieces, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return crop
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    kept = (areas >= areas.max() * min_fraction) & (areas >= min(min_area, areas.max()))
    kept[0] = False
    return MaskCrop(kept[pieces], crop.x, crop.y)


def join_pieces(crop: MaskCrop, max_gap: int) -> MaskCrop:
    """The cell with its pieces joined where they lie close to each other.

    A closing adds background to the cell only in connected stretches that touch two pieces or more, so that the rest of
    the outline does not change.

    Args:
        crop: Any crop.
        max_gap: Maximum gap, in pixels, that is closed.

    Returns:
        A crop of the same window; the cell itself, not a copy, if nothing was joined.
    """
    pieces, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return crop
    # A square of this side fits into no gap that is narrower.
    side = max_gap + 1
    around = np.pad(crop.mask, side)
    closed = ndimage.binary_closing(around, structure=np.ones((side, side)))[side:-side, side:-side]
    stretches, _ = ndimage.label(closed & ~crop.mask, structure=_CORNERS_TOUCH)
    mask = crop.mask.copy()
    for number, window in enumerate(ndimage.find_objects(stretches), start=1):
        rows, columns = (slice(max(0, side.start - 1), side.stop + 1) for side in window)
        stretch = stretches[rows, columns] == number
        near = ndimage.binary_dilation(stretch, structure=_CORNERS_TOUCH)
        if np.unique(pieces[rows, columns][near & crop.mask[rows, columns]]).size > 1:
            mask[rows, columns] |= stretch
    return crop if np.array_equal(mask, crop.mask) else MaskCrop(mask, crop.x, crop.y)
