"""Which cell each anchor or proposal overlaps most, without a matrix of all pairs."""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled_finite

f32 = np.float32
BLOCK = 256
"""Priors that are passed over together where none can meet a cell: neighbours in an image, as anchors are sorted."""


@compiled_finite
def best_cells(
    priors: NDArray[np.float32], cells: NDArray[np.float32], worth: float
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Finds the best cell of each prior, and the best priors of each cell.

    Every expression is that of MMDetection's ``bbox_overlaps`` in float32 and in its order, so that equal IoUs and
    those at a threshold are decided alike. Coordinates must be finite.

    Args:
        priors: ``(4, N)``: x1, y1, x2, y2.
        cells: ``(G, 4)``.
        worth: IoU that the best prior of a cell must have to be given to it, float32 above 0; infinite to give none.

    Returns:
        Of each prior the largest IoU, the cell it is with (the first of equals), and the last cell of which it is a
        best prior, or -1.
    """
    number = priors.shape[1]
    largest, best, given = np.zeros(number, f32), np.zeros(number, np.int32), np.full(number, np.int32(-1))
    ious = np.empty(number, f32)
    areas = (priors[2] - priors[0]) * (priors[3] - priors[1])
    bounds = _bounds(priors)
    for cell in range(len(cells)):
        top = f32(0)
        for block in range(len(bounds)):
            if _meet(bounds[block], cells[cell]):
                first, last = block * BLOCK, (block + 1) * BLOCK
                _overlaps(ious[first:last], priors[:, first:last], areas[first:last], cells[cell])
                _keep_larger(largest[first:last], best[first:last], ious[first:last], np.int32(cell))
                top = max(top, _largest(ious[first:last]))
        if top >= worth:
            for block in range(len(bounds)):
                if _meet(bounds[block], cells[cell]):
                    first, last = block * BLOCK, (block + 1) * BLOCK
                    _give(given[first:last], ious[first:last], top, np.int32(cell))
    return largest, best, given


@compiled_finite
def _bounds(priors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box around each block of priors, ``(blocks, 4)``."""
    bounds = np.empty((-(-priors.shape[1] // BLOCK), 4), f32)
    for block in range(len(bounds)):
        some = priors[:, block * BLOCK : (block + 1) * BLOCK]
        bounds[block] = some[0].min(), some[1].min(), some[2].max(), some[3].max()
    return bounds


@compiled_finite
def _meet(bounds: NDArray[np.float32], cell: NDArray[np.float32]) -> bool:
    return cell[0] < bounds[2] and cell[1] < bounds[3] and bounds[0] < cell[2] and bounds[1] < cell[3]


@compiled_finite
def _overlaps(
    ious: NDArray[np.float32],
    priors: NDArray[np.float32],
    areas: NDArray[np.float32],
    cell: NDArray[np.float32],
) -> None:
    """IoU of each prior with one cell; comparisons in place of min and max become vector instructions."""
    left, top, right, bottom, zero, least = cell[0], cell[1], cell[2], cell[3], f32(0), f32(1e-6)
    x1, y1, x2, y2 = priors[0], priors[1], priors[2], priors[3]
    area = (right - left) * (bottom - top)
    for prior in range(len(ious)):
        width = (x2[prior] if x2[prior] < right else right) - (x1[prior] if x1[prior] > left else left)
        height = (y2[prior] if y2[prior] < bottom else bottom) - (y1[prior] if y1[prior] > top else top)
        shared = (width if width > zero else zero) * (height if height > zero else zero)
        union = area + areas[prior] - shared
        ious[prior] = shared / (union if union > least else least)


@compiled_finite
def _keep_larger(
    largest: NDArray[np.float32], best: NDArray[np.int32], ious: NDArray[np.float32], cell: np.int32
) -> None:
    for prior in range(len(ious)):
        is_larger = ious[prior] > largest[prior]
        largest[prior] = ious[prior] if is_larger else largest[prior]
        best[prior] = cell if is_larger else best[prior]


@compiled_finite
def _largest(ious: NDArray[np.float32]) -> np.float32:
    top = f32(0)
    for prior in range(len(ious)):
        top = ious[prior] if ious[prior] > top else top
    return top


@compiled_finite
def _give(given: NDArray[np.int32], ious: NDArray[np.float32], top: float, cell: np.int32) -> None:
    for prior in range(len(ious)):
        given[prior] = cell if ious[prior] == top else given[prior]
