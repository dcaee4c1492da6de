"""Pseudo-labelled rows of a training CSV: those of earlier rounds are replaced, all other rows are untouched."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sartorius.annotations.raw_rows import read_raw_rows
from sartorius.annotations.train_csv import (
    ALL_DATA,
    PSEUDO_COLUMNS,
    TrainCSV,
    TrainImage,
    codes_of,
    held_out_text,
)
from sartorius.utils.files import atomic_path

ROUND_MARK = re.compile(r'pseudo round (\d+)')


def pseudo_details(round_number: int, fold: int | None, held_out: tuple[int, int] | None = None) -> dict[str, str]:
    """Values of the :data:`PSEUDO_COLUMNS` of one image.

    Args:
        round_number: Round of pseudo-labelling, 1 or more.
        fold: The one fold that the image trains; None for a model of all data.
        held_out: Images and cells that the labelling models were held out from; None if unknown.
    """
    return {
        'source': f'pseudo round {round_number}',
        'fold': ALL_DATA if fold is None else str(fold),
        'held_out': '' if held_out is None else held_out_text(*held_out),
    }


def is_of_round(image: TrainImage) -> bool:
    """Whether a round of pseudo-labelling made the image's rows, and the next one replaces them."""
    return bool(ROUND_MARK.fullmatch(image.details.get('source', '')))


def next_round(table: TrainCSV) -> int:
    """The round that follows the latest one of the CSV: 1 where it holds no rows of any."""
    images = [*table.images.values(), *table.fold_images]
    marks = (ROUND_MARK.fullmatch(image.details.get('source', '')) for image in images)
    return 1 + max((int(mark[1]) for mark in marks if mark), default=0)


def replace_pseudo_rows(train_csv: str | Path, out: str | Path, images: Sequence[TrainImage]) -> None:
    """Writes a training CSV with new pseudo-labels in the place of those of earlier rounds, atomically.

    All other rows, in their order, are copied to the byte; where the CSV lacks a column of pseudo-labels, an empty
    field is added to each.

    Args:
        train_csv: CSV of the rows to keep, which :func:`read_train_csv` has found sound; it may be ``out`` itself.
        out: CSV to write.
        images: Pseudo-labelled images with :func:`pseudo_details`.
    """
    header, rows, _ = read_raw_rows(Path(train_csv))
    first_line = header.text.removeprefix('\ufeff').strip('\r\n')
    line_end = header.text[len(header.text.rstrip('\r\n')) :] or '\n'
    columns = header.fields
    missing = [name for name in PSEUDO_COLUMNS if name not in columns]
    mark = columns.index('source') if 'source' in columns else None
    with atomic_path(out) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as target:
        target.write(first_line + ''.join(f',{name}' for name in missing) + line_end)
        for row in rows:
            if mark is None or not ROUND_MARK.fullmatch(row.fields[mark]):
                target.write(row.text.strip('\r\n') + ',' * len(missing) + line_end)
        writer = csv.writer(target, lineterminator=line_end)
        for image in images:
            writer.writerows(_rows(image, [*columns, *missing]))


def _rows(image: TrainImage, header: Sequence[str]) -> Iterator[list[str]]:
    height, width = image.cells.size
    common = {
        'id': image.cells.image_id,
        'width': str(width),
        'height': str(height),
        'cell_type': image.cell_type,
        **image.details,
    }
    for code in codes_of(image):
        values = {**common, 'annotation': code}
        yield [values.get(name, '') for name in header]
