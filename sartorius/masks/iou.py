"""Intersection over union of every pair of cells."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sartorius.masks.coco_rle import encode
from sartorius.masks.crop import MaskCrop, Size


def mask_iou(a: Sequence[MaskCrop], b: Sequence[MaskCrop], size: Size) -> NDArray[np.float64]:
    """IoU of each cell of ``a`` with each cell of ``b``, on their pixels inside the image.

    The pixel counts are whole numbers and are divided once, in double precision: an IoU of 11/20 is the double nearest
    to 0.55, which a threshold of ``55 / 100`` equals exactly. Pixels are counted on run-length codes: nothing of the
    image's size is made.

    Args:
        a: Cells; they may overlap each other.
        b: Cells; they may overlap each other.
        size: Image ``(height, width)`` in pixels.

    Returns:
        float64 ``(len(a), len(b))`` in [0, 1]. A cell without pixels has an IoU of 0 with every cell.
    """
    if not a or not b:
        return np.zeros((len(a), len(b)))
    no_crowds = [0] * len(b)
    return coco_mask.iou([encode(crop, size) for crop in a], [encode(crop, size) for crop in b], no_crowds)
