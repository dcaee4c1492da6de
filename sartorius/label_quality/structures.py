"""Annotated cells that know their row in the CSV, and what was found wrong with them."""

from dataclasses import dataclass

import numpy as np

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.iou import mask_iou


@dataclass(frozen=True, eq=False)
class Label:
    """One annotated cell.

    Attributes:
        row: Its row in the CSV, counted from 0 without the header.
        crop: Its mask; has at least one pixel.
        cell_type: The class written in its row.
    """

    row: int
    crop: MaskCrop
    cell_type: str


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """All annotated cells of one image, in file order; they may overlap and disagree on their class.

    Attributes:
        image_id: File name of the image without its suffix.
        size: Image ``(height, width)`` in pixels.
        labels: The cells.
    """

    image_id: str
    size: Size
    labels: tuple[Label, ...]

    @property
    def crops(self) -> tuple[MaskCrop, ...]:
        """Masks of the cells."""
        return tuple(label.crop for label in self.labels)

    @property
    def cell_type(self) -> str:
        """The class of most of its cells, of equally many that which comes first; empty without cells."""
        names = [label.cell_type for label in self.labels]
        return max(dict.fromkeys(names), key=names.count, default='')


@dataclass(frozen=True, eq=False)
class Finding:
    """One defect of one cell.

    Attributes:
        image_id: The image.
        defect: Name in :data:`sartorius.label_quality.defects.DEFECTS`.
        before: The cell as it was found, earlier fixes included.
        after: What fixing makes of it; None: the row goes.
        remark: What was seen, in a few words with figures.
        others: Rows of the other cells that it is about: the first of a double, those it shares pixels with.
        fixed: Whether it was fixed.
    """

    image_id: str
    defect: str
    before: Label
    after: Label | None
    remark: str
    others: tuple[int, ...] = ()
    fixed: bool = False

    @property
    def row(self) -> int:
        """Row of the cell."""
        return self.before.row

    @property
    def area_before(self) -> int:
        """Pixels of the cell as it was found."""
        return self.before.crop.area

    @property
    def area_after(self) -> int:
        """Pixels that fixing leaves."""
        return 0 if self.after is None else self.after.crop.area

    @property
    def iou(self) -> float:
        """IoU of the mask as it was found with the fixed one; 0 where the row goes."""
        if self.after is None:
            return 0.0
        crops = self.before.crop, self.after.crop
        low = np.min([crop.window[:2] for crop in crops], axis=0)
        moved = [MaskCrop(crop.mask, crop.x - int(low[0]), crop.y - int(low[1])) for crop in crops]
        size = max(crop.window[3] for crop in moved), max(crop.window[2] for crop in moved)
        return float(mask_iou(moved[:1], moved[1:], size)[0, 0])
