"""Cells packed one after the other: moved, resized, measured, filled.

Throughout, ``pixels`` is bool ``(P,)``, the crops of all cells one after the other, each row-major; ``windows`` is
int64 ``(N, 4)``: ``x1, y1, x2, y2`` of each crop, half-open; cell n's pixels begin where those of cell n - 1 end.
"""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled


@compiled
def gather(
    pixels: NDArray[np.bool_],
    bases: NDArray[np.int64],
    row_steps: NDArray[np.int64],
    column_steps: NDArray[np.int64],
    heights: NDArray[np.int64],
    widths: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Pixels of new cells, of which pixel (r, c) is read at ``base + r * row_step + c * column_step``."""
    gathered = np.empty((heights * widths).sum(), np.bool_)
    place = 0
    for cell in range(bases.size):
        step = column_steps[cell]
        for row in range(heights[cell]):
            source = bases[cell] + row * row_steps[cell]
            for _ in range(widths[cell]):
                gathered[place] = pixels[source]
                place += 1
                source += step
    return gathered


@compiled
def resize(
    pixels: NDArray[np.bool_],
    windows: NDArray[np.int64],
    new_windows: NDArray[np.int64],
    source_x: NDArray[np.int64],
    source_y: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Pixels of resized cells: column x of the new image is column ``source_x[x]`` of the old one; rows likewise."""
    total = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = new_windows[cell]
        total += (x2 - x1) * (y2 - y1)
    resized = np.empty(total, np.bool_)
    base = place = 0
    for cell in range(len(windows)):
        left, top, right, bottom = windows[cell]
        x1, y1, x2, y2 = new_windows[cell]
        width, before = x2 - x1, -1
        for y in range(y1, y2):
            row = source_y[y]
            if row == before:
                resized[place : place + width] = resized[place - width : place]
            else:
                source = base + (row - top) * (right - left) - left
                for x in range(width):
                    resized[place + x] = pixels[source + source_x[x1 + x]]
                before = row
            place += width
        base += (right - left) * (bottom - top)
    return resized


@compiled
def tight_windows(pixels: NDArray[np.bool_], windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Windows without empty border rows and columns; 0, 0, 0, 0 for a cell without pixels."""
    tight = np.zeros_like(windows)
    base = 0
    for cell in range(len(windows)):
        left, top, right, bottom = windows[cell]
        x1, y1, x2, y2 = right, bottom, left, top
        for y in range(top, bottom):
            first = right
            for x in range(left, right):
                if pixels[base + x - left]:
                    first = x
                    break
            if first < right:
                last = right - 1
                while not pixels[base + last - left]:
                    last -= 1
                x1, x2 = min(x1, first), max(x2, last + 1)
                y1, y2 = min(y1, y), y + 1
            base += right - left
        if x1 < x2:
            tight[cell, 0], tight[cell, 1], tight[cell, 2], tight[cell, 3] = x1, y1, x2, y2
    return tight


@compiled
def areas(pixels: NDArray[np.bool_], windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 ``(N,)``: pixels of each cell."""
    counts = np.zeros(len(windows), np.int64)
    place = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        count = 0
        for _ in range((x2 - x1) * (y2 - y1)):
            count += pixels[place]
            place += 1
        counts[cell] = count
    return counts


@compiled
def fill_holes(pixels: NDArray[np.bool_], windows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels of cells with all background set that no path over edges joins to the border of the crop."""
    filled = np.ones_like(pixels)
    largest = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        largest = max(largest, (x2 - x1) * (y2 - y1))
    waiting = np.empty(largest, np.int64)
    base = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        width, height = x2 - x1, y2 - y1
        count = 0
        for place in range(width * height):
            row, column = place // width, place % width
            at_border = row == 0 or row == height - 1 or column == 0 or column == width - 1
            if at_border and not pixels[base + place]:
                filled[base + place] = False
                waiting[count] = place
                count += 1
        while count:
            count -= 1
            place = waiting[count]
            row, column = place // width, place % width
            for side in range(4):
                if side == 0 and column > 0:
                    near = place - 1
                elif side == 1 and column < width - 1:
                    near = place + 1
                elif side == 2 and row > 0:
                    near = place - width
                elif side == 3 and row < height - 1:
                    near = place + width
                else:
                    continue
                if filled[base + near] and not pixels[base + near]:
                    filled[base + near] = False
                    waiting[count] = near
                    count += 1
        base += width * height
    return filled


@compiled
def paint(pixels: NDArray[np.bool_], windows: NDArray[np.int64], labels: NDArray[np.int32]) -> None:
    """Writes n + 1 into the image ``labels`` wherever cell n has a pixel; later cells over earlier ones."""
    place = 0
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        for y in range(y1, y2):
            for x in range(x1, x2):
                if pixels[place]:
                    labels[y, x] = cell + 1
                place += 1


@compiled
def resolve(
    pixels: NDArray[np.bool_],
    windows: NDArray[np.int64],
    order: NDArray[np.int64],
    fractions: NDArray[np.float64],
    taken: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Pixels of cells that take the free pixels in ``order``; ``taken`` is the image, and is written to.

    A cell of which less than its fraction is free gets and takes no pixels.
    """
    resolved = np.zeros_like(pixels)
    bases = np.zeros(len(windows) + 1, np.int64)
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        bases[cell + 1] = bases[cell] + (x2 - x1) * (y2 - y1)
    for cell in order:
        x1, y1, x2, y2 = windows[cell]
        area = free = 0
        place = bases[cell]
        for y in range(y1, y2):
            for x in range(x1, x2):
                area += pixels[place]
                free += pixels[place] and not taken[y, x]
                place += 1
        if free < fractions[cell] * area:
            continue
        place = bases[cell]
        for y in range(y1, y2):
            for x in range(x1, x2):
                if pixels[place] and not taken[y, x]:
                    resolved[place] = taken[y, x] = True
                place += 1
    return resolved
