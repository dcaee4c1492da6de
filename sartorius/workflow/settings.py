"""Workflow files: YAML that names recipes, folds and what is done with the predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sartorius.utils.errors import InputError, UsageError, did_you_mean
from sartorius.utils.paths import REPO_ROOT, display_path

SPLITS = ('val', 'test', 'unlabelled')
PROMPTED, FUSED = 'prompted', 'fused'

# Keys that a recipe takes from the workflow unless it has its own.
RECIPE_DEFAULTS: dict[str, Any] = {
    'small': False,
    'iterations': None,
    'from_scratch': False,
    'amp': False,
    'validation': True,
    'cfg_options': [],
    'predict_cfg_options': [],
    'tta': False,
    'tiles': False,
}
WORKFLOW_DEFAULTS: dict[str, Any] = {
    'recipes': [],
    'data_root': None,
    'folds': 5,
    'only_folds': None,
    'seed': 0,
    'fill_holes': False,
    'skip_missing_images': False,
    'shared_data_root': None,
    'shared_annotations': None,
    'splits': ['val', 'test'],
    'prompt': None,
    'members': None,
    'fusion': 'wbf',
    'fold_fusion': 'wbf',
    'postprocess': None,
    'pseudo_rounds': 0,
    **RECIPE_DEFAULTS,
}
KINDS: dict[str, tuple[type, ...]] = {
    'recipes': (list,),
    'data_root': (str, type(None)),
    'folds': (int,),
    'only_folds': (list, type(None)),
    'seed': (int,),
    'fill_holes': (bool,),
    'skip_missing_images': (bool,),
    'shared_data_root': (str, type(None)),
    'shared_annotations': (str, type(None)),
    'splits': (list,),
    'prompt': (dict, type(None)),
    'members': (list, type(None)),
    'fusion': (str,),
    'fold_fusion': (str,),
    'postprocess': (str, type(None)),
    'pseudo_rounds': (int,),
    'iterations': (int, type(None)),
    'small': (bool,),
    'from_scratch': (bool,),
    'amp': (bool,),
    'validation': (bool,),
    'cfg_options': (list,),
    'predict_cfg_options': (list,),
    'tta': (bool,),
    'tiles': (bool,),
    'config': (str,),
    'name': (str,),
    'load_from': (str, type(None)),
}
WORDS = {
    list: 'a list',
    str: 'text',
    int: 'a whole number',
    bool: 'true or false',
    dict: 'a mapping',
    type(None): 'null',
}


@dataclass(frozen=True)
class RecipeSettings:
    """One recipe of a workflow: a config, and how it is trained and predicts.

    Attributes:
        config: Config file.
        name: Folder of its runs.
        load_from: Checkpoint or URL to start from instead of the config's; None leaves the config its own.
        small: Whether tools get ``--small``, which makes a model of the config that learns on a CPU.
        iterations: Length of the training; None leaves the config its own.
        from_scratch: Whether it starts from random weights.
        amp: Mixed precision.
        validation: Whether trainings are scored on the way; the last checkpoint is what predicts, scored or not.
        cfg_options: ``KEY=VALUE`` words for training and predicting.
        predict_cfg_options: More of them, for predicting alone.
        tta: Test-time augmentation.
        tiles: Prediction in tiles.
    """

    config: Path
    name: str
    load_from: str | None
    small: bool
    iterations: int | None
    from_scratch: bool
    amp: bool
    validation: bool
    cfg_options: tuple[str, ...]
    predict_cfg_options: tuple[str, ...]
    tta: bool
    tiles: bool


@dataclass(frozen=True)
class WorkflowSettings:
    """A whole workflow; docs/workflow.md says what each key of the file means.

    Attributes:
        name: Stem of the workflow file.
        recipes: What is trained in every fold.
        defaults: How a run that a recipe starts from is trained: the workflow's own values of the recipe's keys.
        data_root: The competition's folder; None where neither file nor command line name it.
        folds: Number of folds.
        only_folds: Those of them that are trained.
        seed: Seed of folds and trainings.
        fill_holes: Whether the holes of hollow masks are filled.
        skip_missing_images: Whether annotated images without a file are left out.
        shared_data_root: Images of the runs that no fold changes; None leaves their configs their own.
        shared_annotations: Their prepared annotations; None leaves their configs their own.
        splits: Which images are predicted; pseudo-labels take the unlabelled ones besides.
        prompt_boxes: Recipes whose fused boxes ``prompt_masks`` draws masks in; empty for none.
        prompt_masks: Recipe that draws those masks; None for none.
        members: What is fused in each fold: names of recipes, and ``prompted``.
        fusion: Fusion of the members of a fold: a method or a config.
        fold_fusion: Fusion of the folds' predictions of the same images: a method or a config.
        postprocess: Chain that tuning starts from; None for the default one.
        pseudo_rounds: How many times everything is trained again with pseudo-labels of the unlabelled images.
    """

    name: str
    recipes: tuple[RecipeSettings, ...]
    defaults: Mapping[str, Any]
    data_root: Path | None
    folds: int
    only_folds: tuple[int, ...]
    seed: int
    fill_holes: bool
    skip_missing_images: bool
    shared_data_root: Path | None
    shared_annotations: Path | None
    splits: tuple[str, ...]
    prompt_boxes: tuple[str, ...]
    prompt_masks: str | None
    members: tuple[str, ...] | None
    fusion: str
    fold_fusion: str
    postprocess: Path | None
    pseudo_rounds: int


def read_workflow(path: Path) -> WorkflowSettings:
    """Reads and checks a workflow file.

    Raises:
        UsageError: No such file.
        InputError: It is no YAML mapping, has an unknown key, or a value that cannot be; the message names the key.
    """
    where = display_path(path)
    if not path.is_file():
        raise UsageError(f'{where}: no such workflow file; examples are in configs/workflows/')
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f'{where}: is no YAML ({" ".join(str(error).split())})') from None
    if not isinstance(content, dict):
        raise InputError(f'{where}: holds no keys; it needs at least recipes: [CONFIG, ...]')
    values = _checked(content, WORKFLOW_DEFAULTS, where)
    defaults = {key: values[key] for key in RECIPE_DEFAULTS}
    recipes = tuple(_read_recipe(entry, defaults, where) for entry in values['recipes'])
    names = [recipe.name for recipe in recipes]
    if not recipes:
        raise InputError(
            f'{where}: recipes names no config; write for example recipes: [configs/sartorius/mrcnn_r50.py]'
        )
    twice = sorted({name for name in names if names.count(name) > 1} | ({PROMPTED, FUSED} & set(names)))
    if twice:
        raise InputError(f'{where}: recipes: the name {twice[0]!r} is taken; give the recipe another with name:')
    boxes, masks = _read_prompt(values['prompt'], names, where)
    _check_names('members', values['members'] or [], [*names, *([PROMPTED] if masks else [])], where)
    return WorkflowSettings(
        name=path.stem,
        recipes=recipes,
        defaults=defaults,
        data_root=_path(values['data_root']),
        folds=values['folds'],
        only_folds=_read_folds(values, where),
        seed=values['seed'],
        fill_holes=values['fill_holes'],
        skip_missing_images=values['skip_missing_images'],
        shared_data_root=_path(values['shared_data_root']),
        shared_annotations=_path(values['shared_annotations']),
        splits=_read_splits(values, where),
        prompt_boxes=boxes,
        prompt_masks=masks,
        members=tuple(values['members']) if values['members'] else None,
        fusion=_fusion(values['fusion'], 'fusion', where),
        fold_fusion=_fusion(values['fold_fusion'], 'fold_fusion', where),
        postprocess=_path(values['postprocess']),
        pseudo_rounds=_at_least(values['pseudo_rounds'], 0, 'pseudo_rounds', where),
    )


def make_recipe(
    config: str | Path, values: Mapping[str, Any], name: str = '', load_from: str | None = None
) -> RecipeSettings:
    """A recipe of a config, and of the values of :data:`RECIPE_DEFAULTS`' keys."""
    path = _path(str(config))
    return RecipeSettings(
        config=path,
        name=name or path.stem,
        load_from=load_from,
        small=values['small'],
        iterations=values['iterations'],
        from_scratch=values['from_scratch'],
        amp=values['amp'],
        validation=values['validation'],
        cfg_options=tuple(map(str, values['cfg_options'])),
        predict_cfg_options=tuple(map(str, values['predict_cfg_options'])),
        tta=values['tta'],
        tiles=values['tiles'],
    )


def _checked(content: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The defaults, overwritten by what the file says.

    Raises:
        InputError: An unknown key, or a value of another kind.
    """
    for key, value in content.items():
        if key not in defaults:
            raise InputError(f'{where}: unknown key {key!r}{did_you_mean(str(key), defaults)}')
        kinds = KINDS[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = ' or '.join(WORDS[kind] for kind in kinds)
            raise InputError(f'{where}: {key}: takes {wanted}, not {value!r}')
    return {**defaults, **content}


def _read_recipe(entry: Any, defaults: Mapping[str, Any], where: str) -> RecipeSettings:
    if isinstance(entry, str):
        entry = {'config': entry}
    if not isinstance(entry, dict) or 'config' not in entry:
        raise InputError(f'{where}: recipes: {entry!r} names no config; write a path, or config: PATH and other keys')
    values = _checked(entry, {**defaults, 'config': '', 'name': '', 'load_from': None}, f'{where}: recipes')
    if values['iterations'] is not None:
        _at_least(values['iterations'], 1, 'iterations', where)
    path = _path(values['config'])
    if not path.is_file():
        known = {
            file.stem: file for file in sorted((REPO_ROOT / 'configs').glob('*/*.py')) if file.parent.name[0] != '_'
        }
        raise InputError(f'{where}: recipes: {values["config"]}: no such config{did_you_mean(path.stem, known)}')
    if '/' in values['name'] or values['name'].startswith('.'):
        raise InputError(f'{where}: recipes: name: {values["name"]!r} cannot name a folder')
    return make_recipe(path, values, values['name'], values['load_from'])


def _read_prompt(prompt: dict[str, Any] | None, names: Sequence[str], where: str) -> tuple[tuple[str, ...], str | None]:
    if prompt is None:
        return (), None
    boxes, masks = prompt.get('boxes'), prompt.get('masks')
    if set(prompt) != {'boxes', 'masks'} or not isinstance(boxes, list) or not boxes or not isinstance(masks, str):
        raise InputError(f'{where}: prompt: takes boxes: [RECIPE, ...] and masks: RECIPE, not {prompt!r}')
    _check_names('prompt', [*boxes, masks], names, where)
    return tuple(boxes), masks


def _check_names(key: str, given: Sequence[Any], known: Sequence[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise InputError(f'{where}: {key}: no recipe {name!r}{did_you_mean(str(name), known)}')


def _read_folds(values: Mapping[str, Any], where: str) -> tuple[int, ...]:
    folds = _at_least(values['folds'], 2, 'folds', where)
    if values['only_folds'] is None:
        return tuple(range(folds))
    for fold in values['only_folds']:
        if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < folds:
            raise InputError(f'{where}: only_folds: {fold!r} is none of the folds 0 to {folds - 1}')
    if not values['only_folds']:
        raise InputError(f'{where}: only_folds: names no fold; leave the key out for all')
    return tuple(sorted(set(values['only_folds'])))


def _read_splits(values: Mapping[str, Any], where: str) -> tuple[str, ...]:
    for split in values['splits']:
        if split not in SPLITS:
            raise InputError(f'{where}: splits: unknown {split!r}{did_you_mean(str(split), SPLITS)}')
    # What is tuned on has no choice.
    return tuple(split for split in SPLITS if split in {*values['splits'], 'val'})


def _fusion(value: str, key: str, where: str) -> str:
    """A method's name, or the path of a config."""
    if not value.endswith('.py'):
        from sartorius.fusion.methods import SET_METHODS

        if value not in SET_METHODS:
            raise InputError(f'{where}: {key}: unknown method {value!r}{did_you_mean(value, SET_METHODS)}')
        return value
    path = _path(value)
    if not path.is_file():
        raise InputError(f'{where}: {key}: {value}: no such config; configs/ensemble/ has some')
    return str(path)


def _at_least(value: int, least: int, key: str, where: str) -> int:
    if value < least:
        raise InputError(f'{where}: {key}: must be {least} or more, not {value}')
    return value


def _path(text: str | None) -> Path | None:
    """Relative paths of a workflow file are the checkout's, as in configs."""
    if text is None:
        return None
    path = Path(text).expanduser()
    return path if path.is_absolute() else REPO_ROOT / path
