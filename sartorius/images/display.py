"""Microscope images from disk, brought to grey levels that a screen can show."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError

SUFFIXES: tuple[str, ...] = ('.png', '.tif', '.tiff', '.jpg', '.jpeg', '.bmp')
STRETCH_PERCENTILES = (0.35, 99.65)
"""What microscopists' viewers clip at either end by default (ImageJ's 'Enhance Contrast': 0.35 % of the pixels)."""


def find_image(folder: str | Path, image_id: str) -> Path:
    """Path of the image called ``image_id`` (with any suffix of :data:`SUFFIXES`, in either case) in a folder.

    Raises:
        InputError: The folder or the image is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder} is not a folder; name the one that holds the images')
    for suffix in SUFFIXES:
        for path in (folder / f'{image_id}{suffix}', folder / f'{image_id}{suffix.upper()}'):
            if path.is_file():
                return path
    raise InputError(
        f'image {image_id} is not in {folder} (looked for {image_id}{", ".join(SUFFIXES)}); '
        'name the folder that holds the images of these predictions'
    )


def read_for_display(path: str | Path) -> NDArray[np.uint8]:
    """Image file as grey levels for a screen: uint8 ``(height, width)``.

    Raises:
        InputError: The file is no readable image.
    """
    return for_display(read_grey(path))


def read_grey(path: str | Path) -> NDArray[np.generic]:
    """Grey levels of an image file as they are: ``(height, width)`` of the file's own depth.

    Raises:
        InputError: The file is no readable image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f'{path} cannot be read as an image; it is damaged or of a format that OpenCV does not know')
    if image.ndim == 3:
        image = image[..., 0] if image.shape[2] < 3 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)
    return image


def for_display(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey levels as uint8 of the same shape.

    uint8 comes back as it is. Deeper images (12 or 16 bits, floats) use only a part of their range, so that a division
    by 256 would leave them black: they are stretched.
    """
    return image if image.dtype == np.uint8 else stretched(image)


def stretched(image: NDArray[np.generic], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Grey levels as uint8 of the same shape, spread so that ``limits`` become 0 and 255.

    Args:
        image: Any shape.
        limits: Grey levels, for example another image's :func:`stretch_limits`; the image's own if None.
    """
    low, high = limits or stretch_limits(image)
    # A flat image has no range to stretch; it becomes black.
    scale = 255 / (high - low) if high > low else 0.0
    return np.clip((image.astype(np.float32) - low) * scale + 0.5, 0, 255).astype(np.uint8)


def stretch_limits(image: NDArray[np.generic]) -> tuple[float, float]:
    """The grey levels at the percentiles of :data:`STRETCH_PERCENTILES`."""
    low, high = np.percentile(image.astype(np.float32), STRETCH_PERCENTILES)
    return float(low), float(high)
