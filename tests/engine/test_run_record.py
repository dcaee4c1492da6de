"""What a training run records of itself, on a runner that trains nothing, and what predictions take from it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from sartorius.engine import run_record
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.engine.run_record import (
    RunRecordHook,
    command_line,
    describe_run,
    full_run_of_checkpoint,
    recipe_sha256,
    run_of_checkpoint,
)
from sartorius.predictions.provenance import DataRecord, FirstWeights, RunData, RunRecord, read_run, write_run
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import CONFIG_DIR
from sartorius.utils.version import git_commit

CONFIG = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'
INFO = {'origin': 'Sartorius', 'split': 'train', 'fold': 1, 'folds': 5}


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Cells(Dataset):
    """Two images with three cells, one of them to be ignored."""

    def __init__(self, ann_file: Path) -> None:
        self.ann_file = str(ann_file)
        self.data_root = str(ann_file.parent)

    def __len__(self) -> int:
        return 2

    def get_data_info(self, index: int) -> dict:
        return {'instances': [{'ignore_flag': 0}, {'ignore_flag': 1}][: index + 1]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(run_record, 'time', clock)
    return clock


def make_runner(folder: Path, resume: bool = False, done: int = 0) -> SimpleNamespace:
    """What the hook looks at: a run of 4 iterations of 3 images, 2 batches an optimiser step."""
    folder.mkdir(exist_ok=True)
    (folder / 'fold1_train.json').write_text(json.dumps({'info': INFO}))
    wrapped = SimpleNamespace(dataset=Cells(folder / 'fold1_train.json'))
    return SimpleNamespace(
        cfg={'resume': resume, 'load_from': str(folder / 'iter_2.pth')},
        work_dir=str(folder),
        seed=5,
        iter=done,
        max_iters=4,
        train_dataloader=SimpleNamespace(dataset=wrapped, batch_size=3),
        optim_wrapper=SimpleNamespace(_accumulative_counts=2),
        val_loop=object(),
        val_dataloader=DataLoader(Cells(folder / 'fold1_train.json')),
    )


def make_hook(weights: FirstWeights | None = None, command: str = 'python tools/train.py') -> RunRecordHook:
    return RunRecordHook(RunRecord(recipe='r', config_sha256='c', commands=(command,), weights=weights).to_dict())


def save(hook: RunRecordHook, runner: SimpleNamespace, done: int) -> dict:
    """Saves a checkpoint after an iteration, as CheckpointHook does; returns what it carries."""
    checkpoint = {'meta': {'iter': done}}
    hook.before_save_checkpoint(runner, checkpoint)
    before = read_run(runner.work_dir)
    hook.after_train_iter(runner, done - 1)
    assert before.iterations_done < done, 'the record was written before its checkpoint'
    return checkpoint


def test_record_counts_time_and_validation_apart(tmp_path: Path, clock: Clock) -> None:
    hook, runner = make_hook(), make_runner(tmp_path)
    hook.before_train(runner)
    start = read_run(tmp_path)
    assert (start.iterations_done, start.minutes, start.finished) == (0, 0.0, False)

    clock.now += 60
    checkpoint = save(hook, runner, 2)
    assert read_run(tmp_path).minutes == 1.0
    hook.before_val(runner)
    clock.now += 30
    hook.after_val(runner)
    clock.now += 90
    hook.after_train_iter(runner, 2)
    assert read_run(tmp_path).minutes == 1.0, 'written without a checkpoint'
    runner.iter = 4
    hook.after_train(runner)

    record = read_run(tmp_path)
    assert (record.minutes, record.validation_minutes) == (2.5, 0.5)
    assert (record.iterations, record.iterations_done, record.finished) == (4, 4, True)
    assert (record.seed, record.batch_size, record.processes) == (5, 6, 1)
    data = {'file': str(tmp_path / 'fold1_train.json'), 'sha256': sha256_of(tmp_path / 'fold1_train.json')}
    part = {'images': 2, 'cells': 2, 'origin': 'Sartorius', 'split': 'train', 'fold': 1}
    assert record.data.train == record.data.val == DataRecord(**data, **part)
    assert record.fold == 1
    # What the checkpoint carries is what was known then, and nothing that a safe loader would refuse.
    assert 'minutes' not in checkpoint['meta']['run'] and not checkpoint['meta']['run']['finished']
    assert json.loads(json.dumps(checkpoint)) == checkpoint
    assert record.times == {'2': [1.0, 0.0]}
    assert full_run_of_checkpoint(tmp_path / 'iter_2.pth', checkpoint).minutes == 1.0
    # Moved away from run.json, or beside that of another run: nobody knows.
    (tmp_path / 'away').mkdir()
    assert full_run_of_checkpoint(tmp_path / 'away' / 'iter_2.pth', checkpoint).minutes is None
    write_run(tmp_path / 'away', replace(record, seed=6))
    assert full_run_of_checkpoint(tmp_path / 'away' / 'iter_2.pth', checkpoint).minutes is None


def test_two_equal_runs_save_equal_checkpoints(tmp_path: Path, clock: Clock) -> None:
    """However fast they are, and whenever they run; what MMEngine adds is taken out again."""
    saved = []
    for seconds in (60, 90):
        hook, runner = make_hook(), make_runner(tmp_path)
        hook.before_train(runner)
        clock.now += seconds
        history = {name: [seconds] for name in ('train/time', 'train/data_time', 'val/time')}
        content = {
            'meta': {'iter': 2, 'time': str(clock.now), 'experiment_name': f'r_{clock.now}', 'seed': 5},
            'message_hub': {
                'log_scalars': {'train/loss': [1.0], **history},
                'runtime_info': {'iter': 2, 'experiment_name': f'r_{clock.now}', 'eta': seconds},
            },
        }
        hook.before_save_checkpoint(runner, content)
        saved.append(content)
    assert saved[0] == saved[1]
    assert saved[0]['message_hub'] == {'log_scalars': {'train/loss': [1.0]}, 'runtime_info': {'iter': 2}}


def test_origin_split_and_fold_are_those_of_the_annotation_files(tmp_path: Path, clock: Clock) -> None:
    """Neither the file's name nor its folder matters."""
    runner = make_runner(tmp_path)
    info = {'origin': 'synthetic images', 'split': 'train', 'fold': 3}
    (tmp_path / 'fold1_train.json').write_text(json.dumps({'info': info}))
    runner.val_loop = None
    make_hook().before_train(runner)
    record = read_run(tmp_path)
    train = record.data.train
    assert (train.origin, train.split, train.fold) == ('synthetic images', 'train', 3)
    assert record.fold == 3 and record.data.val == DataRecord()


def test_the_commit_is_recorded(tmp_path: Path) -> None:
    described = describe_run(small_config(tmp_path), CONFIG, None)
    assert described.git_commit == git_commit()


def test_best_checkpoint_is_saved_in_validation(tmp_path: Path, clock: Clock) -> None:
    hook, runner = make_hook(), make_runner(tmp_path)
    hook.before_train(runner)
    clock.now += 60
    hook.before_val(runner)
    clock.now += 12
    hook.before_save_checkpoint(runner, checkpoint := {'meta': {'iter': 3}})
    clock.now += 12
    hook.after_val(runner)
    run = checkpoint['meta']['run']
    assert run['iterations_done'] == 3
    record = read_run(tmp_path)
    assert record.times == {'3': [1.0, 0.2]}
    assert (record.iterations_done, record.minutes, record.validation_minutes) == (3, 1.0, 0.4)


def test_resumed_run_adds_up_what_its_checkpoint_took(tmp_path: Path, clock: Clock) -> None:
    weights = FirstWeights(file='w.pth', sha256='a')
    hook, runner = make_hook(weights), make_runner(tmp_path)
    hook.before_train(runner)
    clock.now += 120
    checkpoint = save(hook, runner, 2)
    # Killed: this time led to no checkpoint.
    clock.now += 1000

    hook, runner = make_hook(command='python tools/train.py --resume'), make_runner(tmp_path, resume=True, done=2)
    hook.after_load_checkpoint(runner, checkpoint)
    hook.before_train(runner)
    assert read_run(tmp_path).minutes == 2.0
    clock.now += 60
    runner.iter = 4
    hook.after_train(runner)
    record = read_run(tmp_path)
    assert (record.minutes, record.iterations_done, record.finished) == (3.0, 4, True)
    assert record.commands == ('python tools/train.py', 'python tools/train.py --resume')
    assert record.weights == weights


def test_time_of_a_checkpoint_without_a_record_is_unknown(tmp_path: Path, clock: Clock) -> None:
    hook, runner = make_hook(), make_runner(tmp_path, resume=True, done=2)
    hook.after_load_checkpoint(runner, {'meta': {}})
    hook.before_train(runner)
    clock.now += 60
    hook.after_train(runner)
    assert read_run(tmp_path).minutes is None


def test_first_weights_bring_no_time_along(tmp_path: Path, clock: Clock) -> None:
    hook, runner = make_hook(), make_runner(tmp_path)
    hook.after_load_checkpoint(
        runner, {'meta': {'run': {'minutes': 7.0, 'validation_minutes': 1.0, 'commands': ['x']}}}
    )
    hook.before_train(runner)
    record = read_run(tmp_path)
    assert record.minutes == 0.0 and record.commands == ('python tools/train.py',)


def test_other_processes_write_nothing(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_record.dist, 'is_main_process', lambda: False)
    hook, runner = make_hook(), make_runner(tmp_path)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.before_val(runner)
    hook.after_val(runner)
    hook.after_train(runner)
    assert read_run(tmp_path) is None


def small_config(folder: Path, fold: int = 0, seed: int = 0, iterations: int = 10):  # noqa: ANN201
    data = DataOptions(folder, folder / 'annotations', fold)
    train = TrainOptions(work_dir=folder / 'run', iterations=iterations, seed=seed)
    return build_train_config(RecipeOptions(CONFIG, small=True), data, train)


def test_hash_names_the_recipe_not_the_place_fold_or_seed(tmp_path: Path) -> None:
    one = recipe_sha256(small_config(tmp_path / 'a'))
    assert one == recipe_sha256(small_config(tmp_path / 'b', fold=3, seed=2))
    assert one != recipe_sha256(small_config(tmp_path / 'a', iterations=20))
    other_machine = small_config(tmp_path / 'a')
    other_machine.optim_wrapper.optimizer.fused = not other_machine.optim_wrapper.optimizer.get('fused', False)
    assert one == recipe_sha256(other_machine)


def test_description_names_where_the_weights_come_from(tmp_path: Path) -> None:
    config = small_config(tmp_path, fold=2)
    assert describe_run(config, CONFIG, None).weights is None
    first = {'recipe': 'first', 'commands': ['x'], 'data': {'train': {'origin': 'LIVECell'}}}
    torch.save({'meta': {'run': first}, 'state_dict': {}}, tmp_path / 'w.pth')
    config.load_from = str(tmp_path / 'w.pth')
    url = 'https://example.org/w.pth'
    described = describe_run(config, CONFIG, url)
    assert described.weights == FirstWeights(url=url, sha256=sha256_of(tmp_path / 'w.pth'))
    weights = describe_run(config, CONFIG, config.load_from).weights
    assert weights.file.endswith('w.pth') and weights.sha256 == sha256_of(tmp_path / 'w.pth')
    assert weights.run == RunRecord(recipe='first', data=RunData(train=DataRecord(origin='LIVECell')))
    assert (described.recipe, described.precision) == ('mrcnn_r50_small', 'float32')
    assert RunRecord.from_dict(json.loads(json.dumps(described.to_dict())), 'x') == described


def test_command_line_can_be_typed_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('SARTORIUS_DATA', '/somewhere/data')
    monkeypatch.chdir(tmp_path)
    words = [
        str(tmp_path / 'tools' / 'train.py'),
        'c.py',
        '--data-root',
        '/somewhere/data',
        '--cfg-options',
        'a=[1, 2]',
    ]
    monkeypatch.setattr('sys.argv', words)
    assert command_line() == "python tools/train.py c.py --data-root $SARTORIUS_DATA --cfg-options 'a=[1, 2]'"
    monkeypatch.setattr('sys.argv', ['sartorius train', *words[1:]])
    assert command_line() == "sartorius train c.py --data-root $SARTORIUS_DATA --cfg-options 'a=[1, 2]'"


RECORD = RunRecord(
    recipe='r', config_sha256='c', seed=0, fold=0, data=RunData(train=DataRecord(file='x')), iterations=4,
    iterations_done=4, minutes=1.0, device='d', versions={'torch': '2'},
)  # fmt: skip


def test_predictions_take_the_checkpoints_own_record(tmp_path: Path) -> None:
    assert run_of_checkpoint(tmp_path / 'iter_2.pth', {}) is None
    write_run(tmp_path, RECORD)
    beside = run_of_checkpoint(tmp_path / 'iter_2.pth', {'meta': {}})
    assert beside == replace(RECORD, versions={}, minutes=None)
    own = run_of_checkpoint(tmp_path / 'iter_2.pth', {'meta': {'run': {**RECORD.to_dict(), 'iterations_done': 2}}})
    assert own.iterations_done == 2


def test_unreadable_records_are_named(tmp_path: Path) -> None:
    (tmp_path / 'run.json').write_text('{"schema": ')
    with pytest.raises(InputError, match='run.json: not JSON'):
        run_of_checkpoint(tmp_path / 'iter_2.pth', {})
    with pytest.raises(InputError, match="iter_2.pth: meta: run: fold is '0'"):
        run_of_checkpoint(tmp_path / 'iter_2.pth', {'meta': {'run': {'fold': '0'}}})
