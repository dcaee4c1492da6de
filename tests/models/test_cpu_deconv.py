"""Gradients of transposed convolutions on CPUs against PyTorch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.cnn import build_upsample_layer
from mmdet.registry import MODELS
from torch import Tensor, nn

from sartorius.models.cpu_deconv import CpuDeconv, DispatchedDeconv


def layers(**options) -> tuple[DispatchedDeconv, nn.ConvTranspose2d]:
    """The project's layer and PyTorch's, of the same weights."""
    ours = build_upsample_layer({'type': 'deconv', **options})
    theirs = nn.ConvTranspose2d(**options)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def gradients_of(layer: nn.Module, maps: Tensor, gradients: Tensor) -> tuple[Tensor, ...]:
    """Output, and gradients of the maps and of each weight."""
    leaf = maps.clone().requires_grad_()
    output = layer(leaf)
    output.backward(gradients.to(output.dtype))
    return output.detach(), leaf.grad, *[weight.grad for weight in layer.parameters()]


def test_a_pixel_makes_a_square_of_its_own() -> None:
    ours, _ = layers(in_channels=1, out_channels=1, kernel_size=2, stride=2)
    with torch.no_grad():
        ours.weight[:] = torch.tensor([[1.0, 2], [3, 4]])
        ours.bias[:] = 0.5
    output, of_maps, of_weight, of_bias = gradients_of(
        ours, torch.tensor([[[[1.0, 10]]]]), torch.tensor([[[[1.0, 0, 0, 0], [0, 0, 0, 1]]]])
    )
    assert output.tolist() == [[[[1.5, 2.5, 10.5, 20.5], [3.5, 4.5, 30.5, 40.5]]]]
    assert of_maps.tolist() == [[[[1, 4]]]]
    assert of_weight.tolist() == [[[[1, 0], [0, 10]]]]
    assert of_bias.tolist() == [2]


def test_every_config_gets_them_where_there_are_gradients() -> None:
    squares, _ = layers(in_channels=2, out_channels=2, kernel_size=2, stride=2)
    others, _ = layers(in_channels=2, out_channels=2, kernel_size=3, stride=2)
    maps = torch.randn(1, 2, 3, 3)
    assert isinstance(squares(maps).grad_fn, CpuDeconv._backward_cls)
    assert not isinstance(others(maps).grad_fn, CpuDeconv._backward_cls)
    with torch.no_grad():
        assert squares(maps).grad_fn is None
    assert type(MODELS.build({'type': 'SoftMaskHead'}).upsample) is DispatchedDeconv


@given(
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.sampled_from([1, 2, 3, (1, 2)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_equals_pytorch(seed, count, side, bias, channels_last, dtype) -> None:
    torch.manual_seed(seed)
    ours, theirs = layers(in_channels=5, out_channels=7, kernel_size=side, stride=side, bias=bias)
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    format_of_maps = torch.channels_last if channels_last else torch.contiguous_format
    maps = torch.randn(count, 5, 3, 4, dtype=dtype).to(memory_format=format_of_maps)
    gradients = torch.randn(theirs(maps).shape, dtype=dtype).to(memory_format=format_of_maps)
    results = zip(gradients_of(ours, maps, gradients), gradients_of(theirs, maps, gradients), strict=True)
    for result, expected in results:
        assert result.dtype == expected.dtype
        assert torch.allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_of_autocast() -> None:
    torch.manual_seed(0)
    ours, theirs = layers(in_channels=16, out_channels=16, kernel_size=2, stride=2)
    maps, gradients = torch.randn(4, 16, 14, 14), torch.randn(4, 16, 28, 28).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        results = gradients_of(ours, maps, gradients)
    exact = gradients_of(theirs, maps, gradients.float())
    assert results[0].dtype == torch.bfloat16
    # bfloat16 has 8 bits of mantissa.
    for result, expected in zip(results, exact, strict=True):
        assert (result.float() - expected).abs().max() < 0.02 * expected.abs().max()
    assert all(result.dtype == torch.float32 for result in results[1:])


@pytest.mark.parametrize(
    'options', [{'stride': 1}, {'padding': 1}, {'groups': 2}, {'dilation': 2}, {'output_padding': 1}]
)
def test_other_transposed_convolutions_stay_as_they_are(options) -> None:
    ours, theirs = layers(**{'in_channels': 4, 'out_channels': 6, 'kernel_size': 2, 'stride': 2, **options})
    maps = torch.randn(2, 4, 5, 6)
    gradients = torch.randn(theirs(maps).shape)
    for result, expected in zip(
        gradients_of(ours, maps, gradients), gradients_of(theirs, maps, gradients), strict=True
    ):
        assert torch.equal(result, expected)


def test_frozen_weights_get_no_gradients() -> None:
    ours, _ = layers(in_channels=2, out_channels=2, kernel_size=2, stride=2)
    ours.requires_grad_(False)
    _, of_maps, *others = gradients_of(ours, torch.randn(1, 2, 3, 3), torch.ones(1, 2, 6, 6))
    assert of_maps.any()
    assert others == [None, None]


def test_its_output_may_be_changed_in_place() -> None:
    ours, theirs = layers(in_channels=2, out_channels=2, kernel_size=2, stride=2)
    maps = torch.randn(1, 2, 3, 3).to(memory_format=torch.channels_last)
    of_ours, of_theirs = (
        gradients_of(nn.Sequential(x, nn.ReLU(inplace=True)), maps, torch.ones(1, 2, 6, 6)) for x in (ours, theirs)
    )
    assert torch.allclose(of_ours[1], of_theirs[1], atol=1e-6)
