"""RoI features from a pyramid on a CPU: against MMDetection's extractor, and from exact places in bfloat16."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

from sartorius.models.roi_extractors import ExactRoIExtractor

LAYER = {'type': 'RoIAlign', 'output_size': 7, 'sampling_ratio': 0}


def extractor(strides: tuple[int, ...] = (4, 8), **layer: object) -> ExactRoIExtractor:
    return MODELS.build(
        {
            'type': 'SingleRoIExtractor',
            'roi_layer': LAYER | layer,
            'out_channels': 3,
            'featmap_strides': strides,
        }
    )


def pyramid(seed: int, levels: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(2, 3, 64 >> level, 96 >> level, generator=generator).requires_grad_() for level in range(levels)
    )


def rois_of(seed: int, count: int) -> Tensor:
    """RoIs of two images of 384x256 px, of all sizes, some across the borders."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform((-20, -20), (384, 256), (count, 2))
    sizes = np.exp(rng.uniform(0, 5.5, (count, 2)))
    images = rng.integers(0, 2, (count, 1))
    return torch.tensor(np.concatenate([images, corners, corners + sizes], axis=1), dtype=torch.float32)


def test_every_config_gets_it() -> None:
    assert type(extractor()) is ExactRoIExtractor


@given(
    seed=st.integers(0, 10**6),
    count=st.sampled_from([0, 1, 2, 40]),
    levels=st.sampled_from([1, 2, 4]),
    factor=st.sampled_from([None, 1.5]),
)
def test_equals_mmdetection(seed: int, count: int, levels: int, factor: float | None) -> None:
    extract = extractor((4, 8, 16, 32)[:levels])
    # MMDetection's does not scale the RoIs where there is but one level.
    factor = factor if levels > 1 else None
    ours, theirs, rois = pyramid(seed, levels), pyramid(seed, levels), rois_of(seed, count)
    bins, expected = extract(ours, rois, factor), SingleRoIExtractor.forward(extract, theirs, rois, factor)
    assert bins.shape == (count, 3, 7, 7)
    assert torch.allclose(bins, expected, rtol=0, atol=5e-6)
    if count:
        gradients = torch.randn(bins.shape, generator=torch.Generator().manual_seed(seed))
        bins.backward(gradients)
        expected.backward(gradients)
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.allclose(mine.grad, other.grad, rtol=1e-5, atol=1e-4)


def test_rois_are_not_rounded_to_the_type_of_the_features() -> None:
    """By hand: on a ramp the bins' mean is the RoI's middle; x of 301 to 321 would be 300 to 320 in bfloat16."""
    ramp = (torch.arange(512) + 0.5).expand(1, 3, 16, 512)
    roi = torch.tensor([[0.0, 301, 2, 321, 14]])
    bins = extractor((1,), sampling_ratio=2)((ramp.bfloat16(),), roi)
    assert bins.dtype == torch.bfloat16
    exact = extractor((1,), sampling_ratio=2)((ramp.bfloat16().float(),), roi)
    assert torch.equal(bins, exact.bfloat16())
    assert exact.mean().item() == pytest.approx(311, abs=0.2)
    rounded = SingleRoIExtractor.forward(extractor((1,), sampling_ratio=2), (ramp.bfloat16(),), roi)
    assert not torch.equal(bins, rounded)


def test_rois_that_are_no_numbers_give_zeros() -> None:
    rois = rois_of(0, 3)
    rois[1, 2] = float('nan')
    bins = extractor()(pyramid(0), rois)
    assert not bins[1].any() and bins[0].any() and bins[2].any()


def test_maxima_are_left_to_mmdetection() -> None:
    extract, features, rois = extractor(pool_mode='max'), pyramid(1), rois_of(1, 9)
    assert torch.equal(extract(features, rois), SingleRoIExtractor.forward(extract, features, rois))
