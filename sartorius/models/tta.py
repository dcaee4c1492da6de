"""Test-time augmentation for boxes and masks.

As Detectron2's ``GeneralizedRCNNWithTTA`` does: boxes are found in every view and fused, then every view draws the
masks of the fused boxes; these are turned back and averaged on the RoI grid. Nothing is pasted.
"""

from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from torch import Tensor

from sartorius.fusion.boxes import FusedBoxes, fuse_boxes
from sartorius.masks.crop import Size
from sartorius.predictions.views import View, get_view
from sartorius.utils.errors import InputError


@MODELS.register_module()
class CellTTAModel(BaseTTAModel):
    """Fuses what a two-stage detector sees in several views of one image.

    The detector is a Mask R-CNN or Cascade Mask R-CNN with :class:`SoftMaskHead`, or an HTC with
    :class:`SoftHTCRoIHead` and :class:`SoftHTCMaskHead`. Views differ in orientation, in scale, or in both.

    Args:
        module: The detector, or its config.
        method: How boxes are fused: a name from :mod:`sartorius.fusion`.
        iou_threshold: IoU from which boxes of two views are the same cell; the method's own if None.
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

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Not used: views are merged before their masks are drawn."""
        raise RuntimeError('CellTTAModel merges views inside test_step')

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts one image from its views.

        Args:
            data: ``inputs`` and ``data_samples``, each a list over views of lists over images; one image a batch.

        Returns:
            One data sample with ``pred_instances``: boxes in pixels of the image on the disk, soft masks. Its meta
            information holds ``most_cells``: the cells in the view in which most were found.

        Raises:
            InputError: More than one image in the batch.
        """
        if len(data['inputs'][0]) != 1:
            raise InputError(f'test-time augmentation takes one image a batch, not {len(data["inputs"][0])}')
        views = [
            _ViewPass(self.module, {'inputs': inputs, 'data_samples': samples})
            for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True)
        ]
        fused = self._fuse(views)
        result = data['data_samples'][0][0].clone()
        result.set_metainfo({'most_cells': max(len(view.scores) for view in views)})
        found = InstanceData()
        device = views[0].features[0].device
        found.bboxes = torch.as_tensor(fused.boxes, device=device)
        found.scores = torch.as_tensor(fused.scores, device=device)
        found.labels = torch.as_tensor(fused.labels, device=device)
        if len(found):
            masks = np.mean([view.draw_masks(fused.boxes, fused.labels) for view in views], axis=0)
            found.masks = torch.as_tensor(masks, device=device)
        result.pred_instances = found
        return [result]

    def _fuse(self, views: list['_ViewPass']) -> FusedBoxes:
        fused = fuse_boxes(
            boxes=[view.boxes for view in views],
            scores=[view.scores for view in views],
            labels=[view.labels for view in views],
            size=views[0].size,
            method=self.method,
            iou_threshold=self.iou_threshold,
        )
        limits = self.module.roi_head.test_cfg
        kept = np.flatnonzero(fused.scores > limits.score_thr)
        kept = kept[np.argsort(-fused.scores[kept], kind='stable')][: limits.max_per_img]
        return fused.select(kept)


class _ViewPass:
    """One view of one image: its features and what the box head found in it.

    Boxes are in pixels of the image on the disk, turned back.
    """

    def __init__(self, detector: torch.nn.Module, data: dict[str, list[Any]]) -> None:
        self.detector = detector
        processed = detector.data_preprocessor(data, False)
        sample = processed['data_samples'][0]
        self.meta = sample.metainfo
        self.view: View = get_view(sample.tta_view)
        self.size: Size = tuple(int(length) for length in sample.ori_shape[:2])
        self.features: tuple[Tensor, ...] = detector.extract_feat(processed['inputs'])
        proposals = detector.rpn_head.predict(self.features, [sample], rescale=False)
        found = detector.roi_head.predict_bbox(
            self.features, [self.meta], proposals, rcnn_test_cfg=detector.roi_head.test_cfg, rescale=True
        )[0]
        self.boxes = self.view.undo_boxes(found.bboxes.cpu().float().numpy().reshape(-1, 4), self.size)
        self.scores: NDArray[np.float32] = found.scores.cpu().float().numpy()
        self.labels: NDArray[np.int64] = found.labels.cpu().numpy()

    def draw_masks(self, boxes: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Soft masks ``(N, S, S)`` of boxes in image pixels, turned back to the image's orientation."""
        scale = np.tile(np.asarray(self.meta['scale_factor'], dtype=np.float32), 2)
        turned = self.view.boxes(boxes, self.size) * scale
        device = self.features[0].device
        results = InstanceData(
            bboxes=torch.as_tensor(turned, dtype=torch.float32, device=device),
            labels=torch.as_tensor(labels, device=device),
        )
        drawn = self.detector.roi_head.predict_mask(self.features, [self.meta], [results], rescale=False)[0]
        return self.view.undo_soft_masks(drawn.masks.cpu().float().numpy())
