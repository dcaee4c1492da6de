"""How large an image may be: the limit for image files, and for what other files say of their images."""

import os

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, shown

MAX_PIXELS_VARIABLE = 'SARTORIUS_MAX_PIXELS'
"""Environment variable with the most pixels, of all planes together, that are read of a file."""

MAX_PIXELS = 1 << 30
"""Its default: a single image may have 32,768 x 32,768 pixels."""


def max_pixels() -> int:
    """The most pixels that are read of a file.

    Raises:
        InputError: The environment variable is no whole number above 0.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, str(MAX_PIXELS))
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f'{MAX_PIXELS_VARIABLE}={text} in the environment is not a whole number above 0')
    return int(text)


def check_size(height: int, width: int) -> Size:
    """An image's ``(height, width)`` that a file of labels or predictions says, held against :func:`max_pixels`.

    Raises:
        InputError: One of them is below 1, or they are more pixels than an image may have.
    """
    if min(height, width) < 1:
        raise InputError(f'{width}x{height} pixels is no size of an image; write that of the image file')
    if height * width > max_pixels():
        raise InputError(
            f'{shown(width)}x{shown(height)} pixels are more than the {max_pixels():,} that an image may have; if that '
            f'is true and fits in memory, set {MAX_PIXELS_VARIABLE} to more'
        )
    return height, width
