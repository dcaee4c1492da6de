"""Workflow files: YAML that names recipes, folds and what is done with the predictions.

Every key stands here once, with its default and its description. The table of docs/workflow.md and the schema for
editors (configs/workflows/schema.json) follow from it; tests hold them to it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from sartorius.fusion.methods import SET_METHODS
from sartorius.utils.errors import InputError, did_you_mean
from sartorius.utils.paths import find_config, find_workflow, resolve_path
from sartorius.utils.settings import Flag, Integer, ProjectPath, Settings, Text, build, load_settings

if TYPE_CHECKING:
    from sartorius.workflow.model_plan import ModelWorkflow
    from sartorius.workflow.predict_plan import PredictWorkflow

# In the order in which they are predicted.
SPLITS = ('val', 'test', 'unlabelled')
PROMPTED, FUSED = 'prompted', 'fused'


def _check_folder_name(name: str) -> str:
    if '/' in name or name.startswith('.'):
        raise InputError(f'{name!r} cannot name a folder')
    return name


def _check_fusion(value: str) -> str:
    """A method's name, or the absolute path of a config."""
    if not value.endswith('.py'):
        if value not in SET_METHODS:
            raise InputError(f'unknown method {value!r}{did_you_mean(value, SET_METHODS)}')
        return value
    path = resolve_path(value)
    if not path.is_file():
        raise InputError(f'{value}: no such config; configs/ensemble/ has some')
    return str(path)


FusionChoice = Annotated[Text, AfterValidator(_check_fusion)]


class RunSettings(Settings):
    """How a recipe is trained and predicts; the workflow's values are those of recipes that have none of their own."""

    small: Flag = False
    """Use the recipe's small variant, for a CPU (`--small` of the tools)."""
    iterations: Annotated[Integer, Field(ge=1)] | None = None
    """Length of the training, schedule included; the config's if not given."""
    from_scratch: Flag = False
    """Start from random weights."""
    amp: Flag = False
    """Mixed precision: float16 on a GPU, bfloat16 on a CPU that has it."""
    validation: Flag = True
    """Score trainings on the way; the last checkpoint predicts in any case."""
    cfg_options: tuple[Text, ...] = ()
    """Changes of the config, `KEY=VALUE`, for training and predicting."""
    predict_cfg_options: tuple[Text, ...] = ()
    """More of them, for predicting alone."""
    tta: Flag = False
    """Predict with test-time augmentation."""
    tiles: Flag = False
    """Predict in overlapping, enlarged tiles."""


class RecipeSettings(RunSettings):
    """One recipe of a workflow: its config alone, or a mapping of these keys."""

    config: Annotated[Path, AfterValidator(lambda path: find_config(path).resolve())]
    """Config file."""
    name: Annotated[Text, AfterValidator(_check_folder_name)] = ''
    """Folder of its runs; the config's name if not given."""
    load_from: Text | None = None
    """Checkpoint or URL to start from; the config's if not given."""

    @model_validator(mode='before')
    @classmethod
    def _complete(cls, values: Any) -> Any:
        values = _as_mapping(values)
        if isinstance(values, Mapping) and isinstance(values.get('config'), (str, Path)):
            return {'name': Path(values['config']).stem, **values}
        return values

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {'anyOf': [{'type': 'string', 'description': 'Config file.'}, handler(core_schema)]}


class PromptSettings(Settings):
    """Masks that one recipe predicts for the boxes of others."""

    boxes: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Recipes whose fused boxes are taken."""
    masks: Text
    """Recipe that predicts the masks."""


class WorkflowSettings(RunSettings):
    """A workflow file: recipes, folds, and what is done with the predictions."""

    recipes: tuple[RecipeSettings, ...]
    """Configs, or mappings with a `config` and keys of its own."""
    data_root: ProjectPath | None = None
    """The competition's folder; `--data-root` comes first, `$SARTORIUS_DATA` last."""
    folds: Annotated[Integer, Field(ge=2)] = 5
    """Number of folds."""
    only_folds: Annotated[tuple[Integer, ...], Field(min_length=1)] | None = None
    """Folds to train; all if not given."""
    seed: Integer = 0
    """Seed of folds and trainings."""
    fill_holes: Flag = False
    """Fill the holes of hollow masks when annotations are prepared."""
    skip_missing_images: Flag = False
    """Skip annotated images without a file, which are an error otherwise."""
    shared_data_root: ProjectPath | None = None
    """Images of the runs that no fold changes (`init_from`); their config's if not given."""
    shared_annotations: ProjectPath | None = None
    """Prepared annotations of those runs; their config's if not given."""
    splits: tuple[Literal[SPLITS], ...] = ('val', 'test')
    """Images to predict: `val` always, `test`, `unlabelled`."""
    prompt: PromptSettings | None = None
    """Have one recipe predict the masks for the boxes of others, as the member `prompted`."""
    members: tuple[Text, ...] | None = None
    """Recipes that are fused, and `prompted`; all that have masks if not given."""
    fusion: FusionChoice = 'wbf'
    """How the recipes of a fold are fused: a method or a config of configs/ensemble/."""
    fold_fusion: FusionChoice = 'wbf'
    """How the folds' predictions of the same images are fused."""
    postprocess: ProjectPath | None = None
    """Chain that tuning starts from; configs/_base_/postprocess.py if not given."""
    pseudo_rounds: Annotated[Integer, Field(ge=0)] = 0
    """How often everything is trained again with pseudo-labels."""

    @model_validator(mode='before')
    @classmethod
    def _pass_on(cls, values: Any) -> Any:
        """Gives recipes the workflow's values of the keys that they do not have."""
        if not isinstance(values, Mapping) or not isinstance(values.get('recipes'), (list, tuple)):
            return values
        shared = {key: values[key] for key in RunSettings.model_fields if key in values}
        recipes = [_as_mapping(entry) for entry in values['recipes']]
        recipes = [{**shared, **entry} if isinstance(entry, Mapping) else entry for entry in recipes]
        return {**values, 'recipes': recipes}

    @model_validator(mode='after')
    def _check_together(self) -> 'WorkflowSettings':
        names = [recipe.name for recipe in self.recipes]
        if not names:
            raise InputError('recipes is empty; write for example recipes: [configs/sartorius/mrcnn_r50.py]')
        twice = sorted({name for name in names if names.count(name) > 1} | ({PROMPTED, FUSED} & set(names)))
        if twice:
            raise InputError(f'recipes: the name {twice[0]!r} is taken; give the recipe another with name:')
        for fold in self.only_folds or ():
            if not 0 <= fold < self.folds:
                raise InputError(f'only_folds: {fold} is none of the folds 0 to {self.folds - 1}')
        if self.prompt:
            _check_names('prompt', (*self.prompt.boxes, self.prompt.masks), names)
            names.append(PROMPTED)
        _check_names('members', self.members or (), names)
        return self

    @property
    def trained_folds(self) -> tuple[int, ...]:
        """Folds that are trained, in order."""
        return tuple(range(self.folds)) if self.only_folds is None else tuple(sorted(set(self.only_folds)))

    @property
    def predicted_splits(self) -> tuple[str, ...]:
        """Splits that are predicted, in order: the held-out images always, since tuning needs them."""
        return tuple(split for split in SPLITS if split in {*self.splits, 'val'})

    def first_run(self, config: Path) -> RecipeSettings:
        """Settings of a run that a recipe starts from: the workflow's, but no changes of another config's keys."""
        shared = {key: getattr(self, key) for key in RunSettings.model_fields}
        return RecipeSettings(**{**shared, 'config': config, 'cfg_options': ()})


def read_workflow(path: Path, **changes: Any) -> 'WorkflowSettings | PredictWorkflow | ModelWorkflow':
    """Reads and checks a workflow file: of trainings, or, without ``recipes``, of predictions (``batch_size``) or of
    one model that is published (``publish``).

    Args:
        path: The file, or its name if it is one of configs/workflows/.
        **changes: Values that take the place of the file's, by key.

    Raises:
        UsageError: No such file.
        InputError: It is no YAML mapping, has an unknown key, or a value that cannot be; the message names the key.
    """
    path = find_workflow(path)
    return load_settings(path, partial(_build, changes), 'workflow file', key=None, suffixes=['.yaml'])


def workflow_schema() -> dict[str, Any]:
    """JSON schema of workflow files, for editors."""
    return WorkflowSettings.model_json_schema()


def _build(changes: Mapping[str, Any], content: object) -> 'WorkflowSettings | PredictWorkflow | ModelWorkflow':
    if not isinstance(content, Mapping):
        raise InputError('holds no keys; it needs at least recipes: [CONFIG, ...]')
    if 'batch_size' in content and 'recipes' not in content:
        from sartorius.workflow.predict_plan import PredictWorkflow

        return build(PredictWorkflow, {**content, **changes})
    if 'publish' in content and 'recipes' not in content:
        from sartorius.workflow.model_plan import ModelWorkflow

        return build(ModelWorkflow, {**content, **changes})
    return build(WorkflowSettings, {**content, **changes})


def _as_mapping(recipe: Any) -> Any:
    """The long form of a recipe of which a file gives the config alone."""
    return {'config': recipe} if isinstance(recipe, str) else recipe


def _check_names(key: str, given: tuple[str, ...], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f'{key}: no recipe {name!r}{did_you_mean(name, known)}')
