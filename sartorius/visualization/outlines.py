"""Outlines of cells along the edges of their pixels, and colours that differ between cells that touch."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop


def outlines(crop: MaskCrop) -> list[NDArray[np.int32]]:
    """Closed polygons around a cell's parts and holes.

    Returns:
        One int32 array ``(K, 2)`` of ``x, y`` per polygon, in image pixels. The points are corners of pixels and the
        sides run along rows and columns: filling all polygons by the even-odd rule gives exactly the mask.
    """
    return _outlines_and_parents(crop)[0]


def corner_outlines(crop: MaskCrop) -> list[NDArray[np.int32]]:
    """The polygons of :func:`outlines` with no point but their corners."""
    return [_without_straight_points(polygon) for polygon in outlines(crop)]


def shells_and_holes(crop: MaskCrop) -> list[list[NDArray[np.int32]]]:
    """The polygons of :func:`corner_outlines` of each piece: its outer one, then those of its holes.

    Pieces are connected by edges and corners, so that a polygon may touch itself at a corner.
    """
    polygons, parents = _outlines_and_parents(crop)
    pieces = {number: [_without_straight_points(polygons[number])] for number in np.flatnonzero(parents < 0).tolist()}
    for number in np.flatnonzero(parents >= 0).tolist():
        pieces[int(parents[number])].append(_without_straight_points(polygons[number]))
    return list(pieces.values())


def svg_path(crop: MaskCrop) -> str:
    """Attribute ``d`` of an SVG path of a cell: one absolute ``M`` at its start, relative commands after it.

    That ``M`` is the only upper-case letter, so that the paths of many cells can be joined in one attribute and split
    again. Fill by the even-odd rule.
    """
    parts: list[str] = []
    position = np.zeros(2, dtype=np.int64)
    for polygon in outlines(crop):
        corners = _without_straight_points(polygon)
        move = corners[0] - position
        parts.append(f'{"m" if parts else "M"}{_pair(*move.tolist())}')
        # Edges of pixels run along rows or columns only.
        parts.extend(f'h{dx}' if dx else f'v{dy}' for dx, dy in np.diff(corners, axis=0).tolist())
        parts.append('z')
        # After "z" the pen is at the start of the polygon again.
        position = corners[0].astype(np.int64)
    return ''.join(parts)


def touching_pairs(crops: Sequence[MaskCrop], gap: int = 2) -> NDArray[np.int64]:
    """Pairs of cells that overlap or lie at most ``gap`` pixels apart.

    Args:
        crops: Cells of one image.
        gap: Distance in pixels along rows, columns and diagonals (1: side by side).

    Returns:
        int64 ``(P, 2)``: index of the lower and of the higher cell, sorted.
    """
    filled = [index for index, crop in enumerate(crops) if crop.mask.size]
    windows = np.array([crops[index].window for index in filled], dtype=np.int64).reshape(-1, 4)
    grown = [_grown(crops[index].mask, gap) for index in filled]
    pairs: list[tuple[int, int]] = []
    for first, (x1, y1, x2, y2) in enumerate(windows):
        rest = windows[first + 1 :]
        near = (rest[:, 0] < x2 + gap) & (rest[:, 2] > x1 - gap) & (rest[:, 1] < y2 + gap) & (rest[:, 3] > y1 - gap)
        for second in (np.flatnonzero(near) + first + 1).tolist():
            left, top, right, bottom = windows[second]
            # The part of the grown first cell that lies over the second one's window.
            columns = slice(max(0, left - x1 + gap), right - x1 + gap)
            rows = slice(max(0, top - y1 + gap), bottom - y1 + gap)
            part = grown[first][rows, columns]
            offset_y, offset_x = max(0, y1 - gap - top), max(0, x1 - gap - left)
            other = crops[filled[second]].mask[offset_y : offset_y + part.shape[0], offset_x : offset_x + part.shape[1]]
            if (part & other).any():
                pairs.append((filled[first], filled[second]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def neighbour_colors(crops: Sequence[MaskCrop], count: int) -> NDArray[np.int64]:
    """A colour number below ``count`` for each cell, such that cells that touch differ.

    Greedy colouring, cells with most neighbours first (Welsh and Powell, 1967); among the free colours the least used
    one, so that all of them occur. Only a cell whose neighbours already have all ``count`` colours shares one.

    Returns:
        int64 ``(N,)``.
    """
    neighbours: list[list[int]] = [[] for _ in crops]
    for first, second in touching_pairs(crops).tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    colors = np.full(len(crops), -1, dtype=np.int64)
    used = np.zeros(count, dtype=np.int64)
    for index in sorted(range(len(crops)), key=lambda cell: -len(neighbours[cell])):
        around = colors[neighbours[index]]
        taken = np.bincount(around[around >= 0], minlength=count)
        color = int(np.lexsort((used, taken))[0])
        colors[index] = color
        used[color] += 1
    return colors


def _outlines_and_parents(crop: MaskCrop) -> tuple[list[NDArray[np.int32]], NDArray[np.int32]]:
    """The polygons of :func:`outlines`, and for each hole's the index of that around it, for others -1."""
    if not crop.mask.any():
        return [], np.zeros(0, dtype=np.int32)
    # findContours passes through the centres of pixels. On a picture of twice the size it visits the two halves of a
    # pixel separately, and rounding up after halving moves each to the pixel's own edge.
    doubled = crop.mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [(contour[:, 0] + 1) // 2 + (crop.x, crop.y) for contour in contours], hierarchy[0, :, 3]


def _grown(mask: NDArray[np.bool_], gap: int) -> NDArray[np.bool_]:
    square = np.ones((2 * gap + 1, 2 * gap + 1), dtype=np.uint8)
    return cv2.dilate(np.pad(mask, gap).astype(np.uint8), square).astype(bool)


def _without_straight_points(polygon: NDArray[np.int32]) -> NDArray[np.int32]:
    """The polygon without points that repeat or that lie on a straight line between their neighbours."""
    points = polygon[np.any(polygon != np.roll(polygon, 1, axis=0), axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _pair(x: int, y: int) -> str:
    return f'{x}{y}' if y < 0 else f'{x} {y}'
