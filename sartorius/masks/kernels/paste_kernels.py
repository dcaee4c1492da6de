"""Pasting from RoI grids to image pixels."""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled


@compiled
def paste(
    soft_mask: NDArray[np.float32], box: NDArray[np.float64], window: NDArray[np.int64], pasted: NDArray[np.float32]
) -> None:
    """Writes the probabilities of one cell on the pixels of a window, row-major, into ``pasted``.

    In double precision, rounded once: a mask that is .5 throughout is .5 in every pixel whose centre the grid spans.
    """
    grid = soft_mask.shape[0]
    left, top, right, bottom = window
    scale_x, scale_y = grid / (box[2] - box[0]), grid / (box[3] - box[1])
    line = np.empty(grid + 2, np.float64)
    # Zeros around the grid.
    line[0] = line[grid + 1] = 0.0
    place = 0
    for y in range(top, bottom):
        row, row_part = _split((y + 0.5 - box[1]) * scale_y - 0.5, grid)
        for column in range(grid):
            above = soft_mask[row, column] if row >= 0 else 0.0
            below = soft_mask[row + 1, column] if row + 1 < grid else 0.0
            line[column + 1] = (1 - row_part) * above + row_part * below
        for x in range(left, right):
            column, part = _split((x + 0.5 - box[0]) * scale_x - 0.5, grid)
            pasted[place] = (1 - part) * line[column + 1] + part * line[column + 2]
            place += 1


@compiled
def binarise(
    soft_masks: NDArray[np.float32], boxes: NDArray[np.float64], windows: NDArray[np.int64], limits: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Pixels of all cells, one after the other: where the pasted probability reaches the cell's limit."""
    total = largest = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        total += (x2 - x1) * (y2 - y1)
        largest = max(largest, (x2 - x1) * (y2 - y1))
    pixels, pasted = np.empty(total, np.bool_), np.empty(largest, np.float32)
    base = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        count = (x2 - x1) * (y2 - y1)
        if count:
            paste(soft_masks[cell], boxes[cell], windows[cell], pasted)
        for place in range(count):
            pixels[base + place] = pasted[place] >= limits[cell]
        base += count
    return pixels


@compiled
def _split(coordinate: float, grid: int) -> tuple[int, float]:
    """Grid point at or before a coordinate, and the coordinate's distance from it towards the next, in [0, 1]."""
    # Not "< -1", which NaN would pass.
    if not coordinate >= -1:
        return -1, 0.0
    if coordinate >= grid:
        return grid - 1, 1.0
    whole = int(np.floor(coordinate))
    return whole, coordinate - whole
