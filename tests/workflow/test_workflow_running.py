"""What a workflow measures, how it guards its folder, and what it says when it ends early."""

from pathlib import Path

import pytest

from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.store import save_predictions
from sartorius.utils.errors import InputError
from sartorius.utils.runs import write_run
from sartorius.workflow import runner
from sartorius.workflow.estimate import expected_seconds, measure
from sartorius.workflow.processes import try_lock
from sartorius.workflow.records import DONE, FAILED, Record, done_stages, write_record
from sartorius.workflow.runner import lock_workflow, run_workflow
from sartorius.workflow.stages import Plan, Stage, save_plan

RUN = {
    'recipe': 'a',
    'config': 'configs/demo/a.py',
    'config_sha256': '',
    'seed': 0,
    'fold': 0,
    'data': {},
    'iterations': 100,
    'iterations_done': 50,
    'minutes': 4.0,
    'validation_minutes': 1.0,
    'device': 'here',
    'precision': 'float32',
}
TRAIN = Stage('train', 'fold0/a', ('tools/train.py',), (), (), recipe='demo/a', amount=100)
PREDICT = Stage('predict', 'fold0/a/val', ('tools/test.py', '--tta'), (), (), recipe='demo/a', amount=7)
TUNE = Stage('tune', 'all', ('tools/tune.py',), (), ())


def make_plan(out: Path, *stages: Stage) -> Plan:
    return Plan(out, Path('/data'), {stage.key: stage for stage in stages}, devices=())


def save_empty(path: Path, **source: object) -> None:
    images = (ImagePredictions.empty('x', (4, 6)),)
    save_predictions(path, PredictionSet(images=images, source={'config': 'configs/demo/a.py', **source}))


def test_times_come_from_what_was_measured(tmp_path: Path) -> None:
    write_run(tmp_path / 'a', RUN)
    save_empty(tmp_path / 'a' / 'predictions_val.npz', seconds_an_image=2.0, tta=True, run=RUN)
    plan = make_plan(tmp_path / 'workflow', TRAIN, TUNE)
    save_plan(plan)
    write_record(plan, TUNE, Record(DONE, '', 0.0, seconds=30.0))
    measured = measure([tmp_path], 'here')
    # 5 minutes with validation for 50 iterations; 2 s for each of 7 images.
    assert [expected_seconds(stage, measured) for stage in (TRAIN, PREDICT, TUNE)] == [600, 14, 30]
    write_record(plan, TRAIN, Record(DONE, '', 0.0, seconds=608.0))
    measured = measure([tmp_path], 'here')
    assert [expected_seconds(stage, measured) for stage in (TRAIN, PREDICT)] == [608, 22], 'imports took 8 s'


def test_another_device_or_kind_of_prediction_is_no_measure(tmp_path: Path) -> None:
    write_run(tmp_path / 'a', {**RUN, 'device': 'elsewhere'})
    save_empty(tmp_path / 'a' / 'predictions_val.npz', seconds_an_image=2.0, tta=False, run=RUN)
    (tmp_path / 'broken').mkdir()
    (tmp_path / 'broken' / 'run.json').write_text('{')
    (tmp_path / 'broken' / 'predictions_val.npz').write_text('')
    (tmp_path / 'broken' / 'workflow.json').write_text('[]')
    measured = measure([tmp_path], 'here')
    assert [expected_seconds(stage, measured) for stage in (TRAIN, PREDICT, TUNE)] == [None, None, None]


def test_two_roads_in_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, 'SECONDS_FOR_LOCK', 0.0)
    with (
        lock_workflow(tmp_path),
        pytest.raises(InputError, match=r'another workflow is at work there \(process \d+ on '),
    ):
        lock_workflow(tmp_path)
    lock_workflow(tmp_path).close()


def test_a_lock_ends_with_its_file(tmp_path: Path) -> None:
    first = try_lock(tmp_path / 'a.lock')
    assert try_lock(tmp_path / 'a.lock') is None
    first.close()
    try_lock(tmp_path / 'a.lock').close()


@pytest.mark.slow
def test_a_failed_stage_is_named_and_the_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Three stages on Snakemake: one fails, one does not need it, one does."""
    pytest.importorskip('snakemake')
    files = {name: str(tmp_path / f'{name}.txt') for name in ('other', 'bad', 'after')}
    write = "import sys; open(sys.argv[1], 'w').close()"
    plan = make_plan(
        tmp_path,
        Stage('train', 'fold0/bad', ('-c', 'raise SystemExit("out of memory")'), (), (files['bad'],)),
        Stage('tune', 'after', ('-c', write, files['after']), (files['bad'],), (files['after'],)),
        Stage('train', 'fold0/other', ('-c', write, files['other']), (), (files['other'],)),
    )
    times = dict.fromkeys(plan.stages)
    with lock_workflow(tmp_path) as lock:
        with pytest.raises(InputError) as raised:
            run_workflow(plan, times, 1, 1, [], lock)
        assert 'training (fold0/bad) failed; its last lines:\n' in str(raised.value)
        assert 'out of memory\nThe whole log is ' in str(raised.value)
        assert Path(files['other']).is_file() and not Path(files['after']).exists()
        assert 'training (fold0/bad): FAILED after' in capsys.readouterr().out

        words = ('-c', write, files['bad'])
        fixed = make_plan(tmp_path, Stage('train', 'fold0/bad', words, (), (files['bad'],)), *list(plan)[1:])
        run_workflow(fixed, times, 1, 1, [], lock)
    said = capsys.readouterr().out
    assert '[3/3] tuning (after): done' in said and 'other' not in said


@pytest.mark.slow
def test_options_that_snakemake_refuses_are_shown(tmp_path: Path) -> None:
    pytest.importorskip('snakemake')
    plan = make_plan(tmp_path, Stage('tune', 'all', ('-c', ''), (), ()))
    with (
        lock_workflow(tmp_path) as lock,
        pytest.raises(InputError, match='(?s)Snakemake ended early.*--no-such-option'),
    ):
        run_workflow(plan, {'tune/all': None}, 1, 1, ['--no-such-option'], lock)


def test_a_killed_record_is_not_done(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, TUNE)
    plan.record(TUNE).parent.mkdir(parents=True)
    plan.record(TUNE).write_text('{"state": "do')
    assert done_stages(plan) == set()
    write_record(plan, TUNE, Record(FAILED, '', 0.0, code=1))
    assert done_stages(plan) == set()
