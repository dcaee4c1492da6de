"""The eight ways to turn and mirror an image, for test-time augmentation, and the way back for boxes and masks.

Each view turns the image by quarter turns counter-clockwise and then mirrors it left to right or not. The geometry is
exact: boxes are half-open pixel edges, so that a turned box covers the turned pixels and no half pixel is lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, did_you_mean


@dataclass(frozen=True)
class View:
    """One way to look at an image.

    Attributes:
        quarter_turns: Counter-clockwise, 0 to 3.
        mirrored: Whether left and right are swapped after turning.
    """

    quarter_turns: int
    mirrored: bool

    def size(self, size: Size) -> Size:
        """``(height, width)`` of the turned image."""
        return size[::-1] if self.quarter_turns % 2 else size

    def image(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turns an image ``(H, W)`` or ``(H, W, C)``."""
        turned = np.rot90(image, self.quarter_turns)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def boxes(self, boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Turns boxes ``(N, 4)`` of an image of ``(height, width)``."""
        for _ in range(self.quarter_turns):
            boxes = _turn_boxes(boxes, size)
            size = size[::-1]
        return _mirror_boxes(boxes, size) if self.mirrored else boxes.copy()

    def undo_boxes(self, boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Inverse of :meth:`boxes`; ``size`` is that of the image before turning."""
        turned_size = self.size(size)
        boxes = _mirror_boxes(boxes, turned_size) if self.mirrored else boxes.copy()
        for _ in range(-self.quarter_turns % 4):
            boxes = _turn_boxes(boxes, turned_size)
            turned_size = turned_size[::-1]
        return boxes

    def undo_soft_masks(self, soft_masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turns soft masks ``(N, S, S)`` drawn in this view back to the image's own orientation."""
        masks = soft_masks[:, :, ::-1] if self.mirrored else soft_masks
        return np.ascontiguousarray(np.rot90(masks, -self.quarter_turns, axes=(1, 2)))


ORIENTATIONS: dict[str, View] = {
    'none': View(0, False),
    'horizontal': View(0, True),
    'vertical': View(2, True),
    'diagonal': View(2, False),
    'rot90': View(1, False),
    'rot270': View(3, False),
    'transpose': View(1, True),
    'antitranspose': View(3, True),
}


def get_orientation(name: str) -> View:
    """The view of that name.

    Raises:
        InputError: There is none.
    """
    if name not in ORIENTATIONS:
        raise InputError(f'unknown view {name!r}{did_you_mean(name, ORIENTATIONS)}')
    return ORIENTATIONS[name]


def _turn_boxes(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """One quarter turn counter-clockwise: the point (x, y) goes to (y, width - x)."""
    x1, y1, x2, y2 = boxes.T
    return np.stack([y1, size[1] - x2, y2, size[1] - x1], axis=1)


def _mirror_boxes(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    x1, y1, x2, y2 = boxes.T
    return np.stack([size[1] - x2, y1, size[1] - x1, y2], axis=1)
