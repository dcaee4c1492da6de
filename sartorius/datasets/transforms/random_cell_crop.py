"""Random crops that leave no cell without pixels or with an empty box."""

from collections.abc import Callable
from typing import Any, ClassVar

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
    masks. Cells of which too little remains are dropped; MMDetection's ``RandomCrop`` keeps cells cut to nothing with
    boxes of no width, and the loss becomes NaN. An image may come out without cells.

    Modified keys: ``img``, ``img_shape``, ``gt_masks``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        crop_size: ``(height, width)`` of the window in pixels.
        min_visible: Minimum fraction of a cell's pixels that must lie in the window.
        min_area: Minimum number of pixels in the window of a cell that lies across its border.
        attempts: Maximum number of windows that are drawn until one holds a cell.
        pad_value: Grey level of the padding.
    """

    example: ClassVar[dict[str, Any]] = {'crop_size': (40, 50)}

    def __init__(
        self, crop_size: Size, min_visible: float = 0.25, min_area: int = 16, attempts: int = 5, pad_value: int = 128
    ) -> None:
        self.crop_size = tuple(crop_size)
        self.min_visible = min_visible
        self.min_area = min_area
        self.attempts = attempts
        self.pad_value = pad_value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return cut_window(
            results,
            self.crop_size,
            self._draw_corner,
            min_visible=self.min_visible,
            min_area=self.min_area,
            attempts=self.attempts,
            pad_value=self.pad_value,
        )

    @cache_randomness
    def _draw_corner(self, margins: Size) -> tuple[int, int]:
        """Row and column of the window's top left corner."""
        return draw_corner(margins)


def draw_corner(margins: Size) -> tuple[int, int]:
    """Row and column of a window's top left corner, all places equally likely.

    Args:
        margins: Rows and columns that the image has more than the window.
    """
    return np.random.randint(0, margins[0] + 1), np.random.randint(0, margins[1] + 1)


def cut_window(
    results: dict[str, Any],
    size: Size,
    draw: Callable[[Size], tuple[int, int]],
    *,
    min_visible: float,
    min_area: int,
    attempts: int,
    pad_value: int,
) -> dict[str, Any]:
    """A sample cut to a window; a new dict.

    Args:
        results: The sample, which is not changed.
        size: ``(height, width)`` of the window in pixels; an image smaller than it is padded at the right and the
            bottom first.
        draw: Gives row and column of the window's top left corner, from the rows and columns that the image
            has more than the window.
        min_visible: This and what follows: see :class:`RandomCellCrop`.
    """
    results = dict(results)
    height, width = size
    masks = cropped_masks_of(results)
    image = results['img']
    below, right = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(pad_value,) * 3)
        masks = masks.pad(image.shape[:2])
    for _ in range(attempts):
        y, x = draw((image.shape[0] - height, image.shape[1] - width))
        cut = masks.crop(np.array([x, y, x + width, y + height]))
        keep = enough_left(masks, cut, min_visible, min_area)
        if keep.any():
            break
    results['img'] = image[y : y + height, x : x + width]
    results['img_shape'] = size
    set_cells(results, cut, keep)
    return results
