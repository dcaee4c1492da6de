"""Checks that every reader of a training CSV makes of a row: columns, image size, class and code."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sartorius.images.size_limit import check_size
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed_rle import CodeError, decode_kaggle
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, closest, shown

_MAX_DIGITS = 18

REQUIRED_COLUMNS = ('id', 'annotation', 'width', 'height', 'cell_type')


def check_columns(path: Path, header: Sequence[str]) -> None:
    """Checks a header.

    Raises:
        InputError: It is empty, lacks a column, or has one twice.
    """
    if not header:
        raise InputError(f'{path}: is empty; expected the columns {", ".join(REQUIRED_COLUMNS)}')
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        raise InputError(
            f'{path}: column{"s" * (len(missing) > 1)} {", ".join(missing)} {"are" if len(missing) > 1 else "is"} '
            f'missing; found {" ".join(", ".join(header).split())}{separator_hint(header)}'
        )
    double = [name for name in header if header.count(name) > 1]
    if double:
        raise InputError(f'{path}: the header has the column {double[0]} twice')


def separator_hint(header: Sequence[str]) -> str:
    """The end of a message about a header whose fields are separated by something else than commas; else empty."""
    for mark, name in ((';', 'semicolons'), ('\t', 'tabs')):
        if len(header) == 1 and mark in header[0]:
            return f' (separated by {name}: save it with commas)'
    return ''


def size_of_fields(height: str, width: str, place: str) -> Size:
    """Image ``(height, width)`` from the fields of a row; ``place`` names the row in messages.

    Raises:
        InputError: One of them is not a whole number above 0, or an image cannot be so large.
    """
    for name, value in (('height', height), ('width', width)):
        if not (value.isdecimal() and value.isascii() and len(value) <= _MAX_DIGITS and int(value) > 0):
            raise InputError(f'{place}: {name} is {shown(value)}, not a whole number above 0')
    try:
        return check_size(int(height), int(width))
    except InputError as error:
        raise InputError(f'{place}: {error}') from None


def check_cell_types(places: Mapping[str, str]) -> None:
    """Checks the class names of a CSV; any will do that are no slips of the pen.

    Args:
        places: A row for messages by each name that the CSV has.

    Raises:
        InputError: An empty name, or in a CSV with some of the competition's classes a name that is nearly one of them.
    """
    for name, place in places.items():
        if not name:
            raise InputError(f'{place}: cell_type is empty; give the class of the cell')
        if not name.isprintable():
            raise InputError(f'{place}: cell_type is {name!r}, which has characters that no name has')
        nearest = closest(name, CELL_TYPES)
        if name not in CELL_TYPES and nearest and not places.keys().isdisjoint(CELL_TYPES):
            raise InputError(f'{place}: unknown cell_type {name!r}; did you mean {nearest!r}?')


def decode_codes(codes: Sequence[str], size: Size, place: Callable[[int], str]) -> list[MaskCrop]:
    """Masks of all rows of an image; an empty field gives a mask without pixels.

    Args:
        codes: The field ``annotation`` of each row.
        size: Image ``(height, width)``.
        place: Names a row in messages, by its index in ``codes``.

    Raises:
        InputError: A code breaks a rule of :func:`sartorius.masks.kaggle_rle.parse_runs`.
    """
    try:
        return decode_kaggle(codes, size).crops
    except CodeError as error:
        raise InputError(f'{place(error.number)}: {error.reason}') from None
