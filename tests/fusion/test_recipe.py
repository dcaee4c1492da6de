"""Fusions in config form."""

from dataclasses import asdict
from pathlib import Path

import pytest

from sartorius.fusion.methods import SET_METHODS, build_method
from sartorius.fusion.recipe import FusionMember, FusionRecipe, build_recipe, load_recipe
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CHECKOUT, CONFIG_DIR

CONFIGS = sorted((CONFIG_DIR / 'ensemble').glob('*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_a_recipe(path):
    recipe = load_recipe(path)
    # A config without members takes any files.
    files = [Path(f'{n}.npz') for n in range(len(recipe.members) or 3)]
    assert len(recipe.with_files(files).members) == len(files)


@pytest.mark.parametrize('name', SET_METHODS)
def test_every_method_is_made_by_its_name_and_its_parameters(name):
    defaults = SET_METHODS[name]()
    assert build_recipe({'method': {'type': name}}).method == defaults
    assert build_recipe({'method': {'type': name, **asdict(defaults)}}).method == defaults
    assert defaults.name == name


def test_what_is_not_said_keeps_its_default():
    recipe = build_recipe({'members': [{'predictions': 'work_dirs/a.npz'}, {'predictions': '/b.npz', 'weight': 2}]})
    assert recipe.method == build_method({'type': 'wbf'}) and not recipe.class_agnostic
    assert [member.weight for member in recipe.members] == [1, 2]
    assert [member.predictions for member in recipe.members] == [CHECKOUT / 'work_dirs/a.npz', Path('/b.npz')]
    assert recipe.score_thresholds == [0.1, 0.1]


def test_a_member_has_its_own_threshold_and_annotations():
    recipe = FusionRecipe(
        members=(
            FusionMember(predictions=Path('/a.json'), score_threshold=0.3, annotations=Path('/a.coco')),
            FusionMember(predictions=Path('/b.json')),
        )
    ).with_files([], annotations=Path('/b.coco'))
    assert recipe.score_thresholds == [0.3, 0.1]
    assert [member.annotations for member in recipe.members] == [Path('/a.coco'), Path('/b.coco')]


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'methods': {}}, "unknown key 'methods'; did you mean 'method'"),
        ({'xyz': 1}, "unknown key 'xyz'; known: average_masks, boxes_only, class_agnostic"),
        ({'method': {'type': 'wbf', 'iou': 0.5}}, "method: wbf: unknown key 'iou'"),
        (
            {'members': [{'prediction': 'a.npz'}]},
            "item 1 of members: unknown key 'prediction'; did you mean 'predictions'",
        ),
        (
            {'members': [{'predictions': 'a'}, {'predictions': 'b', 'wieght': 2}]},
            "item 2 of members: .* did you mean 'weight'",
        ),
        ({'members': [{'weight': 2}]}, "item 1 of members: the key 'predictions' is missing"),
        ({'members': [{'predictions': 3}]}, 'item 1 of members: predictions is 3; give a path'),
        ({'members': [{'predictions': 'a', 'weight': '2'}]}, "item 1 of members: weight is '2'; give a number$"),
        ({'members': ['a.npz']}, "item 1 of members is 'a.npz'; give a mapping"),
        ({'members': 'a.npz'}, "^members is 'a.npz'; give a list"),
        ({'method': {'type': 'wbf'}, 'average_masks': True}, 'average_masks has no meaning with wbf'),
        ({'class_agnostic': 'no'}, "class_agnostic is 'no'; give true or false"),
        ([], r'\[\] is not a mapping with some of method, members'),
    ],
)
def test_bad_configs_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        build_recipe(config)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('ensemble = dict()', r'bad\.py: defines no fusion'),
        ('fusion = dict(', r'bad\.py: line 1 is not valid Python'),
        ('fusion = dict(method=wbf)', r"bad\.py: line 1: NameError: name 'wbf' is not defined"),
        ("fusion = dict(method=dict(type='wbff'))", r"bad\.py: method: unknown type 'wbff'; did you mean 'wbf'"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    (tmp_path / 'bad.py').write_text(text, encoding='utf-8')
    with pytest.raises(InputError, match=message):
        load_recipe(tmp_path / 'bad.py')
    with pytest.raises(InputError, match='no such fusion config'):
        load_recipe(tmp_path / 'missing.py')


def test_numbers_of_files_and_weights_must_fit():
    with pytest.raises(UsageError, match='2 weights for 1 files'):
        FusionRecipe().with_files([Path('a.npz')], [1, 2])
    with pytest.raises(UsageError, match='1 files for the 2 members'):
        FusionRecipe(members=(FusionMember(predictions=Path('a')), FusionMember(predictions=Path('b')))).with_files(
            [Path('c')]
        )
