"""IoU of many cells with many anchors in little memory."""

from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


@TASK_UTILS.register_module()
class ChunkedBboxOverlaps2D(BboxOverlaps2D):
    """``BboxOverlaps2D`` in chunks of a few boxes.

    MMDetection holds the corners and sides of every pair at once: for the 217,000 anchors of a 1333x800 image and 800
    cells that is 6 GB, of which the IoUs themselves are 0.7 GB.

    Args:
        chunk: How many of the first boxes are compared at once.
    """

    def __init__(self, chunk: int = 16) -> None:
        super().__init__()
        self.chunk = chunk

    def __call__(self, bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', is_aligned: bool = False) -> Tensor:
        """IoU of boxes, as the base class returns it.

        Args:
            bboxes1: ``(M, 4)``: ``x1, y1, x2, y2``.
            bboxes2: ``(N, 4)``.
            mode: 'iou', 'iof' or 'giou'.
            is_aligned: Compare box n with box n only; then M must equal N.

        Returns:
            ``(M, N)``, or ``(M,)`` if aligned.
        """
        first, second = get_box_tensor(bboxes1), get_box_tensor(bboxes2)
        if is_aligned or len(first) <= self.chunk:
            return super().__call__(first, second, mode, is_aligned)
        overlaps = first.new_empty((len(first), len(second)))
        for rows, boxes in zip(overlaps.split(self.chunk), first.split(self.chunk), strict=True):
            rows.copy_(super().__call__(boxes, second, mode))
        return overlaps
