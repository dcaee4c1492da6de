"""What cells show on the grids of RoIs, as RoIAlign samples it.

A bin is the mean of samples on a regular grid, each a bilinear interpolation: the weight of a pixel in a bin is a
product of a weight along y and one along x (He et al., Mask R-CNN, 2017, section 3). So each row of pixels is summed
along x into the bins, and these rows are then summed along y.
"""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled_unlocked

f32 = np.float32
LARGEST = f32(1e9)
"""RoIs with longer sides, which no image has, give zeros, as those that are not finite."""
MANY = 64
"""Samples along an axis of a bin above which those on the map are looked for."""


@compiled_unlocked
def no_weights(bins: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Arrays ``low``, ``count`` and ``weights`` for :func:`axis_weights` to fill, for each RoI anew."""
    return np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros((bins, size), f32)


@compiled_unlocked
def axis_weights(
    start: float,
    length: float,
    size: int,
    sampling_ratio: int,
    low: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Weights of the pixels along one axis in the bins of a RoI: ``weights[bin, k]`` is that of pixel ``low[bin] + k``.

    Samples are placed in float32 by the very expression of MMCV, so that none moves to another pixel. Those more than a
    pixel outside the map count as zeros, others outside take the pixel at the border.
    """
    bins = len(low)
    count[:] = 0
    if not 0 <= length <= LARGEST:
        return
    bin_size = length / f32(bins)
    samples = sampling_ratio if sampling_ratio > 0 else int(np.ceil(length / f32(bins)))
    for number in range(bins):
        bin_start = start + f32(number) * bin_size
        first, last = 0, samples
        if sampling_ratio <= 0 and samples > MANY:
            # A huge RoI has few samples on the map; they are about a pixel apart.
            first = max(0, int(-bin_start * samples / bin_size) - MANY)
            last = min(samples, int((f32(size) - bin_start) * samples / bin_size) + MANY)
        for sample in range(first, last):
            place = bin_start + (f32(sample) + f32(0.5)) * bin_size / f32(samples)
            if place < f32(-1) or place > f32(size):
                continue
            place = max(place, f32(0))
            pixel = min(int(place), size - 1)
            part = place - f32(pixel) if pixel < size - 1 else f32(0)
            if count[number] == 0:
                low[number] = pixel
            top = pixel - low[number]
            while count[number] < top + 1 + (part > 0):
                weights[number, count[number]] = f32(0)
                count[number] += 1
            weights[number, top] += f32(1) - part
            if part > 0:
                weights[number, top + 1] += part
        for index in range(count[number]):
            weights[number, index] /= f32(samples)


@compiled_unlocked
def mask_targets(
    pixels: NDArray[np.bool_],
    bases: NDArray[np.int64],
    windows: NDArray[np.int64],
    height: int,
    width: int,
    boxes: NDArray[np.float32],
    cells: NDArray[np.int64],
    targets: NDArray[np.float32],
) -> None:
    """RoIAlign (aligned, mean of ``ceil(bin)`` samples an axis) of each box on the mask of its own cell.

    Args:
        pixels: Of :class:`sartorius.masks.packed.PackedMasks`, as the next two.
        bases: ``(N + 1,)``.
        windows: ``(N, 4)``, inside the image.
        height: Of the image.
        width: Of the image.
        boxes: ``(R, 4)``: x1, y1, x2, y2 in pixels.
        cells: ``(R,)``: index of each box's cell.
        targets: ``(R, rows, columns)``, zeros; set to values in [0, 1].
    """
    count, rows, columns = targets.shape
    y_low, y_count, y_weights = no_weights(rows, height)
    x_low, x_count, x_weights = no_weights(columns, width)
    in_bins = np.empty(columns, f32)
    for number in range(count):
        cell = cells[number]
        left, top, right, bottom = windows[cell, 0], windows[cell, 1], windows[cell, 2], windows[cell, 3]
        x, y = boxes[number, 0] - f32(0.5), boxes[number, 1] - f32(0.5)
        axis_weights(y, boxes[number, 3] - f32(0.5) - y, height, 0, y_low, y_count, y_weights)
        axis_weights(x, boxes[number, 2] - f32(0.5) - x, width, 0, x_low, x_count, x_weights)
        for line in range(top, bottom):
            is_summed = False
            for row in range(rows):
                place = line - y_low[row]
                if 0 <= place < y_count[row]:
                    if not is_summed:
                        _sum_line(
                            in_bins,
                            pixels,
                            bases[cell] + (line - top) * (right - left),
                            left,
                            right,
                            x_low,
                            x_count,
                            x_weights,
                        )
                        is_summed = True
                    for column in range(columns):
                        targets[number, row, column] += y_weights[row, place] * in_bins[column]


@compiled_unlocked
def _sum_line(
    in_bins: NDArray[np.float32],
    pixels: NDArray[np.bool_],
    start: int,
    left: int,
    right: int,
    low: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Sums a line of a cell, whose pixels ``left`` to ``right`` begin at ``start``, into the bins of a RoI."""
    for column in range(len(in_bins)):
        total = f32(0)
        first, last = max(left, low[column]), min(right, low[column] + count[column])
        for pixel in range(first, last):
            if pixels[start + pixel - left]:
                total += weights[column, pixel - low[column]]
        in_bins[column] = total
