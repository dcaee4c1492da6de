"""Workflow files: what they may say, and what each mistake is answered."""

from pathlib import Path

import pytest

from sartorius.utils.errors import InputError, UsageError
from sartorius.workflow.settings import read_workflow

RECIPES = 'recipes: [configs/demo/mrcnn_r18.py]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / 'mine.yaml'
    path.write_text(text)
    return path


def test_a_list_of_configs_is_enough(tmp_path: Path, repo_root: Path) -> None:
    workflow = read_workflow(write(tmp_path, RECIPES))
    assert (workflow.name, workflow.folds, workflow.only_folds, workflow.splits) == (
        'mine',
        5,
        (0, 1, 2, 3, 4),
        ('val', 'test'),
    )
    (recipe,) = workflow.recipes
    assert (recipe.name, recipe.config) == ('mrcnn_r18', repo_root / 'configs/demo/mrcnn_r18.py')
    assert (recipe.iterations, recipe.tta, recipe.validation) == (None, False, True)


def test_a_recipe_takes_the_roads_values_unless_it_has_its_own(tmp_path: Path) -> None:
    text = """
iterations: 100
tta: true
cfg_options: [a=1]
recipes:
  - configs/demo/mrcnn_r18.py
  - {config: configs/demo/mrcnn_r18.py, name: longer, iterations: 300, tta: false, cfg_options: []}
"""
    first, second = read_workflow(write(tmp_path, text)).recipes
    assert (first.iterations, first.tta, first.cfg_options) == (100, True, ('a=1',))
    assert (second.name, second.iterations, second.tta, second.cfg_options) == ('longer', 300, False, ())


def test_held_out_images_are_always_predicted(tmp_path: Path) -> None:
    assert read_workflow(write(tmp_path, f'{RECIPES}splits: [unlabelled]')).splits == ('val', 'unlabelled')


def test_every_road_of_the_checkout_can_be_read(repo_root: Path) -> None:
    workflows = sorted((repo_root / 'configs/workflows').glob('*.yaml'))
    assert len(workflows) >= 3
    for path in workflows:
        assert read_workflow(path).name == path.stem


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('fold: 3', r"mine.yaml: unknown key 'fold'; did you mean 'folds'\?"),
        ('folds: three', "folds: takes a whole number, not 'three'"),
        ('folds: true', 'folds: takes a whole number, not True'),
        ('folds: 1', 'folds: must be 2 or more, not 1'),
        ('only_folds: [5]', 'only_folds: 5 is none of the folds 0 to 4'),
        ('only_folds: []', 'only_folds: names no fold'),
        ('splits: [val, tset]', r"splits: unknown 'tset'; did you mean 'test'\?"),
        ('fusion: wfb', r"fusion: unknown method 'wfb'; did you mean 'wbf'\?"),
        ('fusion: configs/ensemble/none.py', 'fusion: configs/ensemble/none.py: no such config'),
        ('pseudo_rounds: -1', 'pseudo_rounds: must be 0 or more, not -1'),
        ('iterations: 0', 'recipes: iterations: must be 1 or more, not 0|iterations: must be 1 or more, not 0'),
        ('members: [mrcnn_r50]', "members: no recipe 'mrcnn_r50'"),
        ('prompt: {boxes: [mrcnn_r18]}', r'prompt: takes boxes: \[RECIPE, ...\] and masks: RECIPE'),
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
        ('a: [', 'is no YAML'),
        ('folds: 5', 'recipes names no config'),
        ('recipes: [configs/demo/mrcnn_r81.py]', r"no such config; did you mean 'mrcnn_r18'\?"),
        ('recipes: [{tta: true}]', 'names no config'),
        ('recipes: [{config: configs/demo/mrcnn_r18.py, ttta: true}]', r"unknown key 'ttta'; did you mean 'tta'\?"),
        ('recipes: [{config: configs/demo/mrcnn_r18.py, folds: 2}]', "unknown key 'folds'"),
        ('recipes: [{config: configs/demo/mrcnn_r18.py, name: a/b}]', "'a/b' cannot name a folder"),
        ('recipes: [configs/demo/mrcnn_r18.py, configs/demo/mrcnn_r18.py]', "the name 'mrcnn_r18' is taken"),
        ('recipes: [{config: configs/demo/mrcnn_r18.py, name: fused}]', "the name 'fused' is taken"),
    ],
)
def test_a_file_without_recipes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_workflow(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no such workflow file; examples are in configs/workflows/'):
        read_workflow(tmp_path / 'none.yaml')
