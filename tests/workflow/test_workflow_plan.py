"""From a workflow file to command lines: which stages there are, and what each is given."""

import re
import runpy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CHECKOUT
from sartorius.workflow.facts import DataFacts, RecipeFacts
from sartorius.workflow.plan import make_plan
from sartorius.workflow.settings import read_workflow
from sartorius.workflow.stages import WorkflowPlan, load_plan, save_plan

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


def test_small_recipes_are_trained_and_predict_small(tmp_path: Path) -> None:
    text = f'small: true\nonly_folds: [0]\nrecipes: [{R18}, {{config: {R50}, small: false}}]'
    small = [stage for stage in plan_of(tmp_path, text) if '--small' in stage.words]
    assert [stage.key for stage in small] == [
        'train/fold0/mrcnn_r18',
        'predict/fold0/mrcnn_r18/val',
        'predict/fold0/mrcnn_r18/test',
    ]


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    data = replace(DATA, counts={'val': 10, 'test': 0, 'unlabelled': 0})
    with pytest.raises(UsageError, match="/data: has no images for the split 'test'; remove it from splits"):
        plan_of(tmp_path, f'recipes: [{R18}]', data)


def test_a_plan_comes_back_from_disk(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, f'recipes: [{R18}]'), jobs=2, devices=('0', '1'), threads=2)
    assert load_plan(save_plan(plan)) == plan
