"""Gradients of the transposed convolution of mask heads on CPUs, in place of PyTorch's.

Importing this module makes every layer that MMCV's registry builds as ``deconv`` a :class:`DispatchedDeconv`. On other
devices, and without gradients, nothing changes.
"""

from typing import Any

import torch
from mmcv.cnn.bricks.wrappers import ConvTranspose2d
from mmengine.registry import MODELS
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class CpuDeconv(torch.autograd.Function):
    """Transposed convolution whose kernel is as large as its stride: each input pixel makes a square of its own.

    As no squares overlap, the gradients are matrix products over the pixels; PyTorch's own take up to four times as
    long.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Output of PyTorch's own transposed convolution.

        Args:
            ctx: Of autograd.
            maps: ``(N, C, H, W)``.
            weight: ``(C, O, k, k)``, of the same dtype.
            bias: ``(O,)``, of the same dtype.

        Returns:
            ``(N, O, k * H, k * W)``.
        """
        ctx.save_for_backward(maps, weight)
        return functional.conv_transpose2d(maps, weight, bias, stride=weight.shape[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of maps, weight and bias, where they are asked for."""
        maps, weight = ctx.saved_tensors
        (images, inputs, height, width), (_, outputs, rows, columns) = maps.shape, weight.shape
        squares = gradients.permute(0, 2, 3, 1).reshape(images, height, rows, width, columns, outputs)
        squares = squares.transpose(2, 3).reshape(images * height * width, rows * columns * outputs)
        of_maps = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            matrix = weight.permute(0, 2, 3, 1).reshape(inputs, -1)
            of_maps = (squares @ matrix.T).view(images, height, width, inputs).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            product = maps.permute(0, 2, 3, 1).reshape(-1, inputs).T @ squares
            of_weight = product.view(inputs, rows, columns, outputs).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            # A product with ones: sums along the first axis take PyTorch far longer.
            ones = squares.new_ones(1, len(squares))
            of_bias = (ones @ squares).view(rows * columns, outputs).sum(dim=0)
        return of_maps, of_weight, of_bias


@MODELS.register_module('deconv', force=True)
class DispatchedDeconv(ConvTranspose2d):
    """MMCV's transposed convolution, with fast gradients on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Enlarged maps.

        Args:
            x: ``(N, C, H, W)``.
        """
        if not (x.device.type == 'cpu' and torch.is_grad_enabled() and self._makes_squares()):
            return super().forward(x)
        dtype = torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else x.dtype
        bias = self.bias if self.bias is None else self.bias.to(dtype)
        return CpuDeconv.apply(x.to(dtype), self.weight.to(dtype), bias)

    def _makes_squares(self) -> bool:
        return (
            self.kernel_size == self.stride
            and self.padding == self.output_padding == (0, 0)
            and self.dilation == (1, 1)
            and self.groups == 1
        )
