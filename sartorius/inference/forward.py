"""What a detector sees in the views of one image: the ground of everything that looks more than once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from torch import Tensor

from sartorius.inference.orientations import View, get_orientation
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError

# Boxes whose masks are drawn at once: given boxes have no limit on their number, as found ones have.
BOXES_AT_ONCE = 1000


class WrappedDetector(BaseTTAModel):
    """A model around a detector, whose checkpoint is the detector's: MMEngine's loader looks through this base class.

    The detector is a Mask R-CNN or Cascade Mask R-CNN with :class:`SoftMaskHead`, or an HTC with
    :class:`SoftHTCRoIHead` and :class:`SoftHTCMaskHead`; or one of one stage, which finds boxes alone.
    """

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Not used: MMEngine's own way merges finished predictions."""
        raise RuntimeError(f'{type(self).__name__} merges inside test_step')


class ForwardPass:
    """One view of one image: its features, and what the heads make of them.

    Args:
        detector: The detector.
        data: ``inputs`` and ``data_samples``, a list of one image each.
    """

    def __init__(self, detector: torch.nn.Module, data: dict[str, list[Any]]) -> None:
        self.detector = detector
        processed = detector.data_preprocessor(data, False)
        self.sample = processed['data_samples'][0]
        self.meta = self.sample.metainfo
        self.view: View = get_orientation(self.sample.tta_orientation)
        self.size: Size = tuple(int(length) for length in self.sample.ori_shape[:2])
        self.features: tuple[Tensor, ...] = detector.extract_feat(processed['inputs'])

    def find_boxes(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Boxes ``(N, 4)`` in pixels of the image on the disk, turned back, their scores and labels ``(N,)``."""
        if self.has_mask_heads:
            head = self.detector.roi_head
            proposals = self.detector.rpn_head.predict(self.features, [self.sample], rescale=False)
            limits = self.box_limits
            found = head.predict_bbox(self.features, [self.meta], proposals, rcnn_test_cfg=limits, rescale=True)[0]
        else:
            found = self.detector.bbox_head.predict(self.features, [self.sample], rescale=True)[0]
        boxes = self.view.undo_boxes(found.bboxes.cpu().float().numpy().reshape(-1, 4), self.size)
        return boxes, found.scores.cpu().float().numpy(), found.labels.cpu().numpy()

    def draw_masks(self, boxes: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Soft masks ``(N, S, S)`` of one box or more in image pixels, turned back to the image's orientation."""
        scale = np.tile(np.asarray(self.meta['scale_factor'], dtype=np.float32), 2)
        turned = self.view.boxes(boxes, self.size) * scale
        masks = []
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            part = slice(start, start + BOXES_AT_ONCE)
            results = InstanceData(
                bboxes=torch.as_tensor(turned[part], dtype=torch.float32, device=self.device),
                labels=torch.as_tensor(labels[part], device=self.device),
            )
            drawn = self.detector.roi_head.predict_mask(self.features, [self.meta], [results], rescale=False)[0]
            masks.append(drawn.masks.cpu().float().numpy())
        return self.view.undo_soft_masks(np.concatenate(masks))

    @property
    def has_mask_heads(self) -> bool:
        """Whether the detector has a second stage, which draws masks."""
        return hasattr(self.detector, 'roi_head')

    @property
    def box_limits(self) -> Any:
        """The detector's own limits on what it finds, such as ``score_thr`` and ``max_per_img``."""
        return self.detector.roi_head.test_cfg if self.has_mask_heads else self.detector.test_cfg

    @property
    def device(self) -> torch.device:
        """Where the detector runs."""
        return self.features[0].device


def forward_all(detector: torch.nn.Module, data: dict[str, list[Any]]) -> list[ForwardPass]:
    """Runs a detector's backbone on all views of one image.

    Args:
        detector: The detector.
        data: ``inputs`` and ``data_samples``, each a list over views of lists over images; one image a batch. The
            name of a sample's view stands under ``tta_orientation``.

    Raises:
        InputError: More than one image in the batch.
    """
    if len(data['inputs'][0]) != 1:
        raise InputError(f'views are merged for one image a batch, not {len(data["inputs"][0])}')
    return [
        ForwardPass(detector, {'inputs': inputs, 'data_samples': samples})
        for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True)
    ]


def draw_cells(
    views: Sequence[ForwardPass],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> InstanceData:
    """Cells with the masks that all views draw in the same boxes, averaged on the RoI grid.

    Args:
        views: All views of one image.
        boxes: ``(N, 4)`` in pixels of the image on the disk.
        scores: ``(N,)``.
        labels: ``(N,)``.

    Returns:
        ``bboxes``, ``scores``, ``labels`` as given and, if there are any boxes and the detector has mask heads, soft
        ``masks`` ``(N, S, S)``.
    """
    device = views[0].device
    cells = InstanceData(
        bboxes=torch.as_tensor(boxes, device=device),
        scores=torch.as_tensor(scores, device=device),
        labels=torch.as_tensor(labels, device=device),
    )
    if len(cells) and views[0].has_mask_heads:
        masks = np.mean([view.draw_masks(boxes, labels) for view in views], axis=0)
        cells.masks = torch.as_tensor(masks, device=device)
    return cells
