"""The table of cells: ``NAME_cells.csv`` of an image and ``cells.csv`` of a run, one row per cell.

Coordinates are those of ImageJ and QuPath: ``x`` to the right and ``y`` downward from the image's top left corner, so
that the centre of the first pixel is at .5, .5; subtract .5 for scikit-image and napari. Lengths and areas are in
pixels where the name has no unit; columns in micrometres are empty where the pixel size is not known, those of
intensity where the image is not at hand. Formulas are scikit-image's (``skimage.measure.regionprops``) with these
exceptions: ``solidity`` and ``length_over_width`` take pixels as squares (:mod:`sartorius.label_quality.statistics`);
``circularity`` is 4 pi area / perimeter^2, at most 1 as in ImageJ and empty for a cell without perimeter (a pixel).
"""

from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.export.structures import ExportedImage
from sartorius.label_quality.statistics import length_over_width, solidity
from sartorius.masks.crop import MaskCrop
from sartorius.utils import spreadsheets
from sartorius.utils.errors import InputError
from sartorius.utils.input_files import open_input

COLUMNS: tuple[str, ...] = (
    'image',
    'frame',
    'label',
    'class',
    'score',
    'area_px',
    'area_um2',
    'centroid_x',
    'centroid_y',
    'bbox_x',
    'bbox_y',
    'bbox_width',
    'bbox_height',
    'perimeter',
    'axis_major',
    'axis_minor',
    'length_over_width',
    'orientation_deg',
    'eccentricity',
    'solidity',
    'circularity',
    'equivalent_diameter_um',
    'feret_max',
    'intensity_mean',
    'intensity_std',
    'intensity_min',
    'intensity_max',
    'border',
    'holes',
    'pieces',
    'neighbours',
)
"""``frame`` counts from 0; ``orientation_deg`` is the angle between the y axis and the major axis, from -90 to 90;
``border`` is 1 where the cell touches the border of the image; ``pieces`` are connected by edges and corners, ``holes``
by edges; ``neighbours`` is the number of cells that touch it or have a single pixel between."""

NEIGHBOUR_GAP = 2
"""Distance in pixels at which cells still are neighbours; 1 is side by side (see ``outlines.touching_pairs``)."""

_SHAPE = (
    'label',
    'area',
    'centroid',
    'bbox',
    'perimeter',
    'axis_major_length',
    'axis_minor_length',
    'orientation',
    'eccentricity',
    'equivalent_diameter_area',
    'feret_diameter_max',
)
_INTENSITY = ('intensity_mean', 'intensity_std', 'intensity_min', 'intensity_max')


def measure_cells(image: ExportedImage) -> pd.DataFrame:
    """One row per cell of all frames, with the columns of :data:`COLUMNS`."""
    tables = [table for table in _measured_frames(image) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def write_table(path: Path, image: ExportedImage) -> None:
    """Writes the table as UTF-8 CSV; of an image without cells the header alone."""
    with open(path, 'w', encoding='utf-8', newline='') as file:
        _write_rows(file, pd.DataFrame(columns=COLUMNS), header=True)
        for table in _measured_frames(image):
            _write_rows(file, table, header=False)


def merge_tables(path: Path, parts: Sequence[Path]) -> None:
    """Writes the rows of several tables, in that order, under one header.

    Raises:
        InputError: A part is no table of cells, or one of other columns.
    """
    header = ','.join(COLUMNS) + '\n'
    with open(path, 'w', encoding='utf-8', newline='') as merged:
        merged.write(header)
        for part in parts:
            with open_input(part) as binary, TextIOWrapper(binary, encoding='utf-8', newline='') as file:
                try:
                    first = file.readline(len(header))
                    if first != header:
                        raise InputError(
                            f'{part}: starts with {first[:60]!r}, not with the columns of a cell table; export it again'
                        )
                    block = ''
                    while following := file.read(1 << 20):
                        block = following
                        merged.write(block)
                except UnicodeDecodeError as error:
                    raise InputError(f'{part}: no text in UTF-8 ({error}); export it again') from None
                if not block.endswith('\n') and block:
                    raise InputError(f'{part}: its last row is cut off; export it again')


def _write_rows(file: object, table: pd.DataFrame, header: bool) -> None:
    spreadsheets.write_table(file, table, '%.8g', header)


def _measured_frames(image: ExportedImage) -> Iterator[pd.DataFrame]:
    return (_measure_frame(image, frame) for frame in range(len(image.frames)))


def _measure_frame(image: ExportedImage, frame: int) -> pd.DataFrame:
    from skimage.measure import regionprops_table

    cells = image.cells(frame)
    if not cells:
        return pd.DataFrame(columns=COLUMNS)
    labels = image.label_image(frame)
    pixels = None if image.pixels is None else image.pixels[frame]
    properties = regionprops_table(labels, pixels, _SHAPE if pixels is None else _SHAPE + _INTENSITY)
    numbers = properties['label']
    predictions = image.frames[frame]
    um = image.pixel_size_um or np.nan
    perimeters = properties['perimeter']
    with np.errstate(divide='ignore'):
        roundness = np.minimum(4 * np.pi * properties['area'] / perimeters**2, 1)
    table = pd.DataFrame(
        {
            'image': image.image_id,
            'frame': frame,
            'label': numbers,
            'class': [image.classes[number] for number in predictions.labels[numbers - 1]],
            'score': predictions.scores[numbers - 1],
            'area_px': properties['area'].astype(np.int64),
            'area_um2': properties['area'] * um**2,
            'centroid_x': properties['centroid-1'] + 0.5,
            'centroid_y': properties['centroid-0'] + 0.5,
            'bbox_x': properties['bbox-1'],
            'bbox_y': properties['bbox-0'],
            'bbox_width': properties['bbox-3'] - properties['bbox-1'],
            'bbox_height': properties['bbox-2'] - properties['bbox-0'],
            'perimeter': perimeters,
            'axis_major': properties['axis_major_length'],
            'axis_minor': properties['axis_minor_length'],
            'length_over_width': [length_over_width(crop.mask) for _, crop in cells],
            'orientation_deg': np.degrees(properties['orientation']),
            'eccentricity': properties['eccentricity'],
            'solidity': [solidity(crop.mask) for _, crop in cells],
            'circularity': np.where(perimeters > 0, roundness, np.nan),
            'equivalent_diameter_um': properties['equivalent_diameter_area'] * um,
            'feret_max': properties['feret_diameter_max'],
            **{name: properties.get(name, np.nan) for name in _INTENSITY},
            'border': [int(_touches_border(crop, image.size)) for _, crop in cells],
            'holes': [_count_holes(crop) for _, crop in cells],
            'pieces': [_count_pieces(crop) for _, crop in cells],
            'neighbours': count_neighbours(labels)[numbers - 1],
        }
    )
    return table[list(COLUMNS)]


def count_neighbours(labels: NDArray[np.int32], gap: int = NEIGHBOUR_GAP) -> NDArray[np.int64]:
    """Number of other cells that lie at most ``gap`` pixels from each cell of a label image.

    Args:
        labels: ``(height, width)``, 0 is background.
        gap: Distance along rows, columns and diagonals.

    Returns:
        int64 ``(highest label,)``: of the label 1 first.
    """
    count = int(labels.max(initial=0))
    height, width = labels.shape
    # A pair as one number. Every shift finds it from one side or from the other.
    pairs = [np.zeros(0, dtype=np.int64)]
    shifts = [(dy, dx) for dy in range(gap + 1) for dx in range(-gap, gap + 1) if dy > 0 or dx > 0]
    for dy, dx in shifts:
        here = labels[: max(height - dy, 0), max(-dx, 0) : width - max(dx, 0)]
        there = labels[dy:, max(dx, 0) : max(width + min(dx, 0), 0)]
        differ = (here != there) & (here > 0) & (there > 0)
        first, second = here[differ].astype(np.int64), there[differ].astype(np.int64)
        pairs.append(np.unique(np.minimum(first, second) * (count + 1) + np.maximum(first, second)))
    unique = np.unique(np.concatenate(pairs))
    return np.bincount(np.concatenate(np.divmod(unique, count + 1)), minlength=count + 1)[1:]


def _touches_border(crop: MaskCrop, size: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = crop.window
    return x1 == 0 or y1 == 0 or x2 == size[1] or y2 == size[0]


def _count_pieces(crop: MaskCrop) -> int:
    # Components are counted with the background.
    return cv2.connectedComponents(crop.mask.view(np.uint8), connectivity=8)[0] - 1


def _count_holes(crop: MaskCrop) -> int:
    # One component is the cell, one the background around it.
    background = np.pad(~crop.mask, 1, constant_values=True)
    return cv2.connectedComponents(background.view(np.uint8), connectivity=4)[0] - 2
