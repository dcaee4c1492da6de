"""Mixed precision on CPUs."""

from pathlib import Path

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS

from sartorius.engine import mixed_precision, run_config
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.engine.run_record import describe_run


def test_layers_run_in_bfloat16_and_weights_stay_float32() -> None:
    layer = torch.nn.Linear(4, 2)
    before = layer.weight.detach().clone()
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='CpuAmpOptimWrapper', optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
    )
    with wrapper.optim_context(layer):
        output = layer(torch.ones(3, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.sum())
    assert layer.weight.dtype == torch.float32
    assert torch.allclose(layer.weight, before - 0.3)


@pytest.mark.skipif(torch.cuda.is_available(), reason='on a GPU it is float16')
@pytest.mark.parametrize(('has_it', 'expected'), [(True, 'bfloat16'), (False, 'float32')])
def test_amp_on_a_cpu_is_bfloat16_where_the_processor_has_it(has_it, expected, monkeypatch) -> None:
    monkeypatch.setattr(run_config, 'has_bfloat16', lambda: has_it)
    config = build_train_config(RecipeOptions(Path('mrcnn_r18')), DataOptions(), TrainOptions(amp=True))
    assert config.optim_wrapper.type == ('CpuAmpOptimWrapper' if has_it else 'OptimWrapper')
    assert config.optim_wrapper.optimizer.fused
    assert describe_run(config, 'mrcnn_r18.py', None).precision == expected


def test_the_processor_is_asked(monkeypatch) -> None:
    for capabilities, expected in (({'avx512_bf16': False, 'amx_bf16': True}, True), ({'avx512_f': True}, False)):
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda found=capabilities: found, raising=False)
        assert mixed_precision.has_bfloat16() is expected
