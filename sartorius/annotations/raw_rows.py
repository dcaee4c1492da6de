"""Rows of a CSV with their exact text, so that unchanged ones can be written back byte for byte."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sartorius.utils.errors import InputError
from sartorius.utils.input_text import csv_errors, csv_reader, read_csv_text


@dataclass(frozen=True)
class RawRow:
    """One row.

    Attributes:
        text: Its characters, from the end of the row before it: blank lines ahead of it and its line end included.
        fields: Its values.
    """

    text: str
    fields: tuple[str, ...]


def read_raw_rows(path: Path) -> tuple[RawRow, tuple[RawRow, ...], str]:
    """Header, rows and trailing blank lines of any CSV.

    Raises:
        InputError: The file is missing, empty or no CSV text, or a row has another number of fields than the header.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    # With the line ends and the mark of the file: every byte is written back.
    mark, text = read_csv_text(path)
    rows = list(_split(path, text))
    if not rows or not rows[0].fields:
        raise InputError(f'{path}: is empty; expected a header and one row per cell')
    header = RawRow(mark + rows[0].text, rows[0].fields)
    del rows[0]
    tail = ''
    if rows and not rows[-1].fields:
        tail = rows.pop().text
    for number, row in enumerate(rows):
        if len(row.fields) != len(header.fields):
            raise InputError(
                f'{path}: row {number} below the header has {len(row.fields)} fields, the header {len(header.fields)}'
            )
    return header, tuple(rows), tail


def parse_row(text: str) -> RawRow:
    """A row from its text."""
    fields = next((row for row in csv_reader(io.StringIO(text, newline='')) if row), [])
    return RawRow(text, tuple(fields))


def _split(path: Path, text: str) -> Iterator[RawRow]:
    """Rows with their texts; blank lines at the end come last, as a row without fields."""
    lines: list[str] = []

    def kept() -> Iterator[str]:
        for line in io.StringIO(text, newline=''):
            lines.append(line)
            yield line

    reader = csv_reader(kept())
    with csv_errors(path, reader):
        for fields in reader:
            if fields:
                yield RawRow(''.join(lines), tuple(fields))
                lines.clear()
    if lines:
        yield RawRow(''.join(lines), ())
