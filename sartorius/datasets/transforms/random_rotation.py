"""Random rotations of image and cells."""

from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from sartorius.datasets.transforms.cells import cropped_masks_of, enough_left, set_cells

# By quarter turns counter-clockwise. OpenCV turns several times faster than numpy.rot90 and a copy.
TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@TRANSFORMS.register_module()
class RandomQuarterTurn(BaseTransform):
    """Turns image and cells by a random multiple of 90 degrees; exact, but an odd one swaps height and width.

    Modified keys: ``img``, ``img_shape``, ``gt_masks``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        quarters: The numbers of quarter turns, counter-clockwise, to draw from with equal chances; ``(0, 2)`` keeps
            the image's shape.
    """

    def __init__(self, quarters: Sequence[int] = (0, 1, 2, 3)) -> None:
        self.quarters = tuple(quarters)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        quarters = self._draw_quarters()
        if quarters % 4:
            results['img'] = cv2.rotate(results['img'], TURNS[quarters % 4])
            results['img_shape'] = results['img'].shape[:2]
            set_cells(results, cropped_masks_of(results).turn(quarters))
        return results

    @cache_randomness
    def _draw_quarters(self) -> int:
        return int(np.random.choice(self.quarters))


@TRANSFORMS.register_module()
class RandomRotateCells(BaseTransform):
    """Rotates image and cells about the image's middle by a random angle; the image's shape does not change.

    Boxes are computed anew from the rotated masks, not as MMDetection's ``Rotate`` does around the rotated boxes, which
    makes them too large. Cells of which too little remains in the image are dropped.

    Modified keys: ``img``, ``gt_masks``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        max_angle: Angles are drawn from ``[-max_angle, max_angle]`` degrees.
        prob: Probability that an image is rotated.
        border: What the corners are filled with, a border mode of ``mmcv.imrotate``: 'constant', or for example
            'reflect'. Reflected cells have no masks, so that the model learns to overlook them.
        pad_value: Grey level of a constant border.
        min_visible: Minimum fraction of a cell's pixels that must remain in the image.
    """

    def __init__(
        self,
        max_angle: float = 15.0,
        prob: float = 0.5,
        border: str = 'constant',
        pad_value: int = 128,
        min_visible: float = 0.25,
    ) -> None:
        self.max_angle = max_angle
        self.prob = prob
        self.border = border
        self.pad_value = pad_value
        self.min_visible = min_visible

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        angle = self._draw_angle()
        if angle != 0:
            masks = cropped_masks_of(results)
            grey = (self.pad_value,) * 3
            results['img'] = mmcv.imrotate(results['img'], angle, border_value=grey, border_mode=self.border)
            rotated = masks.rotate((masks.height, masks.width), angle)
            set_cells(results, rotated, enough_left(masks, rotated, self.min_visible, min_area=1))
        return results

    @cache_randomness
    def _draw_angle(self) -> float:
        if np.random.random() >= self.prob:
            return 0.0
        return float(np.random.uniform(-self.max_angle, self.max_angle))
