"""Annotated cells with their rows in the CSV, and the issues found in them."""

from dataclasses import dataclass, replace

import numpy as np

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou


@dataclass(frozen=True, eq=False)
class AnnotatedCell:
    """One annotated cell of a CSV.

    Attributes:
        row: Row in the CSV, counted from 0 without the header.
        crop: Mask with at least one pixel.
        cell_type: Class that the row names.
    """

    row: int
    crop: MaskCrop
    cell_type: str

    def with_crop(self, crop: MaskCrop) -> 'AnnotatedCell':
        """The same cell with another mask."""
        return replace(self, crop=crop)


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """All annotated cells of one image, in file order; they may overlap and disagree on their class.

    Attributes:
        image_id: File name of the image without its suffix.
        size: Image ``(height, width)`` in pixels.
        cells: The cells.
    """

    image_id: str
    size: Size
    cells: tuple[AnnotatedCell, ...]

    @property
    def crops(self) -> tuple[MaskCrop, ...]:
        """Masks of the cells."""
        return tuple(cell.crop for cell in self.cells)

    @property
    def cell_type(self) -> str:
        """Most frequent class of its cells, of equally frequent ones the first; empty without cells."""
        names = [cell.cell_type for cell in self.cells]
        return max(dict.fromkeys(names), key=names.count, default='')


@dataclass(frozen=True, eq=False)
class Issue:
    """One defect of one cell.

    Attributes:
        image_id: The image.
        defect: Name in :data:`sartorius.label_quality.defects.DEFECTS`.
        before: The cell before the fix, earlier fixes included.
        after: The cell after the fix; None if fixing drops the row.
        note: What is wrong, in a few words with figures.
        others: Rows of the other cells concerned: the first of a double, those it shares pixels with.
        fixed: Whether it was fixed.
    """

    image_id: str
    defect: str
    before: AnnotatedCell
    after: AnnotatedCell | None
    note: str
    others: tuple[int, ...] = ()
    fixed: bool = False

    @property
    def row(self) -> int:
        """Row of the cell."""
        return self.before.row

    @property
    def area_before(self) -> int:
        """Pixels of the cell before the fix."""
        return self.before.crop.area

    @property
    def area_after(self) -> int:
        """Pixels of the cell after the fix; 0 if fixing drops the row."""
        return 0 if self.after is None else self.after.crop.area

    @property
    def iou(self) -> float:
        """IoU of the masks before and after the fix; 0 if fixing drops the row."""
        if self.after is None:
            return 0.0
        crops = self.before.crop, self.after.crop
        low = np.min([crop.window[:2] for crop in crops], axis=0)
        moved = [MaskCrop(crop.mask, crop.x - int(low[0]), crop.y - int(low[1])) for crop in crops]
        size = max(crop.window[3] for crop in moved), max(crop.window[2] for crop in moved)
        return float(mask_iou(moved[:1], moved[1:], size)[0, 0])
