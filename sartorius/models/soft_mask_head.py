"""Mask heads whose predictions stay on the RoI grid."""

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, HTCMaskHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor


class SoftMaskMixin:
    """Makes a mask head of MMDetection hand out probabilities on its grid instead of pasting full-size bitmaps.

    500 cells of a 704x520 image are 175 MiB as bitmaps and 1.6 MB on the 28x28 grid. Pasting is left to
    :mod:`sartorius.masks.paste`, once, at the end. Stands before the mask head's class among the bases.
    """

    def init_weights(self) -> None:
        """Starts the last layer near zero, as Detectron2 does.

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
    """The mask head of Mask R-CNN and of each stage of Cascade Mask R-CNN, with soft masks."""


@MODELS.register_module()
class SoftHTCMaskHead(SoftMaskMixin, HTCMaskHead):
    """The mask head of each stage of Hybrid Task Cascade, with soft masks."""
