"""RoIAlign and NMS of boxes on CPUs, in place of MMCV's, which use one thread and no vector instructions.

Importing this module makes ``mmcv.ops.RoIAlign`` and ``mmcv.ops.nms``, and with them ``batched_nms`` and every config,
use these where tensors lie on the CPU. On other devices nothing changes.
"""

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from mmengine.model import is_model_wrapper
from torch import Tensor
from torch.autograd.function import once_differentiable

from sartorius.utils.errors import InputError

# The names of these modules are also those of functions in ``mmcv.ops``, which an import statement would find.
_mmcv_roi_align = importlib.import_module('mmcv.ops.roi_align')
_mmcv_nms = importlib.import_module('mmcv.ops.nms')

WORTH_A_THREAD = 1 << 19
"""Elements of output below which threads take longer to wake than to work."""
BLOCK = 1 << 19
"""Elements of gradients per thread that are copied at once."""
# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4


class CpuRoIAlign(torch.autograd.Function):
    """RoIAlign by averages, from one map or from those of a pyramid; sums are of float32, whatever the features are.

    Features may be of any memory format; channels last need no copy, and the result has its channels last.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rois: Tensor,
        levels: Tensor | None,
        output_size: int | tuple[int, int],
        scales: tuple[float, ...],
        sampling_ratio: int,
        aligned: bool,
        *maps: Tensor,
    ) -> Tensor:
        """Bins of RoIs.

        Args:
            ctx: Of autograd.
            rois: ``(R, 5)``: index of the image, x1, y1, x2, y2 in image pixels. Those of no size or with numbers that
                are not finite give zeros. In less than float32, places of large images are off by pixels.
            levels: int ``(R,)``: index of the map that each RoI is taken from; None where there is only one.
            output_size: Bins per side, or rows and columns.
            scales: Pixels of each map per pixel of the image.
            sampling_ratio: Samples per bin and axis; 0 for one per pixel of the map.
            aligned: Whether integer coordinates are corners of pixels; else their centres.
            *maps: ``(N, C, H, W)`` each: features.

        Returns:
            ``(R, C, rows, columns)`` of the features' dtype.

        Raises:
            InputError: A RoI is of no image of the batch.
        """
        from sartorius.models.kernels.roi_align import roi_align

        images = rois[:, 0]
        if len(rois) and not (images.min() >= 0 and images.max() < len(maps[0])):
            raise InputError(
                f'RoIs of images {images.min():g} to {images.max():g} in a batch of {len(maps[0])}; the first column '
                'of a RoI is the index of its image'
            )
        rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
        output = torch.empty(len(rois), rows, columns, maps[0].shape[1])
        bins, boxes, ctx.parts = output.numpy(), _array(rois), []
        for level, (features, scale) in enumerate(zip(maps, scales, strict=True)):
            places = torch.arange(len(rois)) if levels is None else (levels == level).nonzero().flatten()
            how = (np.float32(scale), np.float32(0.5 if aligned else 0), sampling_ratio)
            ctx.parts.append((features.shape, features.dtype, places, how))
            if len(places):
                pixels, chosen = _channels_last(features), places.numpy()

                def fill(first: int, last: int, pixels=pixels, chosen=chosen, how=how) -> None:
                    roi_align(pixels, boxes[chosen[first:last]], chosen[first:last], bins, *how)

                _in_threads(fill, len(places), output[:1].numel() * len(places))
        ctx.save_for_backward(rois)
        return output.permute(0, 3, 1, 2).to(maps[0].dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the features, the same for any number of threads."""
        (rois,) = ctx.saved_tensors
        of_maps = [_map_gradients(gradients, rois, *part) for part in ctx.parts]
        return *[None] * 6, *of_maps


def _map_gradients(
    gradients: Tensor,
    rois: Tensor,
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    places: Tensor,
    how: tuple[Any, ...],
) -> Tensor:
    """Gradients ``(N, C, H, W)`` of one map, from those of the bins at the places of its RoIs."""
    from sartorius.models.kernels.roi_align import roi_align_backward

    images, channels, height, width = shape
    output = torch.zeros(images, height, width, channels)

    def add(arrays: tuple[np.ndarray, ...], first: int, last: int) -> None:
        roi_align_backward(*arrays, *how, first, last)

    # A few RoIs at a time, so that no second copy of all gradients lies in memory.
    count = max(1, BLOCK * torch.get_num_threads() // max(1, gradients[:1].numel()))
    for some in places.split(count) if len(places) else ():
        arrays = _channels_last(gradients[some]), _array(rois[some]), output.numpy()
        _in_threads(partial(add, arrays), images * height, len(some) * gradients[:1].numel())
    return output.permute(0, 3, 1, 2).to(dtype)


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    pool_mode: str = 'avg',
    aligned: bool = True,
) -> Tensor:
    """MMCV's function of this name; on a CPU :class:`CpuRoIAlign`, except for maxima and float64."""
    if runs_here(features) and pool_mode == 'avg':
        return CpuRoIAlign.apply(rois, None, output_size, (spatial_scale,), sampling_ratio, aligned, features)
    words = (output_size, spatial_scale, sampling_ratio, pool_mode, aligned)
    return _mmcv_roi_align.RoIAlignFunction.apply(features, rois, *words)


def runs_here(features: Tensor) -> bool:
    """Whether :class:`CpuRoIAlign` takes these features."""
    return features.device.type == 'cpu' and features.dtype != torch.float64


class DispatchedNMS(_mmcv_nms.NMSop):
    """MMCV's NMS of boxes, with a fast loop on a CPU."""

    @staticmethod
    def forward(
        ctx: Any,
        bboxes: Tensor,
        scores: Tensor,
        iou_threshold: float,
        offset: int,
        score_threshold: float,
        max_num: int,
    ) -> Tensor:
        """Indices of the boxes that are kept, the best one first; as MMCV's.

        Args:
            ctx: Of autograd.
            bboxes: ``(N, 4)``.
            scores: ``(N,)``.
            iou_threshold: IoU with a better box above which a box is dropped.
            offset: 0, or 1 where x2 and y2 are the last pixels.
            score_threshold: Scores up to it are dropped first; 0 for none.
            max_num: Number of boxes to keep at most; -1 for all.
        """
        if bboxes.device.type != 'cpu' or bboxes.dtype == torch.float64:
            return _mmcv_nms.NMSop.forward(ctx, bboxes, scores, iou_threshold, offset, score_threshold, max_num)
        from sartorius.models.kernels.nms import nms

        # In MMCV's order, so that equal scores come out alike.
        candidates = (
            (scores > score_threshold).nonzero().flatten() if score_threshold > 0 else torch.arange(len(scores))
        )
        order = candidates[scores[candidates].sort(descending=True).indices]
        boxes = _array(bboxes[order].T)
        kept = torch.from_numpy(nms(boxes, np.float32(iou_threshold), np.float32(offset)))
        return order[kept[:max_num] if max_num > 0 else kept]


def tune_for_cpu(model: torch.nn.Module) -> torch.nn.Module:
    """Makes a model on the CPU run faster, in place: channels last, in a process that keeps freed memory."""
    if all(weight.device.type == 'cpu' for weight in model.parameters()):
        keep_freed_memory()
        use_channels_last(model)
    return model


def use_channels_last(model: torch.nn.Module) -> None:
    """Puts the weights, in place, into the memory format that convolutions on a CPU run fastest in.

    Feature maps then have their channels last, as :class:`CpuRoIAlign` takes them without a copy. Models of several
    processes keep their format, which theirs share.
    """
    if not is_model_wrapper(model):
        model.to(memory_format=torch.channels_last)


def keep_freed_memory() -> None:
    """Makes the C library of Linux (glibc) take large blocks from its heap too, and never shrink it; see mallopt(3).

    The process keeps the memory of feature maps that it is done with, for the next ones: a fifth of the time of a
    prediction went into getting it from the system again and again.
    """
    set_malloc(mmap_max=0, trim_threshold=-1)


def set_malloc(mmap_max: int, trim_threshold: int) -> None:
    """Sets how many large blocks glibc takes straight from the system, and how much it keeps free at its heap's end.

    A call of mallopt(3) ends glibc's own adjustment of what is large; 32 MB is as far as that goes.
    """
    if sys.platform == 'linux' and hasattr(library := ctypes.CDLL(None), 'mallopt'):
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_M_MMAP_MAX, mmap_max)
        library.mallopt(_M_TRIM_THRESHOLD, trim_threshold)


def give_back_freed_memory() -> None:
    """Makes glibc return the pages of all that is freed to the system; see malloc_trim(3).

    Blocks of many sizes leave gaps that none of the next fits into: a process that keeps them grows without end.
    """
    if sys.platform == 'linux' and hasattr(library := ctypes.CDLL(None), 'malloc_trim'):
        library.malloc_trim(0)


def _channels_last(maps: Tensor) -> np.ndarray:
    return _array(maps.permute(0, 2, 3, 1))


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to(torch.float32).contiguous().numpy()


def _in_threads(work: Callable[[int, int], None], count: int, size: int) -> None:
    """Does work on ``range(count)``, in equal parts by as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count, max(1, size // WORTH_A_THREAD))
    if threads <= 1:
        work(0, count)
        return
    length = -(-count // threads)
    parts = [(first, min(first + length, count)) for first in range(0, count, length)]
    list(_pool(os.getpid()).map(lambda part: work(*part), parts))


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked one has none of its parent's."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix='roi-align')


_mmcv_roi_align.roi_align = roi_align
_mmcv_nms.NMSop = DispatchedNMS
