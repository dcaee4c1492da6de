"""Scores every setting of the tunable parameters on an image at once.

A setting is one value for each tunable parameter; steps declare these (:class:`sartorius.postprocess.base.Tunable`).

A kept cell's final pixels depend on better-scored cells alone (:mod:`sartorius.masks.overlap`). So the chain runs with
the lowest score threshold and the smallest minimum area, once per image and combination of the other parameters, and
what two combinations have in common runs once for both. Score threshold and minimum area are filters on the cells that
result: a cell counts if its score and its area are high enough, and is a true positive if its best IoU with an
annotated cell is high enough. (The predicted cells share no pixel, so that two of them never match the same annotated
cell, and a cell with several annotated ones above .5 is one true positive all the same.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.matching import counted_predictions
from sartorius.evaluation.metric import IOU_THRESHOLDS
from sartorius.masks.overlap import overlaps
from sartorius.postprocess.base import STEPS, Step, areas_of, drop_unusable
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.postprocess.steps import MaskThreshold, MinArea, RemoveOverlap, ScoreThreshold, VoteClass
from sartorius.postprocess.tuning.selection import ALL_CLASSES, NO_CLASS
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError, did_you_mean

TUNABLE_ORDER = (VoteClass, ScoreThreshold, MaskThreshold, RemoveOverlap, MinArea)
"""Steps that a chain needs to be tuned, in this order. ``VoteClass`` may be missing: then an image may hold cells of
several classes, whose thresholds cannot be told apart by the image's score, and one setting is tuned for all."""

FILTERS = ('score', 'area')
"""Parameters of ScoreThreshold and MinArea, which are applied as filters to what the chain returns."""

ParameterValues = Mapping[str, float]
"""One setting: values by names of :data:`TUNABLE_PARAMETERS`."""


class TunableParameter(NamedTuple):
    """A parameter of a step that the tuner searches.

    Attributes:
        title: Heading in tables and plots.
        step: Type of the step.
        parameter: Its parameter.
        values: Values that are tried by default, ascending.
    """

    title: str
    step: type[Step]
    parameter: str
    values: tuple[float, ...]


def collect_tunable_parameters(steps: Iterable[type[Step]]) -> dict[str, TunableParameter]:
    """The parameters that steps declare as tunable, by name: in the order of the steps, the filters last.

    Raises:
        ValueError: Two parameters of one name.
    """
    tunable_parameters: dict[str, TunableParameter] = {}
    for step in steps:
        for one in fields(step):
            tunable = one.metadata['tunable']
            if tunable is None:
                continue
            if tunable.name in tunable_parameters:
                raise ValueError(f'two steps have a tunable parameter {tunable.name!r}')
            tunable_parameters[tunable.name] = TunableParameter(tunable.title, step, one.name, tunable.values)
    order = sorted(tunable_parameters, key=lambda name: name in FILTERS)
    return {name: tunable_parameters[name] for name in order}


TUNABLE_PARAMETERS = collect_tunable_parameters(STEPS.values())
"""By name. The order is that of a table's axes: the last two are filters, the others run steps of the chain."""


@dataclass(frozen=True)
class SearchGrid:
    """Values that are tried for each parameter; every combination is one setting.

    Attributes:
        axes: Values in ascending order by names of :data:`TUNABLE_PARAMETERS`, in their order. Score and area must be
            among them; a parameter that is not keeps the value that the chain has.
    """

    axes: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for name, values in self.axes.items():
            if name not in TUNABLE_PARAMETERS:
                raise InputError(f'grid: unknown parameter {name!r}{did_you_mean(name, TUNABLE_PARAMETERS)}')
            if not len(values) or list(values) != sorted(set(values)):
                raise InputError(f'grid: values of {name} are {values}; give at least one, each higher than the last')
        lacking = [name for name in FILTERS if name not in self.axes]
        if lacking:
            raise InputError(f'grid: no values for {lacking[0]}; give at least one')
        object.__setattr__(
            self, 'axes', {name: tuple(self.axes[name]) for name in TUNABLE_PARAMETERS if name in self.axes}
        )

    @classmethod
    def of(cls, chain: Chain) -> 'SearchGrid':
        """The default values of every parameter that a chain has."""
        return cls({name: TUNABLE_PARAMETERS[name].values for name in tunable_parameters_of(chain)})

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(len(values) for values in self.axes.values())

    def at(self, index: Sequence[int]) -> dict[str, float]:
        """The setting at one index per axis."""
        return {name: values[place] for (name, values), place in zip(self.axes.items(), index, strict=True)}

    def nearest(self, setting: ParameterValues) -> tuple[int, ...]:
        """Index of the values nearest to a setting, which need not be on the grid."""
        return tuple(int(np.abs(np.array(values) - setting[name]).argmin()) for name, values in self.axes.items())


@dataclass(frozen=True, eq=False)
class ImageTable:
    """One image's score with every setting.

    Attributes:
        image_id: Of the image.
        label: Class that the chain votes for; None if no setting leaves a cell, or the chain does not vote.
        scores: float64, of the grid's shape: the image's score.
    """

    image_id: str
    label: int | None
    scores: NDArray[np.float64]


def tunable_parameters_of(chain: Chain) -> tuple[str, ...]:
    """Names of the parameters that a chain has: those whose step is in it exactly once.

    Raises:
        InputError: A chain that cannot be tuned: of the steps ScoreThreshold, MaskThreshold, RemoveOverlap and MinArea
            one is missing, is there twice or out of this order, or MinArea is not the last step; VoteClass is there
            twice or not before them, or is missing where a step has numbers per class; or a step changes scores after
            ScoreThreshold, so that a cell's last score does not say whether it passed there.
    """
    types = [type(step) for step in chain.steps]
    needed = tuple(name for name in types if name in TUNABLE_ORDER)
    if needed not in (TUNABLE_ORDER, TUNABLE_ORDER[1:]) or types[-1] is not MinArea:
        raise InputError(
            f'this post-processing cannot be tuned: it is {", ".join(step.__name__ for step in types)}, '
            f'and must hold {", ".join(step.__name__ for step in TUNABLE_ORDER)}, once each and in this order, with '
            'MinArea as the last step (without VoteClass, one setting is tuned for all classes)'
        )
    for step in chain.steps:
        if step.is_per_class and not votes_class(chain):
            raise InputError(
                f'this post-processing cannot be tuned: {type(step).__name__} has numbers per class, and without '
                'VoteClass one setting is tuned for all classes; give it one number, or add VoteClass'
            )
    for step in chain.steps[types.index(ScoreThreshold) :]:
        if step.changes_scores:
            raise InputError(
                f'this post-processing cannot be tuned: {type(step).__name__} changes scores after ScoreThreshold; '
                'put it before'
            )
    return tuple(name for name, parameter in TUNABLE_PARAMETERS.items() if types.count(parameter.step) == 1)


def settings_of(chain: Chain) -> dict[str, dict[str, float]]:
    """A chain's own settings by class; by :data:`ALL_CLASSES` if it does not vote.

    Args:
        chain: It knows its classes (:meth:`Chain.for_classes`).

    Raises:
        InputError: A chain that cannot be tuned, see :func:`tunable_parameters_of`.
    """
    classes = chain.known_classes() if votes_class(chain) else (ALL_CLASSES,)
    labels = np.arange(len(classes))
    settings: dict[str, dict[str, float]] = {name: {} for name in classes}
    for name in tunable_parameters_of(chain):
        parameter = TUNABLE_PARAMETERS[name]
        step = next(step for step in chain.steps if isinstance(step, parameter.step))
        for own, value in zip(classes, values_of(getattr(step, parameter.parameter), labels), strict=True):
            settings[own][name] = float(value)
    return settings


def with_settings(chain: Chain, settings: Mapping[str, ParameterValues]) -> Chain:
    """The same chain with the settings of every class put in; all must have the same parameters."""
    changes: dict[type[Step], dict[str, PerClass]] = {}
    for name in next(iter(settings.values())):
        per_class = {own: setting[name] for own, setting in settings.items()}
        value = per_class.get(ALL_CLASSES, per_class)
        changes.setdefault(TUNABLE_PARAMETERS[name].step, {})[TUNABLE_PARAMETERS[name].parameter] = value
    return replace(chain, steps=tuple(replace(step, **changes.get(type(step), {})) for step in chain.steps))


def votes_class(chain: Chain) -> bool:
    """Whether a chain gives all cells of an image one class."""
    return any(isinstance(step, VoteClass) for step in chain.steps)


def tuned_classes(tables: Iterable[ImageTable], chain: Chain) -> NDArray[np.str_]:
    """Class whose settings apply to each image, ``(N,)``, as :class:`ScoreTables` has it."""
    if not votes_class(chain):
        return np.array([ALL_CLASSES for _ in tables])
    classes = chain.known_classes()
    return np.array([NO_CLASS if table.label is None else classes[table.label] for table in tables])


def score_all_settings(image: ImagePredictions, gt: ImageAnnotations, chain: Chain, grid: SearchGrid) -> ImageTable:
    """Scores every setting of the grid on one image.

    Args:
        image: Predictions with labels that index into the chain's classes.
        gt: Annotated cells of the same image.
        chain: A chain that can be tuned, see :func:`tunable_parameters_of`.
        grid: The settings; of parameters that the chain has.
    """
    label = None
    scores = np.empty(grid.shape)
    # The filters keep every cell that any of their values keeps.
    branches = {name: values if name not in FILTERS else values[:1] for name, values in grid.axes.items()}
    for index, pred in _results(drop_unusable(image), chain.steps, branches):
        if len(pred) and votes_class(chain):
            label = int(pred.labels[0])
        if gt.crowd:
            pred = pred.select(counted_predictions(pred.crops, gt))
        pairs = overlaps(pred.crops, gt.crops, gt.size)
        best_iou = np.zeros(len(pred))
        np.maximum.at(best_iou, pairs.rows, pairs.iou)
        place = tuple(index[name] for name in grid.axes if name not in FILTERS)
        scores[place] = _score_filters(pred.scores, areas_of(pred), best_iou, len(gt), grid)
    return ImageTable(image.image_id, label, scores)


def _results(
    image: ImagePredictions, steps: Sequence[Step], branches: Mapping[str, Sequence[float]]
) -> Iterator[tuple[dict[str, int], ImagePredictions]]:
    """The result of the steps with each combination of values, and the indices of these by parameter.

    A tree: steps before a parameter's step run once for all of its values.
    """
    if not steps:
        yield {}, image
        return
    step, *rest = steps
    own = [name for name in branches if isinstance(step, TUNABLE_PARAMETERS[name].step)]
    for places in product(*(range(len(branches[name])) for name in own)):
        here = dict(zip(own, places, strict=True))
        changes = {TUNABLE_PARAMETERS[name].parameter: branches[name][place] for name, place in here.items()}
        after = replace(step, **changes)(image)
        for index, result in _results(after, rest, branches):
            yield {**here, **index}, result


def _score_filters(
    scores: NDArray[np.float32],
    areas: NDArray[np.int64],
    best_iou: NDArray[np.float64],
    n_gt: int,
    grid: SearchGrid,
) -> NDArray[np.float64]:
    """Image scores ``(S, A)`` when only the cells with a high enough score and area count."""
    limits = np.array(grid.axes['score'], dtype=scores.dtype), np.array(grid.axes['area']), np.array(IOU_THRESHOLDS)
    # How many thresholds each cell passes, compared as ScoreThreshold, MinArea and the metric do.
    passed = (
        np.searchsorted(limits[0], scores, side='right'),
        np.searchsorted(limits[1], areas, side='right'),
        np.searchsorted(limits[2], best_iou, side='left'),
    )
    shape = tuple(len(values) + 1 for values in limits)
    counts = np.bincount(np.ravel_multi_index(passed, shape), minlength=np.prod(shape)).reshape(shape)
    # Cells that pass at least as many: summed up from the last threshold, on each axis.
    at_least = counts[::-1, ::-1, ::-1].cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)[::-1, ::-1, ::-1]
    pred, tp = at_least[1:, 1:, :1], at_least[1:, 1:, 1:]
    # TP + FP + FN: all predicted and all annotated cells, the true positives counted once.
    cells = pred + n_gt - tp
    return np.divide(tp, cells, out=np.ones(tp.shape), where=cells > 0).mean(axis=2)
