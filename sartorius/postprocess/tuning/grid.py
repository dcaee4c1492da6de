"""All settings of the thresholds, scored on an image at once.

A kept cell's final pixels depend on better-scored cells alone (:mod:`sartorius.masks.overlap`). So the chain runs with
the lowest score threshold and no least area, once an image and combination of the other parameters, and what two
combinations have in common runs once for both. Score threshold and least area are filters on the cells that come out: a
cell counts if its score and its area are high enough, and hits if its best IoU with a true cell is high enough. (The
cells found share no pixel, so that two of them never hit the same true cell, and a cell with several true ones above .5
is one hit all the same.)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.matching import counted_predictions
from sartorius.evaluation.metric import IOU_THRESHOLDS
from sartorius.masks.iou import overlaps
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import values_of
from sartorius.postprocess.steps import (
    MaskNMS,
    MaskThreshold,
    MinArea,
    RemoveOverlap,
    ScoreThreshold,
    Step,
    VoteClass,
    areas_of,
    drop_unusable,
)
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, did_you_mean

TUNABLE_ORDER = (VoteClass, ScoreThreshold, MaskThreshold, RemoveOverlap, MinArea)

Settings = Mapping[str, float]
"""What is tuned for one class: values by names of :data:`TUNABLE_PARAMETERS`."""


class TunableParameter(NamedTuple):
    """A parameter of a step that can be tuned.

    Attributes:
        title: What people call it.
        step: Type of the step.
        parameter: Its parameter.
        values: What is tried by default, in rising order.
    """

    title: str
    step: type[Step]
    parameter: str
    values: tuple[float, ...]


TUNABLE_PARAMETERS: dict[str, TunableParameter] = {
    'mask': TunableParameter('mask threshold', MaskThreshold, 'thresholds', tuple(n / 100 for n in range(35, 86, 5))),
    'nms': TunableParameter('mask NMS IoU', MaskNMS, 'iou_thresholds', (0.1, 0.2, 0.3, 0.4, 0.5)),
    'remaining': TunableParameter('least remaining', RemoveOverlap, 'min_remaining', (0.0, 0.3, 0.5, 0.7, 0.9)),
    'score': TunableParameter(
        'score threshold', ScoreThreshold, 'thresholds', tuple(n / 1000 for n in range(25, 951, 25))
    ),
    'area': TunableParameter('least area, px', MinArea, 'areas', tuple(float(pixels) for pixels in range(0, 301, 25))),
}
"""Knobs by name. The order is that of a table's axes: the last two are filters, the others run steps of the chain."""

FILTERS = ('score', 'area')


@dataclass(frozen=True)
class SearchGrid:
    """Values that are tried; every combination is one setting.

    Attributes:
        axes: Values in rising order by names of :data:`TUNABLE_PARAMETERS`, in their order. Score and area must be
        among them; a
            parameter that is not keeps what the chain has.
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
        """The setting at one index an axis."""
        return {name: values[place] for (name, values), place in zip(self.axes.items(), index, strict=True)}

    def nearest(self, settings: Settings) -> tuple[int, ...]:
        """Index of the values nearest to a setting, which need not be on the grid."""
        return tuple(int(np.abs(np.array(values) - settings[name]).argmin()) for name, values in self.axes.items())


@dataclass(frozen=True, eq=False)
class ImageTable:
    """One image's score with every setting.

    Attributes:
        image_id: Of the image.
        label: Class that the chain voted for; None if no cell is left with any setting.
        scores: float64, of the grid's shape: the image's score.
    """

    image_id: str
    label: int | None
    scores: NDArray[np.float64]


def tunable_parameters_of(chain: Chain) -> tuple[str, ...]:
    """Names of the parameters that a chain has: those whose step stands in it once.

    Raises:
        InputError: A chain that cannot be tuned: of the steps VoteClass, ScoreThreshold, MaskThreshold, RemoveOverlap
            and MinArea one is missing, stands twice or out of this order, or MinArea is not the last step; or a
            step changes scores after ScoreThreshold, so that a cell's last score does not say whether it passed there.
    """
    types = [type(step) for step in chain.steps]
    needed = [name for name in types if name in TUNABLE_ORDER]
    if tuple(needed) != TUNABLE_ORDER or types[-1] is not MinArea:
        raise InputError(
            f'this post-processing cannot be tuned: it is {", ".join(step.__name__ for step in types)}, '
            f'and must hold {", ".join(step.__name__ for step in TUNABLE_ORDER)}, once each and in this order, with '
            'MinArea as the last step'
        )
    for step in chain.steps[types.index(ScoreThreshold) :]:
        if step.changes_scores:
            raise InputError(
                f'this post-processing cannot be tuned: {type(step).__name__} changes scores after ScoreThreshold; '
                'put it before'
            )
    return tuple(name for name, parameter in TUNABLE_PARAMETERS.items() if types.count(parameter.step) == 1)


def settings_of(chain: Chain) -> dict[str, dict[str, float]]:
    """A chain's own settings by cell type.

    Raises:
        InputError: A chain that cannot be tuned, see :func:`tunable_parameters_of`.
    """
    labels = np.arange(len(CELL_TYPES))
    settings: dict[str, dict[str, float]] = {cell_type: {} for cell_type in CELL_TYPES}
    for name in tunable_parameters_of(chain):
        parameter = TUNABLE_PARAMETERS[name]
        step = next(step for step in chain.steps if isinstance(step, parameter.step))
        for cell_type, value in zip(CELL_TYPES, values_of(getattr(step, parameter.parameter), labels), strict=True):
            settings[cell_type][name] = float(value)
    return settings


def with_settings(chain: Chain, settings: Mapping[str, Settings]) -> Chain:
    """The same chain with the settings of every cell type put in; all must have the same parameters."""
    changes: dict[type[Step], dict[str, dict[str, float]]] = {}
    for name in settings[CELL_TYPES[0]]:
        specialists = {cell_type: settings[cell_type][name] for cell_type in CELL_TYPES}
        changes[TUNABLE_PARAMETERS[name].step] = {TUNABLE_PARAMETERS[name].parameter: specialists}
    return Chain(tuple(replace(step, **changes.get(type(step), {})) for step in chain.steps))


def score_all_settings(image: ImagePredictions, gt: ImageAnnotations, chain: Chain, grid: SearchGrid) -> ImageTable:
    """Scores every setting of the grid on one image.

    Args:
        image: Predictions with labels that index into the project's cell types.
        gt: True cells of the same image.
        chain: A chain that can be tuned, see :func:`tunable_parameters_of`.
        grid: The settings; of parameters that the chain has.
    """
    label = None
    scores = np.empty(grid.shape)
    # The filters let everything pass that any of their values does.
    branches = {name: values if name not in FILTERS else values[:1] for name, values in grid.axes.items()}
    for index, found in _results(drop_unusable(image), chain.steps, branches):
        if len(found):
            label = int(found.labels[0])
        if gt.crowd:
            found = found.select(counted_predictions(found.crops, gt))
        pairs = overlaps(found.crops, gt.crops, gt.size)
        best_iou = np.zeros(len(found))
        np.maximum.at(best_iou, pairs.rows, pairs.iou)
        place = tuple(index[name] for name in grid.axes if name not in FILTERS)
        scores[place] = _score_filters(found.scores, areas_of(found), best_iou, len(gt), grid)
    return ImageTable(image.image_id, label, scores)


def _results(
    image: ImagePredictions, steps: Sequence[Step], branches: Mapping[str, Sequence[float]]
) -> Iterator[tuple[dict[str, int], ImagePredictions]]:
    """What comes out of the steps with each combination of values, and the indices of these by parameter.

    A tree: steps before a parameter's step run once for all of its values.
    """
    if not steps:
        yield {}, image
        return
    step, *rest = steps
    name = next((name for name in branches if isinstance(step, TUNABLE_PARAMETERS[name].step)), None)
    if name is None:
        yield from _results(step(image), rest, branches)
        return
    for place, value in enumerate(branches[name]):
        after = replace(step, **{TUNABLE_PARAMETERS[name].parameter: value})(image)
        for index, found in _results(after, rest, branches):
            yield {name: place, **index}, found


def _score_filters(
    scores: NDArray[np.float32],
    areas: NDArray[np.int64],
    best_iou: NDArray[np.float64],
    true: int,
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
    # Cells that pass at least so many: summed up from the last threshold, on each axis.
    at_least = counts[::-1, ::-1, ::-1].cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)[::-1, ::-1, ::-1]
    found, hits = at_least[1:, 1:, :1], at_least[1:, 1:, 1:]
    # TP + FP + FN: all found cells and all true ones, the hits counted once.
    cells = found + true - hits
    return np.divide(hits, cells, out=np.ones(hits.shape), where=cells > 0).mean(axis=2)
