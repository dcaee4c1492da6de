"""The competition's training CSV: one row per cell, with five or nine columns, and three more for pseudo-labels."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sartorius.annotations.coco_index import naming
from sartorius.annotations.csv_checks import (
    REQUIRED_COLUMNS,
    check_cell_types,
    check_columns,
    decode_codes,
    size_of_fields,
)
from sartorius.annotations.structures import ImageAnnotations
from sartorius.images.image_ids import check_image_id
from sartorius.masks.crop import Size
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_kaggle
from sartorius.utils.classes import classes_of_file
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.input_text import open_csv

PSEUDO_COLUMNS = ('source', 'fold', 'held_out')
"""Columns of pseudo-labelled rows: what labelled them (empty in rows of people), the one fold that they train (a
number; ``all`` for models that are trained on all data and validated on none; empty for every one), and the images and
cells that the labelling models were held out from (may be empty)."""

ALL_DATA = 'all'
"""Fold of pseudo-labels that train no fold, but a model of all data."""

DETAIL_COLUMNS = ('plate_time', 'sample_date', 'sample_id', 'elapsed_timedelta', *PSEUDO_COLUMNS)
"""Columns that a CSV may have: the competition's other four, and those of pseudo-labels."""


@dataclass(frozen=True, eq=False)
class TrainImage:
    """One image of the CSV.

    Attributes:
        cells: Its cells in file order; rows with an empty ``annotation`` are not cells.
        cell_type: The one class of its rows.
        details: Values of the :data:`DETAIL_COLUMNS` that the CSV has, as written there.
        lines: Line of each cell in the file, the header being line 1; empty for images that were made in memory.
        empty_lines: Lines of the rows with an empty ``annotation``.
    """

    cells: ImageAnnotations
    cell_type: str
    details: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[int, ...] = ()
    empty_lines: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.cells.labels.tolist())) > 1:
            raise InputError(f'image {self.cells.image_id}: its cells are not all of the class {self.cell_type!r}')

    @property
    def is_pseudo(self) -> bool:
        """Whether a model annotated it rather than a person."""
        return bool(self.details.get('source'))

    @property
    def fold(self) -> str:
        """The one fold that a pseudo-labelled image trains, or :data:`ALL_DATA`; empty: every one."""
        return self.details.get('fold', '') if self.is_pseudo else ''


@dataclass(frozen=True, eq=False)
class TrainCSV:
    """A whole CSV.

    Attributes:
        path: Where it was read from.
        columns: The columns read, in file order.
        ignored_columns: Other columns, which were not read.
        classes: Class names that the labels of its cells index into.
        images: Its images by id, in the order in which they first occur, but for ``fold_images``.
        fold_images: Pseudo-labelled images with a ``fold``; an image may occur once per fold.
    """

    path: Path
    columns: tuple[str, ...]
    ignored_columns: tuple[str, ...]
    classes: tuple[str, ...]
    images: Mapping[str, TrainImage]
    fold_images: tuple[TrainImage, ...] = ()


@dataclass
class _ImageRows:
    """Rows of one image while the file is being read: ``constants`` are the values that all of them share."""

    line: int
    constants: dict[str, str]
    size: Size
    codes: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_train_csv(path: str | Path) -> TrainCSV:
    """Reads and checks a training CSV.

    Everything but ``annotation`` must be the same in all rows of an image: real images hold one cell type, and folds
    are made by image. Pseudo-labels of one image for several folds come from several models and may differ.

    Raises:
        InputError: The file is missing, empty or no CSV text; a column is missing or occurs twice; a row is too
            short or long; an id is empty; a size is not a whole number above 0; a class is empty or nearly one of
            the competition's; a pseudo-labelled row's fold is unknown; rows of one image disagree; a code breaks a rule
            of :func:`sartorius.masks.kaggle_rle.parse_runs`.
    """
    path = Path(path)
    rows = _read_rows(path)
    _, header = next(rows, (1, []))
    check_columns(path, header)
    columns = {name: header.index(name) for name in header if name in REQUIRED_COLUMNS + DETAIL_COLUMNS}
    images: dict[tuple[str, str], _ImageRows] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f'{path}: line {line} has {len(row)} fields, the header has {len(header)}')
        _add_row(path, line, {name: row[index] for name, index in columns.items()}, images)
    if not images:
        raise InputError(f'{path}: holds no rows below its header; expected one row per cell')
    cell_types: dict[str, str] = {}
    for (image_id, _), own in images.items():
        cell_types.setdefault(own.constants['cell_type'], f'{path}: line {own.line}, image {image_id}')
    check_cell_types(cell_types)
    classes = classes_of_file(cell_types)
    finished = [_finish_image(path, image_id, own, classes) for (image_id, _), own in images.items()]
    return TrainCSV(
        path=path,
        columns=tuple(columns),
        ignored_columns=tuple(name for name in header if name not in columns),
        classes=classes,
        images={image.cells.image_id: image for image in finished if not image.fold},
        fold_images=tuple(image for image in finished if image.fold),
    )


def write_train_csv(path: str | Path, images: Iterable[TrainImage]) -> None:
    """Writes images in the competition's form, atomically; the exact inverse of :func:`read_train_csv`.

    An image without cells becomes one row with an empty ``annotation``. A detail column is written when at least one
    image has it.

    Raises:
        InputError: Two images have the same id, and are not pseudo-labelled for different folds.
    """
    images = tuple(images)
    details = [name for name in DETAIL_COLUMNS if any(name in image.details for image in images)]
    seen: set[tuple[str, str]] = set()
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow([*REQUIRED_COLUMNS, *details])
        for image in images:
            image_id, (height, width) = image.cells.image_id, image.cells.size
            if (image_id, image.fold) in seen:
                raise InputError(f'{path}: image {image_id} would be written twice')
            seen.add((image_id, image.fold))
            tail = [width, height, image.cell_type, *(image.details.get(name, '') for name in details)]
            writer.writerows([image_id, code, *tail] for code in codes_of(image))


def codes_of(image: TrainImage) -> list[str]:
    """The field ``annotation`` of each row of an image: one per cell, or an empty one for an image without cells."""
    return encode_kaggle(PackedMasks.from_crops(image.cells.crops), image.cells.size) or ['']


def held_out_text(images: int, cells: int) -> str:
    """The field ``held_out``: how much a model did not see that was held out from a fold; tells splits apart."""
    return f'{images} images with {cells} cells'


def _read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row that is not blank."""
    if not path.is_file():
        raise InputError(f'{path}: no such file; the competition calls it train.csv (see docs/data.md)')
    with open_csv(path) as reader:
        for row in reader:
            if row:
                yield reader.line_num, row


def _add_row(path: Path, line: int, row: dict[str, str], images: dict[tuple[str, str], _ImageRows]) -> None:
    image_id, code = row.pop('id'), row.pop('annotation')
    key = image_id, row.get('fold', '') if row.get('source') else ''
    image = images.get(key)
    if image is None:
        image = images[key] = _ImageRows(line, row, _check_first_row(path, line, image_id, row))
    elif row != image.constants:
        name = next(name for name in row if row[name] != image.constants[name])
        raise InputError(
            f'{path}: image {image_id} has {name} {image.constants[name]!r} in line {image.line} and {row[name]!r} '
            f'in line {line}; all rows of an image must agree'
        )
    image.codes.append(code)
    image.lines.append(line)


def _check_first_row(path: Path, line: int, image_id: str, row: Mapping[str, str]) -> Size:
    """Checks what all rows of an image share; the image's size."""
    if not image_id:
        raise InputError(f'{path}: line {line} has an empty id')
    place = f'{path}: line {line}, image {image_id}'
    with naming(f'{path}: line {line}'):
        check_image_id(image_id)
    size = size_of_fields(row['height'], row['width'], place)
    fold = row.get('fold') if row.get('source') else ''
    if fold and fold != ALL_DATA and not re.fullmatch('0|[1-9][0-9]*', fold):
        raise InputError(
            f'{place}: fold is {fold!r}; give the number of the one fold that this '
            f'pseudo-labelled image trains, {ALL_DATA!r} for a model of all data, or nothing for every one'
        )
    return size


def _finish_image(path: Path, image_id: str, rows: _ImageRows, classes: Sequence[str]) -> TrainImage:
    cell_type = rows.constants['cell_type']
    crops = decode_codes(rows.codes, rows.size, lambda row: f'{path}: line {rows.lines[row]}, image {image_id}')
    # An image without cells is one row without a code.
    cells = [(crop, line) for crop, line in zip(crops, rows.lines, strict=True) if crop.mask.size]
    labels = np.full(len(cells), classes.index(cell_type), dtype=np.int64)
    return TrainImage(
        cells=ImageAnnotations(image_id, rows.size, tuple(crop for crop, _ in cells), labels),
        cell_type=cell_type,
        details={name: value for name, value in rows.constants.items() if name in DETAIL_COLUMNS},
        lines=tuple(line for _, line in cells),
        empty_lines=tuple(line for crop, line in zip(crops, rows.lines, strict=True) if not crop.mask.size),
    )
