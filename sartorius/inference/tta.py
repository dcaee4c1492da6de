"""Test-time augmentation for boxes and masks.

As in Detectron2's ``GeneralizedRCNNWithTTA``, in the order of this file:

1. Augment: the pipeline turns and mirrors an image to several orientations, each at several scales (:class:`Orient`).
2. Detect: a forward pass computes the features of each augmented image once and predicts boxes (:class:`ForwardPass`).
3. Merge: the boxes of all passes, transformed back, are fused by one of the methods of :mod:`sartorius.fusion`.
4. Predict masks: every pass predicts masks for the merged boxes; they are transformed back and averaged on the RoI
   grid (:func:`predict_masks_for_boxes`). Nothing is pasted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from torch import Tensor

from sartorius.fusion.boxes import fuse_boxes
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, did_you_mean

# Boxes whose masks are predicted at once: unlike detections, given boxes have no limit on their number.
BOXES_PER_BATCH = 1000


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn and mirror an image, with its exact inverse for boxes and masks.

    Boxes are half-open pixel edges, so that a transformed box covers exactly the transformed pixels: no half pixel is
    lost.

    Attributes:
        quarter_turns: Counter-clockwise, 0 to 3.
        mirrored: Whether left and right are swapped after turning.
    """

    quarter_turns: int
    mirrored: bool

    def apply_size(self, size: Size) -> Size:
        """``(height, width)`` of the transformed image."""
        return size[::-1] if self.quarter_turns % 2 else size

    def apply_image(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Transforms an image ``(H, W)`` or ``(H, W, C)``."""
        turned = np.rot90(image, self.quarter_turns)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def apply_boxes(self, boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Transforms boxes ``(N, 4)`` of an image of ``(height, width)``."""
        for _ in range(self.quarter_turns):
            boxes = _turn_boxes(boxes, size)
            size = size[::-1]
        return _mirror_boxes(boxes, size) if self.mirrored else boxes.copy()

    def invert_boxes(self, boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
        """Inverse of :meth:`apply_boxes`; ``size`` is that of the image before it was transformed."""
        size = self.apply_size(size)
        boxes = _mirror_boxes(boxes, size) if self.mirrored else boxes.copy()
        for _ in range(-self.quarter_turns % 4):
            boxes = _turn_boxes(boxes, size)
            size = size[::-1]
        return boxes

    def invert_soft_masks(self, soft_masks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Transforms soft masks ``(N, S, S)`` of the transformed image back to the image's own orientation."""
        masks = soft_masks[:, :, ::-1] if self.mirrored else soft_masks
        return np.ascontiguousarray(np.rot90(masks, -self.quarter_turns, axes=(1, 2)))


def _turn_boxes(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """One quarter turn counter-clockwise: the point (x, y) is mapped to (y, width - x)."""
    x1, y1, x2, y2 = boxes.T
    return np.stack([y1, size[1] - x2, y2, size[1] - x1], axis=1)


def _mirror_boxes(boxes: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    x1, y1, x2, y2 = boxes.T
    return np.stack([size[1] - x2, y1, size[1] - x1, y2], axis=1)


ORIENTATIONS: dict[str, Orientation] = {
    'none': Orientation(0, False),
    'horizontal': Orientation(0, True),
    'vertical': Orientation(2, True),
    'diagonal': Orientation(2, False),
    'rot90': Orientation(1, False),
    'rot270': Orientation(3, False),
    'transpose': Orientation(1, True),
    'antitranspose': Orientation(3, True),
}


def get_orientation(name: str) -> Orientation:
    """The orientation of that name.

    Raises:
        InputError: There is none.
    """
    if name not in ORIENTATIONS:
        raise InputError(f'unknown orientation {name!r}{did_you_mean(name, ORIENTATIONS)}')
    return ORIENTATIONS[name]


@TRANSFORMS.register_module()
class Orient(BaseTransform):
    """Turns and mirrors an image, and notes the orientation's name under ``tta_orientation``.

    Changed keys: ``img``, ``img_shape``; ``ori_shape`` is still that of the image file. MMDetection's own flag ``flip``
    must not be among the meta information: its Cascade heads crash on it.

    Args:
        orientation: A name from :data:`ORIENTATIONS`.
    """

    def __init__(self, orientation: str) -> None:
        self.name = orientation
        self.orientation = get_orientation(orientation)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        results['img'] = self.orientation.apply_image(results['img'])
        results['img_shape'] = results['img'].shape[:2]
        results['tta_orientation'] = self.name
        return results


class Detections(NamedTuple):
    """Boxes of one image before masks are predicted.

    Attributes:
        boxes: float32 ``(N, 4)`` in pixels of the image file.
        scores: float32 ``(N,)``.
        labels: int64 ``(N,)``.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


class ForwardPass:
    """One forward pass of a detector over one augmented image: features computed once, used by all heads.

    Args:
        detector: A Mask R-CNN or Cascade Mask R-CNN with :class:`SoftMaskHead`, an HTC with :class:`SoftHTCRoIHead`
            and :class:`SoftHTCMaskHead`, or a one-stage detector, which predicts boxes alone.
        data: ``inputs`` and ``data_samples``, a list of one image each. The sample's ``tta_orientation`` names the
            orientation.
    """

    def __init__(self, detector: torch.nn.Module, data: dict[str, list[Any]]) -> None:
        self.detector = detector
        processed = detector.data_preprocessor(data, False)
        self.sample: DetDataSample = processed['data_samples'][0]
        self.meta: dict[str, Any] = self.sample.metainfo
        self.orientation = get_orientation(self.sample.tta_orientation)
        self.image_size: Size = tuple(int(length) for length in self.sample.ori_shape[:2])
        self.features: tuple[Tensor, ...] = detector.extract_feat(processed['inputs'])

    def detect(self) -> Detections:
        """Predicts boxes, in the image's own orientation."""
        if self.has_mask_heads:
            head = self.detector.roi_head
            proposals = self.detector.rpn_head.predict(self.features, [self.sample], rescale=False)
            limits = self.box_limits
            pred = head.predict_bbox(self.features, [self.meta], proposals, rcnn_test_cfg=limits, rescale=True)[0]
        else:
            pred = self.detector.bbox_head.predict(self.features, [self.sample], rescale=True)[0]
        boxes = self.orientation.invert_boxes(pred.bboxes.cpu().float().numpy().reshape(-1, 4), self.image_size)
        return Detections(boxes, pred.scores.cpu().float().numpy(), pred.labels.cpu().numpy())

    def predict_masks(self, boxes: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Predicts soft masks ``(N, S, S)``, in the image's own orientation, for at least one box in image pixels."""
        scale = np.tile(np.asarray(self.meta['scale_factor'], dtype=np.float32), 2)
        augmented_boxes = self.orientation.apply_boxes(boxes, self.image_size) * scale
        masks = []
        for start in range(0, len(boxes), BOXES_PER_BATCH):
            batch = slice(start, start + BOXES_PER_BATCH)
            results = InstanceData(
                bboxes=torch.as_tensor(augmented_boxes[batch], dtype=torch.float32, device=self.device),
                labels=torch.as_tensor(labels[batch], device=self.device),
            )
            pred = self.detector.roi_head.predict_mask(self.features, [self.meta], [results], rescale=False)[0]
            masks.append(pred.masks.cpu().float().numpy())
        return self.orientation.invert_soft_masks(np.concatenate(masks))

    @property
    def has_mask_heads(self) -> bool:
        """Whether the detector has a second stage, which predicts masks."""
        return hasattr(self.detector, 'roi_head')

    @property
    def box_limits(self) -> Any:
        """The detector's own limits on the boxes it predicts, such as ``score_thr`` and ``max_per_img``."""
        return self.detector.roi_head.test_cfg if self.has_mask_heads else self.detector.test_cfg

    @property
    def device(self) -> torch.device:
        """Device of the features."""
        return self.features[0].device


def run_forward_passes(detector: torch.nn.Module, data: dict[str, list[Any]]) -> list[ForwardPass]:
    """Runs a detector's backbone on all augmented versions of one image.

    Args:
        detector: The detector.
        data: ``inputs`` and ``data_samples``, each a list over augmentations of lists over images; one image per
            batch.

    Raises:
        InputError: More than one image in the batch.
    """
    if len(data['inputs'][0]) != 1:
        raise InputError(f'augmented passes are merged for one image per batch, not {len(data["inputs"][0])}')
    return [
        ForwardPass(detector, {'inputs': inputs, 'data_samples': samples})
        for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True)
    ]


def predict_masks_for_boxes(passes: Sequence[ForwardPass], detections: Detections) -> InstanceData:
    """Predicts the masks of given boxes, averaged over all passes.

    Args:
        passes: All forward passes over one image.
        detections: The boxes.

    Returns:
        ``bboxes``, ``scores``, ``labels`` as given and, if there are any boxes and the detector has mask heads, soft
        ``masks`` ``(N, S, S)``.
    """
    device = passes[0].device
    cells = InstanceData(
        bboxes=torch.as_tensor(detections.boxes, device=device),
        scores=torch.as_tensor(detections.scores, device=device),
        labels=torch.as_tensor(detections.labels, device=device),
    )
    if len(cells) and passes[0].has_mask_heads:
        cells.masks = torch.as_tensor(_average_soft_masks(passes, detections), device=device)
    return cells


def _average_soft_masks(passes: Sequence[ForwardPass], detections: Detections) -> NDArray[np.float32]:
    return np.mean([one.predict_masks(detections.boxes, detections.labels) for one in passes], axis=0)


class DetectorWrapper(BaseTTAModel):
    """Model around a detector; takes the detector's own checkpoint, since MMEngine's loader unwraps this base class.

    Args:
        module: The detector, or its config.
        data_preprocessor: As in MMEngine's base class.
    """

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Not used: MMEngine merges finished predictions here."""
        raise RuntimeError(f'{type(self).__name__} merges inside test_step')


@MODELS.register_module()
class CellTTAModel(DetectorWrapper):
    """Merges a detector's predictions for several augmented versions of one image.

    The versions differ in orientation, in scale, or in both. Of a detector without mask heads the result is boxes
    alone.

    Args:
        module: The detector, or its config.
        method: How boxes are fused: a name from :mod:`sartorius.fusion`.
        iou_threshold: IoU from which boxes of two passes are the same cell; the method's own if None.
        data_preprocessor: As in MMEngine's base class.
    """

    def __init__(
        self,
        module: Any,
        method: str = 'wbf',
        iou_threshold: float | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.method = method
        self.iou_threshold = iou_threshold

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts one image from its augmented versions.

        Args:
            data: As in :func:`run_forward_passes`.

        Returns:
            One data sample with ``pred_instances``: boxes in pixels of the image file, and soft masks. Its meta
            information holds ``max_cells``: the largest number of cells in one pass or in the result.

        Raises:
            InputError: More than one image in the batch.
        """
        passes = run_forward_passes(self.module, data)
        detections = [one.detect() for one in passes]
        merged = self._merge_detections(passes[0], detections)
        result = data['data_samples'][0][0].clone()
        counts = (len(merged.scores), *(len(one.scores) for one in detections))
        result.set_metainfo({'max_cells': max(counts)})
        result.pred_instances = predict_masks_for_boxes(passes, merged)
        return [result]

    def _merge_detections(self, first: ForwardPass, detections: Sequence[Detections]) -> Detections:
        """Fuses the boxes of all passes; the detector's own limits hold for the result."""
        boxes, scores, labels = zip(*detections, strict=True)
        fused = fuse_boxes(
            boxes=boxes,
            scores=scores,
            labels=labels,
            size=first.image_size,
            method=self.method,
            iou_threshold=self.iou_threshold,
        )
        kept = np.flatnonzero(fused.scores > first.box_limits.score_thr)
        kept = kept[np.argsort(-fused.scores[kept], kind='stable')][: first.box_limits.max_per_img]
        return Detections(fused.boxes[kept], fused.scores[kept], fused.labels[kept])
