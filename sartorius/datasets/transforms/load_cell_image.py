"""Reads grey 8- and 16-bit images as the models want them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from numpy.typing import NDArray

from sartorius.utils.errors import InputError

STRETCH_PERCENTILES = (0.1, 99.9)
TIFF_SIGNATURES = (b'II*\0', b'MM\0*')
TO_BGR = {1: cv2.COLOR_GRAY2BGR, 3: None, 4: cv2.COLOR_BGRA2BGR}


@TRANSFORMS.register_module()
class LoadCellImage(BaseTransform):
    """Loads ``img_path`` as uint8 of shape ``(height, width, 3)``; see :func:`read_cell_image`.

    Added keys: ``img``, ``img_shape``, ``ori_shape`` (both ``(height, width)``).
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        image = read_cell_image(results['img_path'])
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results


def read_cell_image(path: str | Path) -> NDArray[np.uint8]:
    """Reads a PNG, TIFF or JPEG as ``(height, width, 3)``.

    Grey images get three equal channels, colour images keep theirs (blue, green, red), alpha is dropped. 8-bit values
    are kept. 16-bit values are stretched linearly so that the image's percentiles 0.1 and 99.9 become 0 and 255:
    OpenCV would divide them by 256, which leaves 16 grey levels of a 12-bit image.

    Raises:
        InputError: The file is missing, unreadable, truncated or a stack of several images, or its values are neither
            uint8 nor uint16.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f'image {path} cannot be read: {error.strerror}') from None
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None:
        raise InputError(f'image {path} is truncated or not a PNG, TIFF or JPEG; copy it again')
    if data.startswith(TIFF_SIGNATURES) and cv2.imcount(str(path)) > 1:
        raise InputError(f'image {path} is a stack of {cv2.imcount(str(path))} images; save each to a file of its own')
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f'image {path} has {image.dtype} values; convert it to 8 or 16 bits')
    if image.dtype == np.uint16:
        image = stretch(image)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in TO_BGR:
        raise InputError(f'image {path} has {channels} channels; it must be grey or have 3 or 4')
    return image if channels == 3 else cv2.cvtColor(image, TO_BGR[channels])


def stretch(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Maps an image's percentiles 0.1 and 99.9 to 0 and 255, linearly, and cuts off what lies beyond."""
    low, high = np.percentile(image, STRETCH_PERCENTILES)
    scaled = (image - low) * (255 / max(high - low, 1))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
