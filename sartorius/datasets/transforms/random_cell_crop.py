"""Random crops that never hand a broken cell to the loss."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from sartorius.datasets.transforms.cells import cropped_masks_of, enough_left, set_cells
from sartorius.masks.crop import Size


@TRANSFORMS.register_module()
class RandomCellCrop(BaseTransform):
    """Cuts a random window out of the image and the cells.

    An image smaller than the window is padded at the right and the bottom first. Boxes are computed anew from the cut
    masks. Cells of which too little is left are dropped; MMDetection's ``RandomCrop`` keeps cells cut to nothing with
    boxes of no width, and the loss becomes NaN. An image may come out without cells.

    Modified keys: ``img``, ``img_shape``, ``gt_masks``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        crop_size: ``(height, width)`` of the window in pixels.
        min_visible: Least fraction of a cell's pixels that must lie in the window.
        min_area: Least number of pixels in the window of a cell that lies across its border.
        attempts: How many windows are drawn at most until one holds a cell.
        pad_value: Grey level of the padding.
    """

    def __init__(
        self, crop_size: Size, min_visible: float = 0.25, min_area: int = 16, attempts: int = 5, pad_value: int = 128
    ) -> None:
        self.crop_size = tuple(crop_size)
        self.min_visible = min_visible
        self.min_area = min_area
        self.attempts = attempts
        self.pad_value = pad_value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        height, width = self.crop_size
        masks = cropped_masks_of(results)
        image = results['img']
        below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
        if below or right:
            grey = (self.pad_value,) * 3
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=grey)
            masks = masks.pad(image.shape[:2])
        for _ in range(self.attempts):
            y, x = self._draw_corner((image.shape[0] - height, image.shape[1] - width))
            cut = masks.crop(np.array([x, y, x + width, y + height]))
            keep = enough_left(masks, cut, self.min_visible, self.min_area)
            if keep.any():
                break
        results['img'] = image[y : y + height, x : x + width]
        results['img_shape'] = self.crop_size
        set_cells(results, cut, keep)
        return results

    @cache_randomness
    def _draw_corner(self, margins: Size) -> tuple[int, int]:
        """Row and column of the window's top left corner."""
        return np.random.randint(0, margins[0] + 1), np.random.randint(0, margins[1] + 1)
