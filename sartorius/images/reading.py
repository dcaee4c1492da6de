"""Image files as pixels: read whole and checked, and brought to 8 bits in the same way for models and for screens."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError

STRETCH_PERCENTILES = (0.1, 99.9)
"""Grey levels at these percentiles of an image become 0 and 255."""

# Of TIFF and BigTIFF, in either byte order.
_TIFF_SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_TO_BGR = {1: cv2.COLOR_GRAY2BGR, 3: None, 4: cv2.COLOR_BGRA2BGR}


def read_image(path: str | Path) -> NDArray[np.generic]:
    """Pixels of an image file as they are: ``(height, width)`` or ``(height, width, channels)`` of the file's depth.

    A note in the file of how a camera was held (EXIF) is not applied.

    Raises:
        InputError: The file is missing, unreadable, damaged, or a stack of several images.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f'image {path} cannot be read: {error.strerror}') from None
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise InputError(f'image {path} is truncated, damaged or not a PNG, TIFF, JPEG or BMP; copy it again')
    if data.startswith(_TIFF_SIGNATURES) and cv2.imcount(str(path)) > 1:
        raise InputError(f'image {path} is a stack of {cv2.imcount(str(path))} images; save each to a file of its own')
    return image


def image_size(path: str | Path) -> Size:
    """Size ``(height, width)`` in pixels of an image file that can be read.

    The file is decoded, so that a download that stopped half-way shows now and not in the middle of training. Of a PNG
    the check sums are compared first.

    Raises:
        InputError: As :func:`read_image`.
    """
    path = Path(path)
    if path.suffix.lower() == '.png' and path.is_file():
        try:
            with Image.open(path) as image:
                image.verify()
        # Pillow says of damaged files that they are ill-spelt Python.
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f'image {path} is truncated, damaged or not a PNG ({error}); copy it again') from None
    height, width = read_image(path).shape[:2]
    return height, width


def read_cell_image(path: str | Path) -> NDArray[np.uint8]:
    """Image file as models take it: uint8 ``(height, width, 3)``.

    Grey images get three equal channels, colour images keep theirs (blue, green, red), alpha is dropped. 8-bit values
    are kept, 16-bit values are stretched (:func:`stretch`): OpenCV would divide them by 256, which leaves 16 grey
    levels of a 12-bit image.

    Raises:
        InputError: As :func:`read_image`; or the values are neither uint8 nor uint16, or the channels not 1, 3 or 4.
    """
    image = read_image(path)
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'image {path} has {image.dtype} values; convert it to 8 or 16 bits')
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in _TO_BGR:
        raise InputError(f'image {path} has {channels} channels; it must be grey or have 3 or 4')
    image = to_uint8(image)
    return image if channels == 3 else cv2.cvtColor(image, _TO_BGR[channels])


def read_for_display(path: str | Path) -> NDArray[np.uint8]:
    """Image file as grey levels for a screen: uint8 ``(height, width)``, deeper ones stretched (:func:`stretch`).

    Raises:
        InputError: As :func:`read_image`.
    """
    return to_uint8(read_grey(path))


def read_grey(path: str | Path) -> NDArray[np.generic]:
    """Grey levels of an image file: ``(height, width)`` of the file's own depth.

    Raises:
        InputError: As :func:`read_image`.
    """
    image = read_image(path)
    if image.ndim == 3:
        image = image[..., 0] if image.shape[2] < 3 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)
    return image


def to_uint8(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Values as uint8 of the same shape: uint8 as they are, others stretched.

    Deeper images (12 or 16 bits, floats) use only a part of their range, so that a division by 256 would leave them
    black.
    """
    return image if image.dtype == np.uint8 else stretch(image)


def stretch(image: NDArray[np.generic], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Values as uint8 of the same shape, spread linearly so that ``limits`` become 0 and 255; what lies beyond is cut.

    Args:
        image: Any shape. One of a single value becomes black.
        limits: Two values, for example another image's :func:`stretch_limits`; the image's own if None.
    """
    low, high = stretch_limits(image) if limits is None else limits
    # Whole numbers that differ by less than 1 would become noise.
    span = max(high - low, 1) if image.dtype.kind in 'iub' else (high - low) or 1
    scaled = (image.astype(np.float64) - low) * (255 / span)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def stretch_limits(image: NDArray[np.generic]) -> tuple[float, float]:
    """The values at the percentiles of :data:`STRETCH_PERCENTILES`."""
    low, high = np.percentile(image, STRETCH_PERCENTILES)
    return float(low), float(high)
