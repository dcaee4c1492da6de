"""RoIAlign, NMS of boxes and the last layers of mask heads on a CPU."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from measure import Benchmark, Setting
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import Tensor

from sartorius.models.cpu_ops import DispatchedNMS, roi_align
from sartorius.models.mask_heads import SoftMaskHead, SoftMaskMixin
from sartorius.models.roi_extractors import ExactRoIExtractor

_roi_align = importlib.import_module('mmcv.ops.roi_align')
_nms = importlib.import_module('mmcv.ops.nms')

# A batch of two enlarged images and the samples of their cells, as Mask R-CNN with 256 channels trains on them.
STRIDE, MAP, CHANNELS = 4, (130, 176), 256


@contextmanager
def mmcv_ops() -> Iterator[None]:
    """Puts MMCV's operators, MMDetection's RoI features and convolutions in mask heads' last layers back for a while."""
    ours = _roi_align.roi_align, _nms.NMSop, SoftMaskMixin._can_multiply, ExactRoIExtractor.forward
    _roi_align.roi_align, _nms.NMSop = _roi_align.RoIAlignFunction.apply, DispatchedNMS.__base__
    SoftMaskMixin._can_multiply = lambda _head, _features: False
    ExactRoIExtractor.forward = ExactRoIExtractor.__base__.forward
    try:
        yield
    finally:
        _roi_align.roi_align, _nms.NMSop, SoftMaskMixin._can_multiply, ExactRoIExtractor.forward = ours


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """RoIs of boxes and of masks, and logits of masks, forward and backward; boxes of the first stage."""
    small = setting.quick
    return [
        partial(align, 'boxes', 20 if small else 512, 7),
        partial(align, 'masks', 10 if small else 128, 14),
        partial(draw, 10 if small else 128),
        partial(suppress, 100 if small else 4000),
    ]


def align(name: str, count: int, bins: int) -> Benchmark:
    """RoIAlign of one level of the pyramid and its gradients."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, CHANNELS, *MAP, generator=generator)
    boxes = boxes_of(count, (STRIDE * MAP[1], STRIDE * MAP[0]), generator)
    rois = torch.cat([torch.randint(0, 2, (count, 1), generator=generator).float(), boxes], dim=1)
    gradients = torch.randn(count, CHANNELS, bins, bins, generator=generator)
    last = features.to(memory_format=torch.channels_last)
    return Benchmark(
        name=f'detector_ops/roi_align_{name}',
        work=f'RoIAlign of {count} RoIs to {bins}x{bins} bins of {CHANNELS} channels, forward and backward, on a CPU',
        peer='MMCV',
        ours=partial(there_and_back, roi_align, last, rois, gradients),
        theirs=partial(there_and_back, _roi_align.RoIAlignFunction.apply, features, rois, gradients),
        same=compare,
        goal='5x in time',
    )


def there_and_back(
    function: Callable[..., Tensor], features: Tensor, rois: Tensor, gradients: Tensor
) -> tuple[Tensor, Tensor]:
    """Bins and gradients of the features."""
    leaf = features.detach().requires_grad_()
    bins = function(leaf, rois, gradients.shape[2:], 1 / STRIDE, 0, 'avg', True)
    bins.backward(gradients)
    return bins.detach(), leaf.grad


def compare(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor], tolerance: float = 1e-5) -> str:
    """Norms of the differences, relative to those of the values."""
    apart = max(((a - b).norm() / b.norm()).item() for a, b in zip(ours, theirs, strict=True))
    return f'{"same" if apart < tolerance else "other"} values, {apart:.1g} apart'


def draw(count: int) -> Benchmark:
    """The last layers of a mask head and their gradients."""
    torch.manual_seed(0)
    ours = SoftMaskHead(num_convs=0, in_channels=CHANNELS, conv_out_channels=CHANNELS, num_classes=3)
    theirs = FCNMaskHead(num_convs=0, in_channels=CHANNELS, conv_out_channels=CHANNELS, num_classes=3)
    theirs.load_state_dict(ours.state_dict())
    bins, gradients = torch.randn(count, CHANNELS, 14, 14), torch.randn(count, 3, 28, 28)
    last = partial(torch.Tensor.contiguous, memory_format=torch.channels_last)
    return Benchmark(
        name='detector_ops/mask_logits',
        work=f'{CHANNELS} channels of {count} RoIs to mask logits of 28x28, forward and backward, on a CPU',
        peer='MMDetection',
        ours=partial(draw_and_back, ours.to(memory_format=torch.channels_last), last(bins), gradients),
        theirs=partial(draw_and_back, theirs, bins, gradients),
        # Rounding decides where a ReLU near 0 is open.
        same=partial(compare, tolerance=1e-3),
    )


def draw_and_back(head: torch.nn.Module, bins: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and gradients of the bins."""
    leaf = bins.detach().requires_grad_()
    logits = head(leaf)
    logits.backward(gradients)
    return logits.detach(), leaf.grad


def suppress(count: int) -> Benchmark:
    """NMS of boxes at the first stage's threshold."""
    generator = torch.Generator().manual_seed(0)
    boxes, scores = boxes_of(count, (704, 520), generator), torch.rand(count, generator=generator)
    words: tuple[Any, ...] = (boxes, scores, 0.7, 0, 0, -1)
    return Benchmark(
        name='detector_ops/nms',
        work=f'NMS of {count:,} boxes on a CPU',
        peer='MMCV',
        ours=partial(DispatchedNMS.apply, *words),
        theirs=partial(DispatchedNMS.__base__.apply, *words),
        same=lambda ours, theirs: 'same boxes' if torch.equal(ours, theirs) else 'other boxes',
        goal='5x in time',
    )


def boxes_of(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes of cells in an image of a width and height."""
    corners = torch.rand(count, 2, generator=generator) * torch.tensor(size)
    return torch.cat([corners, corners + 8 + 60 * torch.rand(count, 2, generator=generator)], dim=1)
