"""RoIAlign forward and backward, one axis after the other.

A bin is the mean of samples on a regular grid, each a bilinear interpolation: the weight of a pixel in a bin is a
product of a weight along y and one along x (He et al., Mask R-CNN, 2017, section 3). So every pixel row is first summed
along x into the bins, and these rows are then summed along y. Channels are the last axis: the innermost loops run over
memory in order, and the compiler turns them into vector instructions.
"""

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.kernels.roi_targets import axis_weights, no_weights
from sartorius.utils.compiled import compiled_fused, compiled_unlocked

f32 = np.float32


@compiled_fused
def _sum_along_x(
    total: NDArray[np.float32],
    image: NDArray[np.float32],
    line: int,
    low: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Sets ``total[column, line]`` ``(C,)`` to the weighted sum of a line's pixels, for each column of bins.

    Two pixels at once in the usual case. Arrays are indexed in place: a slice costs as much as a sum.
    """
    for column in range(len(low)):
        first = low[column]
        if count[column] == 0:
            for channel in range(image.shape[2]):
                total[column, line, channel] = 0
        elif count[column] == 1:
            for channel in range(image.shape[2]):
                total[column, line, channel] = weights[column, 0] * image[line, first, channel]
        else:
            for channel in range(image.shape[2]):
                total[column, line, channel] = (
                    weights[column, 0] * image[line, first, channel]
                    + weights[column, 1] * image[line, first + 1, channel]
                )
            for index in range(2, count[column]):
                for channel in range(image.shape[2]):
                    total[column, line, channel] += weights[column, index] * image[line, first + index, channel]


@compiled_fused
def _sum_along_y(
    total: NDArray[np.float32],
    number: int,
    row: int,
    in_bins: NDArray[np.float32],
    low: int,
    count: int,
    weights: NDArray[np.float32],
) -> None:
    """Sets ``total[number, row]`` ``(columns, C)`` to the weighted sum of lines, as :func:`_sum_along_x` does."""
    for column in range(total.shape[2]):
        if count == 0:
            for channel in range(total.shape[3]):
                total[number, row, column, channel] = 0
        elif count == 1:
            for channel in range(total.shape[3]):
                total[number, row, column, channel] = weights[row, 0] * in_bins[column, low, channel]
        else:
            for channel in range(total.shape[3]):
                total[number, row, column, channel] = (
                    weights[row, 0] * in_bins[column, low, channel]
                    + weights[row, 1] * in_bins[column, low + 1, channel]
                )
            for index in range(2, count):
                for channel in range(total.shape[3]):
                    total[number, row, column, channel] += weights[row, index] * in_bins[column, low + index, channel]


@compiled_unlocked
def roi_align(
    features: NDArray[np.float32],
    rois: NDArray[np.float32],
    places: NDArray[np.int64],
    output: NDArray[np.float32],
    scale: float,
    offset: float,
    sampling_ratio: int,
) -> None:
    """Fills the bins of RoIs.

    Args:
        features: ``(N, H, W, C)``.
        rois: ``(R, 5)``: index of the image, x1, y1, x2, y2 in image pixels.
        places: ``(R,)``: where in the output the bins of each go.
        output: ``(P, rows, columns, C)``; all of these places is set.
        scale: Pixels of the map per pixel of the image, float32.
        offset: 0.5 where integer coordinates are corners of pixels, 0 where they are centres, float32.
        sampling_ratio: Samples per bin and axis; 0 for one per pixel.
    """
    _, height, width, channels = features.shape
    rows, columns = output.shape[1:3]
    y_low, y_count, y_weights = no_weights(rows, height)
    x_low, x_count, x_weights = no_weights(columns, width)
    in_bins = np.empty((columns, height, channels), f32)
    for number in range(len(rois)):
        image = features[int(rois[number, 0])]
        x, y, roi_width, roi_height = _place(rois[number], scale, offset)
        axis_weights(y, roi_height, height, sampling_ratio, y_low, y_count, y_weights)
        axis_weights(x, roi_width, width, sampling_ratio, x_low, x_count, x_weights)
        done = 0
        for row in range(rows):
            end = y_low[row] + y_count[row]
            for line in range(max(y_low[row], done), end):
                _sum_along_x(in_bins, image, line, x_low, x_count, x_weights)
            if y_count[row]:
                done = max(done, end)
            _sum_along_y(output, places[number], row, in_bins, y_low[row], y_count[row], y_weights)


@compiled_unlocked
def _place(roi: NDArray[np.float32], scale: float, offset: float) -> tuple[float, float, float, float]:
    """Left, top, width and height of a RoI in pixels of the map."""
    x, y = roi[1] * scale - offset, roi[2] * scale - offset
    width, height = roi[3] * scale - offset - x, roi[4] * scale - offset - y
    if offset == 0:
        # RoIs of the older convention cover a pixel at least.
        width, height = max(width, f32(1)), max(height, f32(1))
    return x, y, width, height


@compiled_fused
def _add_along_y(
    in_bins: NDArray[np.float32], gradients: NDArray[np.float32], number: int, row: int, weight: float
) -> None:
    """Adds the gradients of a row of bins, weighted, to those of a line ``(columns, C)``."""
    for column in range(in_bins.shape[0]):
        for channel in range(in_bins.shape[1]):
            in_bins[column, channel] += weight * gradients[number, row, column, channel]


@compiled_fused
def _add_along_x(
    image: NDArray[np.float32],
    line: int,
    in_bins: NDArray[np.float32],
    low: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> None:
    """Adds the gradients of a line's bins, weighted, to those of its pixels."""
    for column in range(in_bins.shape[0]):
        for index in range(count[column]):
            pixel = low[column] + index
            for channel in range(in_bins.shape[1]):
                image[line, pixel, channel] += weights[column, index] * in_bins[column, channel]


@compiled_unlocked
def roi_align_backward(
    gradients: NDArray[np.float32],
    rois: NDArray[np.float32],
    output: NDArray[np.float32],
    scale: float,
    offset: float,
    sampling_ratio: int,
    first_line: int,
    last_line: int,
) -> None:
    """Adds the gradients of the bins to those of the features, in some of the lines.

    Args:
        gradients: ``(R, rows, columns, C)``, of the bins.
        rois: As for :func:`roi_align`.
        output: ``(N, H, W, C)``, of the features; added to.
        scale: As for :func:`roi_align`.
        offset: As for :func:`roi_align`.
        sampling_ratio: As for :func:`roi_align`.
        first_line: Of those to add to; line y of image n is the one of number ``n * H + y``.
        last_line: Behind those to add to.
    """
    _, height, width, channels = output.shape
    rows, columns = gradients.shape[1:3]
    y_low, y_count, y_weights = no_weights(rows, height)
    x_low, x_count, x_weights = no_weights(columns, width)
    in_bins = np.empty((columns, channels), f32)
    for number in range(len(rois)):
        start = int(rois[number, 0]) * height
        if start + height <= first_line or start >= last_line:
            continue
        image = output[int(rois[number, 0])]
        x, y, roi_width, roi_height = _place(rois[number], scale, offset)
        axis_weights(y, roi_height, height, sampling_ratio, y_low, y_count, y_weights)
        axis_weights(x, roi_width, width, sampling_ratio, x_low, x_count, x_weights)
        first, last = height, 0
        for row in range(rows):
            if y_count[row]:
                first, last = min(first, y_low[row]), max(last, y_low[row] + y_count[row])
        for line in range(max(first, first_line - start), min(last, last_line - start)):
            in_bins[:] = 0
            for row in range(rows):
                place = line - y_low[row]
                if 0 <= place < y_count[row]:
                    _add_along_y(in_bins, gradients, number, row, y_weights[row, place])
            _add_along_x(image, line, in_bins, x_low, x_count, x_weights)
