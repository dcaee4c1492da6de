"""Hollow cells made solid."""

from collections.abc import Sequence

from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks


def fill_holes(crops: Sequence[MaskCrop]) -> tuple[MaskCrop, ...]:
    """The same cells with every background region that a cell encloses filled.

    Background pixels connect by their edges, so that an outline closed only diagonally encloses too; what touches the
    border of the image is open. The result equals ``scipy.ndimage.binary_fill_holes`` of each full-size mask.

    Args:
        crops: Any crops, also such that are not tight or are empty.

    Returns:
        Crops of the same windows.
    """
    return tuple(PackedMasks.from_crops(crops).filled().crops)
