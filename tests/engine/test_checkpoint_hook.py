"""A run that is killed while it saves keeps its best checkpoint and one to go on from."""

import copy
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS

import sartorius.engine  # noqa: F401


class Killed(BaseException):
    pass


def make_runner(work_dir: Path) -> SimpleNamespace:
    """What the hook needs of a runner; its checkpoints are empty."""
    runner = SimpleNamespace(
        work_dir=str(work_dir),
        iter=0,
        epoch=0,
        logger=logging.getLogger('test'),
        message_hub=MessageHub.get_instance(str(work_dir)),
        killed=False,
        cfg=Config({'load_from': None, 'resume': False}),
    )

    def save_checkpoint(out_dir: str, filename: str, *_: object, **__: object) -> None:
        if runner.killed:
            raise Killed
        Path(out_dir, filename).touch()

    runner.save_checkpoint = save_checkpoint
    return runner


def train_three(hook: CheckpointHook, runner: SimpleNamespace) -> None:
    """Three iterations, each saved and scored; the second one is the best."""
    for number, score in enumerate([0.1, 0.2, 0.15], 1):
        runner.iter = number - 1
        hook._save_checkpoint(runner)
        runner.iter = number
        hook._save_best_checkpoint(runner, {'mAP': score})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob('*.pth')}


@pytest.mark.filterwarnings('ignore')
def test_older_checkpoints_are_removed_after_newer_ones_are_written(tmp_path: Path) -> None:
    config = dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=2, save_best='mAP', rule='greater')
    hook, runner = HOOKS.build(config), make_runner(tmp_path)
    hook.before_train(runner)
    train_three(hook, runner)
    whole = {'iter_2.pth', 'iter_3.pth', 'best_mAP_iter_2.pth'}
    assert names(tmp_path) == whole
    runner.killed = True
    for save in (lambda: hook._save_checkpoint(runner), lambda: hook._save_best_checkpoint(runner, {'mAP': 0.9})):
        with pytest.raises(Killed):
            save()
        assert names(tmp_path) == whole


@pytest.mark.filterwarnings('ignore')
def test_a_resumed_run_removes_what_a_killed_one_could_not(tmp_path: Path) -> None:
    config = dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=2, save_best='mAP', rule='greater')
    hook, runner = HOOKS.build(config), make_runner(tmp_path)
    hook.before_train(runner)
    saved: dict[str, object] = {}
    save = runner.save_checkpoint

    def save_and_keep_what_is_said(out_dir: str, filename: str, *_: object, **__: object) -> None:
        save(out_dir, filename)
        saved[filename] = copy.deepcopy(runner.message_hub.runtime_info)

    runner.save_checkpoint = save_and_keep_what_is_said
    train_three(hook, runner)
    # As if it had been killed after writing iter_3.pth and before removing iter_1.pth; another run's are not touched.
    for name in ('iter_1.pth', 'iter_7.pth', 'mine.pth'):
        Path(tmp_path, name).touch()
    resumed = HOOKS.build(config)
    runner.message_hub._runtime_info = saved['iter_3.pth']
    runner.cfg = Config({'load_from': str(tmp_path / 'iter_3.pth'), 'resume': True})
    resumed.before_train(runner)
    assert names(tmp_path) == {'iter_2.pth', 'iter_3.pth', 'best_mAP_iter_2.pth', 'iter_7.pth', 'mine.pth'}


@pytest.mark.filterwarnings('ignore')
def test_a_resumed_run_notes_its_checkpoint_as_the_last_one(tmp_path: Path) -> None:
    note = tmp_path / 'last_checkpoint'
    note.write_text('')
    hook, runner = HOOKS.build(dict(type='CheckpointHook', by_epoch=False, interval=1)), make_runner(tmp_path)
    runner.cfg = Config({'load_from': str(tmp_path.parent / 'other/iter_3.pth'), 'resume': True})
    hook.before_train(runner)
    assert note.read_text() == ''
    runner.cfg = Config({'load_from': str(tmp_path / 'iter_2.pth'), 'resume': True})
    hook.before_train(runner)
    assert note.read_text() == str(tmp_path / 'iter_2.pth')
