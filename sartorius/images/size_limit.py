"""How large an image may be: the limit for image files, and for what other files say of their images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, shown
from sartorius.utils.input_files import MAX_FILE_VARIABLE, check_memory, memory_limit

MAX_EDGE = 1 << 24
"""How many pixels from the corner of its image an edge of a box may lie: further off float32 skips whole pixels."""

COPIES = 3
"""Copies of a frame that are made, one frame at a time, when it is brought to 8 bits and to what a model takes."""


def check_pixels(path: Path, length: Mapping[str, int], pixel_bytes: int) -> None:
    """Refuses an image file that would not fit in memory, by what it says of itself, before it is decoded.

    Args:
        path: The file.
        length: Lengths of the axes that are read, Y and X among them, by their letters.
        pixel_bytes: Bytes of a pixel, of all its colours.

    Raises:
        InputError: It would take more than one file may (:mod:`sartorius.utils.input_files`).
    """
    pixels = 1
    for size in length.values():
        pixels *= size
    lengths = ' x '.join(f'{axis} {size:,}' for axis, size in length.items())
    needed = pixel_bytes * (pixels + COPIES * length.get('Y', 1) * length.get('X', 1))
    check_memory(path, needed, f'{lengths} = {pixels:,} pixels')


def check_size(height: int, width: int) -> Size:
    """An image's ``(height, width)`` that a file of labels or predictions says, held against the limit for 8 bits.

    Raises:
        InputError: One of them is below 1, or they are more pixels than an image may have.
    """
    if min(height, width) < 1:
        raise InputError(f'{width}x{height} pixels is no size of an image; write that of the image file')
    most = memory_limit() // (1 + COPIES)
    if height * width > most:
        raise InputError(
            f'{shown(width)}x{shown(height)} pixels are more than the {most:,} that an image may have; if that is '
            f'true and fits in memory, set {MAX_FILE_VARIABLE} to a higher number'
        )
    return height, width


def check_edges(box: Sequence[float]) -> None:
    """Refuses a box ``x1, y1, x2, y2`` that no image can have.

    Raises:
        InputError: An edge lies further than :data:`MAX_EDGE` from the corner of the image.
    """
    furthest = max(box, key=abs)
    if abs(furthest) > MAX_EDGE:
        raise InputError(
            f'a box has an edge at {furthest:g}, more than {MAX_EDGE:,} pixels from the corner of the image; write '
            'boxes in pixels of the image'
        )
