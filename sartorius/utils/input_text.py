"""Text, JSON, YAML and CSV from outside, opened as :mod:`sartorius.utils.input_files` says, and bounded.

Text of a few bytes may stand for much: lists within lists, numbers of thousands of digits, aliases of aliases. What it
becomes is held against the limit of memory before it is parsed, and nesting, whole numbers and aliases are bounded.
"""

import codecs
import csv
import io
import json
import math
import os
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sartorius.utils.errors import InputError, shown
from sartorius.utils.input_files import DamagedFileError, check_memory, open_input, read_bytes
from sartorius.utils.paths import display_path

MAX_DEPTH = 100
"""Levels of lists and objects within each other in JSON and YAML."""

MAX_FIELD = 1 << 27
"""Characters of a CSV field: the code of one cell may be longer than the csv module's default limit of 131,072."""

MAX_YAML_BYTES = 1 << 17
"""Of a settings file; PyYAML reads this much in about a second."""

MAX_YAML_VALUES = 50_000
"""Values of a YAML file when every alias is written out."""

# Bytes of memory that a character stands for, at most, when Python has parsed the text.
_JSON_COSTS = {'[': 104, '{': 240, ',': 32}
_CSV_COSTS = {'\n': 300, ',': 60}
# Text below this size cannot reach a limit of 1 GiB, or is not worth a look.
_SMALL = 1 << 22
_BLOCK = 1 << 17
_YAML_INTEGER = 'tag:yaml.org,2002:int'
# In binary, with a sign.
_LONGEST_INTEGER = 67
_NOT_MARKS = bytes(set(range(256)) - set(b'[]{}":'))
# Brackets as steps up and down, quotes as none, and colons; -1 is 255 in a byte.
_COLON = 2
_STEPS = bytes.maketrans(b'[{]}":', b'\1\1\xff\xff\0\2')
_BEFORE_NUMBERS = np.frombuffer(b'[,- \n\r\t', np.uint8)


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, without the byte order mark that spreadsheets put in front.

    Raises:
        InputError: It is no text, or as :func:`read_bytes`.
        OSError: It cannot be read.
    """
    return _decode(read_bytes(path), path)


def read_json(
    path: str | Path, fix: str = 'make or export the file again', finite: bool = False, arrays: str | None = None
) -> Any:
    """Content of a JSON file.

    Args:
        path: The file: UTF-8, with or without a byte order mark.
        fix: What messages end with.
        finite: Whether NaN and infinite numbers are refused.
        arrays: A key whose lists of numbers, and lists of such lists, become arrays while the file is being read: they
            take a quarter of the memory.

    Raises:
        DamagedFileError: No JSON, a whole number beyond 64 bits, a key that stands twice in an object, or more than
            :data:`MAX_DEPTH` levels.
        InputError: It is no regular file, or would take too much memory.
        OSError: It cannot be read.
    """
    data = read_bytes(path)
    _check_text(path, data, {**_JSON_COSTS, ',': 8} if arrays else _JSON_COSTS)
    try:
        return parse_json(data, finite, arrays)
    except InputError as error:
        raise DamagedFileError(f'{display_path(path)}: not JSON ({error}); {fix}') from None


def parse_json(data: bytes, finite: bool = False, arrays: str | None = None) -> Any:
    """Content of JSON, bounded as that of :func:`read_json` but for its size.

    Raises:
        InputError: As there; the message has no file.
    """
    # Of a key that stands twice, an object holds one.
    held = 0

    def take(entry: dict[str, Any]) -> dict[str, Any]:
        nonlocal held
        held += len(entry)
        if arrays in entry and type(entry[arrays]) is list:
            entry[arrays] = _to_arrays(entry[arrays])
        return entry

    try:
        depth, keys = _extent(data)
        if depth > MAX_DEPTH:
            raise InputError(f'more than {MAX_DEPTH} levels of lists and objects within each other')
        text = data.decode('utf-8-sig')
        # Only where there is a number to check, since a call for each number takes time.
        whole = _whole_number if _has_long_digits(data) else None
        number = _finite_number if finite else None
        content = json.loads(text, object_hook=take, parse_int=whole, parse_float=number, parse_constant=number)
        if held != keys:
            json.loads(text, object_pairs_hook=_without_doubles)
        return content
    except RecursionError:
        raise InputError(f'more than {MAX_DEPTH} levels of lists and objects within each other') from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None


def read_yaml(path: str | Path) -> Any:
    """Content of a YAML file of settings: plain values only.

    Raises:
        DamagedFileError: No YAML, a whole number beyond 64 bits, a key that stands twice in a mapping, aliases that
            make much of little, or more than :data:`MAX_DEPTH` levels.
        InputError: It is no regular file, or larger than settings are.
        OSError: It cannot be read.
    """
    import yaml

    text = _decode(read_bytes(path, MAX_YAML_BYTES), path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _check_extent(node, {})
        return None if node is None else _checked_numbers(loader.construct_document(node))
    except InputError as error:
        raise DamagedFileError(f'{display_path(path)}: not valid YAML: {error}') from None
    except RecursionError:
        raise DamagedFileError(f'{display_path(path)}: not valid YAML: more than {MAX_DEPTH} levels') from None
    # PyYAML's constructors of plain values raise nearly anything on tags that do not fit.
    except Exception as error:
        raise DamagedFileError(f'{display_path(path)}: not valid YAML: {" ".join(str(error).split())}') from None


@contextmanager
def open_csv(path: str | Path, strict: bool = True) -> Iterator[Any]:
    """A ``csv.reader`` of a UTF-8 file, with or without a byte order mark; its ``line_num`` is the line in the file.

    Args:
        path: The file.
        strict: Whether text behind a closing quote is refused.

    Raises:
        DamagedFileError: No text, or no CSV; also while rows are read. The message names the line.
        InputError: It is no regular file, or would take too much memory.
        OSError: It cannot be opened.
    """
    with open_input(path) as binary:
        _check_csv_size(path, binary)
        reader = csv_reader(io.TextIOWrapper(binary, encoding='utf-8-sig', newline=''), strict)
        with csv_errors(path, reader):
            yield reader


def read_csv_table(path: str | Path, columns: Collection[str], fix: str) -> list[dict[str, str]]:
    """The rows of a small CSV file by the names of its columns.

    Args:
        path: The file.
        columns: Names that the header must have.
        fix: What the message ends with if one of them is missing.

    Raises:
        InputError: A column is missing, a row has another number of fields than the header, or as :func:`open_csv`.
        OSError: It cannot be opened.
    """
    with open_csv(path) as reader:
        header = next(reader, [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise InputError(f'{display_path(path)}: column {missing[0]} is missing; {fix}')
        rows = []
        for row in filter(None, reader):
            if len(row) != len(header):
                raise InputError(
                    f'{display_path(path)}: line {reader.line_num} has {len(row)} fields, the header {len(header)}; '
                    'save the table again'
                )
            rows.append(dict(zip(header, row, strict=True)))
    return rows


def read_csv_text(path: str | Path) -> tuple[str, str]:
    """The byte order mark of a CSV file, or empty text, and all text behind it, with its line ends as they are.

    Raises:
        InputError: It is no text, or as :func:`open_csv`.
        OSError: It cannot be opened.
    """
    with open_input(path) as binary:
        _check_csv_size(path, binary)
        data = binary.read()
    return ('\ufeff' if data.startswith(codecs.BOM_UTF8) else ''), _decode(data, path)


def csv_reader(lines: Iterable[str], strict: bool = True) -> Any:
    """A ``csv.reader`` of lines that allows fields as long as :data:`MAX_FIELD`."""
    csv.field_size_limit(MAX_FIELD)
    return csv.reader(lines, strict=strict)


@contextmanager
def csv_errors(path: str | Path, reader: Any) -> Iterator[None]:
    """Turns errors of a ``csv.reader`` of a file into one sentence that names the line.

    Raises:
        DamagedFileError: There was one.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise DamagedFileError(
            f'{display_path(path)}: not a text file in UTF-8 (near line {reader.line_num + 1}); expected a CSV'
        ) from None
    except csv.Error as error:
        raise DamagedFileError(f'{display_path(path)}: line {reader.line_num} is no CSV row ({error})') from None


def _decode(data: bytes, path: str | Path) -> str:
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f'{display_path(path)}: not a text file in UTF-8 (byte {error.start:,} of {len(data):,}); save it as UTF-8'
        ) from None


def _check_text(path: str | Path, data: bytes, costs: Mapping[str, int]) -> None:
    """Holds the objects that a text becomes against the limit."""
    if len(data) >= _SMALL:
        text = len(data) * (1 if data.isascii() else 4)
        check_memory(path, text + _cost(data, costs))


def _check_csv_size(path: str | Path, file: BinaryIO) -> None:
    if (size := os.fstat(file.fileno()).st_size) >= _SMALL:
        check_memory(path, size)
        needed = size
        while block := file.read(1 << 22):
            needed += _cost(block, _CSV_COSTS)
        check_memory(path, needed)
        file.seek(0)


def _cost(data: bytes, costs: Mapping[str, int]) -> int:
    values = np.frombuffer(data, np.uint8)
    blocks = [values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK)]
    return sum(
        cost * sum(int(np.count_nonzero(block == ord(mark))) for block in blocks) for mark, cost in costs.items()
    )


def _extent(data: bytes) -> tuple[int, int]:
    """Levels of lists and objects in JSON, and keys of all objects, by brackets and colons that are not in texts."""
    if _has_escaped_quotes(data):
        data = data.replace(b'\\\\', b'').replace(b'\\"', b'')
    marks = np.frombuffer(data.translate(_STEPS, _NOT_MARKS), np.int8)
    depth = level = quotes = keys = 0
    # In blocks that fit in the processor's cache, as below; sums of 32 bits are the fastest.
    for start in range(0, len(marks), _BLOCK):
        part = marks[start : start + _BLOCK]
        opened = np.cumsum(part == 0, dtype=np.int32)
        outside = (opened & 1) == (quotes & 1)
        colons = outside & (part == _COLON)
        levels = np.cumsum(part * (outside ^ colons), dtype=np.int32)
        depth = max(depth, level + int(levels.max()))
        level, quotes, keys = level + int(levels[-1]), quotes + int(opened[-1]), keys + int(np.count_nonzero(colons))
    return depth, keys


def _has_escaped_quotes(data: bytes) -> bool:
    values = np.frombuffer(data, np.uint8)
    # In blocks that fit in the processor's cache, as below.
    for block in range(0, len(values), _BLOCK):
        part = values[block : block + _BLOCK + 1]
        for before in np.flatnonzero((part[1:] == ord('"')) & (part[:-1] == ord('\\'))).tolist():
            end = start = block + before
            while start and data[start - 1] == ord('\\'):
                start -= 1
            if (end - start) % 2 == 0:
                return True
    return False


def _has_long_digits(data: bytes) -> bool:
    """Whether a number in JSON begins with 19 digits or more: a whole number of fewer is within 64 bits.

    In a text they look like one only behind what may stand before a number, which those of compressed masks hardly do.
    """
    values = np.frombuffer(data, np.uint8)
    for start in range(0, len(values), _BLOCK):
        run = values[start : start + _BLOCK + 18] - np.uint8(ord('0')) < 10
        for step in (1, 2, 4, 8, 3):
            run = run[:-step] & run[step:]
        at = np.flatnonzero(run) + start
        if len(at):
            before, earlier = values[np.maximum(at - 1, 0)], values[np.maximum(at - 2, 0)]
            if ((at == 0) | np.isin(before, _BEFORE_NUMBERS) | ((before == ord(':')) & (earlier == ord('"')))).any():
                return True
    return False


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        which = f' (the one with the id {shown(entry["id"])})' if 'id' in entry else ''
        raise InputError(f'the key {shown(twice)} stands twice in an object{which}')
    return entry


def _to_arrays(values: list[Any]) -> Any:
    """Numbers, or lists of numbers, as arrays of float64; what is neither stays as it is."""
    try:
        return [array('d', one) for one in values] if isinstance(values[0], list) else array('d', values)
    # Whoever reads the values can say more of where they stand.
    except (IndexError, TypeError, OverflowError):
        return values


def _whole_number(text: str) -> int:
    if len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 63:
        raise InputError(f'a whole number of {len(text.lstrip("-"))} digits, {text[:20]}...; at most 64 bits are read')
    return int(text)


def _finite_number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise InputError(f'the number {text[:20]}, which is not finite')
    return value


@dataclass(frozen=True)
class _Extent:
    """Of a YAML value whose aliases are written out: how many values it has in it, and in how many levels."""

    count: int = 1
    levels: int = 0


def _check_extent(node: Any, known: dict[int, _Extent | None]) -> _Extent:
    """Refuses a YAML value of too many parts or levels or without end, and keys that stand twice.

    Args:
        node: As PyYAML composes it; aliases are the same objects.
        known: Extents by the ``id`` of nodes; None for those that are being looked at.
    """
    if node is None or isinstance(node.value, str):
        if node is not None and node.tag == _YAML_INTEGER and len(node.value) > _LONGEST_INTEGER:
            raise InputError(f'a whole number of {len(node.value):,} digits; at most 64 bits are read')
        return _Extent()
    if id(node) in known:
        if (extent := known[id(node)]) is None:
            raise InputError('an alias stands for a value that it is part of')
        return extent
    known[id(node)] = None
    parts = node.value
    if isinstance(node.value, list) and node.value and isinstance(node.value[0], tuple):
        keys = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key.value, str))
        twice = next((value for (_, value), count in keys.items() if count > 1), None)
        if twice is not None:
            raise InputError(f'the key {twice!r} stands twice in a mapping')
        parts = [part for pair in node.value for part in pair]
    inner = [_check_extent(part, known) for part in parts]
    extent = _Extent(1 + sum(one.count for one in inner), 1 + max((one.levels for one in inner), default=0))
    if extent.count > MAX_YAML_VALUES:
        raise InputError(f'it becomes more than {MAX_YAML_VALUES:,} values when its aliases are written out')
    if extent.levels > MAX_DEPTH:
        raise InputError(f'more than {MAX_DEPTH} levels of lists and mappings within each other')
    known[id(node)] = extent
    return extent


def _checked_numbers(value: Any) -> Any:
    """The value itself, if all whole numbers in it are within 64 bits."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise InputError(f'a whole number beyond 64 bits (about 2 to the power of {value.bit_length():,})')
    parts = [*value, *value.values()] if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list | tuple | set) else ():
        _checked_numbers(part)
    return value
