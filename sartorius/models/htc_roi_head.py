"""Hybrid Task Cascade's RoI head, called as every other RoI head is."""

from typing import Any

from mmdet.models.roi_heads import HybridTaskCascadeRoIHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor

from sartorius.utils.errors import InputError


@MODELS.register_module()
class SoftHTCRoIHead(HybridTaskCascadeRoIHead):
    """HTC (Chen et al. 2019, arXiv 1901.07518) without its semantic branch, for which cells have no labels.

    Trained as MMDetection's own. In prediction two things differ:

    - ``predict_mask`` has the arguments that it has in Mask R-CNN and Cascade. MMDetection's takes the semantic
      features as the second, so that whoever draws masks in given boxes would have to know which detector it is.
    - A mask is the mean over the stages, as in Cascade and in the releases that MMDetection's COCO figures are of.
      MMDetection 3 keeps the last stage alone (https://github.com/open-mmlab/mmdetection/issues/10210).

    Args:
        **kwargs: As in MMDetection.

    Raises:
        InputError: A semantic head is asked for.
    """

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get('semantic_head') is not None:
            raise InputError('semantic_head: SoftHTCRoIHead has no semantic branch; leave semantic_head out')
        super().__init__(**kwargs)

    def predict_mask(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict],
        results_list: list[InstanceData],
        rescale: bool = False,
        semantic_heat: None = None,
    ) -> list[InstanceData]:
        """Draws the masks of given boxes.

        Args:
            x: Feature maps of all levels.
            batch_img_metas: Per image, the meta information.
            results_list: Per image, ``bboxes`` ``(N, 4)`` in the network's image frame and ``labels`` ``(N,)``.
            rescale: Turn ``bboxes`` back to the frame before resizing.
            semantic_heat: Always None; what MMDetection's ``predict`` hands over.

        Returns:
            ``results_list`` with ``masks`` ``(N, S, S)``.
        """
        return super().predict_mask(x, semantic_heat, batch_img_metas, results_list, rescale)

    def _mask_forward(
        self,
        stage: int,
        x: tuple[Tensor, ...],
        rois: Tensor,
        semantic_feat: None = None,
        training: bool = True,
    ) -> dict[str, Any]:
        """Mask logits: of one stage in training, a list over all stages in prediction."""
        if training:
            return super()._mask_forward(stage, x, rois, semantic_feat, training)
        extractor = self.mask_roi_extractor[stage]
        features = extractor(x[: extractor.num_inputs], rois)
        logits, flow = [], None
        for head in self.mask_head:
            stage_logits, flow = head(features, flow if self.mask_info_flow else None)
            logits.append(stage_logits)
        return {'mask_preds': logits}
