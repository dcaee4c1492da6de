"""From a workflow file to command lines, and which of them are done."""

import json
import os
import re
import runpy
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CHECKOUT
from sartorius.workflow.facts import DataFacts, RecipeFacts
from sartorius.workflow.plan import make_plan
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
from sartorius.workflow.runner import format_seconds
from sartorius.workflow.settings import read_workflow
from sartorius.workflow.stages import Stage, WorkflowPlan, load_plan, save_plan

DATA = DataFacts(
    root=Path('/data'),
    train_sha256='t',
    images_sha256='i',
    counts={'val': 10, 'test': 3, 'unlabelled': 4},
    test_size='704x520',
    sample=True,
)
R18, R50, CASCADE = (
    'configs/sartorius/mrcnn_r18.py',
    'configs/sartorius/mrcnn_r50.py',
    'configs/sartorius/cmrcnn_r50.py',
)


def facts(**changes: RecipeFacts) -> object:
    """Reads no config: 100 iterations each, but for what is given by the config's name."""

    def read(config: Path, cfg_options: Sequence[str], small: bool) -> RecipeFacts:
        return changes.get(config.stem, RecipeFacts(iterations=100, sha256=config.stem))

    return read


def plan_of(folder: Path, text: str, data: DataFacts = DATA, **changes: RecipeFacts) -> WorkflowPlan:
    path = folder / 'mine.yaml'
    path.write_text(text)
    return make_plan(read_workflow(path), data, folder / 'out', facts(**changes))


def keys(plan: WorkflowPlan, kind: str) -> list[str]:
    return [stage.name for stage in plan if stage.kind == kind]


def command(plan: WorkflowPlan, key: str) -> tuple[str, list[str], dict[str, list[str]]]:
    """Tool, arguments and options with their values; paths relative to the workflow's folder or the checkout."""
    tool, *words = [word.replace(f'{plan.out}/', '').replace(f'{CHECKOUT}/', '') for word in plan.stages[key].words]
    arguments: list[str] = []
    options: dict[str, list[str]] = {}
    values = arguments
    for word in words:
        if word.startswith('--'):
            assert word not in options, f'{word} is given twice'
            values = options[word] = []
        else:
            values.append(word)
    return tool, arguments, options


def test_one_recipe_on_two_folds(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f'recipes: [{R18}]\nfolds: 2\ntta: true')
    assert keys(plan, 'train') == ['fold0/mrcnn_r18', 'fold1/mrcnn_r18']
    assert keys(plan, 'predict') == [f'fold{fold}/mrcnn_r18/{split}' for fold in (0, 1) for split in ('val', 'test')]
    assert keys(plan, 'fuse') == ['all/test'], 'a single recipe is not fused in its fold'
    assert command(plan, 'prepare/annotations') == (
        'tools/prepare_sartorius.py',
        [],
        {'--data-root': ['/data'], '--out': ['annotations'], '--folds': ['2'], '--seed': ['0']},
    )
    data = {'--data-root': ['/data'], '--annotations': ['annotations'], '--fold': ['1']}
    assert command(plan, 'train/fold1/mrcnn_r18') == (
        'tools/train.py',
        [R18],
        {'--work-dir': ['fold1/mrcnn_r18'], '--seed': ['0'], **data},
    )
    assert command(plan, 'predict/fold1/mrcnn_r18/val') == (
        'tools/test.py',
        [R18, 'fold1/mrcnn_r18/iter_100.pth'],
        {'--split': ['val'], '--out': ['fold1/mrcnn_r18/predictions_val.npz'], '--tta': [], **data},
    )
    assert command(plan, 'join/all/val') == (
        'tools/data/concat_predictions.py',
        ['fold0/mrcnn_r18/predictions_val.npz', 'fold1/mrcnn_r18/predictions_val.npz'],
        {'--out': ['fused/predictions_val.npz']},
    )
    assert command(plan, 'tune/all') == (
        'tools/tune.py',
        ['fused/predictions_val.npz'],
        {
            '--annotations': ['annotations/all.json'],
            '--postprocess': ['configs/_base_/postprocess.py'],
            '--out': ['tune'],
        },
    )
    assert command(plan, 'submit/submission') == (
        'tools/make_submission.py',
        ['fused/predictions_test.npz'],
        {'--postprocess': ['tune/postprocess.json'], '--out': ['submission.csv']},
    )
    assert command(plan, 'check/submission') == (
        'tools/check_submission.py',
        ['submission.csv'],
        {'--size': ['704x520'], '--sample': ['/data/sample_submission.csv']},
    )


def test_every_input_is_made_by_an_earlier_stage(tmp_path: Path) -> None:
    start = RecipeFacts(100, 'x', init_from=CHECKOUT / R50)
    plan = plan_of(tmp_path, f'recipes: [{R18}, {CASCADE}]\nfolds: 3\npseudo_rounds: 2', mrcnn_r18=start)
    made: set[str] = set()
    for stage in plan:
        assert set(stage.inputs) <= made, stage.key
        assert not set(stage.outputs) & made, stage.key
        made.update(stage.outputs)


def test_two_recipes_are_fused_in_each_fold_and_then_over_the_folds(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, f'recipes: [{R18}, {R50}]\nfolds: 2\nfusion: configs/ensemble/two_models.py\nfold_fusion: nms'
    )
    assert command(plan, 'fuse/fold0/val') == (
        'tools/ensemble.py',
        ['fold0/mrcnn_r18/predictions_val.npz', 'fold0/mrcnn_r50/predictions_val.npz'],
        {'--config': ['configs/ensemble/two_models.py'], '--out': ['fold0/fused/predictions_val.npz']},
    )
    assert command(plan, 'fuse/all/test') == (
        'tools/ensemble.py',
        ['fold0/fused/predictions_test.npz', 'fold1/fused/predictions_test.npz'],
        {'--method': ['nms'], '--out': ['fused/predictions_test.npz']},
    )


def test_only_one_fold_needs_no_fusion(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f'recipes: [{R18}]\nonly_folds: [2]')
    assert not keys(plan, 'fuse') and not keys(plan, 'join')
    assert command(plan, 'tune/all')[1] == ['fold2/mrcnn_r18/predictions_val.npz']


def test_a_run_to_start_from_is_a_stage_of_its_own(tmp_path: Path) -> None:
    start = RecipeFacts(100, 'x', init_from=CHECKOUT / R50)
    text = f'recipes: [{{config: {R18}, cfg_options: [a=1]}}]\nfolds: 2\nshared_data_root: /livecell\nseed: 7'
    plan = plan_of(tmp_path, text, mrcnn_r18=start)
    assert keys(plan, 'train') == ['shared/mrcnn_r50', 'fold0/mrcnn_r18', 'fold1/mrcnn_r18']
    assert command(plan, 'train/shared/mrcnn_r50') == (
        'tools/train.py',
        [R50],
        {'--work-dir': ['shared/mrcnn_r50'], '--seed': ['7'], '--data-root': ['/livecell']},
    )
    options = command(plan, 'train/fold0/mrcnn_r18')[2]
    assert options['--load-from'] == ['shared/mrcnn_r50/iter_100.pth'] and options['--cfg-options'] == ['a=1']
    same = replace(start, same_fold=True)
    plan = plan_of(tmp_path, text, mrcnn_r18=same)
    assert keys(plan, 'train') == [f'fold{fold}/{name}' for fold in (0, 1) for name in ('mrcnn_r50', 'mrcnn_r18')]
    assert command(plan, 'train/fold1/mrcnn_r18')[2]['--load-from'] == ['fold1/mrcnn_r50/iter_100.pth']


def test_two_recipes_that_start_from_one_run_share_it(tmp_path: Path) -> None:
    start = RecipeFacts(100, 'x', init_from=CHECKOUT / R50, same_fold=True)
    plan = plan_of(tmp_path, f'recipes: [{R18}, {CASCADE}, {R50}]\nonly_folds: [0]', mrcnn_r18=start, cmrcnn_r50=start)
    assert sorted(keys(plan, 'train')) == ['fold0/cmrcnn_r50', 'fold0/mrcnn_r18', 'fold0/mrcnn_r50']


def test_runs_that_start_from_each_other_are_refused(tmp_path: Path) -> None:
    first = RecipeFacts(100, 'x', init_from=CHECKOUT / R50)
    second = RecipeFacts(100, 'y', init_from=CHECKOUT / R18)
    with pytest.raises(InputError, match='mrcnn_r18.py starts from itself'):
        plan_of(tmp_path, f'recipes: [{R18}]', mrcnn_r18=first, mrcnn_r50=second)


def test_boxes_of_one_model_prompt_the_masks_of_another(tmp_path: Path) -> None:
    boxes = RecipeFacts(100, 'x', boxes_only=True)
    text = f'recipes: [{R18}, {R50}]\nonly_folds: [0]\nprompt: {{boxes: [mrcnn_r18, mrcnn_r50], masks: mrcnn_r50}}'
    plan = plan_of(tmp_path, text, mrcnn_r18=boxes)
    assert command(plan, 'boxes/fold0/test') == (
        'tools/ensemble.py',
        ['fold0/mrcnn_r18/predictions_test.npz', 'fold0/mrcnn_r50/predictions_test.npz'],
        {'--method': ['wbf'], '--out': ['fold0/prompted/boxes_test.npz'], '--boxes-only': []},
    )
    _, arguments, options = command(plan, 'predict/fold0/prompted/test')
    assert arguments == [R50, 'fold0/mrcnn_r50/iter_100.pth']
    assert options['--boxes'] == ['fold0/prompted/boxes_test.npz']
    assert options['--out'] == ['fold0/prompted/predictions_test.npz']
    assert command(plan, 'fuse/fold0/test')[1] == [
        'fold0/mrcnn_r50/predictions_test.npz',
        'fold0/prompted/predictions_test.npz',
    ]
    with pytest.raises(InputError, match='no recipe of the workflow has masks'):
        plan_of(tmp_path, f'recipes: [{R18}]', mrcnn_r18=boxes)


def test_pseudo_labels_start_another_round(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f'recipes: [{R18}]\nfolds: 2\npseudo_rounds: 1')
    assert command(plan, 'pseudo/round1/labels') == (
        'tools/data/pseudo_label.py',
        ['fold0/mrcnn_r18/predictions_unlabelled.npz', 'fold1/mrcnn_r18/predictions_unlabelled.npz'],
        {
            '--train-csv': ['/data/train.csv'],
            '--postprocess': ['tune/postprocess.json'],
            '--out': ['round1/train.csv'],
            '--round': ['1'],
        },
    )
    assert 'predict/round1/fold0/mrcnn_r18/unlabelled' not in plan.stages, 'nothing would read it'
    assert command(plan, 'prepare/round1/annotations')[2]['--csv'] == ['round1/train.csv']
    options = command(plan, 'train/round1/fold0/mrcnn_r18')[2]
    assert (options['--annotations'], options['--fold']) == (['round1/annotations'], ['0'])
    assert plan.stages['submit/round1/submission'].outputs == (str(tmp_path / 'out/round1/submission.csv'),)


def test_the_tools_know_every_option(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """On a workflow that uses every key."""
    start = RecipeFacts(100, 'x', init_from=CHECKOUT / CASCADE)
    text = f"""
recipes: [{R18}, {R50}]
folds: 2
fill_holes: true
skip_missing_images: true
shared_data_root: /livecell
shared_annotations: /livecell/annotations
prompt: {{boxes: [mrcnn_r18, mrcnn_r50], masks: mrcnn_r50}}
fusion: configs/ensemble/wbf.py
pseudo_rounds: 1
small: true
iterations: 10
from_scratch: true
amp: true
validation: false
cfg_options: [a=1]
tta: true
tiles: true
"""
    words: dict[str, set[str]] = {}
    for stage in plan_of(tmp_path, text, mrcnn_r18=start):
        tool, *rest = stage.words
        words.setdefault(tool, set()).update(word for word in rest if word.startswith('--'))
    assert len(words) == 10
    for tool, options in words.items():
        with pytest.raises(SystemExit):
            runpy.run_path(str(CHECKOUT / tool))['main'](['--help'])
        known = re.findall(r'--[\w-]+', capsys.readouterr().out.split('example:')[0])
        assert options <= set(known), f'{tool} has no {options - set(known)}'


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    data = replace(DATA, counts={'val': 10, 'test': 0, 'unlabelled': 0})
    with pytest.raises(UsageError, match="/data: has no images for the split 'test'; remove it from splits"):
        plan_of(tmp_path, f'recipes: [{R18}]', data)


def test_a_plan_comes_back_from_disk(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, f'recipes: [{R18}]'), jobs=2, devices=('0', '1'), threads=2)
    assert load_plan(save_plan(plan)) == plan


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


@pytest.mark.parametrize(('seconds', 'text'), [(0.4, '0 s'), (89, '89 s'), (600, '10 min'), (9000, '2.5 h')])
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_small_recipes_are_trained_and_predict_small(tmp_path: Path) -> None:
    text = f'small: true\nonly_folds: [0]\nrecipes: [{R18}, {{config: {R50}, small: false}}]'
    small = [stage for stage in plan_of(tmp_path, text) if '--small' in stage.words]
    assert [stage.key for stage in small] == [
        'train/fold0/mrcnn_r18',
        'predict/fold0/mrcnn_r18/val',
        'predict/fold0/mrcnn_r18/test',
    ]
