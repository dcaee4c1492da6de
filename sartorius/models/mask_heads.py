"""Mask heads whose predictions stay on the RoI grid, and the RoI head of HTC that uses them."""

from typing import Any

from mmcv.cnn.bricks import wrappers
from mmdet.models.roi_heads import HybridTaskCascadeRoIHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, HTCMaskHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional

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
        nn.init.normal_(self.conv_logits.weight, std=0.001)
        nn.init.zeros_(self.conv_logits.bias)

    def _can_multiply(self, features: Tensor) -> bool:
        """Whether :meth:`_multiply` computes what the layers do, and faster: on a CPU, with layers as by default."""
        layer, last = self.upsample, self.conv_logits
        return (
            features.device.type == 'cpu'
            and type(layer) is wrappers.ConvTranspose2d
            and layer.kernel_size == layer.stride
            and layer.padding == layer.output_padding == (0, 0)
            and (layer.dilation, layer.groups) == ((1, 1), 1)
            and type(last) in (nn.Conv2d, wrappers.Conv2d)
            and last.kernel_size == (1, 1)
        )

    def _multiply(self, features: Tensor) -> Tensor:
        """The last layers as matrix products: transposed convolution, ReLU and convolution of single pixels.

        Each pixel of the features makes a square of the logits of its own, so the squares are computed side by side
        and put in their places last, when they are one number a class. In training, PyTorch's convolutions take 1.6
        times as long.

        Args:
            features: ``(N, C, H, W)``.

        Returns:
            Logits of shape ``(N, classes or 1, k * H, k * W)`` for squares of k x k pixels.
        """
        enlarge, classify = self.upsample.weight, self.conv_logits.weight
        (count, inputs, height, width), (_, hidden, rows, columns) = features.shape, enlarge.shape
        pixels = features.permute(0, 2, 3, 1).reshape(-1, inputs)
        bias = None if self.upsample.bias is None else self.upsample.bias.repeat(rows * columns)
        squares = functional.linear(pixels, enlarge.permute(2, 3, 1, 0).reshape(-1, inputs), bias).relu_()
        logits = functional.linear(squares.view(-1, hidden), classify.flatten(1), self.conv_logits.bias)
        logits = logits.view(count, height, width, rows, columns, len(classify))
        return logits.permute(0, 5, 1, 3, 2, 4).reshape(count, len(classify), rows * height, columns * width)

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

    def forward(self, x: Tensor) -> Tensor:
        """Logits of RoI features.

        Args:
            x: ``(N, C, S / 2, S / 2)``.

        Returns:
            ``(N, classes or 1, S, S)``.
        """
        if not self._can_multiply(x):
            return super().forward(x)
        for conv in self.convs:
            x = conv(x)
        return self._multiply(x)


@MODELS.register_module()
class SoftHTCMaskHead(SoftMaskMixin, HTCMaskHead):
    """Soft mask head of each stage of Hybrid Task Cascade."""

    def forward(
        self, x: Tensor, res_feat: Tensor | None = None, return_logits: bool = True, return_feat: bool = True
    ) -> Tensor | list[Tensor]:
        """Logits of RoI features, and what the next stage's head adds to its own features.

        Args:
            x: ``(N, C, S / 2, S / 2)``.
            res_feat: The same of the stage before; None for the first.
            return_logits: Whether to return the logits ``(N, classes or 1, S, S)``.
            return_feat: Whether to return the features ``(N, C, S / 2, S / 2)``.

        Returns:
            Both in this order, or the only one.
        """
        if not (return_logits and self._can_multiply(x)):
            return super().forward(x, res_feat, return_logits, return_feat)
        features = super().forward(x, res_feat, return_logits=False)
        logits = self._multiply(features)
        return [logits, features] if return_feat else logits


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
