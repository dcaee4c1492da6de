"""Soft masks of several models: resampled, averaged, and compared."""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled


@compiled
def resample(
    soft_masks: NDArray[np.float32],
    sources: NDArray[np.float64],
    targets: NDArray[np.float64],
    resampled: NDArray[np.float32],
) -> None:
    """Resamples soft masks ``(N, S, S)`` that span ``sources`` to grids ``(N, G, G)`` that span ``targets``.

    Bilinear between the centres of grid cells, zeros around the grid, nothing outside the mask's own box. In double
    precision, rounded once.
    """
    side, grid = soft_masks.shape[1], resampled.shape[1]
    column_points, column_parts = np.empty(grid, np.int64), np.empty(grid, np.float64)
    row_points, row_parts = np.empty(grid, np.int64), np.empty(grid, np.float64)
    line = np.zeros(side + 2, np.float64)
    for cell in range(len(soft_masks)):
        source, target = sources[cell], targets[cell]
        _place(source[0], source[2], target[0], target[2], side, column_points, column_parts)
        _place(source[1], source[3], target[1], target[3], side, row_points, row_parts)
        for row in range(grid):
            point, part = row_points[row], row_parts[row]
            if point == OUTSIDE:
                resampled[cell, row] = 0
                continue
            # The ends of the line stay the zeros around the grid.
            for column in range(side):
                above = soft_masks[cell, point, column] if point >= 0 else 0.0
                below = soft_masks[cell, point + 1, column] if point + 1 < side else 0.0
                line[column + 1] = (1 - part) * above + part * below
            for column in range(grid):
                point_x, part_x = column_points[column], column_parts[column]
                value = 0.0
                if point_x != OUTSIDE:
                    value = (1 - part_x) * line[point_x + 1] + part_x * line[point_x + 2]
                resampled[cell, row, column] = value


@compiled
def weighted_mean(
    soft_masks: NDArray[np.float32], shares: NDArray[np.float64], groups: NDArray[np.int64], means: NDArray[np.float32]
) -> None:
    """Writes the sum of share times soft mask of each group into ``means``; ``groups`` ascends."""
    size = soft_masks.shape[1]
    sums = np.zeros(size, np.float64)
    for cell in range(len(groups)):
        for place in range(size):
            sums[place] += shares[cell] * soft_masks[cell, place]
        if cell + 1 == len(groups) or groups[cell + 1] != groups[cell]:
            for place in range(size):
                means[groups[cell], place] = min(max(sums[place], 0.0), 1.0)
                sums[place] = 0.0


@compiled
def shared_pixels_of_similar(
    pixels: NDArray[np.bool_],
    windows: NDArray[np.int64],
    areas: NDArray[np.int64],
    labels: NDArray[np.int64],
    models: NDArray[np.int64],
    order: NDArray[np.int64],
    min_iou: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of cells of one label and two models that, by windows and areas, may have an IoU of ``min_iou``.

    Args:
        pixels: bool ``(P,)``: the crops of all cells one after the other, each row-major.
        windows: int64 ``(N, 4)``: ``x1, y1, x2, y2`` of each crop.
        areas: int64 ``(N,)``: pixels of each cell.
        labels: int64 ``(N,)``.
        models: int64 ``(N,)``.
        order: Indices of the cells, sorted by the top of their windows.
        min_iou: Above 0.

    Returns:
        Later cell (ascending) and earlier cell of each pair, and how many pixels they share.
    """
    bases = np.zeros(len(windows) + 1, np.int64)
    highest = 0
    for cell in range(len(windows)):
        height = windows[cell, 3] - windows[cell, 1]
        highest = max(highest, height)
        bases[cell + 1] = bases[cell] + height * (windows[cell, 2] - windows[cell, 0])
    tops = windows[order, 1]
    count = 0
    rows, columns, shared = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    # The first pass counts the pairs, the second writes them.
    for is_second in range(2):
        if is_second:
            rows, columns, shared = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
        count = 0
        for cell in range(len(windows)):
            x1, y1, x2, y2 = windows[cell]
            for place in range(np.searchsorted(tops, y1 - highest), np.searchsorted(tops, y2)):
                other = order[place]
                if other >= cell or labels[other] != labels[cell] or models[other] == models[cell]:
                    continue
                left, right = max(x1, windows[other, 0]), min(x2, windows[other, 2])
                top, bottom = max(y1, windows[other, 1]), min(y2, windows[other, 3])
                if left >= right or top >= bottom:
                    continue
                most = min((right - left) * (bottom - top), areas[cell], areas[other])
                if most == 0 or most / (areas[cell] + areas[other] - most) < min_iou:
                    continue
                if is_second:
                    common = 0
                    for y in range(top, bottom):
                        first = bases[cell] + (y - y1) * (x2 - x1) - x1
                        second = bases[other] + (y - windows[other, 1]) * (windows[other, 2] - windows[other, 0])
                        second -= windows[other, 0]
                        for x in range(left, right):
                            common += pixels[first + x] & pixels[second + x]
                    rows[count], columns[count], shared[count] = cell, other, common
                count += 1
    return rows, columns, shared


OUTSIDE = -2


@compiled
def _place(
    low: float,
    high: float,
    target_low: float,
    target_high: float,
    side: int,
    points: NDArray[np.int64],
    parts: NDArray[np.float64],
) -> None:
    """Along one axis: the grid point at or before each point of the target, and how far that lies towards the next."""
    for index in range(len(points)):
        position = target_low + (index + 0.5) / len(points) * (target_high - target_low)
        coordinate = (position - low) / (high - low) * side - 0.5
        if -0.5 <= coordinate <= side - 0.5:
            points[index] = int(np.floor(coordinate))
            parts[index] = coordinate - points[index]
        else:
            points[index], parts[index] = OUTSIDE, 0.0
