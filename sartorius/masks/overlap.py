"""Overlap of cells: shared pixels and IoU of pairs, and its removal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The pairs of a cell of ``a`` and a cell of ``b`` whose windows intersect; all other pairs share no pixel.

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

        The pixel counts are integers and are divided once, in double precision: an IoU of 11/20 is the double
        nearest to 0.55, which a threshold of ``55 / 100`` equals exactly.
        """
        union = self.areas[self.rows] + self.other_areas[self.columns] - self.shared
        return self.shared / np.maximum(union, 1)


def overlaps(a: Sequence[MaskCrop], b: Sequence[MaskCrop], size: Size) -> Overlaps:
    """Pixels that cells of ``a`` share with cells of ``b``; only windows that intersect are compared.

    Args:
        a: Cells; they may overlap each other.
        b: Cells; they may overlap each other.
        size: Image ``(height, width)`` in pixels; pixels outside do not count.
    """
    from sartorius.masks.kernels import pairs

    first = PackedMasks.from_crops(a).clipped(size)
    second = first if a is b else PackedMasks.from_crops(b).clipped(size)
    order = np.argsort(second.windows[:, 1], kind='stable')
    shared = pairs.shared_pixels(first.pixels, first.windows, second.pixels, second.windows, order)
    return Overlaps(*shared, first.areas, second.areas)


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
        pairs = overlaps(a, b, size)
        matrix[pairs.rows, pairs.columns] = pairs.iou
    return matrix


def resolve_overlaps(
    crops: Sequence[MaskCrop],
    scores: NDArray[np.floating],
    size: Size,
    min_remaining: float | NDArray[np.floating] = 0.0,
) -> tuple[MaskCrop, ...]:
    """Gives every pixel to the best-scored cell that covers it.

    Cells take their pixels in the order of their scores (equal scores: the earlier cell first). A cell of which less
    than ``min_remaining`` is still free is dropped and takes no pixel: they stay free for the cells after it. So the
    pixels of a kept cell depend only on the kept cells of a better score, and removing the cells below any score
    changes nothing above it. (The tuner relies on this.)

    Args:
        crops: Binary masks; pixels outside the image are cut off first.
        scores: ``(N,)``.
        size: Image ``(height, width)``.
        min_remaining: Fraction in [0, 1] of the cell's own pixels, one for all or ``(N,)``.

    Returns:
        One crop per cell, in the order given, no two of which share a pixel; a cell that was dropped or completely
        covered has no pixel set.
    """
    from sartorius.masks.kernels import geometry

    if np.shape(scores) != (len(crops),):
        raise InputError(f'{len(crops)} cells need as many scores, given are scores of shape {np.shape(scores)}')
    inside = PackedMasks.from_crops(crops).clipped(size)
    order = np.argsort(-np.asarray(scores), kind='stable')
    fractions = np.ascontiguousarray(np.broadcast_to(np.asarray(min_remaining, dtype=np.float64), len(crops)))
    taken = np.zeros(size, dtype=bool)
    pixels = geometry.resolve(inside.pixels, inside.windows, order, fractions, taken)
    return tuple(PackedMasks(pixels, inside.windows).crops)
