"""The last layers of mask heads as matrix products, against MMDetection's heads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.roi_heads.mask_heads import FCNMaskHead, HTCMaskHead
from torch import Tensor, nn

from sartorius.models.mask_heads import SoftHTCMaskHead, SoftMaskHead

PAIRS = {'plain': (SoftMaskHead, FCNMaskHead), 'htc': (SoftHTCMaskHead, HTCMaskHead)}


def heads(kind: str, **options) -> tuple[nn.Module, nn.Module]:
    """The project's head and MMDetection's, of the same weights."""
    options = {'num_convs': 1, 'in_channels': 5, 'conv_out_channels': 5, 'num_classes': 3, **options}
    ours, theirs = (head(**options) for head in PAIRS[kind])
    for weight in theirs.parameters():
        nn.init.normal_(weight)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def results_of(head: nn.Module, features: Tensor, *previous: Tensor) -> list[Tensor]:
    """Outputs, and gradients of the features and of each weight for a sum of squares."""
    leaves = [some.clone().requires_grad_() for some in (features, *previous)]
    head.zero_grad()
    outputs = head(*leaves)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    sum(output.float().square().sum() for output in outputs).backward()
    gradients = [leaf.grad for leaf in (*leaves, *head.parameters()) if leaf.grad is not None]
    return [*(output.detach() for output in outputs), *gradients]


def test_a_pixel_makes_a_square_of_its_own() -> None:
    """By hand: 1 and -10 are enlarged, the negative ones cut off, doubled, and a half added."""
    head, _ = heads('plain', num_convs=0, in_channels=1, conv_out_channels=1, class_agnostic=True)
    with torch.no_grad():
        head.upsample.weight[:] = torch.tensor([[1.0, 2], [3, -4]])
        head.upsample.bias[:] = 0
        head.conv_logits.weight[:] = 2
        head.conv_logits.bias[:] = 0.5
        assert head(torch.tensor([[[[1.0, -10]]]])).tolist() == [[[[2.5, 4.5, 0.5, 0.5], [6.5, 0.5, 0.5, 80.5]]]]


@pytest.mark.parametrize('kind', PAIRS)
@pytest.mark.parametrize('agnostic', [False, True])
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 3),
    factor=st.integers(1, 3),
    channels_last=st.booleans(),
    with_previous=st.booleans(),
)
def test_equals_mmdetection(kind, agnostic, seed, count, factor, channels_last, with_previous) -> None:
    torch.manual_seed(seed)
    scale = {'upsample_cfg': {'type': 'deconv', 'scale_factor': factor}}
    ours, theirs = (head.double() for head in heads(kind, class_agnostic=agnostic, **scale))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    maps = [torch.randn(count, 5, 4, 6, dtype=torch.float64).to(memory_format=layout) for _ in range(2)]
    inputs = maps if with_previous and kind == 'htc' else maps[:1]
    assert ours._can_multiply(maps[0])
    for result, expected in zip(results_of(ours, *inputs), results_of(theirs, *inputs), strict=True):
        torch.testing.assert_close(result, expected)


def test_htc_gives_what_is_asked_for() -> None:
    ours, _ = heads('htc')
    features = torch.randn(2, 5, 4, 4)
    logits, last = ours(features)
    assert (logits.shape, last.shape) == ((2, 3, 8, 8), (2, 5, 4, 4))
    assert torch.equal(ours(features, return_feat=False), logits)
    assert torch.equal(ours(features, return_logits=False), last)


def test_bfloat16_of_autocast() -> None:
    torch.manual_seed(0)
    ours, theirs = heads('plain', in_channels=16, conv_out_channels=16)
    features = torch.randn(4, 16, 14, 14)
    with torch.autocast('cpu', torch.bfloat16):
        assert ours(features).dtype == torch.bfloat16
        results = results_of(ours, features)
    # bfloat16 has 8 bits of mantissa.
    for result, expected in zip(results, results_of(theirs, features), strict=True):
        assert (result.float() - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize(
    'options',
    [
        {'upsample_cfg': {'type': 'bilinear', 'scale_factor': 2}},
        {'upsample_cfg': {'type': 'deconv', 'scale_factor': 2, 'output_padding': 1}},
        {'predictor_cfg': {'type': 'mmdet.NormedConv2d'}},
    ],
    ids=lambda options: str(*options.values()),
)
def test_other_layers_run_as_they_are(options: dict) -> None:
    ours, theirs = heads('plain', **options)
    features = torch.randn(2, 5, 4, 4)
    assert not ours._can_multiply(features)
    for result, expected in zip(results_of(ours, features), results_of(theirs, features), strict=True):
        assert torch.equal(result, expected)


def test_a_gpu_runs_the_layers_as_they_are() -> None:
    """The meta device stands for it."""
    ours, _ = heads('plain')
    assert not ours._can_multiply(torch.zeros(1, 5, 4, 4, device='meta'))
    assert ours.to('meta')(torch.zeros(1, 5, 4, 4, device='meta')).shape == (1, 3, 8, 8)
