"""Figures of single cells: a part of an image with the outlines of a cell and of its neighbours, as inline SVG."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.visualization.gallery import embedded
from sartorius.visualization.outlines import svg_path

MARGIN = 12
"""Pixels around the cells, unless a page needs more."""

MIN_WINDOW = 56
"""Smallest side of a window in pixels, unless a page needs more."""

Window = tuple[int, int, int, int]
"""``x1, y1, x2, y2`` in pixels, half-open."""


def window_around(crops: Iterable[MaskCrop], size: Size, margin: int = MARGIN, min_side: int = MIN_WINDOW) -> Window:
    """Square window around some cells, shifted into the image, and cut where it is larger than the image.

    Args:
        crops: The cells; those without pixels do not count. The whole image if none has pixels.
        size: Image ``(height, width)``.
        margin: Pixels around the cells.
        min_side: Smallest side of the window in pixels.
    """
    windows = np.array([crop.window for crop in crops if crop.mask.size] or [(0, 0, size[1], size[0])])
    low, high = windows[:, :2].min(axis=0), windows[:, 2:].max(axis=0)
    side = max(int((high - low).max()) + 2 * margin, min_side)
    (x1, x2), (y1, y2) = (
        _span((start + end) / 2, side, length)
        for start, end, length in zip(low.tolist(), high.tolist(), size[::-1], strict=True)
    )
    return x1, y1, x2, y2


def _span(middle: float, side: int, length: int) -> tuple[int, int]:
    start = max(0, min(round(middle - side / 2), length - side))
    return start, min(start + side, length)


def intersects(crop: MaskCrop, window: Window) -> bool:
    """Whether a cell's own window shares pixels with another window."""
    left, top, right, bottom = crop.window
    x1, y1, x2, y2 = window
    return left < x2 and right > x1 and top < y2 and bottom > y1


def view_box(window: Window) -> str:
    """Attribute ``viewBox`` of an SVG that shows a window of an image."""
    x1, y1, x2, y2 = window
    return f'viewBox="{x1} {y1} {x2 - x1} {y2 - y1}"'


def place(window: Window) -> str:
    """Attributes that put an image or rectangle into a window."""
    x1, y1, x2, y2 = window
    return f'x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}"'


def cell_figure(
    picture: NDArray[np.uint8],
    window: Window,
    cells: Mapping[str, Sequence[MaskCrop]],
    neighbours: Mapping[str, Sequence[MaskCrop]],
    label: str,
    caption: str,
) -> str:
    """A window of an image with the outlines of some cells, and in faint lines their neighbours.

    Args:
        picture: uint8 ``(height, width)``, the whole image.
        window: The part to show.
        cells: Cells by their side, 'gt' or 'pred', which gives the colour; drawn on top.
        neighbours: Other cells by their side; only those in the window are drawn.
        label: What the picture shows, for screen readers.
        caption: HTML.
    """
    x1, y1, x2, y2 = window
    lines = [
        f'<path class="{side}-line{kind}" d="{outline}"/>'
        for kind, of_sides in ((' faint', neighbours), ('', cells))
        for side, crops in of_sides.items()
        for crop in crops
        if intersects(crop, window) and (outline := svg_path(crop.clipped(picture.shape)))
    ]
    return (
        f'<figure><svg {view_box(window)} role="img" aria-label="{label}">'
        f'<image {place(window)} href="{embedded(picture[y1:y2, x1:x2])}"/>{"".join(lines)}</svg>'
        f'<figcaption>{caption}</figcaption></figure>'
    )
