"""A training CSV as text: any row can be changed, removed or restored, and all others keep their bytes."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.csv_checks import check_cell_types, check_columns, decode_codes, size_of_fields
from sartorius.annotations.raw_rows import RawRow, read_raw_rows
from sartorius.label_quality.structures import AnnotatedCell, AnnotatedImage
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError

KEY_COLUMNS = ('id', 'source', 'fold')
"""Rows that agree on these are of one image. Pseudo-labels of several models for several folds stay apart."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A CSV; ``header.text``, the rows' texts and ``tail`` one after the other are its content.

    Attributes:
        path: The file.
        header: Its first row; a byte order mark belongs to the text.
        rows: All rows below it.
        tail: Blank lines after the last row.
        images: The cells, by image in the order of first occurrence; rows with an empty ``annotation`` are no cells.
    """

    path: Path
    header: RawRow
    rows: tuple[RawRow, ...]
    tail: str
    images: tuple[AnnotatedImage, ...]

    @property
    def columns(self) -> dict[str, int]:
        """Position of each column."""
        return {name: index for index, name in enumerate(self.header.fields)}

    def value(self, row: int, column: str) -> str:
        """A field of a row; empty if the CSV has no such column."""
        index = self.columns.get(column)
        return '' if index is None else self.rows[row].fields[index]


def read_label_table(path: str | Path) -> LabelTable:
    """Reads a training CSV with all its cells.

    Unlike :func:`sartorius.annotations.train_csv.read_train_csv`, it accepts rows of one image whose classes differ.

    Raises:
        InputError: The file is missing or no CSV text; a column is missing; a row is too short or long, its size is no
            whole number above 0 or another than that of its image's first row, its class is empty or nearly one
            of the competition's, its code breaks a rule of :func:`sartorius.masks.kaggle_rle.parse_runs`.
    """
    path = Path(path)
    header, rows, tail = read_raw_rows(path)
    check_columns(path, header.fields)
    if not rows:
        raise InputError(f'{path}: holds no rows below its header; expected one row a cell')
    table = LabelTable(path, header, rows, tail, ())
    return LabelTable(path, header, rows, tail, tuple(_images(table)))


def row_text(row: RawRow, columns: Mapping[str, int], annotation: str, cell_type: str) -> str:
    """Text of a row with another annotation and class, all else unchanged."""
    fields = list(row.fields)
    fields[columns['annotation']], fields[columns['cell_type']] = annotation, cell_type
    written = io.StringIO()
    # Python 3.11 quotes a field that holds a line end only if it is the writer's own.
    csv.writer(written, lineterminator='\r\n').writerow(fields)
    content = row.text.strip('\r\n')
    start = row.text.index(content)
    return row.text[:start] + written.getvalue().removesuffix('\r\n') + row.text[start + len(content) :]


def size_of_row(row: RawRow, columns: Mapping[str, int]) -> Size:
    """Image ``(height, width)`` of a valid row."""
    return int(row.fields[columns['height']]), int(row.fields[columns['width']])


def decode_row(row: RawRow, columns: Mapping[str, int]) -> MaskCrop:
    """The mask of a valid row."""
    return kaggle_rle.decode(row.fields[columns['annotation']], size_of_row(row, columns))


def _images(table: LabelTable) -> Iterator[AnnotatedImage]:
    rows_of: dict[tuple[str, ...], list[int]] = {}
    places: dict[str, str] = {}
    for row in range(len(table.rows)):
        image_id = table.value(row, 'id')
        places.setdefault(table.value(row, 'cell_type'), f'{table.path}: row {row} below the header, image {image_id}')
        source = table.value(row, 'source')
        key = (image_id, source, table.value(row, 'fold') if source else '')
        rows_of.setdefault(key, []).append(row)
    check_cell_types(places)
    for key, rows in rows_of.items():
        yield _image(table, key[0], rows)


def _image(table: LabelTable, image_id: str, rows: Sequence[int]) -> AnnotatedImage:
    places = [f'{table.path}: row {row} below the header, image {image_id}' for row in rows]
    sizes = [
        size_of_fields(table.value(row, 'height'), table.value(row, 'width'), place)
        for row, place in zip(rows, places, strict=True)
    ]
    for place, size in zip(places, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(f'{place}: is of another width or height than row {rows[0]} of the same image')
    crops = decode_codes([table.value(row, 'annotation') for row in rows], sizes[0], places.__getitem__)
    return AnnotatedImage(
        image_id,
        sizes[0],
        tuple(
            AnnotatedCell(row, crop, table.value(row, 'cell_type'))
            for row, crop in zip(rows, crops, strict=True)
            if crop.mask.size
        ),
    )
