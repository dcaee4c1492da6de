"""Planting of the label defects that the competition's training set has."""

from dataclasses import astuple, dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import spec_of
from sartorius.synthetic.mask_defects import (
    cut_in_two,
    far_too_large,
    far_too_small,
    grown_into_neighbours,
    hollow_out,
    moved,
    second_outline,
    sliver_beside,
    with_speck,
)
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

CONVEX_FILLED, HOLLOW, DUPLICATED, MISSING = 'convex-filled', 'hollow', 'duplicated', 'missing'
SPECK, PIECES, SLIVER, OVERLAPPING = 'speck', 'pieces', 'sliver', 'overlapping'
OUTSIZED, WRONG_CLASS, TWICE = 'outsized', 'wrong-class', 'twice'
# In the order of the rates. Add a new one at the end, so that a seed still plants the others as before.
CELL_DEFECTS = (
    CONVEX_FILLED, HOLLOW, DUPLICATED, MISSING, SPECK, PIECES, SLIVER, OVERLAPPING, OUTSIZED, WRONG_CLASS,
)  # fmt: skip
DEFECTS = (*CELL_DEFECTS, TWICE)
EXTRA_ROWS = (DUPLICATED, SLIVER, TWICE)
"""Defects that add a row and keep the correct one."""


@dataclass(frozen=True)
class DefectRates:
    """Share of the cells that get each defect, at most one per cell; for ``twice``, share of the images.

    Attributes:
        convex_filled: The outline is filled as if it were convex, so that straight horizontal runs protrude and
            branches that point up are hollow.
        hollow: Only a shell along the outline remains.
        duplicated: The cell is annotated a second time, one pixel beside the first.
        missing: The cell is not annotated.
        speck: A detached piece of 3 to 20 px beside the cell belongs to its mask.
        pieces: A gap of 2 or 3 px cuts the mask into two large pieces.
        sliver: A strip along the outside of the cell, nowhere wider than 2 px, is annotated as a cell of its own.
        overlapping: The mask is grown by 3 px, onto a neighbour that it did not overlap.
        outsized: The mask is 30 or more times as large as a typical cell, or, as often, of 3 to 9 px.
        wrong_class: The row names another cell type.
        twice: Every cell of the image is annotated a second time, with an outline of its own. The cells of such an
            image get no other defect.
    """

    convex_filled: float = 0.0
    hollow: float = 0.0
    duplicated: float = 0.0
    missing: float = 0.0
    speck: float = 0.0
    pieces: float = 0.0
    sliver: float = 0.0
    overlapping: float = 0.0
    outsized: float = 0.0
    wrong_class: float = 0.0
    twice: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not 0 <= rate <= 1:
                raise InputError(f'rate of {field.name} is {rate}; it must lie between 0 and 1')
        if sum(self.of_cells) > 1:
            raise InputError(f'the rates of the defects add up to {sum(self.of_cells):g}; they must not exceed 1')

    @property
    def of_cells(self) -> tuple[float, ...]:
        """The shares of the cells, in the order of :data:`CELL_DEFECTS`."""
        return astuple(self)[:-1]

    def any(self) -> bool:
        """Whether there is anything to plant."""
        return any(rate > 0 for rate in astuple(self))


@dataclass(frozen=True, eq=False)
class DefectiveCell:
    """An annotation after planting.

    Attributes:
        crop: The annotated mask, or None for a missing cell.
        source: Index of the cell.
        defect: One of :data:`DEFECTS`, or None for a correct annotation.
        cell_type: The wrong class that the row names; None for the image's own.
    """

    crop: MaskCrop | None
    source: int
    defect: str | None
    cell_type: str | None = None


def plant_defects(
    crops: tuple[MaskCrop, ...], cell_type: str, size: Size, rates: DefectRates, rng: np.random.Generator
) -> tuple[DefectiveCell, ...]:
    """Annotations with defects, in the order of the cells; missing ones stay in the list, without a mask.

    A cell whose mask a defect would not change (a convex cell filled as convex, a hollow sliver), or that leaves no
    room for it (no neighbour to grow onto, too small to be cut in two), is unchanged. An additional annotation of a
    cell follows the correct one; second annotations of a whole image follow all the first ones.

    Args:
        crops: Correct masks inside the image.
        cell_type: Their class.
        size: Image ``(height, width)``.
        rates: Of the defects to plant.
        rng: Random generator; the same state gives the same defects.
    """
    borders = np.cumsum(rates.of_cells)
    drawn = np.searchsorted(borders, rng.random(len(crops)), side='right')
    shifts = rng.integers(0, 4, len(crops))
    # All further random draws come after these, so that a seed still plants the first four defects as before.
    planter = _Planter(crops, cell_type, size, rng)
    if rng.random() < rates.twice:
        return planter.twice()
    planted: list[DefectiveCell] = []
    for index in range(len(crops)):
        defect = CELL_DEFECTS[drawn[index]] if drawn[index] < len(CELL_DEFECTS) else None
        planted += planter.annotate(index, defect, int(shifts[index]))
    return tuple(planted)


@dataclass(frozen=True, eq=False)
class _Planter:
    """Creates the annotations of one image's cells, one after the other."""

    crops: tuple[MaskCrop, ...]
    cell_type: str
    size: Size
    rng: np.random.Generator

    def annotate(self, index: int, defect: str | None, shift: int) -> list[DefectiveCell]:
        """Rows of a cell: one, or two where the defect adds one."""
        crop = self.crops[index]
        if defect == MISSING:
            return [DefectiveCell(None, index, MISSING)]
        if defect == WRONG_CLASS:
            others = [name for name in CELL_TYPES if name != self.cell_type]
            return [DefectiveCell(crop, index, WRONG_CLASS, others[self.rng.integers(len(others))])]
        changed = None if defect is None else self._changed(index, defect, shift)
        correct = DefectiveCell(crop, index, None)
        if changed is None:
            return [correct]
        planted = DefectiveCell(changed, index, defect)
        return [correct, planted] if defect in EXTRA_ROWS else [planted]

    def twice(self) -> tuple[DefectiveCell, ...]:
        """All cells, then all of them again with other outlines."""
        first = [DefectiveCell(crop, index, None) for index, crop in enumerate(self.crops)]
        second = [
            DefectiveCell(second_outline(crop, self.size, self.rng), index, TWICE)
            for index, crop in enumerate(self.crops)
        ]
        return (*first, *second)

    def _changed(self, index: int, defect: str, shift: int) -> MaskCrop | None:
        """The defective mask; None for a cell that cannot have the defect."""
        crop = self.crops[index]
        if defect in (CONVEX_FILLED, HOLLOW):
            changed = fill_as_convex(crop) if defect == CONVEX_FILLED else hollow_out(crop)
            return changed if (changed.mask != crop.mask).any() else None
        if defect == OUTSIZED:
            if self.rng.random() < 0.5:
                return far_too_small(crop, self.rng)
            return far_too_large(crop, spec_of(self.cell_type).area.mean, self.size, self.rng)
        makers = {
            DUPLICATED: lambda: moved(crop, shift, self.size),
            SPECK: lambda: with_speck(crop, self._occupied, self.rng),
            PIECES: lambda: cut_in_two(crop, self.rng),
            SLIVER: lambda: sliver_beside(crop, self.size, self.rng),
            OVERLAPPING: lambda: grown_into_neighbours(crop, self.crops[:index] + self.crops[index + 1 :], self.size),
        }
        return makers[defect]()

    @cached_property
    def _occupied(self) -> NDArray[np.bool_]:
        """bool ``(height, width)``: where any cell is."""
        occupied = np.zeros(self.size, dtype=bool)
        for crop in self.crops:
            x1, y1, x2, y2 = crop.window
            occupied[y1:y2, x1:x2] |= crop.mask
        return occupied
