"""Workflow files: their keys, the message for each mistake, and the docs and schema that follow from the keys."""

import json
import re
from pathlib import Path

import pytest

from sartorius.utils.errors import InputError, UsageError
from sartorius.workflow.settings import PromptSettings, RecipeSettings, WorkflowSettings, read_workflow

RECIPES = 'recipes: [configs/sartorius/mrcnn_r18.py]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / 'mine.yaml'
    path.write_text(text)
    return path


def test_a_list_of_configs_is_enough(tmp_path: Path, repo_root: Path) -> None:
    workflow = read_workflow(write(tmp_path, RECIPES))
    assert (workflow.folds, workflow.trained_folds) == (5, (0, 1, 2, 3, 4))
    assert workflow.predicted_splits == ('val', 'test')
    (recipe,) = workflow.recipes
    assert (recipe.name, recipe.config) == ('mrcnn_r18', repo_root / 'configs/sartorius/mrcnn_r18.py')
    assert (recipe.iterations, recipe.tta, recipe.validation) == (None, False, True)


def test_a_recipe_takes_the_workflows_values_unless_it_has_its_own(tmp_path: Path) -> None:
    text = """
iterations: 100
tta: true
cfg_options: [a=1]
recipes:
  - configs/sartorius/mrcnn_r18.py
  - {config: configs/sartorius/mrcnn_r18.py, name: longer, iterations: 300, tta: false, cfg_options: []}
"""
    first, second = read_workflow(write(tmp_path, text)).recipes
    assert (first.iterations, first.tta, first.cfg_options) == (100, True, ('a=1',))
    assert (second.name, second.iterations, second.tta, second.cfg_options) == ('longer', 300, False, ())


def test_held_out_images_are_always_predicted(tmp_path: Path) -> None:
    assert read_workflow(write(tmp_path, f'{RECIPES}splits: [unlabelled]')).predicted_splits == ('val', 'unlabelled')


def test_every_workflow_of_the_checkout_can_be_read(repo_root: Path) -> None:
    workflows = sorted((repo_root / 'configs/workflows').glob('*.yaml'))
    assert len(workflows) >= 3
    for path in workflows:
        if path.stem == 'predict':
            assert read_workflow(path).batch_size == 50
            continue
        if path.stem == 'shipped':
            assert read_workflow(path).publish == 'cells'
            continue
        assert read_workflow(path).recipes, path.stem
        assert path.read_text().startswith('# yaml-language-server: $schema=schema.json\n')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('fold: 3', r"mine.yaml: unknown key 'fold'; did you mean 'folds'\?"),
        ('folds: three', r"mine.yaml: folds is 'three'; give a whole number"),
        ('folds: true', 'folds is True; give a whole number'),
        ('folds: 1', 'folds is 1; it must be 2 or more'),
        ('only_folds: [5]', 'only_folds: 5 is none of the folds 0 to 4'),
        ('only_folds: []', r'only_folds is \[\]; give at least 1'),
        ('splits: [val, tset]', r"item 2 of splits: unknown 'tset'; did you mean 'test'\?"),
        ('fusion: wfb', r"fusion: unknown method 'wfb'; did you mean 'wbf'\?"),
        ('fusion: configs/ensemble/none.py', 'fusion: configs/ensemble/none.py: no such config'),
        ('pseudo_rounds: -1', 'pseudo_rounds is -1; it must be 0 or more'),
        ('iterations: 0', 'mine.yaml: iterations is 0; it must be 1 or more'),
        ('members: [mrcnn_r50]', "members: no recipe 'mrcnn_r50'"),
        ('prompt: {boxes: [mrcnn_r18]}', "prompt: the key 'masks' is missing"),
        ('prompt: {boxes: [rtmdet], masks: mrcnn_r18}', "prompt: no recipe 'rtmdet'"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_workflow(write(tmp_path, RECIPES + text))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'holds no keys'),
        ('- a', 'holds no keys'),
        ('a: [', 'mine.yaml: not valid YAML: '),
        ('folds: 5', "the key 'recipes' is missing"),
        ('recipes: []', r'recipes is empty; write for example recipes: \[configs/sartorius/mrcnn_r50.py\]'),
        ('recipes: [configs/sartorius/mrcnn_r81.py]', r"no such config; did you mean 'mrcnn_r18'\?"),
        ('recipes: [{tta: true}]', "item 1 of recipes: the key 'config' is missing"),
        ('recipes: [{config: 3}]', 'item 1 of recipes: config is 3; give a path'),
        (
            'recipes: [{config: configs/sartorius/mrcnn_r18.py, ttta: true}]',
            r"item 1 of recipes: unknown key 'ttta'; did you mean 'tta'\?",
        ),
        ('recipes: [{config: configs/sartorius/mrcnn_r18.py, folds: 2}]', "unknown key 'folds'"),
        ('recipes: [{config: configs/sartorius/mrcnn_r18.py, name: a/b}]', "'a/b' cannot name a folder"),
        ('recipes: [configs/sartorius/mrcnn_r18.py, configs/sartorius/mrcnn_r18.py]', "the name 'mrcnn_r18' is taken"),
        ('recipes: [{config: configs/sartorius/mrcnn_r18.py, name: fused}]', "the name 'fused' is taken"),
    ],
)
def test_a_file_without_recipes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_workflow(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no such workflow file; known: boxes, demo, '):
        read_workflow(tmp_path / 'none.yaml')


def test_the_schema_for_editors_is_current(repo_root: Path) -> None:
    """``python tools/workflow.py --schema > configs/workflows/schema.json`` brings it up to date."""
    schema = json.loads((repo_root / 'configs/workflows/schema.json').read_text())
    assert schema == json.loads(json.dumps(WorkflowSettings.model_json_schema()))
    assert schema['required'] == ['recipes']
    assert schema['$defs']['RecipeSettings']['anyOf'][0]['type'] == 'string'


def test_the_docs_have_the_row_of_every_key(repo_root: Path) -> None:
    """Key, description and default; the tables of docs/workflow.md hold nothing else."""
    rows = []
    for model in (RecipeSettings, WorkflowSettings, PromptSettings):
        for name, key in model.model_fields.items():
            default = '' if key.is_required() or key.default in (None, '', ()) else json.dumps(key.default)
            rows.append(f'| `{name}` | {key.description} | {default.replace(chr(34), "")} |')
    rows = list(dict.fromkeys(rows))
    documented = re.findall(r'^\| `\w+` \|.*\|$', (repo_root / 'docs/workflow.md').read_text(), re.MULTILINE)
    assert set(documented) == set(rows), 'the rows must be\n' + '\n'.join(rows)
