"""The competition's submission file: written, read and checked.

Form: a header ``id,predicted``; one row per cell, with its competition RLE; one row with an empty field for an image
without cells. Rules: pairs sorted and positive, no pixel twice in a row, no two cells of an image on one pixel.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.csv_checks import separator_hint
from sartorius.images.files import SUFFIXES
from sartorius.images.image_ids import check_image_id
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.kaggle_rle import decode
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_kaggle
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.input_text import open_csv

HEADER = ['id', 'predicted']
COMPETITION_SIZE: Size = (520, 704)
"""``(height, width)`` of every image of the competition."""


@dataclass(frozen=True)
class SubmissionRow:
    """One row of the file.

    Attributes:
        number: As a spreadsheet counts: the header is row 1.
        image_id: File name of the image without its suffix.
        code: Competition RLE; empty for an image without cells.
    """

    number: int
    image_id: str
    code: str


@dataclass(frozen=True)
class Problem:
    """A rule that is broken.

    Attributes:
        message: What is wrong.
        row: Where, as :attr:`SubmissionRow.number`; None where it is about rows that are not there.
        image_id: In which image, where it is about one.
        pixel: ``x, y`` of the pixel, 0-based, where it is about one.
    """

    message: str
    row: int | None = None
    image_id: str | None = None
    pixel: tuple[int, int] | None = None

    def __str__(self) -> str:
        places = [
            f'row {self.row}' if self.row is not None else '',
            f'image {self.image_id}' if self.image_id is not None else '',
            f'pixel x={self.pixel[0]} y={self.pixel[1]}' if self.pixel is not None else '',
        ]
        return ': '.join(filter(None, [', '.join(filter(None, places)), self.message]))


def write_submission(path: str | Path, cells: Mapping[str, Sequence[MaskCrop]], sizes: Mapping[str, Size]) -> None:
    """Writes a submission, whole or not at all.

    The cells are written as they are: :func:`find_problems` says whether two of them share a pixel.

    Args:
        path: The CSV.
        cells: Cells by image id. Pixels outside the image are dropped, and so are cells without a pixel in it.
        sizes: ``(height, width)`` by image id, of all images of the submission, in the order of the rows. An image that
            ``cells`` does not name has no cells.

    Raises:
        InputError: ``cells`` has an image whose size is not given.
    """
    unknown = [image_id for image_id in cells if image_id not in sizes]
    if unknown:
        raise InputError(f'image {unknown[0]!r} has cells but is not among the images of the submission')
    with atomic_path(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(HEADER)
        for image_id, size in sizes.items():
            codes = encode_kaggle(PackedMasks.from_crops(cells.get(image_id, ())), size)
            writer.writerows([image_id, code] for code in list(filter(None, codes)) or [''])


def read_submission(path: str | Path) -> list[SubmissionRow]:
    """Rows of a submission in order; the codes are not decoded.

    Raises:
        InputError: The file is not a CSV of text, has another header, or a row without exactly two fields.
    """
    rows, problems = _read_rows(path)
    if problems:
        raise InputError(f'{path}: {problems[0]}')
    return rows


def read_cells(path: str | Path, sizes: Mapping[str, Size]) -> dict[str, list[MaskCrop]]:
    """Cells of a submission by image id, in the order of the rows; an image with an empty row has none.

    Args:
        path: The CSV.
        sizes: ``(height, width)`` by image id.

    Raises:
        InputError: As :func:`read_submission`; an image without a size; a malformed code.
    """
    cells: dict[str, list[MaskCrop]] = {}
    for row in read_submission(path):
        if row.image_id not in sizes:
            raise InputError(f'{path}, row {row.number}: unknown image {row.image_id!r}')
        found = cells.setdefault(row.image_id, [])
        if row.code.strip():
            try:
                found.append(decode(row.code, sizes[row.image_id]))
            except InputError as error:
                raise InputError(f'{path}, row {row.number}, image {row.image_id}: {error}') from None
    return cells


def find_problems(
    path: str | Path, sizes: Mapping[str, Size] | Size = COMPETITION_SIZE, required: Collection[str] = ()
) -> list[Problem]:
    """Every broken rule of a submission, in the order of the rows; an empty list means that it is legal.

    Args:
        path: The CSV.
        sizes: ``(height, width)`` by image id, and then other images are a problem; or one size for all images of the
            file.
        required: Image ids that must have a row.

    Raises:
        InputError: The file is not a CSV of text.
    """
    rows, problems = _read_rows(path)
    if not rows and not problems:
        problems.append(Problem('there is no row below the header', row=1))
    by_image: dict[str, list[SubmissionRow]] = defaultdict(list)
    for row in rows:
        by_image[row.image_id].append(row)
    for image_id, own in by_image.items():
        size = sizes.get(image_id) if isinstance(sizes, Mapping) else sizes
        if not image_id:
            problems += [Problem('the image id is missing', row.number) for row in own]
        elif (problem := _bad_id(image_id, sizes)) is not None:
            problems += [Problem(problem, row.number) for row in own]
        elif size is None:
            problems += [Problem('unknown image', row.number, image_id) for row in own]
        else:
            problems += _repeated_rows(own) + _bad_cells(own, size)
    problems.sort(key=lambda problem: problem.row or 0)
    missing = [image_id for image_id in required if image_id not in by_image]
    return problems + [
        Problem('no row; an image without cells needs one with an empty field', image_id=image_id)
        for image_id in missing
    ]


def _read_rows(path: str | Path) -> tuple[list[SubmissionRow], list[Problem]]:
    """Rows with two fields, and the problems of the header and the other rows; blank lines do not count as rows."""
    rows, problems = [], []
    with open_csv(path, strict=False) as reader:
        header = next(reader, [])
        if header != HEADER:
            found = ' '.join(','.join(header).splitlines()) + '"' + separator_hint(header)
            return [], [Problem(f'the header is "{found}, it must be "{",".join(HEADER)}"', row=1)]
        for number, fields in enumerate(reader, start=2):
            if len(fields) == len(HEADER):
                rows.append(SubmissionRow(number, *fields))
            elif fields:
                problems.append(Problem(f'{len(fields)} fields instead of {len(HEADER)}', row=number))
    return rows, problems


def _bad_id(image_id: str, sizes: Mapping[str, Size] | Size) -> str | None:
    """What is wrong with an image id by itself; one with the suffix of an image file may be among known ones."""
    if not isinstance(sizes, Mapping) and image_id.lower().endswith(SUFFIXES):
        return f'{image_id!r} is the name of a file; an id has no suffix'
    try:
        check_image_id(image_id)
    except InputError as error:
        return str(error)
    return None


def _repeated_rows(rows: Sequence[SubmissionRow]) -> list[Problem]:
    """Rows of one image that occur twice, and empty rows beside cells."""
    problems = []
    first: dict[str, int] = {}
    for row in rows:
        code = row.code.strip()
        earlier = first.setdefault(code, row.number)
        if earlier != row.number:
            what = 'the same cell as in' if code else 'a second empty row after'
            problems.append(Problem(f'{what} row {earlier}', row.number, row.image_id))
    if '' in first and len(first) > 1:
        cell = next(number for code, number in first.items() if code)
        message = f'an empty row says that the image has no cells, but row {cell} is a cell'
        problems.append(Problem(message, first[''], rows[0].image_id))
    return problems


def _bad_cells(rows: Sequence[SubmissionRow], size: Size) -> list[Problem]:
    """Malformed codes of one image, and cells on pixels of earlier rows; of rows that occur twice only the first."""
    problems = []
    owner = np.zeros(size, dtype=np.int64)
    seen = {''}
    for row in rows:
        code = row.code.strip()
        if code in seen:
            continue
        seen.add(code)
        try:
            crop = decode(code, size)
        except InputError as error:
            problems.append(Problem(str(error), row.number, row.image_id))
            continue
        problems += _claim_pixels(owner, crop, row)
    return problems


def _claim_pixels(owner: NDArray[np.int64], crop: MaskCrop, row: SubmissionRow) -> list[Problem]:
    """Writes a cell's row number where no other is, and reports the first pixel that it shares with each other row."""
    problems = []
    x1, y1, x2, y2 = crop.window
    window = owner[y1:y2, x1:x2]
    for other in np.unique(window[crop.mask & (window > 0)]).tolist():
        y, x = np.argwhere(crop.mask & (window == other))[0].tolist()
        problems.append(Problem(f'shared with the cell of row {other}', row.number, row.image_id, (x1 + x, y1 + y)))
    window[crop.mask & (window == 0)] = row.number
    return problems
