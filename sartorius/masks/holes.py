"""Hollow cells made solid."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks


def fill_all_holes(crops: Sequence[MaskCrop]) -> tuple[MaskCrop, ...]:
    """:func:`fill_holes` of every cell, in one compiled pass."""
    return tuple(PackedMasks.from_crops(crops).filled().crops)


def fill_holes(crop: MaskCrop) -> MaskCrop:
    """The same cell with every background region that it encloses filled.

    Background pixels connect by their edges, so that an outline closed only diagonally encloses too; what touches the
    border of the image is open. The result equals ``scipy.ndimage.binary_fill_holes`` of the full-size mask. A cell
    without holes comes back as it is, not as a copy.

    Args:
        crop: Any crop, also one that is not tight or is empty.

    Returns:
        A crop of the same window.
    """
    # The ring of background joins everything outside the cell into the one region that is no hole.
    regions, count = ndimage.label(np.pad(~crop.mask, 1, constant_values=True))
    if count == 1:
        return crop
    return MaskCrop((regions != regions[0, 0])[1:-1, 1:-1], crop.x, crop.y)
