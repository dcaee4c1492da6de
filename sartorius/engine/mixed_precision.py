"""Mixed precision on CPUs, whose bfloat16 needs no scaling of the loss."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

BFLOAT16_INSTRUCTIONS = ('avx512_bf16', 'amx_bf16')
AMP_WRAPPERS = {'AmpOptimWrapper': 'amp', 'CpuAmpOptimWrapper': 'bfloat16'}
"""Optimiser wrappers of mixed precision, and what run records call theirs."""


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Runs convolutions and matrix products in bfloat16, all else and the weights in float32.

    MMEngine's ``AmpOptimWrapper`` refuses CPUs.
    """

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """What the losses of a step are computed in."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; others would be slower with it than without."""
    # Older releases of PyTorch do not tell.
    capabilities = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)
