"""Rows of a CSV with their exact text, so that unchanged ones can be written back byte for byte."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.csv_checks import MAX_FIELD
from sartorius.utils.errors import InputError


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
    try:
        # Not utf-8-sig, and no translation of line ends: every byte is written back.
        text = path.read_bytes().decode('utf-8')
    except UnicodeDecodeError:
        raise InputError(f'{path}: not a text file; expected a CSV') from None
    try:
        mark = '\ufeff' if text.startswith('\ufeff') else ''
        rows = list(_split(text.removeprefix(mark)))
    except csv.Error as error:
        raise InputError(f'{path}: not a CSV ({error})') from None
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
    csv.field_size_limit(MAX_FIELD)
    fields = next((row for row in csv.reader(io.StringIO(text, newline=''), strict=True) if row), [])
    return RawRow(text, tuple(fields))


def _split(text: str) -> Iterator[RawRow]:
    """Rows with their texts; blank lines at the end come last, as a row without fields."""
    lines: list[str] = []

    def kept() -> Iterator[str]:
        for line in io.StringIO(text, newline=''):
            lines.append(line)
            yield line

    csv.field_size_limit(MAX_FIELD)
    for fields in csv.reader(kept(), strict=True):
        if fields:
            yield RawRow(''.join(lines), tuple(fields))
            lines.clear()
    if lines:
        yield RawRow(''.join(lines), ())
