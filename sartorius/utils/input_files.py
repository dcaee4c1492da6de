"""The one room in which files from outside are opened: a file is data, and what it says of its size is not believed.

Every reader of the project opens files here and in :mod:`sartorius.utils.input_text`, which reads JSON, YAML and CSV
(``tests/utils/test_input_files.py`` holds it to that), so that the same holds for all of them: only regular files are
opened, since a pipe or a device would be waited for without end; and what a file would take in memory is held against
:func:`memory_limit` before any of it is decoded.

A file that is large itself may take more: the limit is there for small files that unpack to much.
"""

import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path
from sartorius.utils.pending import finish_pending

MAX_FILE_VARIABLE = 'SARTORIUS_MAX_FILE_GIB'
"""Environment variable: how many GiB of memory the reading of one file may take."""

DEFAULT_GIB = 1.0

RATIO = 8
"""How many times its size on the disk a file may always take, whatever the limit: honest text takes about five."""

# What zipfile, zlib and numpy raise on bytes that are not what they claim to be (OSError: a place before the file).
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError)


class DamagedFileError(InputError):
    """A file that is not what it should be: truncated, damaged, or of another format."""


def memory_limit() -> int:
    """Bytes of memory that the reading of one file may take.

    Raises:
        InputError: The environment variable is no number above 0.
    """
    text = os.environ.get(MAX_FILE_VARIABLE) or str(DEFAULT_GIB)
    try:
        gib = float(text)
    except ValueError:
        gib = 0.0
    if not 0 < gib < 1 << 20:
        raise InputError(f'{MAX_FILE_VARIABLE}={text} in the environment is not a number of GiB above 0')
    return int(gib * (1 << 30))


def check_memory(path: str | Path, needed: int, what: str = '', ratio: float = RATIO) -> None:
    """Refuses a file before it is decoded, if that would take more memory than is allowed for one file.

    Args:
        path: The file, or the folder if a format is one.
        needed: Bytes of memory that reading it takes, by what it says of itself.
        what: What it says, such as ``30,000 x 30,000 pixels``.
        ratio: How many times the file's size on the disk is allowed though it is more than the limit.

    Raises:
        InputError: It would; the message names the environment variable that allows it.
    """
    limit = memory_limit()
    if needed <= limit:
        return
    status = os.stat(path)
    # Blocks, not the length: a file with holes is longer than what it holds.
    if stat.S_ISREG(status.st_mode) and needed <= ratio * min(status.st_size, status.st_blocks * 512):
        return
    raise InputError(
        f'{display_path(path)}: {f"says that it holds {what}; " if what else ""}reading it would take '
        f'{_bytes_text(needed)} of memory, more than the {_bytes_text(limit)} that one file may take; if that is true '
        f'and fits in memory, set {MAX_FILE_VARIABLE}={-(-needed // (1 << 30))}'
    )


def _bytes_text(count: int) -> str:
    unit, shift = ('GiB', 30) if count >= 1 << 27 else ('KiB', 10)
    return f'{round(count / (1 << shift), 1):,} {unit}'.replace('.0 ', ' ')


def check_regular(path: str | Path) -> None:
    """Refuses what is no regular file (links are followed): opening it gives an odd error, or waits without end.

    Raises:
        InputError: It is a folder, pipe, socket or device, or no path at all.
        OSError: There is no such file.
    """
    # What a killed run began in the folder is finished first.
    finish_pending(os.path.dirname(os.fspath(path)))
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:
        raise InputError(f'{str(path)!r} is no path of a file ({error})') from None
    if stat.S_ISDIR(mode):
        raise InputError(f'{display_path(path)} is a folder; name a file in it')
    if not stat.S_ISREG(mode):
        raise InputError(f'{display_path(path)} is not a regular file but a pipe, socket or device; copy it to a file')


@contextmanager
def open_input(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a regular file for reading bytes.

    Raises:
        InputError: It is no regular file.
        OSError: It cannot be opened.
    """
    check_regular(path)
    with open(path, 'rb') as file:
        yield file


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        most: How many bytes such a file has at most.

    Raises:
        InputError: It is no regular file, or too large.
        OSError: It cannot be read.
    """
    with open_input(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise InputError(f'{display_path(path)}: has {size:,} bytes, such a file has at most {most:,}')
        check_memory(path, size)
        return file.read()


def read_zip(
    path: str | Path, wanted: Callable[[str], bool], copies: float = 1, ratio: float = RATIO
) -> tuple[list[str], dict[str, bytes]]:
    """The names of all members of a zip archive, and the content of some of them by name, in the archive's order.

    Args:
        path: The archive.
        wanted: Whether a member of this name is read.
        copies: How many times their size the members take in memory when the caller is done.
        ratio: As of :func:`check_memory`.

    Raises:
        DamagedFileError: No zip archive, or a truncated or damaged one.
        InputError: It is no regular file, or the members would take too much memory.
        OSError: It cannot be opened.
    """
    with open_input(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_count(file, len(archive.infolist()))
                members = [member for member in archive.infolist() if wanted(member.filename)]
                _check_packing(members)
                check_memory(path, int(copies * sum(member.file_size for member in members)), ratio=ratio)
                # Read whole, and so compared with its checksum; of a member no more is read than it says.
                return archive.namelist(), {member.filename: archive.read(member) for member in members}
        except InputError:
            raise
        except _DAMAGE as error:
            raise DamagedFileError(
                f'{display_path(path)}: truncated, damaged or no zip archive ({error}); copy or make it again'
            ) from None


def _check_count(file: BinaryIO, found: int) -> None:
    """Refuses a directory of fewer members than its end says: zipfile passes over those behind a wrong length."""
    # The end may have a comment of up to 65,535 bytes.
    file.seek(max(0, file.seek(0, os.SEEK_END) - 65_557))
    end = file.read()
    place = end.rfind(b'PK\x05\x06')
    count = int.from_bytes(end[place + 10 : place + 12], 'little')
    # Archives of more members say so elsewhere.
    if count not in (found, 65_535):
        raise ValueError(f'its directory lists {found:,} of {count:,} members')


def _check_packing(members: Iterable[zipfile.ZipInfo]) -> None:
    """Refuses sizes that the way of packing cannot give; zlib's documentation has the largest factor of deflate."""
    factors = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
    for member in members:
        if member.file_size > factors.get(member.compress_type, math.inf) * member.compress_size:
            raise ValueError(f'{member.filename}: {member.compress_size:,} bytes cannot be {member.file_size:,}')


def parse_npy(data: bytes) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises:
        DamagedFileError: It is none, one of Python objects, or does not hold as many values as it says.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        count = 1
        for length in shape:
            count *= length
        if min(shape, default=0) < 0 or dtype.hasobject or count * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(f'it says that it holds {shape} values of {dtype}')
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    # numpy parses the header as Python, so that damage raises nearly anything.
    except Exception as error:
        raise DamagedFileError(f'no array of numbers ({error})') from None
