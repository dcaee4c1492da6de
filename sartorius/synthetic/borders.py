"""Borders of cells: the body ends a margin before the background, and thins out to a seam beside other cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size

_NEIGHBOURHOOD = np.ones((7, 7), dtype=np.uint8)
_FRAME = 3  # Pixels around a crop's window in which other cells are looked for.


class _Seam(NamedTuple):
    """Ranges of how much thinner a body is at its border, relative to its thickness, and of the seam's half width."""

    depth: tuple[float, float]
    width: tuple[float, float]


_BETWEEN_SISTERS = _Seam(depth=(0.0, 0.4), width=(0.6, 1.3))
_BETWEEN_STRANGERS = _Seam(depth=(0.0, 0.7), width=(0.5, 1.3))


@dataclass(frozen=True, eq=False)
class CellMap:
    """Where an image has cells.

    Attributes:
        mask: uint8 ``(height, width)``: 1 in the pixels of any cell.
        depth: float32 ``(height, width)``: distance to the nearest pixel of no cell, in pixels. The image's border is
            no outline: where it cuts a cell, the cell goes on.
        reach: Greatest depth around each pixel: how thick the cells are there.
    """

    mask: NDArray[np.uint8]
    depth: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def of(cls, crops: Sequence[MaskCrop], size: Size) -> 'CellMap':
        """The map of an image's cells."""
        mask = np.zeros(size, dtype=np.uint8)
        for crop in crops:
            x1, y1, x2, y2 = crop.window
            mask[y1:y2, x1:x2] |= crop.mask.view(np.uint8)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
        return cls(mask, depth, cv2.dilate(depth, _NEIGHBOURHOOD))

    def body(self, crop: MaskCrop, margin: float) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
        """The bodies inside the masks around one cell, its own and others.

        Args:
            crop: The cell's mask, inside the image.
            margin: Pixels from the background to a body; less where a cell is too thin for it, as in its processes.

        Returns:
            Share of each pixel that a body covers, float32 in [0, 1], with a frame around the crop's window (but none
            at the image's border); and where in it the window lies.
        """
        rows, columns, place = self._around(crop, 1)
        depth, reach = self.depth[rows, columns], self.reach[rows, columns]
        return np.clip(depth - np.minimum(np.float32(margin), np.float32(0.6) * reach), 0, 1), place

    def seams(self, crop: MaskCrop, family: MaskCrop | None, rng: np.random.Generator) -> NDArray[np.float32]:
        """How thick a cell is along its borders with other cells, relative to what it is elsewhere.

        Args:
            crop: The cell.
            family: The common outline of the cell and its sisters, where it has such.
            rng: Random generator.

        Returns:
            float32 in [0, 1] of the crop's shape.
        """
        rows, columns, place = self._around(crop, _FRAME)
        others = self.mask[rows, columns].copy()
        others[place][crop.mask] = 0
        if family is None:
            return _seam(others, _BETWEEN_STRANGERS, rng)[place]
        common = MaskCrop(family.mask, family.x - columns.start, family.y - rows.start).clipped(others.shape)
        sisters = others & common.to_full(others.shape)
        strangers = _seam(others - sisters, _BETWEEN_STRANGERS, rng)
        return np.minimum(strangers, _seam(sisters, _BETWEEN_SISTERS, rng))[place]

    def _around(self, crop: MaskCrop, frame: int) -> tuple[slice, slice, tuple[slice, slice]]:
        """A crop's window with a frame inside the image: its rows, its columns, and where in it the window lies."""
        (x1, y1, x2, y2), (height, width) = crop.window, self.mask.shape
        top, left = max(0, y1 - frame), max(0, x1 - frame)
        place = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
        return slice(top, min(height, y2 + frame)), slice(left, min(width, x2 + frame)), place


def _seam(others: NDArray[np.uint8], seam: _Seam, rng: np.random.Generator) -> NDArray[np.float32]:
    depth, width = rng.uniform(*seam.depth), rng.uniform(*seam.width)
    if not others.any():
        return np.ones(others.shape, dtype=np.float32)
    distance = cv2.distanceTransform(1 - others, cv2.DIST_L2, 5) - np.float32(0.5)
    return 1 - np.float32(depth) * np.exp(-((distance / np.float32(width)) ** 2))
