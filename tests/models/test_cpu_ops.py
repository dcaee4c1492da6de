"""RoIAlign and NMS on CPUs against MMCV's own."""

import importlib

import mmcv.ops
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sartorius.models import cpu_ops
from sartorius.models.cpu_ops import DispatchedNMS, roi_align, tune_for_cpu
from sartorius.utils.errors import InputError

MMCV_ROI_ALIGN = importlib.import_module('mmcv.ops.roi_align').RoIAlignFunction.apply
MMCV_NMS = DispatchedNMS.__base__.apply


def rois_of(seed: int, count: int = 30) -> Tensor:
    """RoIs of two images of 80x60 pixels: ordinary ones, across the borders, far outside, thin, huge, of no size."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-20, 80, (count, 2))
    sizes = rng.choice([0, 1e-3, 1, 7, 14, 30, 200], (count, 2)) * rng.uniform(0.5, 1.5, (count, 2))
    corners[: count // 10] += 1000
    boxes = np.concatenate([rng.integers(0, 2, (count, 1)), corners, corners + sizes], axis=1)
    # Whole numbers make bins that end at pixels, where rounding decides.
    return torch.tensor(np.where(rng.random((count, 1)) < 0.3, np.round(boxes), boxes), dtype=torch.float32)


def test_a_map_that_rises_gives_the_middles_of_the_bins() -> None:
    columns = torch.arange(16.0).expand(1, 2, 12, 16)
    bins = roi_align(columns, torch.tensor([[0.0, 8, 8, 24, 24]]), 2, 0.5)
    # x from 4 to 12 on the map in two bins with middles 6 and 10; the pixel of column n has its middle at n + .5.
    assert torch.equal(bins[0, 1], torch.tensor([[5.5, 9.5], [5.5, 9.5]]))


@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, (7, 3), 14]),
    st.sampled_from([1.0, 0.25, 0.3]),
    st.sampled_from([0, 1, 3]),
    st.booleans(),
    st.booleans(),
)
def test_equals_mmcv(seed, output_size, scale, sampling_ratio, aligned, channels_last) -> None:
    generator = torch.Generator().manual_seed(seed)
    rois = rois_of(seed)
    features = torch.randn(2, 19, 15, 20, generator=generator)
    ours = features.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    ours, theirs = ours.clone().requires_grad_(), features.clone().requires_grad_()
    size = (output_size, output_size) if isinstance(output_size, int) else output_size
    expected = MMCV_ROI_ALIGN(theirs, rois, size, scale, sampling_ratio, 'avg', aligned)
    bins = roi_align(ours, rois, output_size, scale, sampling_ratio, 'avg', aligned)
    assert torch.allclose(bins, expected, rtol=0, atol=5e-6)
    gradients = torch.randn(bins.shape, generator=generator)
    expected.backward(gradients)
    bins.backward(gradients)
    # Many bins add to a pixel, in another order.
    assert (ours.grad - theirs.grad).abs().max() <= 1e-5 * max(1, theirs.grad.abs().max())


def test_backward_is_the_transpose_of_forward() -> None:
    features = torch.randn(2, 5, 15, 20, requires_grad=True)
    bins = roi_align(features, rois_of(3), 7, 0.25)
    gradients = torch.randn_like(bins)
    bins.backward(gradients)
    assert torch.isclose((bins * gradients).sum(), (features * features.grad).sum(), rtol=1e-3)


def test_numbers_that_no_box_has_give_zeros() -> None:
    for bad in (float('nan'), float('inf'), -float('inf'), 1e30, -1e30):
        for place in range(1, 5):
            roi = torch.tensor([[0.0, 2, 3, 9, 8]])
            roi[0, place] = bad
            bins = roi_align(torch.ones(1, 3, 10, 10), roi, 2)
            assert torch.isfinite(bins).all()
            assert (bins <= 1).all()


def test_bfloat16_is_summed_in_float32() -> None:
    features = torch.randn(1, 4, 15, 20).bfloat16().requires_grad_()
    rois = rois_of(1)
    rois[:, 0] = 0
    bins = roi_align(features, rois, 7, 0.25)
    assert bins.dtype == torch.bfloat16
    assert torch.equal(bins, roi_align(features.float(), rois, 7, 0.25).bfloat16())
    bins.sum().backward()
    assert features.grad.dtype == torch.bfloat16


def test_threads_share_the_work_and_change_nothing(monkeypatch) -> None:
    features, rois = torch.randn(2, 40, 15, 20, requires_grad=True), rois_of(2)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(cpu_ops, 'WORTH_A_THREAD', 1)
        monkeypatch.setattr(torch, 'get_num_threads', lambda count=threads: count)
        features.grad = None
        bins = roi_align(features, rois, 7, 0.25)
        (bins * torch.arange(7.0)).sum().backward()
        results.append((bins.detach(), features.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_no_rois_and_rois_of_no_image() -> None:
    features = torch.randn(1, 4, 5, 6, requires_grad=True)
    bins = roi_align(features, torch.zeros(0, 5), 7)
    bins.sum().backward()
    assert bins.shape == (0, 4, 7, 7)
    assert not features.grad.any()
    with pytest.raises(InputError, match='RoIs of images 1 to 1 in a batch of 1'):
        roi_align(features, torch.tensor([[1.0, 0, 0, 3, 3]]), 7)


def test_every_config_gets_them() -> None:
    rois = rois_of(5)
    features = torch.randn(2, 4, 15, 20)
    assert torch.equal(mmcv.ops.RoIAlign(7, 0.25, 0)(features, rois), roi_align(features, rois, 7, 0.25))
    assert importlib.import_module('mmcv.ops.nms').NMSop is DispatchedNMS
    # Maxima and float64 stay MMCV's.
    largest = mmcv.ops.RoIAlign(7, 0.25, 2, pool_mode='max')(features, rois)
    assert torch.equal(largest, MMCV_ROI_ALIGN(features, rois, (7, 7), 0.25, 2, 'max', True))
    assert roi_align(features.double(), rois.double(), (7, 7), 0.25).dtype == torch.float64


@given(
    st.integers(0, 10**6),
    st.sampled_from([0, 1, 2, 40, 300]),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([0, 1]),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([-1, 0, 5]),
)
def test_nms_equals_mmcv(seed, count, iou_threshold, offset, score_threshold, max_num) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (count, 2))
    boxes = torch.tensor(np.concatenate([corners, corners + rng.integers(-2, 12, (count, 2))], 1), dtype=torch.float32)
    boxes[rng.random(count) < 0.02] = float('nan')
    # Few values, so that many scores are equal.
    scores = torch.tensor(rng.integers(0, 20, count) / 20, dtype=torch.float32)
    words = (iou_threshold, offset, score_threshold, max_num)
    assert torch.equal(DispatchedNMS.apply(boxes, scores, *words), MMCV_NMS(boxes, scores, *words))


def test_nms_of_three_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
    kept, indices = mmcv.ops.nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5)
    assert indices.tolist() == [1, 2]
    assert torch.equal(kept, torch.tensor([[0, 0, 10, 9, 0.9], [20, 0, 30, 10, 0.7]]))


def test_the_fast_layout_is_that_of_channels_last_and_the_same_weights() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 4, 3))
    before = [weight.clone() for weight in model.parameters()]
    assert tune_for_cpu(model) is model
    assert model(torch.randn(2, 3, 9, 9)).is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), before, strict=True))
