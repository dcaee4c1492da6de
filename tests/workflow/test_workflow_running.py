"""How a workflow locks its folder, assigns devices, and reports durations and failures."""

from pathlib import Path

import pytest

from sartorius.utils.errors import InputError
from sartorius.workflow import runner
from sartorius.workflow.records import FAILED, StageRecord, done_stages, write_record
from sartorius.workflow.runner import assign_devices, format_seconds, lock_workflow, run_workflow
from sartorius.workflow.stages import Stage, WorkflowPlan

TUNE = Stage('tune', 'all', ('tools/tune.py',), (), ())


def make_plan(out: Path, *stages: Stage) -> WorkflowPlan:
    return WorkflowPlan(out, Path('/data'), {stage.key: stage for stage in stages}, devices=())


def test_two_workflows_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        lock_workflow(tmp_path),
        pytest.raises(InputError, match=r'another workflow is at work there \(process \d+ on '),
    ):
        lock_workflow(tmp_path)
    lock_workflow(tmp_path).close()


@pytest.mark.slow
def test_a_failed_stage_is_named_and_the_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Three stages on Snakemake: one fails, one does not need it, one does."""
    files = {name: str(tmp_path / f'{name}.txt') for name in ('other', 'bad', 'after')}
    write = "import sys; open(sys.argv[1], 'w').close()"
    plan = make_plan(
        tmp_path,
        Stage('train', 'fold0/bad', ('-c', 'raise SystemExit("out of memory")'), (), (files['bad'],)),
        Stage('tune', 'after', ('-c', write, files['after']), (files['bad'],), (files['after'],)),
        Stage('train', 'fold0/other', ('-c', write, files['other']), (), (files['other'],)),
    )
    with pytest.raises(InputError) as raised:
        run_workflow(plan)
    assert 'training (fold0/bad) failed; its last lines:\n' in str(raised.value)
    assert 'out of memory\nThe whole log is ' in str(raised.value)
    assert Path(files['other']).is_file() and not Path(files['after']).exists()
    assert 'training (fold0/bad): FAILED after' in capsys.readouterr().out

    words = ('-c', write, files['bad'])
    run_workflow(make_plan(tmp_path, Stage('train', 'fold0/bad', words, (), (files['bad'],)), *list(plan)[1:]))
    said = capsys.readouterr().out
    assert '[3/3] tuning (after): done' in said and 'other' not in said


@pytest.mark.slow
def test_options_that_snakemake_refuses_are_shown(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, Stage('tune', 'all', ('-c', ''), (), ()))
    with pytest.raises(InputError, match='(?s)Snakemake ended early.*--no-such-option'):
        run_workflow(plan, ['--no-such-option'])


def test_a_killed_record_is_not_done(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, TUNE)
    plan.record(TUNE).parent.mkdir(parents=True)
    plan.record(TUNE).write_text('{"state": "do')
    assert done_stages(plan) == set()
    write_record(plan, TUNE, StageRecord(FAILED, '', 0.0, code=1))
    assert done_stages(plan) == set()


@pytest.mark.parametrize(
    ('gpus', 'jobs', 'expected'),
    [
        (['0', '3'], None, (2, ('0', '3'), 4)),
        (['0', '3'], 1, (1, ('0', '3'), 8)),
        ([], None, (1, (), 8)),
        ([], 3, (3, (), 2)),
    ],
)
def test_gpus_and_cores_are_shared_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: list[str], jobs: int | None, expected: tuple
) -> None:
    monkeypatch.setattr(runner, '_visible_gpus', lambda: gpus)
    monkeypatch.setattr(runner, '_count_cores', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    plan = assign_devices(make_plan(tmp_path, TUNE), jobs)
    assert (plan.jobs, plan.devices, plan.threads) == expected
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    assert assign_devices(plan, jobs).threads == 1


@pytest.mark.parametrize(('seconds', 'text'), [(0.4, '0 s'), (89, '89 s'), (600, '10 min'), (9000, '2.5 h')])
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
