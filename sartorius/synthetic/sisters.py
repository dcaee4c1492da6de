"""Sister cells: what one cell divided into, side by side in a common outline, with thin borders between them."""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import OutlineSpec
from sartorius.synthetic.scene import MIN_AREA, PlacedCell
from sartorius.synthetic.shapes import CellShape, draw_shapes

_SIZES = (2, 3, 4)
_SIZE_SHARES = (0.5, 0.25, 0.25)
_ROUNDS = 6  # Of k-means; borders need not be where they end for good.
_TRIES = 3


def draw_families(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Divides cells into families, each of which will have a common outline; most are of one cell.

    Args:
        count: Number of cells.
        share: Of the cells that have sisters.
        rng: Random generator.

    Returns:
        Number of cells of each family; together they are ``count``.
    """
    mean = float(np.dot(_SIZES, _SIZE_SHARES))
    # A family of three takes three cells: of the families fewer are of several than of the cells have sisters.
    several = share / (share + (1 - share) * mean)
    sizes = np.where(rng.random(count) < several, rng.choice(_SIZES, count, p=_SIZE_SHARES), 1)
    ends = np.minimum(np.cumsum(sizes), count)
    return np.diff(ends[: np.searchsorted(ends, count) + 1], prepend=0)


def draw_family_shapes(
    outline: OutlineSpec, has_arms: bool, areas: NDArray[np.float64], share: float, rng: np.random.Generator
) -> list[CellShape]:
    """Random outlines of families, most of one cell.

    Args:
        outline: Form.
        has_arms: As for :func:`sartorius.synthetic.shapes.draw_shapes`.
        areas: float ``(N,)``: area of each cell in pixels; an outline has those of its cells together.
        share: Of the cells that have sisters.
        rng: Random generator.
    """
    families = draw_families(len(areas), share, rng)
    together = np.add.reduceat(areas, np.cumsum(families) - families) if len(areas) else areas
    shapes = draw_shapes(outline, has_arms, together, rng)
    return [replace(shape, cells=int(count)) for shape, count in zip(shapes, families, strict=True)]


def split_families(cells: Iterable[PlacedCell], rng: np.random.Generator) -> tuple[PlacedCell, ...]:
    """Divides each outline of a family into its cells; those of one cell stay as they are.

    Args:
        cells: Placed outlines.
        rng: Random generator.

    Returns:
        All cells, sisters in the place of their family. A family in which a cell would be too small or in pieces stays
        one cell.
    """
    return tuple(part for cell in cells for part in _divide(cell, cell.shape.cells, rng))


def _divide(cell: PlacedCell, number: int, rng: np.random.Generator) -> tuple[PlacedCell, ...]:
    for _ in range(_TRIES if number > 1 else 0):
        masks = _areas_around_means(cell.crop.mask, number, rng)
        if all(np.count_nonzero(mask) >= MIN_AREA and _is_connected(mask) for mask in masks):
            return _sisters(cell, masks)
    return (cell,)


def _areas_around_means(mask: NDArray[np.bool_], number: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Parts of a mask about as large as each other, with straight borders: its pixels by k-means."""
    pixels = np.argwhere(mask).astype(np.float64)
    centres = pixels[rng.choice(len(pixels), number, replace=False)]
    for _ in range(_ROUNDS):
        nearest = ((pixels[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = [
            pixels[nearest == index].mean(axis=0) if (nearest == index).any() else centre
            for index, centre in enumerate(centres)
        ]
    labels = np.full(mask.shape, -1)
    labels[mask] = nearest
    return [labels == index for index in range(number)]


def _sisters(cell: PlacedCell, masks: list[NDArray[np.bool_]]) -> tuple[PlacedCell, ...]:
    """The cells of an outline's parts; each has the corners that are nearest to it."""
    middles = np.array([np.argwhere(mask).mean(axis=0)[::-1] for mask in masks]) + (cell.crop.x, cell.crop.y)
    tips = cell.shape.tips + (cell.x, cell.y, 0)
    nearest = ((tips[:, None, :2] - middles) ** 2).sum(axis=2).argmin(axis=1)
    sisters = []
    for index, (mask, (x, y)) in enumerate(zip(masks, middles.tolist(), strict=True)):
        crop = MaskCrop(mask, cell.crop.x, cell.crop.y).tight()
        shape = replace(cell.shape, tips=tips[nearest == index] - (x, y, 0), target_area=float(crop.area), cells=1)
        sisters.append(PlacedCell(crop, shape, x, y, family=cell.crop))
    return tuple(sisters)


def _is_connected(mask: NDArray[np.bool_]) -> bool:
    return cv2.connectedComponents(mask.view(np.uint8), connectivity=4)[0] == 2
