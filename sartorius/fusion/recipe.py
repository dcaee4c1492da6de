"""A fusion in config form: the method and its parameters, and which predictions take part with what weight."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, model_validator

from sartorius.fusion.methods import DEFAULT_METHOD, METHODS, SET_METHODS, SetMethod
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.settings import Flag, Number, ProjectPath, Settings, Text, build, build_by_type, load_settings

CONFIG_KEY = 'fusion'
DEFAULT_SCORE = 0.1

ScoreLimit = Number | dict[Text, Number]


def _as_method(value: object) -> SetMethod:
    return value if isinstance(value, tuple(SET_METHODS.values())) else build_by_type(SET_METHODS, value, '')


class FusionMember(Settings):
    """One model's part in a fusion."""

    predictions: ProjectPath
    """Predictions file, or COCO results JSON; a relative path starts at the checkout."""
    weight: Number = 1.0
    """Above 0 (checked by :func:`sets.fuse`); only the ratios of the members' weights count."""
    score_threshold: ScoreLimit | None = None
    """Cells that the model scored lower take no part; the recipe's if None."""
    annotations: ProjectPath | None = None
    """Of COCO results, the COCO JSON whose image and category ids they use."""
    cell_types: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """For specialists, the types that the model was trained on alone; what the predictions say if None."""


class FusionRecipe(Settings):
    """A fusion, except for the predictions where ``members`` is empty; other fields as in :func:`sets.fuse`."""

    method: Annotated[SetMethod, PlainValidator(_as_method)] = METHODS[DEFAULT_METHOD]()
    members: tuple[FusionMember, ...] = ()
    score_threshold: ScoreLimit = DEFAULT_SCORE
    class_agnostic: Flag = False
    average_masks: Flag = False
    boxes_only: Flag = False

    @model_validator(mode='after')
    def _check_method(self) -> 'FusionRecipe':
        if self.average_masks and not self.method.can_average_masks:
            raise InputError(f'average_masks has no meaning with {self.method.name}; leave it out')
        return self

    def with_files(
        self, paths: Sequence[Path], weights: Sequence[float] | None = None, annotations: Path | None = None
    ) -> 'FusionRecipe':
        """The same fusion of other files, which replace the members' own in order.

        Args:
            paths: Predictions; a relative path starts at the current folder. The members' own if there are none.
            weights: One per file, where the recipe has no members.
            annotations: COCO JSON for members that are COCO results and name none.

        Raises:
            UsageError: Another number of files than of members or weights.
        """
        if self.members and paths and len(paths) != len(self.members):
            raise UsageError(f'{len(paths)} files for the {len(self.members)} members of the config; give one each')
        if weights is not None and len(weights) != len(paths):
            raise UsageError(f'{len(weights)} weights for {len(paths)} files; give one weight per file, in their order')
        members = self.members
        if not members:
            pairs = zip(paths, weights or [1.0] * len(paths), strict=True)
            members = tuple(FusionMember(predictions=path, weight=weight) for path, weight in pairs)
        if paths:
            pairs = zip(members, paths, strict=True)
            members = tuple(one.model_copy(update={'predictions': path.resolve()}) for one, path in pairs)
        if annotations is not None:
            own = annotations.resolve()
            members = tuple(one.model_copy(update={'annotations': one.annotations or own}) for one in members)
        return self.model_copy(update={'members': members})

    @property
    def score_thresholds(self) -> list[ScoreLimit]:
        """One per member."""
        return [self.score_threshold if one.score_threshold is None else one.score_threshold for one in self.members]


def build_recipe(config: Mapping[str, Any]) -> FusionRecipe:
    """Recipe of a config such as ``dict(method=dict(type='wbf'), members=[dict(predictions=..., weight=2), ...])``.

    Raises:
        InputError: No dict, an unknown key (the nearest known one is named), or a value that is wrong.
    """
    return build(FusionRecipe, config)


def load_recipe(path: str | Path) -> FusionRecipe:
    """Recipe from a ``.py`` or ``.json`` file that defines ``fusion = dict(...)``.

    Raises:
        InputError: The file is missing or invalid, or its recipe is wrong.
    """
    return load_settings(path, build_recipe, 'fusion config', CONFIG_KEY)
