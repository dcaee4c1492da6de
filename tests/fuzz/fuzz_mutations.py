"""Ways to spoil any file: its bytes, and what stands under its name; and what the ways for single formats share.

A mutation takes a random generator and a file's bytes and returns other bytes. Equal generators give equal files, so
that a case is named by its number alone.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Random = np.random.Generator
Mutation = Callable[[Random, bytes], bytes]

MIB = 1 << 20
HUGE_FILE = 3 << 30
"""Size of a file that is all holes: whoever reads it whole exceeds the memory."""
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 7, 255, 256, 65535, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63) - 1, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e30, 1e308, float('nan'), float('inf'), float('-inf'), 1.5,
    3.0,
)  # fmt: skip
TEXTS = (
    '', ' ', 'nan', 'inf', '-1', '1e999', '1_0', '٣', '0x10', 'None', 'null', 'true', '\x00', '\ud800', '../../up',
    '/etc/passwd', 'a' * 300, 'a/' * 90 + 'b', '..', '.', 'C:\\x', 'é', '\u202e', '<script>alert(1)</script>',
    '=1+1', "'", '"', ',', '\n', 'x\ny', '💥', '%s{0}', '1 1', '5 0', '1 99999999999', '99999999999999999999 1',
    '1 1 1 1', '2 3 1 1', '-5 3', '3.0 2', '1e3 2', 'CON', 'x' * 70_000,
)  # fmt: skip


def pick(rng: Random, values: Any) -> Any:
    """One of some values, as it is."""
    return values[int(rng.integers(len(values)))]


# Bytes of any file


def flip_bits(rng: Random, data: bytes) -> bytes:
    """One to eight bits the other way round."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9) if changed else 0):
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def set_number(rng: Random, data: bytes) -> bytes:
    """A number of 1 to 8 bytes, mostly near the start or the end where headers are, becomes an extreme one."""
    if not data:
        return data
    width = int(pick(rng, [1, 2, 4, 8]))
    reach = min(len(data), int(pick(rng, [32, 256, 4096, 1 << 30])))
    place = int(rng.integers(reach))
    if rng.random() < 0.3:
        place = len(data) - 1 - place
    number = int(pick(rng, [0, 1, 2, 127, 128, 255, 256, 65535, 30_000, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]))
    part = (number % (1 << 8 * width)).to_bytes(width, str(pick(rng, ['little', 'big'])))
    return data[:place] + part + data[place + width :]


def truncate(rng: Random, data: bytes) -> bytes:
    """The beginning alone: often nearly all, sometimes a few bytes."""
    length = len(data)
    kept = int(
        pick(rng, [rng.integers(length + 1), max(0, length - rng.integers(1, 40)), min(length, rng.integers(40))])
    )
    return data[:kept]


def cut_block(rng: Random, data: bytes) -> bytes:
    """Without a block in the middle."""
    start, length = _block(rng, data)
    return data[:start] + data[start + length :]


def repeat_block(rng: Random, data: bytes) -> bytes:
    """A block stands there twice."""
    start, length = _block(rng, data)
    return data[: start + length] + data[start:]


def blank_block(rng: Random, data: bytes) -> bytes:
    """A block of zeros, as after a power cut, or of random bytes."""
    start, length = _block(rng, data)
    block = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return data[:start] + block + data[start + length :]


def move_block(rng: Random, data: bytes) -> bytes:
    """A block overwrites another place."""
    start, length = _block(rng, data)
    target = int(rng.integers(len(data) + 1))
    return data[:target] + data[start : start + length] + data[target + length :]


def append_junk(rng: Random, data: bytes) -> bytes:
    """More behind the end: another copy, zeros or random bytes."""
    return data + pick(rng, [data, bytes(100), rng.bytes(int(rng.integers(1, 200)))])


def _block(rng: Random, data: bytes) -> tuple[int, int]:
    start = int(rng.integers(len(data) + 1))
    return start, int(rng.integers(1, max(2, int(pick(rng, [8, 64, len(data)])))))


BYTES: tuple[Mutation, ...] = (
    flip_bits,
    set_number,
    truncate,
    cut_block,
    repeat_block,
    blank_block,
    move_block,
    append_junk,
)


# What stands under the name


def empty(path: Path) -> None:
    """A file of no bytes."""
    path.write_bytes(b'')


def fifo(path: Path) -> None:
    """A pipe to which nobody writes."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder."""
    path.mkdir()


def dangling_link(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to(path.parent / 'nowhere')


def link_to_itself(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def endless_device(path: Path) -> None:
    """A link to a device that gives zeros for ever."""
    path.symlink_to('/dev/zero')


def no_device(path: Path) -> None:
    """A link to a device that is empty."""
    path.symlink_to('/dev/null')


def holes(path: Path) -> None:
    """A file of 3 GiB that takes no room on the disk."""
    with open(path, 'wb') as file:
        file.truncate(HUGE_FILE)


def missing(path: Path) -> None:
    """Nothing."""


PLACES: tuple[Callable[[Path], None], ...] = (
    empty,
    fifo,
    folder,
    dangling_link,
    link_to_itself,
    endless_device,
    no_device,
    holes,
    missing,
)


# Numbers in structures of bytes, shared by the mutations of archives and images


def replace_at(data: bytes, place: int, form: str, value: int) -> bytes:
    """Bytes with a packed number at a place; numbers too large are cut to the field."""
    width = struct.calcsize(form)
    order = 'big' if form.startswith('>') else 'little'
    return data[:place] + (value % (1 << 8 * width)).to_bytes(width, order) + data[place + width :]


def find_all(data: bytes, mark: bytes) -> list[int]:
    """Places at which some bytes stand."""
    places, place = [], data.find(mark)
    while place >= 0:
        places.append(place)
        place = data.find(mark, place + 1)
    return places
