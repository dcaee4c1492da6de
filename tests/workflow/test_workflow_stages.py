"""Stages of a workflow: which of them are done, which a change concerns, and how a stopped one goes on."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sartorius.workflow.records import (
    DONE,
    StageRecord,
    describe_outputs,
    done_stages,
    fingerprint,
    is_done,
    write_record,
)
from sartorius.workflow.run_stage import run_stage
from sartorius.workflow.stages import Stage, WorkflowPlan


@pytest.fixture
def chain(tmp_path: Path) -> WorkflowPlan:
    """Two stages: one writes a text, the other copies it."""
    first, second = tmp_path / 'out/first.txt', tmp_path / 'out/second.txt'
    write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    copy = "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read())"
    stages = [
        Stage('prepare', 'first', ('-c', write, str(first), 'hello'), (), (str(first),), {'data': 1}),
        Stage('tune', 'second', ('-c', copy, str(first), str(second)), (str(first),), (str(second),)),
    ]
    return WorkflowPlan(tmp_path / 'out', Path('/data'), {stage.key: stage for stage in stages}, devices=())


def run_all(plan: WorkflowPlan) -> list[str]:
    """Runs all stages in order; returns the keys of those whose tool ran."""
    ran = []
    for stage in plan:
        plan.log(stage).unlink(missing_ok=True)
        assert run_stage(plan, stage) == 0
        if plan.log(stage).read_text():
            ran.append(stage.key)
    return ran


def changed(plan: WorkflowPlan, key: str, **changes: object) -> WorkflowPlan:
    return replace(plan, stages={**plan.stages, key: replace(plan.stages[key], **changes)})


def test_what_is_done_is_kept(chain: WorkflowPlan) -> None:
    assert run_all(chain) == ['prepare/first', 'tune/second']
    assert run_all(chain) == []
    assert done_stages(chain) == {'prepare/first', 'tune/second'}
    assert (chain.out / 'second.txt').read_text() == 'hello'


def test_what_depends_on_a_change_is_made_again(chain: WorkflowPlan) -> None:
    run_all(chain)
    words = chain.stages['prepare/first'].words
    other = changed(chain, 'prepare/first', words=(*words[:-1], 'other'))
    assert done_stages(other) == set()
    assert run_all(other) == ['prepare/first', 'tune/second']
    assert (chain.out / 'second.txt').read_text() == 'other'


def test_a_change_without_effect_goes_no_further(chain: WorkflowPlan) -> None:
    """Other data, but the first stage makes the same of them."""
    run_all(chain)
    assert run_all(changed(chain, 'prepare/first', facts={'data': 2})) == ['prepare/first']


def test_a_missing_or_foreign_output_is_made_again(chain: WorkflowPlan) -> None:
    run_all(chain)
    (chain.out / 'second.txt').unlink()
    assert run_all(chain) == ['tune/second']
    (chain.out / 'second.txt').write_text('HELLO')
    assert run_all(chain) == ['tune/second']
    assert (chain.out / 'second.txt').read_text() == 'hello'


def test_a_moved_workflow_is_still_done(chain: WorkflowPlan, tmp_path: Path) -> None:
    run_all(chain)
    moved = chain.out.rename(tmp_path / 'moved')
    stages = {
        key: Stage(**{
            **stage.__dict__,
            **{name: tuple(word.replace(str(chain.out), str(moved)) for word in getattr(stage, name))
               for name in ('words', 'inputs', 'outputs')},
        })
        for key, stage in chain.stages.items()
    }  # fmt: skip
    assert done_stages(replace(chain, out=moved, stages=stages)) == set(chain.stages)


def test_a_tool_that_fails_or_writes_nothing_is_no_success(chain: WorkflowPlan) -> None:
    stage = chain.stages['prepare/first']
    failing = changed(chain, stage.key, words=('-c', 'raise SystemExit(3)'))
    assert run_stage(failing, failing.stages[stage.key]) == 3
    silent = changed(chain, stage.key, words=('-c', 'pass'))
    assert run_stage(silent, silent.stages[stage.key]) == 1
    assert 'ended without writing' in silent.log(stage).read_text()
    assert not silent.stamp(stage).exists()
    assert json.loads(silent.record(stage).read_text())['state'] == 'failed'


def test_a_stage_gets_a_free_device_and_its_threads(chain: WorkflowPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    # As Snakemake sets it for every job; PyTorch would take it for the number of its own threads.
    monkeypatch.setenv('MKL_NUM_THREADS', '1')
    out = chain.out / 'first.txt'
    names = "('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')"
    code = f"import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ.get(name, '-') for name in {names}))"
    stage = Stage('train', 'a', ('-c', code, str(out)), (), (str(out),))
    plan = replace(chain, stages={stage.key: stage}, devices=('5', '7'), threads=3)
    assert run_stage(plan, stage) == 0
    assert out.read_text() == '5 3 -'


# Stands for a training: writes the words that it was started with.
TRAIN = """
import json, sys
from pathlib import Path
out = Path(sys.argv[1])
out.parent.mkdir(exist_ok=True)
out.write_text(json.dumps(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ('left', 'expected'),
    [
        ([], []),
        (['iter_2.pth', 'iter_10.pth', 'last_checkpoint'], ['--resume', 'iter_10.pth']),
        (['iter_2.pth', 'iter_10.pth:torn', 'iter_12.pth:empty'], ['--resume', 'iter_2.pth']),
        (['iter_2.pth:torn'], []),
    ],
    ids=['killed before a checkpoint', 'killed after one, before it was named', 'the newest is torn', 'all are'],
)
def test_a_stopped_training_goes_on(tmp_path: Path, left: list[str], expected: list[str]) -> None:
    folder, out = tmp_path / 'out/run', tmp_path / 'out/run/words.json'
    stage = Stage('train', 'run', ('-c', TRAIN, str(out)), (), (str(out),), work_dir=str(folder))
    plan = WorkflowPlan(tmp_path / 'out', Path('/data'), {stage.key: stage})
    folder.mkdir(parents=True)
    for name, _, damage in (given.partition(':') for given in left):
        leave_checkpoint(folder / name, damage)
    write_record(plan, stage, StageRecord('running', fingerprint(plan, stage), 0.0))
    assert run_stage(plan, stage) == 0
    assert [word.replace(f'{folder}/', '') for word in json.loads(out.read_text())] == expected
    log = plan.log(stage).read_text()
    assert all(f'{given.split(":")[0]} is passed over' in log for given in left if ':' in given)


def leave_checkpoint(path: Path, damage: str = '') -> None:
    """A file as torch writes it, whole, torn or empty; ``last_checkpoint`` is the note beside it."""
    if path.name == 'last_checkpoint':
        path.write_text(str(path.with_name('iter_2.pth')))
        return
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('run/data.pkl', bytes(1000))
    os.truncate(path, {'': path.stat().st_size, 'torn': 500, 'empty': 0}[damage])


@pytest.mark.parametrize('bad', ['', '{"state": "do', '[1]', '{"state": "done", "fingerprint": "f", "started": 0.0}'])
@pytest.mark.parametrize('which', ['newest', 'both'])
def test_a_damaged_record_gives_way_to_the_one_before_it(tmp_path: Path, bad: str, which: str) -> None:
    """A training goes on; where no record is left it starts anew, for nobody knows with which inputs it was made."""
    folder, out = tmp_path / 'out/run', tmp_path / 'out/run/words.json'
    stage = Stage('train', 'run', ('-c', TRAIN, str(out)), (), (str(out),), work_dir=str(folder))
    plan = WorkflowPlan(tmp_path / 'out', Path('/data'), {stage.key: stage})
    folder.mkdir(parents=True)
    leave_checkpoint(folder / 'iter_2.pth')
    write_record(plan, stage, StageRecord('running', fingerprint(plan, stage), 0.0))
    plan.record(stage).write_text(bad)
    if which == 'both':
        plan.record_before(stage).write_text(bad)
    assert run_stage(plan, stage) == 0
    assert bool(json.loads(out.read_text())) == (which == 'newest')
    last_words = 'the one before it counts' if which == 'newest' else 'the stage runs again'
    assert last_words in plan.log(stage).read_text()
    assert is_done(plan, stage)
    plan.record(stage).write_text(bad)
    assert run_stage(plan, stage) == 0 and is_done(plan, stage)


def test_a_training_with_another_config_starts_anew(tmp_path: Path) -> None:
    folder, out = tmp_path / 'out/run', tmp_path / 'out/run/words.json'
    words = ('-c', TRAIN, str(out))
    stage = Stage('train', 'run', words, (), (str(out),), {'config': 'old'}, work_dir=str(folder))
    plan = WorkflowPlan(tmp_path / 'out', Path('/data'), {stage.key: stage})
    folder.mkdir(parents=True)
    (folder / 'iter_10.pth').touch()
    write_record(plan, stage, StageRecord('running', fingerprint(plan, stage), 0.0))
    other = changed(plan, stage.key, facts={'config': 'new'})
    assert run_stage(other, other.stages[stage.key]) == 0
    assert json.loads(out.read_text()) == []
    assert not (folder / 'iter_10.pth').exists()


def test_a_record_says_what_was_written(chain: WorkflowPlan) -> None:
    run_all(chain)
    stage = chain.stages['tune/second']
    (described,) = describe_outputs(chain, stage).items()
    assert described[0] == 'second.txt'
    # SHA-256 of the five letters.
    assert described[1]['sha256'] == '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
    assert json.loads(chain.record(stage).read_text())['state'] == DONE
