"""Contact sheets: many images on one picture, each beside itself with its cells outlined."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.utils.files import atomic_path
from sartorius.visualization.overlay import draw_cells

PAIRS_PER_ROW = 6
MAX_SIDE = 224
"""Longer side of an image on the sheet in pixels; larger ones are cut to their middle, so that pixels stay pixels."""
GUTTER = 4


def contact_sheet(images: Iterable[tuple[NDArray[np.uint8], Iterable[MaskCrop]]]) -> NDArray[np.uint8]:
    """A sheet of images, each beside itself with its cells.

    Args:
        images: uint8 ``(height, width)``, all of one size, and their cells.

    Returns:
        uint8 RGB ``(height, width, 3)``.
    """
    pairs = [_pair(image, tuple(crops)) for image, crops in images]
    blank = np.full_like(pairs[0], 255)
    pairs += [blank] * (-len(pairs) % PAIRS_PER_ROW)
    return np.vstack([np.hstack(pairs[start : start + PAIRS_PER_ROW]) for start in range(0, len(pairs), PAIRS_PER_ROW)])


def write_contact_sheet(path: Path, images: Iterable[tuple[NDArray[np.uint8], Iterable[MaskCrop]]]) -> None:
    """Writes a sheet as PNG."""
    encoded = cv2.imencode('.png', cv2.cvtColor(contact_sheet(images), cv2.COLOR_RGB2BGR))[1]
    with atomic_path(path) as temporary:
        # cv2.imwrite does not raise when the disk is full; write_bytes does.
        temporary.write_bytes(encoded.tobytes())


def _pair(image: NDArray[np.uint8], crops: tuple[MaskCrop, ...]) -> NDArray[np.uint8]:
    height, width = (min(side, MAX_SIDE) for side in image.shape)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    middle = np.s_[top : top + height, left : left + width]
    pictures = [np.repeat(image[..., None], 3, axis=2)[middle], draw_cells(image, crops, alpha=0)[middle]]
    frames = ((0, GUTTER), (0, 1)), ((0, GUTTER), (0, GUTTER))
    return np.hstack(
        [
            np.pad(picture, (*frame, (0, 0)), constant_values=255)
            for picture, frame in zip(pictures, frames, strict=True)
        ]
    )
