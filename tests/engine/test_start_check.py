"""What a training starts or goes on from is refused in a sentence where MMEngine would take what fits or fail."""

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.optim import LinearLR
from mmengine.runner import get_priority

from sartorius.engine.start_check import StartCheckHook, check_resumable
from sartorius.models.model_file import SHIPPED
from sartorius.utils.errors import InputError


@pytest.fixture
def runner() -> SimpleNamespace:
    """A run that has taken one step; ``said`` is its log."""
    torch.manual_seed(0)
    model, said = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4)), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    schedule = LinearLR(optimizer, start_factor=0.1, end=5, by_epoch=False)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return SimpleNamespace(
        cfg=SimpleNamespace(load_from='a.pth', resume=True),
        model=model,
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
        param_schedulers=[schedule],
        logger=SimpleNamespace(info=said.append),
        said=said,
    )


@pytest.fixture
def checkpoint(runner: SimpleNamespace) -> dict:
    return copy.deepcopy(
        dict(
            state_dict=runner.model.state_dict(),
            optimizer=runner.optim_wrapper.optimizer.state_dict(),
            param_schedulers=[one.state_dict() for one in runner.param_schedulers],
            meta=dict(iter=1, epoch=0),
            message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1])), runtime_info={}, resumed_keys={}),
        )
    )


def momentum(checkpoint: dict) -> dict:
    return checkpoint['optimizer']['state'][0]


def averages(checkpoint: dict, without: str = '') -> dict:
    """State of an averaging model as MMEngine writes it: around the detector, with a counter."""
    weights = {'module.' + key: value for key, value in checkpoint['state_dict'].items() if key != without}
    return {'steps': torch.tensor(1), **weights}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda one: None, ''),
        (lambda one: one.update(state_dict={'module.' + key: part for key, part in one['state_dict'].items()}), ''),
        (lambda one: one.update(ema_state_dict=averages(one)), ''),
        (lambda one: one.update(ema_state_dict=averages(one, without='1.bias')), r'the file has no 1\.bias'),
        (lambda one: one.update(state_dict={}), 'holds no weights'),
        (lambda one: one.update(ema_state_dict={}), 'holds no weights'),
        (lambda one: one['state_dict'].pop('1.bias'), r'does not fit the config \(the file has no 1\.bias\)'),
        (lambda one: one['state_dict'].update({'1.bias': torch.arange(4)}), r'1\.bias is int64 of shape \(4,\) in the'),
        (lambda one: one.update(optimizer=[]), 'its optimizer has no state'),
        (lambda one: one['optimizer']['param_groups'][0]['params'].pop(), 'its optimizer is one of other weights'),
        (lambda one: one['optimizer']['param_groups'][0].pop('momentum'), 'its optimizer is of another kind'),
        (lambda one: momentum(one).update(momentum_buffer=torch.ones(9)), r'momentum_buffer of its .* of shape \(9,\)'),
        (
            lambda one: momentum(one)['momentum_buffer'].fill_(torch.inf),
            'momentum_buffer of its optimizer is not finite',
        ),
        (lambda one: one['param_schedulers'][0].update(step=3), 'it has no state of a LinearLR'),
        (lambda one: one.pop('param_schedulers'), 'it has no state of 1 schedules'),
    ],
)
def test_the_state_of_another_run_is_refused(
    change: Callable, message: str, runner: SimpleNamespace, checkpoint: dict
) -> None:
    change(checkpoint)
    if not message:
        StartCheckHook().after_load_checkpoint(runner, checkpoint)
        return
    with pytest.raises(InputError, match=rf'^a\.pth: .*{message}'):
        StartCheckHook().after_load_checkpoint(runner, checkpoint)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda one: None, ''),
        (lambda one: one.pop('optimizer'), 'has no optimizer state'),
        (lambda one: one.update(meta=[]), 'no counts of iterations'),
        (lambda one: one['meta'].update(iter='1'), 'no counts of iterations'),
        (lambda one: one['meta'].update(epoch=-1), 'no counts of iterations'),
        (lambda one: one.update(message_hub={}), 'its message_hub is none'),
        (lambda one: one['message_hub']['log_scalars'].update(loss=[1.0]), 'hold more than numbers'),
        (lambda one: one['message_hub']['runtime_info'].update(keep_ckpt_ids=7), 'names no checkpoints'),
    ],
)
def test_what_is_no_state_of_a_training_is_refused(
    change: Callable, message: str, checkpoint: dict, tmp_path: Path
) -> None:
    change(checkpoint)
    torch.save(checkpoint, tmp_path / 'a.pth')
    if not message:
        check_resumable(tmp_path / 'a.pth')
        return
    with pytest.raises(InputError, match=rf'a\.pth: .*{message}'):
        check_resumable(tmp_path / 'a.pth')


def test_the_package_s_model_fits_but_for_layers_of_classes(runner: SimpleNamespace, checkpoint: dict) -> None:
    runner.cfg.resume, runner.cfg.load_from = False, str(SHIPPED / 'cells.pth')
    runner.model = torch.nn.ModuleDict(dict(body=torch.nn.Linear(2, 3), fc_cls=torch.nn.Linear(3, 4)))
    weights = {**torch.nn.ModuleDict(dict(body=torch.nn.Linear(2, 3), fc_cls=torch.nn.Linear(3, 2))).state_dict()}
    StartCheckHook().after_load_checkpoint(runner, {'state_dict': weights})
    assert 'the model of the package' in runner.said[0] and "4 of the model's 4" in runner.said[0]
    assert 'every class begins as the one class' in runner.said[0]
    del weights['body.bias']
    with pytest.raises(InputError, match=r'another architecture .*body\.bias.* is not there.*--from-scratch'):
        StartCheckHook().after_load_checkpoint(runner, {'state_dict': weights})


def test_first_weights_say_how_many_fit(runner: SimpleNamespace, checkpoint: dict) -> None:
    runner.cfg.resume = False
    weights = checkpoint['state_dict']
    del weights['0.bias']
    weights['1.weight'], weights['1.bias'] = torch.zeros(9, 3), torch.zeros(9)
    StartCheckHook().after_load_checkpoint(runner, checkpoint)
    assert runner.said == [
        "starts from a.pth: 1 of the model's 4 tensors; at random, because their shapes differ: 1 (9 to 4)"
    ]
    for bad, message in (({'x': torch.ones(1)}, 'none of its weights fits'), ({}, 'holds no weights')):
        with pytest.raises(InputError, match=message):
            StartCheckHook().after_load_checkpoint(runner, {'state_dict': bad})
    weights['0.weight'][0, 0] = torch.nan
    with pytest.raises(InputError, match=r'weights 0\.weight are not finite'):
        StartCheckHook().after_load_checkpoint(runner, checkpoint)


@pytest.mark.parametrize('bare', [False, True])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_several_classes_begin_as_sure_of_a_cell_as_one_class_was(
    runner: SimpleNamespace, prefix: str, bare: bool
) -> None:
    runner.cfg.resume = False
    one, three = (torch.nn.ModuleDict(dict(fc_cls=torch.nn.Linear(5, scores))) for scores in (2, 4))
    runner.model = three
    weights = {prefix + key: value for key, value in one.state_dict().items()}
    # A file may be nothing but weights.
    content = weights if bare else {'state_dict': weights}
    StartCheckHook().after_load_checkpoint(runner, content)
    three.load_state_dict({key.removeprefix(prefix): value for key, value in content['state_dict'].items()})
    features = torch.randn(7, 5)
    before, after = (model['fc_cls'](features).softmax(1) for model in (one, three))
    assert torch.allclose(after[:, :3], before[:, :1].expand(-1, 3) / 3)
    assert torch.allclose(after[:, 3], before[:, 1])


def test_every_stage_of_a_cascade_begins_with_the_one_head(runner: SimpleNamespace) -> None:
    def model(stages: int | None) -> torch.nn.ModuleDict:
        def head(scores: int) -> torch.nn.Module:
            heads = [torch.nn.ModuleDict(dict(fc_cls=torch.nn.Linear(5, scores))) for _ in range(stages or 1)]
            return torch.nn.ModuleList(heads) if stages else heads[0]

        parts = torch.nn.ModuleDict(dict(bbox_head=head(4 if stages else 2), mask_head=head(3)))
        return torch.nn.ModuleDict(dict(roi_head=parts, neck=torch.nn.Linear(2, 2)))

    runner.cfg.resume = False
    runner.model, single = model(stages=3), model(stages=None)
    content = {'state_dict': dict(single.state_dict())}
    StartCheckHook().after_load_checkpoint(runner, content)
    assert "14 of the model's 14" in runner.said[0]
    assert 'every stage begins with the one roi_head.bbox_head and roi_head.mask_head' in runner.said[0]
    runner.model.load_state_dict(content['state_dict'])
    heads, head = runner.model['roi_head'], single['roi_head']
    for stage in range(3):
        assert torch.equal(heads['mask_head'][stage]['fc_cls'].weight, head['mask_head']['fc_cls'].weight)
        assert torch.equal(heads['bbox_head'][stage]['fc_cls'].weight[1], head['bbox_head']['fc_cls'].weight[0])
    # A cascade's own weights are left as they are.
    StartCheckHook().after_load_checkpoint(runner, {'state_dict': runner.model.state_dict()})
    assert 'every stage' not in runner.said[1]


def test_what_keeps_averages_sees_the_weights_that_are_taken() -> None:
    assert get_priority(StartCheckHook.priority) < get_priority(EMAHook.priority)


@pytest.mark.parametrize('prefix', [None, 'backbone', 'backbone.'])
def test_a_backbone_is_checked_alike(prefix: str | None, tmp_path: Path) -> None:
    class Backbone(BaseModule):
        def __init__(self) -> None:
            super().__init__(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), prefix=prefix))
            self.layer = torch.nn.Linear(1, 1)

    start = f'{prefix.removesuffix(".")}.' if prefix else ''
    torch.save({'state_dict': {f'{start}layer.weight': torch.full((1, 1), 7.0)}}, tmp_path / 'a.pth')
    backbone = Backbone()
    backbone.init_weights()
    assert backbone.layer.weight.item() == 7
    torch.save({'state_dict': {f'other.{start}layer.weight': torch.ones(1, 1)}}, tmp_path / 'a.pth')
    with pytest.raises(InputError, match=r'a\.pth: (none of its weights fits|holds no weights)'):
        Backbone().init_weights()
