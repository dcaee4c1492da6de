"""Cells in several pieces. Pixels that touch at a corner belong to one piece."""

import numpy as np
from scipy import ndimage

from sartorius.masks.crop import MaskCrop

_CORNERS_TOUCH = np.ones((3, 3), dtype=bool)


def largest_piece(crop: MaskCrop) -> MaskCrop:
    """The largest piece alone; of equally large ones that with the topmost pixel.

    Returns:
        A crop of the same window; the cell itself, not a copy, if it is of one piece or empty.
    """
    pieces, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return crop
    return MaskCrop(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1, crop.x, crop.y)


def drop_fragments(crop: MaskCrop, least_fraction: float, least_area: float) -> MaskCrop:
    """The cell without its small pieces. The largest piece always stays, and with it all that are as large.

    Args:
        crop: Any crop.
        least_fraction: A piece goes if it has less than this fraction, in [0, 1], of the largest piece's pixels.
        least_area: A piece goes if it has fewer pixels.

    Returns:
        A crop of the same window; the cell itself, not a copy, if it is of one piece or empty.
    """
    pieces, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return crop
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    stays = (areas >= areas.max() * least_fraction) & (areas >= min(least_area, areas.max()))
    stays[0] = False
    return MaskCrop(stays[pieces], crop.x, crop.y)
