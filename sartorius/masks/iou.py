"""How much cells overlap: pixels shared and intersection over union, of the pairs that touch and of all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The pairs of a cell of ``a`` and a cell of ``b`` whose windows meet; all other pairs share no pixel.

    Attributes:
        borders: int64 ``(len(a) + 1,)``: the pairs of cell n of ``a`` are those from ``borders[n]`` to
            ``borders[n + 1]``.
        columns: int64 ``(K,)``: the cell of ``b`` of each pair.
        shared: int64 ``(K,)``: pixels inside the image that the two have in common; may be 0.
        areas: int64 ``(len(a),)``: pixels inside the image of each cell of ``a``.
        other_areas: The same for ``b``.
    """

    borders: NDArray[np.int64]
    columns: NDArray[np.int64]
    shared: NDArray[np.int64]
    areas: NDArray[np.int64]
    other_areas: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64 ``(K,)``: the cell of ``a`` of each pair."""
        return np.repeat(np.arange(len(self.areas)), np.diff(self.borders))

    @property
    def iou(self) -> NDArray[np.float64]:
        """float64 ``(K,)``: intersection over union of each pair, in [0, 1].

        The pixel counts are whole numbers and are divided once, in double precision: an IoU of 11/20 is the double
        nearest to 0.55, which a threshold of ``55 / 100`` equals exactly.
        """
        union = self.areas[self.rows] + self.other_areas[self.columns] - self.shared
        return self.shared / np.maximum(union, 1)


def overlaps(a: Sequence[MaskCrop], b: Sequence[MaskCrop], size: Size) -> Overlaps:
    """Pixels that cells of ``a`` share with cells of ``b``; only windows that meet are looked at.

    Args:
        a: Cells; they may overlap each other.
        b: Cells; they may overlap each other.
        size: Image ``(height, width)`` in pixels; what lies outside is left out.
    """
    from sartorius.masks.kernels import pairs

    first = PackedMasks.from_crops(a).clipped(size)
    second = first if a is b else PackedMasks.from_crops(b).clipped(size)
    order = np.argsort(second.windows[:, 1], kind='stable')
    found = pairs.shared_pixels(first.pixels, first.windows, second.pixels, second.windows, order)
    return Overlaps(*found, first.areas, second.areas)


def mask_iou(a: Sequence[MaskCrop], b: Sequence[MaskCrop], size: Size) -> NDArray[np.float64]:
    """IoU of each cell of ``a`` with each cell of ``b``, on their pixels inside the image.

    Args:
        a: Cells; they may overlap each other.
        b: Cells; they may overlap each other.
        size: Image ``(height, width)`` in pixels.

    Returns:
        float64 ``(len(a), len(b))`` in [0, 1]; see :attr:`Overlaps.iou`. A cell without pixels has an IoU of 0 with
        every cell.
    """
    matrix = np.zeros((len(a), len(b)))
    if len(a) and len(b):
        found = overlaps(a, b, size)
        matrix[found.rows, found.columns] = found.iou
    return matrix
