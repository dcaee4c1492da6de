"""Pairs of cells that touch, packed one after the other as :mod:`sartorius.masks.kernels.geometry` describes."""

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.compiled import compiled


@compiled
def shared_pixels(
    pixels: NDArray[np.bool_],
    windows: NDArray[np.int64],
    other_pixels: NDArray[np.bool_],
    other_windows: NDArray[np.int64],
    order: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every pair of a cell and another cell whose windows intersect.

    Args:
        pixels: Of the cells.
        windows: Of the cells.
        other_pixels: Of the other cells.
        other_windows: Of the other cells.
        order: Indices of the other cells, sorted by the top of their windows.

    Returns:
        int64 ``(N + 1,)``: the pairs of cell n are those from entry n to entry n + 1 of this; int64 ``(K,)``: the other
        cell of each pair; int64 ``(K,)``: number of pixels that the pair shares, which may be 0.
    """
    bases, other_bases = _bases(windows), _bases(other_windows)
    tops = other_windows[order, 1]
    highest = 0
    for cell in range(len(other_windows)):
        highest = max(highest, other_windows[cell, 3] - other_windows[cell, 1])
    borders = np.zeros(len(windows) + 1, np.int64)
    others, shared = np.empty(0, np.int64), np.empty(0, np.int64)
    # The first pass counts the pairs, the second writes them.
    for is_second in range(2):
        if is_second:
            others, shared = np.empty(borders[-1], np.int64), np.empty(borders[-1], np.int64)
        pair = 0
        for cell in range(len(windows)):
            x1, y1, x2, y2 = windows[cell]
            for place in range(np.searchsorted(tops, y1 - highest), np.searchsorted(tops, y2)):
                other = order[place]
                left, right = max(x1, other_windows[other, 0]), min(x2, other_windows[other, 2])
                top, bottom = max(y1, other_windows[other, 1]), min(y2, other_windows[other, 3])
                if left >= right or top >= bottom:
                    continue
                if is_second:
                    others[pair] = other
                    shared[pair] = _count_shared(
                        pixels[bases[cell] : bases[cell + 1]],
                        windows[cell],
                        other_pixels[other_bases[other] : other_bases[other + 1]],
                        other_windows[other],
                        (left, top, right, bottom),
                    )
                pair += 1
            borders[cell + 1] = pair
    return borders, others, shared


@compiled
def suppress(
    order: NDArray[np.int64],
    borders: NDArray[np.int64],
    others: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which cells are kept: those that no kept cell before them in ``order`` overlaps by more than their limit.

    Args:
        order: int64 ``(N,)``: indices of the cells, best first.
        borders: As :func:`shared_pixels` returns it for pairs within one set.
        others: As there.
        overlaps: float64 ``(K,)``: how much each pair overlaps.
        limits: float64 ``(N,)``.
    """
    kept, seen = np.ones(order.size, np.bool_), np.zeros(order.size, np.bool_)
    for cell in order:
        seen[cell] = True
        if kept[cell]:
            for pair in range(borders[cell], borders[cell + 1]):
                other = others[pair]
                if not seen[other] and overlaps[pair] > limits[other]:
                    kept[other] = False
    return kept


@compiled
def _bases(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    bases = np.zeros(len(windows) + 1, np.int64)
    for cell in range(len(windows)):
        x1, y1, x2, y2 = windows[cell]
        bases[cell + 1] = bases[cell] + (x2 - x1) * (y2 - y1)
    return bases


@compiled
def _count_shared(
    pixels: NDArray[np.bool_],
    window: NDArray[np.int64],
    other_pixels: NDArray[np.bool_],
    other_window: NDArray[np.int64],
    part: tuple[int, int, int, int],
) -> int:
    """Pixels that two cells share in a part of the image that lies in both windows."""
    left, top, right, bottom = part
    width, other_width = window[2] - window[0], other_window[2] - other_window[0]
    count = 0
    for y in range(top, bottom):
        place = (y - window[1]) * width + left - window[0]
        other_place = (y - other_window[1]) * other_width + left - other_window[0]
        for step in range(right - left):
            count += pixels[place + step] & other_pixels[other_place + step]
    return count
