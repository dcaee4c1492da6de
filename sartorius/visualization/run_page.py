"""The page of a prediction run: every image with its outlines, its counts and sizes, and what is odd about it.

The pictures are files of their own beside the page, which a browser loads when they come into view: a page of hundreds
of images opens at once.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.images.grey_levels import stretch
from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.files import atomic_path
from sartorius.visualization.gallery import IMAGE_QUALITY
from sartorius.visualization.html import Column, number_cell, sortable_table
from sartorius.visualization.outlines import corner_outlines, neighbour_colors
from sartorius.visualization.overlay import CELL_COLORS
from sartorius.visualization.page import figures, render_page, source_list

PICTURES = 'index_files'
"""Folder of the pictures, beside the page."""

MAX_PICTURE_SIDE = 1024
"""Larger images are shown at this size."""

MIN_IMAGES = 8
"""With fewer images than this none is called unusual."""

UNUSUAL = 3.5
"""Modified z-score above which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

# Spreads below this, in natural logarithms (10 %), are not told apart: among nearly equal images none is unusual.
_MIN_SPREAD = 0.1
_FRACTION_BITS = 4


@dataclass(frozen=True, kw_only=True)
class RunImage:
    """One image of the page.

    Attributes:
        image_id: Its id, the path below the folder of the images without suffix.
        problem: Why it could not be predicted; empty if it was.
        note: What was assumed when it was read, or an empty string.
        size: ``(height, width)`` in pixels; None if it could not be read.
        pixel_size_um: Side of a pixel in micrometres; None if it is not known.
        cells: Number of cells of each frame.
        by_class: Number of cells of each class, of all frames.
        covered: Share of the pixels that cells cover, in [0, 1].
        median_area: Median area of its cells in pixels; NaN without cells.
        limit_reached: Whether there may be more cells than the model predicts at once.
        cut_cells: Number of cells that no tile contains whole.
    """

    image_id: str
    problem: str = ''
    note: str = ''
    size: Size | None = None
    pixel_size_um: float | None = None
    cells: tuple[int, ...] = ()
    by_class: Mapping[str, int] = field(default_factory=dict)
    covered: float = 0.0
    median_area: float = math.nan
    limit_reached: bool = False
    cut_cells: int = 0

    @property
    def count(self) -> int:
        """Number of cells of all frames."""
        return sum(self.cells)


def picture_paths(folder: Path, image_id: str) -> tuple[Path, Path]:
    """Files of an image's picture and of its outlines, in the folder of the page."""
    base = folder / PICTURES / image_id
    return base.with_name(f'{base.name}.webp'), base.with_name(f'{base.name}_cells.webp')


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes an image as WebP, at most :data:`MAX_PICTURE_SIDE` wide and high, its grey levels spread.

    Args:
        path: File to write.
        image: uint8 ``(H, W)`` grey or ``(H, W, 3)`` in OpenCV's order.
    """
    scale = _picture_scale(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, _scaled(image.shape[:2], scale)[::-1], interpolation=cv2.INTER_AREA)
    _write_webp(path, stretch(image))


def write_outlines(path: Path, size: Size, crops: Sequence[MaskCrop]) -> None:
    """Writes the outlines of cells on a transparent ground, of the size of :func:`write_picture`'s picture.

    Args:
        path: WebP file to write.
        size: ``(height, width)`` of the image.
        crops: Its cells; touching ones get different colours.
    """
    scale = _picture_scale(size)
    canvas = np.zeros((*_scaled(size, scale), 4), np.uint8)
    colors = neighbour_colors(crops, len(CELL_COLORS))
    for crop, color in zip(crops, colors.tolist(), strict=True):
        red, green, blue = CELL_COLORS[color]
        for polygon in corner_outlines(crop):
            # Corners of pixels lie half a pixel before the centres that OpenCV counts from.
            points = np.rint((polygon * scale - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
            cv2.polylines(canvas, [points], True, (blue, green, red, 255), 2, cv2.LINE_AA, _FRACTION_BITS)
    _write_webp(path, canvas)


def find_unusual(images: Sequence[RunImage]) -> dict[str, list[str]]:
    """What is odd about an image, in words, by image id; images without anything odd are not in it."""
    done = [image for image in images if not image.problem]
    per_frame = {image.image_id: image.count / max(len(image.cells), 1) for image in done}
    areas = {image.image_id: image.median_area for image in done if image.count}
    counts = _outliers(per_frame, 'cells')
    sizes = _outliers(areas, 'px in the median cell')
    unusual: dict[str, list[str]] = {}
    for image in images:
        words = [image.problem] if image.problem else []
        if not image.problem and not image.count:
            words.append('no cells')
        elif image.image_id in counts:
            words.append(counts[image.image_id])
        if image.image_id in sizes:
            words.append(sizes[image.image_id])
        if image.limit_reached:
            words.append('there may be more cells than the model predicts at once; try --tiles on')
        if image.cut_cells:
            words.append(f'{image.cut_cells} cells are larger than the overlap of two tiles and may be cut')
        if words:
            unusual[image.image_id] = words
    return unusual


def write_run_page(
    path: Path, title: str, images: Sequence[RunImage], source: Mapping[str, object], folder: Path
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: HTML file.
        title: Heading.
        images: All images of the run.
        source: Names and values of what was run: model, chain, options.
        folder: Where the page belongs, beside its pictures (:func:`picture_paths`).
    """
    unusual = find_unusual(images)
    flagged = sorted((image for image in images if image.image_id in unusual), key=lambda image: not image.problem)
    sections = [('overview', 'Overview', _overview(images, unusual))]
    if flagged:
        sections.append(('look', 'Look at these first', _grid(folder, flagged, unusual)))
    sections += [
        ('table', 'All images', _table(images, unusual)),
        ('pictures', 'Pictures', _grid(folder, [image for image in images if not image.problem], {})),
        ('source', 'What was run', source_list(source)),
    ]
    lead = 'Every image with the outlines of its cells; colours only tell neighbours apart. A click enlarges a picture.'
    with atomic_path(path) as temporary:
        temporary.write_text(render_page(title, lead, sections), encoding='utf-8')


def _overview(images: Sequence[RunImage], unusual: Mapping[str, Sequence[str]]) -> str:
    done = [image for image in images if not image.problem]
    counts = [image.count / max(len(image.cells), 1) for image in done]
    areas = [image.median_area for image in done if image.count]
    failed = len(images) - len(done)
    frames = sum(len(image.cells) for image in done)
    entries = [
        ('images', f'{len(done):,}', f'{frames:,} frames' if frames > len(done) else 'predicted'),
        ('failed', f'{failed:,}', 'see below' if failed else 'none'),
        ('cells', f'{sum(image.count for image in done):,}', 'in all images'),
        ('cells per image', f'{np.median(counts):,.0f}' if counts else '-', _range(counts)),
        ('cell area', f'{np.median(areas):,.0f} px' if areas else '-', 'median of the images'),
        ('to look at', f'{len(unusual):,}', 'failed, empty or unlike the others'),
    ]
    switch = '<p class="legend"><label><input type="checkbox" id="outlines-switch" checked> Outlines</label></p>'
    return figures(entries) + switch


def _range(values: Sequence[float]) -> str:
    return f'median; {min(values):,.0f} to {max(values):,.0f}' if values else ''


def _grid(folder: Path, images: Sequence[RunImage], unusual: Mapping[str, Sequence[str]]) -> str:
    return f'<div class="run-grid">{"".join(_figure(folder, image, unusual) for image in images)}</div>'


def _figure(folder: Path, image: RunImage, unusual: Mapping[str, Sequence[str]]) -> str:
    """One image: its picture under its outlines, which a click enlarges, and its numbers."""
    frames = f' in {len(image.cells)} frames' if len(image.cells) > 1 else ''
    numbers = '' if image.problem else f'{image.count:,} cells{frames}, {image.covered:.0%} covered'
    words = ''.join(f'<span class="warning">{escape(word)}</span>' for word in unusual.get(image.image_id, ()))
    pictures = ''
    paths = [path for path in picture_paths(folder, image.image_id) if path.is_file()]
    if not image.problem and paths:
        links = [quote(Path(os.path.relpath(path, folder)).as_posix()) for path in paths]
        height, width = image.size
        tags = ''.join(
            f'<img loading="lazy" width="{width}" height="{height}" src="{link}" alt=""{kind}>'
            for link, kind in zip(links, ('', ' class="outlines"'), strict=False)
        )
        pictures = (
            f'<button type="button" class="picture" aria-label="Enlarge {escape(image.image_id)}">{tags}</button>'
        )
    caption = f'<b>{escape(image.image_id)}</b><small>{numbers}</small>{words}'
    return f'<figure class="sheet">{pictures}<figcaption>{caption}</figcaption></figure>'


def _table(images: Sequence[RunImage], unusual: Mapping[str, Sequence[str]]) -> str:
    """Table of all images, which sorts and filters; what was assumed of all images alike is not repeated in it."""
    notes = {image.note for image in images if not image.problem}
    common = notes.pop() if len(notes) == 1 else ''
    classes = sorted({name for image in images for name in image.by_class})
    rows = [_row(image, unusual.get(image.image_id, ()), common) for image in images]
    columns: list[Column] = [
        ('image', 'text id', lambda row: f'<td class="text id">{escape(row.image_id)}</td>'),
        ('size (px)', '', lambda row: f'<td data-value="{row.pixels}">{row.size}</td>'),
        ('pixel (µm)', '', lambda row: number_cell(row.pixel_size_um, '{:.3g}')),
        ('cells', '', lambda row: number_cell(row.cells, '{:,.0f}')),
        *(
            (escape(name), '', lambda row, number=number: number_cell(row.by_class[number], '{:,.0f}'))
            for number, name in enumerate(classes if len(classes) > 1 else ())
        ),
        ('median area (px)', '', lambda row: number_cell(row.median_area, '{:,.0f}')),
        ('covered', '', lambda row: number_cell(row.covered, '{:.0%}', bar=True)),
        ('to look at', 'text', lambda row: f'<td class="text">{escape(row.words)}</td>'),
    ]
    for row in rows:
        row['by_class'] = [row['by_class'].get(name, 0) for name in classes]
    remark = f'<p class="legend">Of all images: {escape(common)}.</p>' if common else ''
    return remark + sortable_table(columns, pd.DataFrame(rows))


def _row(image: RunImage, words: Sequence[str], common: str) -> dict[str, object]:
    done = not image.problem
    height, width = image.size or (0, 0)
    return {
        'image_id': image.image_id,
        'pixels': height * width,
        'size': f'{width} × {height}' if image.size else '-',
        'pixel_size_um': math.nan if image.pixel_size_um is None else image.pixel_size_um,
        'cells': image.count if done else math.nan,
        'by_class': image.by_class,
        'median_area': image.median_area,
        'covered': image.covered if done else math.nan,
        'words': '; '.join([*words, *([image.note] if image.note not in ('', common) else [])]),
    }


def _outliers(values: Mapping[str, float], what: str) -> dict[str, str]:
    """Sentences on values that are unlike the others: by the modified z-score of their logarithms."""
    if len(values) < MIN_IMAGES:
        return {}
    logs = np.log1p(np.array(list(values.values()), dtype=np.float64))
    middle = np.median(logs)
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), _MIN_SPREAD)
    usual = f'{math.expm1(middle):,.0f}'
    return {
        name: f'{value:,.0f} {what}, in most images about {usual}'
        for (name, value), log in zip(values.items(), logs, strict=True)
        if abs(log - middle) > UNUSUAL * spread
    }


def _picture_scale(size: Size) -> float:
    return min(1.0, MAX_PICTURE_SIDE / max(size))


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _write_webp(path: Path, image: NDArray[np.uint8]) -> None:
    _, code = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, IMAGE_QUALITY])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(code)
