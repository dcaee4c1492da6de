"""Binary mask of one cell as a small array with an offset, never a full-size bitmap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError

Size = tuple[int, int]
"""Image size as ``(height, width)`` in pixels."""


@dataclass(frozen=True, eq=False)
class MaskCrop:
    """One cell's binary mask, cropped to a window of its image.

    Attributes:
        mask: bool array of shape ``(h, w)``; may be empty (0 rows or columns) and need not be tight.
        x: Column of the crop's left edge in the image, in pixels.
        y: Row of the crop's top edge in the image, in pixels.
    """

    mask: NDArray[np.bool_]
    x: int
    y: int

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise InputError(f'a crop is a 2-D bool array, not {self.mask.ndim}-D {self.mask.dtype}')

    @classmethod
    def from_full(cls, mask: NDArray[np.bool_]) -> 'MaskCrop':
        """The tight crop of a full-size ``(height, width)`` mask."""
        return cls(np.asarray(mask, dtype=bool), 0, 0).tight()

    @property
    def area(self) -> int:
        """Number of pixels set."""
        return int(np.count_nonzero(self.mask))

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The crop's own window ``x1, y1, x2, y2`` in image pixels, half-open; not tight to the cell."""
        height, width = self.mask.shape
        return self.x, self.y, self.x + width, self.y + height

    def tight(self) -> 'MaskCrop':
        """The same cell with no empty row or column around it; an empty cell becomes a 0x0 crop."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        if rows.size == 0:
            return MaskCrop(np.zeros((0, 0), dtype=bool), self.x, self.y)
        columns = np.flatnonzero(self.mask.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        return MaskCrop(self.mask[top:bottom, left:right], self.x + int(left), self.y + int(top))

    def clipped(self, size: Size) -> 'MaskCrop':
        """The part of the crop that lies inside an image of ``(height, width)``."""
        height, width = size
        x1, y1, x2, y2 = self.window
        left, top = min(max(0, -x1), x2 - x1), min(max(0, -y1), y2 - y1)
        right, bottom = max(left, min(x2, width) - x1), max(top, min(y2, height) - y1)
        return MaskCrop(self.mask[top:bottom, left:right], x1 + left, y1 + top)

    def to_full(self, size: Size) -> NDArray[np.bool_]:
        """Bool array of shape ``(height, width)``; pixels outside the image are dropped."""
        full = np.zeros(size, dtype=bool)
        inside = self.clipped(size)
        x1, y1, x2, y2 = inside.window
        full[y1:y2, x1:x2] = inside.mask
        return full
