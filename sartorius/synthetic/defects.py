"""The label defects of the competition's training set, planted on purpose."""

from dataclasses import astuple, dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError

CONVEX_FILLED, HOLLOW, DUPLICATED, MISSING = 'convex-filled', 'hollow', 'duplicated', 'missing'
DEFECTS = (CONVEX_FILLED, HOLLOW, DUPLICATED, MISSING)

_SHELL = 2.5
"""Pixels of a hollow mask that are left along its outline."""


@dataclass(frozen=True)
class DefectRates:
    """Share of the cells that get each defect; a cell gets one at most.

    Attributes:
        convex_filled: The outline is filled as if it were convex, so that straight horizontal runs stick out and
            branches that point up are hollow.
        hollow: Only a shell along the outline is left.
        duplicated: The cell is annotated a second time, one pixel beside the first.
        missing: The cell is not annotated.
    """

    convex_filled: float = 0.0
    hollow: float = 0.0
    duplicated: float = 0.0
    missing: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not 0 <= rate <= 1:
                raise InputError(f'rate of {field.name} is {rate}; it must lie between 0 and 1')
        if sum(astuple(self)) > 1:
            raise InputError(f'the rates of the defects add up to {sum(astuple(self)):g}; they must not exceed 1')

    def any(self) -> bool:
        """Whether there is anything to plant."""
        return sum(astuple(self)) > 0


@dataclass(frozen=True, eq=False)
class DefectiveCell:
    """An annotation after planting.

    Attributes:
        crop: The annotated mask, or None for a missing cell.
        source: Index of the true cell.
        defect: One of :data:`DEFECTS`, or None for a true annotation.
    """

    crop: MaskCrop | None
    source: int
    defect: str | None


def plant_defects(
    crops: tuple[MaskCrop, ...], size: Size, rates: DefectRates, rng: np.random.Generator
) -> tuple[DefectiveCell, ...]:
    """Annotations with defects, in the order of the cells; missing ones stay in the list, without a mask.

    A cell whose mask a defect would not change (a convex cell filled as convex, a hollow sliver) is left as it is.
    """
    borders = np.cumsum(astuple(rates))
    drawn = np.searchsorted(borders, rng.random(len(crops)), side='right')
    shifts = rng.integers(0, 4, len(crops))
    planted = []
    for index, crop in enumerate(crops):
        defect = DEFECTS[drawn[index]] if drawn[index] < len(DEFECTS) else None
        if defect == MISSING:
            planted.append(DefectiveCell(None, index, MISSING))
            continue
        if defect in (CONVEX_FILLED, HOLLOW):
            changed = fill_as_convex(crop) if defect == CONVEX_FILLED else hollow_out(crop)
            differs = (changed.mask != crop.mask).any()
            planted.append(DefectiveCell(changed, index, defect) if differs else DefectiveCell(crop, index, None))
            continue
        planted.append(DefectiveCell(crop, index, None))
        if defect == DUPLICATED:
            planted.append(DefectiveCell(_moved(crop, int(shifts[index]), size), index, DUPLICATED))
    return tuple(planted)


def hollow_out(crop: MaskCrop) -> MaskCrop:
    """A shell of the cell's outline; filling its holes gives the cell back if that had none itself."""
    solid: NDArray[np.uint8] = np.pad(ndimage.binary_fill_holes(crop.mask).astype(np.uint8), 1)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return MaskCrop(crop.mask & (inside <= _SHELL), crop.x, crop.y)


def _moved(crop: MaskCrop, direction: int, size: Size) -> MaskCrop:
    """The crop one pixel right, down, left or up, inside the image."""
    right, down = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
    return MaskCrop(crop.mask, crop.x + right, crop.y + down).clipped(size)
