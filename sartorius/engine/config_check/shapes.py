"""A model that has shapes and no numbers, and what a training step of it keeps in memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmdet.registry import MODELS
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from sartorius.masks.crop import Size

META = torch.device('meta')


def build_shapes(model: Mapping[str, Any]) -> nn.Module:
    """The model of a config on torch's ``meta`` device, in training mode: no weight takes memory.

    Raises:
        Exception: As the model's own constructor raises for a config that does not fit.
    """
    with META:
        built = revert_sync_batchnorm(MODELS.build(model))
    return built.train()


class KeptMemory:
    """Counts the bytes that autograd keeps of a forward pass for the backward pass.

    Tensors that share memory count once; weights do not count.

    Attributes:
        largest: Bytes of the largest tensor kept.
    """

    def __init__(self, model: nn.Module) -> None:
        self._own = {_storage_id(tensor) for tensor in [*model.parameters(), *model.buffers()]}
        # Kept alive: a storage that is freed may leave its number to the next one.
        self._kept: dict[int, torch.UntypedStorage] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts the forward passes within."""
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor):
            yield

    @property
    def total(self) -> int:
        """Bytes kept so far."""
        return sum(storage.nbytes() for storage in self._kept.values())

    @property
    def largest(self) -> int:
        """Bytes of the largest tensor kept so far."""
        return max((storage.nbytes() for storage in self._kept.values()), default=0)

    def _keep(self, tensor: Tensor) -> Tensor:
        number = _storage_id(tensor)
        if number not in self._own:
            self._kept[number] = tensor.untyped_storage()
        return tensor


def run_trunk(model: nn.Module, batch: int, size: Size) -> tuple[list[Tensor], list[Tensor]]:
    """Backbone, neck and the dense head on images of this size.

    Returns:
        Feature maps of the neck, and all outputs of the dense head.
    """
    with _plain_deform_convs(model):
        features = model.extract_feat(torch.empty(batch, 3, *size, device=META))
        head = model.rpn_head if getattr(model, 'with_rpn', False) else model.bbox_head
        return list(features), list(_tensors(head(features)))


def run_roi_heads(model: nn.Module, features: list[Tensor], rois: int, positives: int) -> list[Tensor]:
    """All box heads on ``rois`` regions and all mask heads on ``positives`` regions; returns their outputs."""
    head = model.roi_head
    outputs: list[Tensor] = []
    box_heads = list(head.bbox_head) if isinstance(head.bbox_head, nn.ModuleList) else [head.bbox_head]
    for box_head, extractor in zip(box_heads, _one_each(head.bbox_roi_extractor, len(box_heads)), strict=True):
        outputs += _tensors(box_head(_regions(extractor, features, rois)))
    if not head.with_mask:
        return outputs
    mask_heads = list(head.mask_head) if isinstance(head.mask_head, nn.ModuleList) else [head.mask_head]
    flows = getattr(head, 'mask_info_flow', False)
    extractors = _one_each(head.mask_roi_extractor, len(mask_heads))
    for stage, (mask_head, extractor) in enumerate(zip(mask_heads, extractors, strict=True)):
        regions = _regions(extractor, features, positives)
        if not flows:
            outputs += _tensors(mask_head(regions))
            continue
        # Hybrid Task Cascade's stages begin with the features of the mask heads of all stages before them.
        carried = None
        for earlier in mask_heads[:stage]:
            carried = earlier(regions, carried, return_logits=False)
        outputs += _tensors(mask_head(regions, carried, return_feat=False))
    return outputs


def _one_each(extractor: nn.Module, count: int) -> list[nn.Module]:
    return list(extractor) if isinstance(extractor, nn.ModuleList) else [extractor] * count


def _regions(extractor: nn.Module, features: list[Tensor], count: int) -> Tensor:
    """What a RoI extractor makes of ``count`` regions; its operator has no version without numbers."""
    size = extractor.roi_layers[0].output_size
    return features[0].new_empty(count, extractor.out_channels, *size).requires_grad_()


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple):
        for item in output:
            yield from _tensors(item)


def _storage_id(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@contextmanager
def _plain_deform_convs(model: nn.Module) -> Iterator[None]:
    """Deformable convolutions become plain ones of the same shapes: their operator has no version without numbers."""

    def plain(module: nn.Module) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor, *_: Tensor) -> Tensor:
            if hasattr(module, 'conv_offset'):
                module.conv_offset(x)
            return nn.functional.conv2d(
                x, module.weight, None, module.stride, module.padding, module.dilation, module.groups
            )

        return forward

    changed = [module for module in model.modules() if isinstance(module, DeformConv2d | ModulatedDeformConv2d)]
    for module in changed:
        module.forward = plain(module)
    yield
    for module in changed:
        del module.forward
