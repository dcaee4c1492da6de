"""Statistics of a training set: its images, annotated cells and issues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.images.files import find_known_images
from sartorius.images.reading import read_grey
from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.structures import AnnotatedImage, Issue
from sartorius.label_quality.table import LabelTable
from sartorius.utils.classes import class_order
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.tables import size_text

MAX_DEVIATION = 3.5
"""Modified z-score above which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

MIN_DIFFERENCE = 0.02
"""Minimum difference of an outlier, as a share of the median: where all others agree, small differences have large
z-scores."""

_MIN_VALUES = 5
"""With fewer images there are no outliers."""


@dataclass(frozen=True, eq=False)
class DataStatistics:
    """Tables of a training set.

    Attributes:
        images: One row per image, as :func:`measure_images`, with ``grey`` and ``grey_std`` of :func:`measure_grey`.
        cells: One row per cell, as :func:`measure_cells`.
        issues: One row per issue, as :func:`issues_table`.
    """

    images: pd.DataFrame
    cells: pd.DataFrame
    issues: pd.DataFrame

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the images and cells."""
        return class_order((*self.images['cell_type'], *self.cells['cell_type']))


def measure(table: LabelTable, cleaning: Cleaning, files: Mapping[str, Path]) -> DataStatistics:
    """Measures the images of a cleaning as they were before any fix.

    Args:
        table: The CSV.
        cleaning: Of the CSV's images.
        files: Image files by image id; some or all may be missing.

    Raises:
        InputError: As :func:`measure_grey`.
    """
    cells = measure_cells(cleaning.before)
    images = measure_images(table, cleaning.before, cells)
    images['grey'], images['grey_std'] = measure_grey(cleaning.before, files)
    return DataStatistics(images, cells, issues_table(cleaning.issues, cells))


def length_over_width(mask: NDArray[np.bool_]) -> float:
    """Ratio of the axes of the ellipse that has a cell's second moments; a pixel counts as a square.

    So a rectangle has exactly the ratio of its sides, and a line one pixel wide its length.

    Args:
        mask: bool ``(h, w)`` with at least one pixel.
    """
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    # A square of side 1 has the second moment 1/12 about its centre.
    xx, yy = (moments[name] / moments['m00'] + 1 / 12 for name in ('mu20', 'mu02'))
    spread = np.hypot(xx - yy, 2 * moments['mu11'] / moments['m00'])
    return float(np.sqrt((xx + yy + spread) / (xx + yy - spread)))


def solidity(mask: NDArray[np.bool_]) -> float:
    """Share, in (0, 1], of its convex hull that a cell fills; the hull is that of the corners of its pixels.

    Args:
        mask: bool ``(h, w)`` with at least one pixel.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    lefts = mask.argmax(axis=1)[rows]
    rights = mask.shape[1] - mask[:, ::-1].argmax(axis=1)[rows]
    ends, edges = np.concatenate([lefts, lefts, rights, rights]), np.concatenate([rows, rows + 1, rows, rows + 1])
    hull = cv2.convexHull(np.stack([ends, edges], axis=1).astype(np.int32))
    return np.count_nonzero(mask) / cv2.contourArea(hull)


def measure_cells(images: Sequence[AnnotatedImage]) -> pd.DataFrame:
    """One row per cell, indexed by its row in the CSV.

    Returns:
        ``image`` (number of the image in ``images``), ``cell_type``, ``area`` (pixels), ``elongation``
        (:func:`length_over_width`), ``solidity``.
    """
    rows = [
        (cell.row, number, cell.cell_type, cell.crop.area, length_over_width(mask), solidity(mask))
        for number, image in enumerate(progress(images, 'measuring'))
        for cell in image.cells
        for mask in (cell.crop.mask,)
    ]
    table = pd.DataFrame(rows, columns=['row', 'image', 'cell_type', 'area', 'elongation', 'solidity'])
    numbers = {'row': 'int64', 'image': 'int64', 'area': 'int64', 'elongation': 'float64', 'solidity': 'float64'}
    return table.astype(numbers).set_index('row')


def measure_images(table: LabelTable, images: Sequence[AnnotatedImage], cells: pd.DataFrame) -> pd.DataFrame:
    """One row per image, in the order of ``images``.

    Args:
        table: The CSV; gives the class of images without cells.
        images: Images of the CSV.
        cells: Of :func:`measure_cells`.

    Returns:
        ``image_id``, ``first_row`` (a row of the image in the CSV), ``cell_type``, ``cells``, ``area`` (median of its
        cells, NaN without), ``covered`` (share of the image that cells cover), ``shared`` (share of the covered pixels
        that more than one cell covers; NaN without cells).
    """
    first_rows: dict[str, int] = {}
    for row in range(len(table.rows)):
        first_rows.setdefault(table.value(row, 'id'), row)
    medians = cells.groupby('image')['area'].median()
    rows = []
    for number, image in enumerate(images):
        first = image.cells[0].row if image.cells else first_rows[image.image_id]
        cell_type = image.cell_type or table.value(first, 'cell_type')
        median = float(medians.get(number, np.nan))
        rows.append((image.image_id, first, cell_type, len(image.cells), median, *_covered(image)))
    columns = ['image_id', 'first_row', 'cell_type', 'cells', 'area', 'covered', 'shared']
    return pd.DataFrame(rows, columns=columns)


def measure_grey(
    images: Sequence[AnnotatedImage], files: Mapping[str, Path]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the grey levels of each image.

    Args:
        images: Images of the CSV.
        files: Image files by image id; some or all may be missing.

    Returns:
        Two float64 ``(N,)`` in grey levels of the file; NaN where there is no file.

    Raises:
        InputError: A file is no readable image, or of another size than its cells are for.
    """
    means, deviations = np.full((2, len(images)), np.nan)
    for number, image in enumerate(progress(images, 'grey levels')):
        if image.image_id in files:
            path = files[image.image_id]
            levels = read_grey(path)
            if levels.shape != image.size:
                raise InputError(
                    f'{path} is {size_text(levels.shape)}, its cells are for {size_text(image.size)}; name the folder '
                    'with the images that were annotated'
                )
            means[number], deviations[number] = levels.mean(), levels.std()
    return means, deviations


def images_beside(train_csv: Path) -> Path | None:
    """Folder ``train`` beside a training CSV, where the competition's images are; None if there is none."""
    folder = train_csv.parent / 'train'
    return folder if folder.is_dir() else None


def image_files(folder: Path | None, images: Sequence[AnnotatedImage]) -> dict[str, Path]:
    """Files of the images that are in a folder, by image id.

    Args:
        folder: Folder with image files named by their ids, or None.
        images: Images of the CSV.

    Raises:
        InputError: There is no such folder.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise InputError(f'{folder} is not a folder; name the one that holds the images')
    return find_known_images(folder, (image.image_id for image in images))


def outliers(images: pd.DataFrame, column: str) -> pd.DataFrame:
    """Images whose value is an outlier of their class.

    An outlier is beyond both :data:`MAX_DEVIATION` and :data:`MIN_DIFFERENCE`. The modified z-score of a value is .6745
    times its distance from the class's median, over the median distance.

    Args:
        images: Of :func:`measure_images`.
        column: The value; images where it is NaN do not count.

    Returns:
        ``image_id``, ``cell_type``, ``value``, ``median`` (of the class) and ``deviation`` (modified z-score), the
        farthest first.
    """
    columns = ['image_id', 'cell_type', 'value', 'median', 'deviation']
    found = []
    for name in class_order(images['cell_type']):
        own = images[images['cell_type'] == name].dropna(subset=[column])
        median = own[column].median()
        distance = (own[column] - median).abs()
        if len(own) >= _MIN_VALUES and distance.median() > 0:
            score = 0.6745 * (own[column] - median) / distance.median()
            far = (score.abs() > MAX_DEVIATION) & (distance >= MIN_DIFFERENCE * abs(median))
            found.append(own.assign(value=own[column], median=median, deviation=score).loc[far, columns])
    table = pd.concat(found) if found else pd.DataFrame(columns=columns)
    return table.sort_values('deviation', key=np.abs, ascending=False, kind='stable')


def issues_table(issues: Sequence[Issue], cells: pd.DataFrame) -> pd.DataFrame:
    """One row per issue, in their order.

    Args:
        issues: Of the cells.
        cells: Of :func:`measure_cells`.

    Returns:
        ``image`` (number of the image), ``id``, ``row``, ``cell_type`` (of the row before any fix),
        ``defect``, ``fixed``, ``area_before``, ``area_after``, ``iou``, ``note``.
    """
    types = {
        'id': 'str', 'row': 'int64', 'defect': 'str', 'fixed': 'bool', 'area_before': 'int64', 'area_after': 'int64',
        'iou': 'float64', 'note': 'str',
    }  # fmt: skip
    rows = [
        (
            issue.image_id,
            issue.row,
            issue.defect,
            issue.fixed,
            issue.area_before,
            issue.area_after,
            issue.iou,
            issue.note,
        )
        for issue in issues
    ]
    # With types, so that a table without rows has them too.
    table = pd.DataFrame(rows, columns=list(types)).astype(types)
    of_cells = cells.loc[table['row'].tolist()]
    table.insert(0, 'image', of_cells['image'].to_numpy())
    table.insert(3, 'cell_type', of_cells['cell_type'].to_numpy())
    return table


def _covered(image: AnnotatedImage) -> tuple[float, float]:
    """Share of the image that cells cover, and the share of that area that more than one cell covers."""
    layers = np.zeros(image.size, dtype=np.uint16)
    for crop in image.crops:
        x1, y1, x2, y2 = crop.window
        layers[y1:y2, x1:x2] += crop.mask
    covered = np.count_nonzero(layers)
    return covered / layers.size, np.count_nonzero(layers > 1) / covered if covered else np.nan
