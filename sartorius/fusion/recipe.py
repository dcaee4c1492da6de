"""A fusion in config form: the method and its parameters, and which predictions take part with what weight."""

import runpy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sartorius.fusion.checks import check_number
from sartorius.fusion.methods import DEFAULT_METHOD, METHODS, SET_METHODS, SetMethod, build_method, name_of
from sartorius.fusion.nms import NMS
from sartorius.fusion.sets import ScoreThreshold
from sartorius.utils.errors import InputError, UsageError, did_you_mean
from sartorius.utils.paths import REPO_ROOT, display_path

CONFIG_KEY = 'fusion'
DEFAULT_SCORE = 0.1


@dataclass(frozen=True)
class Member:
    """One model's part in a fusion.

    Attributes:
        predictions: Predictions file, or COCO results JSON; a relative path starts at the checkout.
        weight: Above 0; only the ratios of the members' weights count.
        score_threshold: Cells that the model scored lower take no part; the recipe's if None.
        annotations: Of COCO results, the COCO JSON whose image and category ids they use.
        cell_types: For specialists, the types that the model was trained on alone; what the predictions say if None.
    """

    predictions: Path
    weight: float = 1.0
    score_threshold: ScoreThreshold | None = None
    annotations: Path | None = None
    cell_types: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ('predictions', 'annotations'):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (str, Path)):
                raise InputError(f'{name} is {value!r}; give a path')
            object.__setattr__(self, name, None if value is None else REPO_ROOT / Path(value).expanduser())
        if self.cell_types is not None:
            names = self.cell_types
            if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
                raise InputError(f"cell_types is {names!r}; write a list such as ['cort']")
            object.__setattr__(self, 'cell_types', tuple(names))
        # Whether they go together is checked where all are known.
        check_number('weight', self.weight)


@dataclass(frozen=True)
class Recipe:
    """A fusion, but for the predictions where ``members`` is empty; other attributes as in :func:`sets.fuse`."""

    method: SetMethod = field(default_factory=METHODS[DEFAULT_METHOD])
    members: tuple[Member, ...] = ()
    score_threshold: ScoreThreshold = DEFAULT_SCORE
    class_agnostic: bool = False
    average_masks: bool = False
    boxes_only: bool = False

    def __post_init__(self) -> None:
        if self.average_masks and not isinstance(self.method, NMS):
            raise InputError(f'average_masks is for nms; it has no meaning with {name_of(self.method)}')
        for name in ('class_agnostic', 'average_masks', 'boxes_only'):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f'{name} is {getattr(self, name)!r}; write True or False')

    def with_files(
        self, paths: Sequence[Path], weights: Sequence[float] | None = None, annotations: Path | None = None
    ) -> 'Recipe':
        """The same fusion of these files, which take the members' places in their order.

        Args:
            paths: Predictions; a relative path starts at the current folder. The members' own if there are none.
            weights: One a file, where the recipe has no members.
            annotations: Of COCO results whose member names none.

        Raises:
            UsageError: Another number of files than of members or weights.
        """
        if self.members and paths and len(paths) != len(self.members):
            raise UsageError(f'{len(paths)} files for the {len(self.members)} members of the config; give one each')
        if weights is not None and len(weights) != len(paths):
            raise UsageError(f'{len(weights)} weights for {len(paths)} files; give one weight a file, in their order')
        members = self.members or tuple(map(Member, paths, weights or [1.0] * len(paths)))
        if paths:
            members = tuple(replace(one, predictions=path.resolve()) for one, path in zip(members, paths, strict=True))
        if annotations is not None:
            members = tuple(replace(one, annotations=one.annotations or annotations.resolve()) for one in members)
        return replace(self, members=members)

    @property
    def score_thresholds(self) -> list[ScoreThreshold]:
        """One a member."""
        return [self.score_threshold if one.score_threshold is None else one.score_threshold for one in self.members]


def build_recipe(config: Mapping[str, Any]) -> Recipe:
    """Recipe of a config such as ``dict(method=dict(type='wbf'), members=[dict(predictions=..., weight=2), ...])``.

    Raises:
        InputError: No dict, an unknown key (the nearest known one is named), or a value that is wrong.
    """
    values = dict(_known_keys(config, 'fusion', [one.name for one in fields(Recipe)]))
    if 'method' in values:
        values['method'] = build_method(values['method'], SET_METHODS)
    members = values.get('members', ())
    if isinstance(members, (str, Mapping)) or not isinstance(members, Sequence):
        raise InputError(f'members is {members!r}; write a list of dict(predictions=..., weight=...)')
    values['members'] = tuple(_build_member(place, member) for place, member in enumerate(members, start=1))
    return Recipe(**values)


def load_recipe(path: str | Path) -> Recipe:
    """Recipe from a ``.py`` file that defines ``fusion = dict(...)``.

    Raises:
        InputError: The file is missing or no valid Python, or its recipe is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such config')
    try:
        content = runpy.run_path(str(path))
        if CONFIG_KEY not in content:
            raise InputError(f'defines no {CONFIG_KEY}; write {CONFIG_KEY} = dict(method=..., members=...)')
        return build_recipe(content[CONFIG_KEY])
    except SyntaxError as error:
        raise InputError(f'{display_path(path)}: line {error.lineno} is not valid Python: {error.msg}') from None
    except (InputError, NameError) as error:
        raise InputError(f'{display_path(path)}: {error}') from None


def _build_member(place: int, config: object) -> Member:
    values = _known_keys(config, f'member {place}', [one.name for one in fields(Member)])
    if 'predictions' not in values:
        raise InputError(f'member {place} names no predictions; write dict(predictions=..., weight=...)')
    try:
        return Member(**values)
    except InputError as error:
        raise InputError(f'member {place}: {error}') from None


def _known_keys(config: object, name: str, known: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(config, Mapping):
        raise InputError(f'{name} is {config!r}; write a dict with some of {", ".join(known)}')
    for key in config:
        if key not in known:
            raise InputError(f'{name} has no key {key!r}{did_you_mean(str(key), known)}')
    return config
