"""Polygons as masks, by the rule of ImageJ and QuPath: a pixel is inside if its centre is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError

# ImageJ's own (ij.process.PolygonFiller): a crossing this far left of a centre is on it.
_ROUNDING = 1e-8

MAX_DISTANCE = 1e7
"""Pixels from an image to the corners of a polygon: rounding moves sides from further away by more than that."""


def fill_polygons(rings: Sequence[NDArray[np.floating]], size: Size) -> MaskCrop:
    """The part inside an image of what closed polygons enclose together, by the even-odd rule.

    A hole is a ring within a ring, so that all rings of a cell with holes or of several pieces are filled at once. Of
    rings along the edges of pixels, such as an outline of :func:`sartorius.visualization.outlines.outlines`, exactly
    the pixels between them are filled. A centre on a left or top side counts as outside, one on a right or bottom side
    as inside, as in ImageJ; polygons that share a side share no pixel.

    Args:
        rings: Corners ``(K, 2)`` as ``x, y``, where pixel ``(row 0, column 0)`` reaches from 0 to 1 in both; the last
            corner may repeat the first. Fewer than three enclose nothing.
        size: ``(height, width)`` of the image.

    Returns:
        A tight crop; without pixels if no centre is inside.

    Raises:
        InputError: A corner is not finite, or so far away that a side through the image is lost in rounding.
    """
    sides = [np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings if len(ring) > 2]
    if not sides:
        return MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
    corners = np.concatenate(sides).astype(np.float64)
    if not (np.abs(corners) <= MAX_DISTANCE).all():
        raise InputError(f'a polygon has a corner that is not within {MAX_DISTANCE:g} pixels of its image')
    x1, y1, x2, y2 = corners.T
    height, width = size
    # First row whose centre is below a corner; a side crosses the rows from its upper corner's to its lower one's.
    row1, row2 = (np.clip(np.floor(y + 0.5), 0, height).astype(np.int64) for y in (y1, y2))
    first, count = np.minimum(row1, row2), np.abs(row2 - row1)
    if not count.any():
        return MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
    side = np.repeat(np.arange(len(count)), count)
    rows = first[side] + np.arange(len(side)) - np.repeat(np.cumsum(count) - count, count)
    slope = (x2 - x1)[side] / (y2 - y1)[side]
    crossings = x1[side] + (rows + 0.5 - y1[side]) * slope
    columns = np.clip(np.floor(crossings + 0.5 + _ROUNDING), 0, width).astype(np.int64)
    top, left = int(rows.min()), int(columns.min())
    turns = np.zeros((int(rows.max()) + 1 - top, int(columns.max()) + 1 - left), dtype=np.int64)
    np.add.at(turns, (rows - top, columns - left), 1)
    # Every crossing changes between inside and outside for all pixels to its right.
    return MaskCrop((np.cumsum(turns, axis=1) % 2).astype(bool), left, top).tight()


def ellipse(centre: tuple[float, float], axes: tuple[float, float], angle: float, size: Size) -> MaskCrop:
    """The part inside an image of a filled ellipse: the pixels whose centre is not outside it.

    Args:
        centre: ``x, y``; pixel ``(row 0, column 0)`` reaches from 0 to 1 in both.
        axes: Half the length along ``angle`` and half that across it, in pixels, both above 0.
        angle: Of the first axis against the rows, in radians, clockwise on the screen.
        size: ``(height, width)`` of the image.
    """
    (x, y), (height, width), reach = centre, size, max(axes)
    left, right = (int(np.clip(np.floor(value), 0, width)) for value in (x - reach, x + reach + 1))
    top, bottom = (int(np.clip(np.floor(value), 0, height)) for value in (y - reach, y + reach + 1))
    dx, dy = np.arange(left, right) + 0.5 - x, (np.arange(top, bottom) + 0.5 - y)[:, None]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return MaskCrop((along / axes[0]) ** 2 + (across / axes[1]) ** 2 <= 1, left, top).tight()
