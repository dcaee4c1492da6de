"""Mask heads whose predictions stay on the RoI grid, and the RoI head of HTC that uses them."""

from typing import Any

import torch
from mmdet.models.roi_heads import HybridTaskCascadeRoIHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, HTCMaskHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from sartorius.utils.errors import InputError


class SoftMaskMixin:
    """Makes a mask head of MMDetection return probabilities on its RoI grid instead of full-size bitmaps.

    500 cells of a 704x520 image are 175 MiB as bitmaps and 1.6 MB on the 28x28 grid. They are
    pasted once, at the end, by :mod:`sartorius.masks.paste`. Comes before the mask head's class among the bases.
    """

    def init_weights(self) -> None:
        """Initialises the last layer near zero, as Detectron2 does.

        MMDetection scales it by the number of its outputs, which for the one output of a class-agnostic head makes
        logits so large that the first losses are above 8.
        """
        super().init_weights()
        torch.nn.init.normal_(self.conv_logits.weight, std=0.001)
        torch.nn.init.zeros_(self.conv_logits.bias)

    def predict_by_feat(
        self,
        mask_preds: tuple[Tensor, ...],
        results_list: list[InstanceData],
        batch_img_metas: list[dict],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> list[InstanceData]:
        """Adds ``masks`` to each image's results: float probabilities of shape ``(N, S, S)``.

        Args:
            mask_preds: Per image, logits of shape ``(N, classes or 1, S, S)``; probabilities when ``activate_map``.
            results_list: Per image, ``bboxes`` ``(N, 4)`` in the network's image frame and ``labels`` ``(N,)``.
            batch_img_metas: Per image, the meta information; ``scale_factor`` (x, y) is used.
            rcnn_test_cfg: Not used; part of MMDetection's interface.
            rescale: Turn ``bboxes`` back to the frame before resizing.
            activate_map: ``mask_preds`` are probabilities already, as Cascade's and HTC's stage average is.

        Returns:
            ``results_list``.
        """
        for masks, results, meta in zip(mask_preds, results_list, batch_img_metas, strict=True):
            probabilities = masks if activate_map else masks.sigmoid()
            channel = results.labels.new_zeros(len(results)) if self.class_agnostic else results.labels
            results.masks = probabilities[range(len(results)), channel]
            if rescale:
                results.bboxes = results.bboxes / results.bboxes.new_tensor(meta['scale_factor']).repeat(2)
        return results_list


@MODELS.register_module()
class SoftMaskHead(SoftMaskMixin, FCNMaskHead):
    """Soft mask head of Mask R-CNN and of each stage of Cascade Mask R-CNN."""


@MODELS.register_module()
class SoftHTCMaskHead(SoftMaskMixin, HTCMaskHead):
    """Soft mask head of each stage of Hybrid Task Cascade."""


@MODELS.register_module()
class SoftHTCRoIHead(HybridTaskCascadeRoIHead):
    """RoI head of HTC (Chen et al. 2019, arXiv 1901.07518) without the semantic branch, for which cells have no labels.

    Training is MMDetection's. Prediction differs in two ways:

    - ``predict_mask`` has the arguments that it has in Mask R-CNN and Cascade. MMDetection's takes the semantic
      features as the second, so that code that predicts masks for given boxes would need to know the detector.
    - A mask is the mean over the stages, as in Cascade and in the releases that MMDetection's COCO figures are of.
      MMDetection 3 keeps the last stage alone (https://github.com/open-mmlab/mmdetection/issues/10210).

    Args:
        **kwargs: As in MMDetection.

    Raises:
        InputError: The config has a semantic head.
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
        """Predicts masks for given boxes.

        Args:
            x: Feature maps of all levels.
            batch_img_metas: Per image, the meta information.
            results_list: Per image, ``bboxes`` ``(N, 4)`` in the network's image frame and ``labels`` ``(N,)``.
            rescale: Turn ``bboxes`` back to the frame before resizing.
            semantic_heat: Always None; part of MMDetection's interface.

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
