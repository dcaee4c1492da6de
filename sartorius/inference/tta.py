"""Test-time augmentation for boxes and masks.

As Detectron2's ``GeneralizedRCNNWithTTA`` does: boxes are found in every view and fused, then every view draws the
masks of the fused boxes; these are turned back and averaged on the RoI grid. Nothing is pasted.
"""

from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

from sartorius.fusion.boxes import FusedBoxes, fuse_boxes
from sartorius.inference.forward import ForwardPass, WrappedDetector, draw_cells, forward_all


@MODELS.register_module()
class CellTTAModel(WrappedDetector):
    """Fuses what a detector sees in several views of one image.

    Views differ in orientation, in scale, or in both. Of a detector without mask heads the result is boxes alone.

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

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts one image from its views.

        Args:
            data: As in :func:`forward_all`.

        Returns:
            One data sample with ``pred_instances``: boxes in pixels of the image on the disk, and soft masks. Its
            meta information holds ``max_cells``: the cells in the view in which most were found, or in the result.

        Raises:
            InputError: More than one image in the batch.
        """
        views = forward_all(self.module, data)
        found = [view.find_boxes() for view in views]
        fused = self._fuse(views, found)
        result = data['data_samples'][0][0].clone()
        result.set_metainfo({'max_cells': max(len(fused), *(len(scores) for _, scores, _ in found))})
        result.pred_instances = draw_cells(views, fused.boxes, fused.scores, fused.labels)
        return [result]

    def _fuse(self, views: list[ForwardPass], found: list[tuple[Any, Any, Any]]) -> FusedBoxes:
        boxes, scores, labels = zip(*found, strict=True)
        fused = fuse_boxes(
            boxes=boxes,
            scores=scores,
            labels=labels,
            size=views[0].size,
            method=self.method,
            iou_threshold=self.iou_threshold,
        )
        limits = views[0].box_limits
        kept = np.flatnonzero(fused.scores > limits.score_thr)
        kept = kept[np.argsort(-fused.scores[kept], kind='stable')][: limits.max_per_img]
        return fused.select(kept)
