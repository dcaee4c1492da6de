"""Selection of a setting from every image's score with every setting, and its cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.annotations.folds import assign_folds
from sartorius.evaluation.bootstrap import standard_error
from sartorius.utils.classes import class_order

PLATEAU = 0.0075
"""Settings whose smoothed scores differ by no more than this count as equally good (docs/postprocess.md says why)."""

SAME_SCORE = 1e-9
NO_CLASS = 'none'
ALL_CLASSES = 'all classes'
"""Stands for a class where one setting is tuned for all of them."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The setting selected for some images.

    Attributes:
        index: Of the setting, one number per axis of the grid.
        plateau: bool, of the grid's shape: the settings that count as equally good.
        gain: Mean score with the setting, minus that with the starting chain.
        error: Standard error of the gain over the groups; NaN for a single group.
        groups: Number of groups.
    """

    index: tuple[int, ...]
    plateau: NDArray[np.bool_]
    gain: float
    error: float
    groups: int

    @property
    def is_better(self) -> bool:
        """Whether the gain is more than its standard error."""
        return self.gain > SAME_SCORE and self.gain > self.error


@dataclass(frozen=True, eq=False)
class ScoreTables:
    """Scores that settings are selected from.

    Attributes:
        scores: float64 ``(N, ...)``: every image's score with every setting of a grid.
        start: float64 ``(N,)``: its score with the starting chain.
        classes: ``(N,)``: class whose settings apply to the image; :data:`NO_CLASS` for an image without any,
            :data:`ALL_CLASSES` where all classes have the same.
        groups: ``(N,)``: name of the group of near-duplicates that the image belongs to.
    """

    scores: NDArray[np.float64]
    start: NDArray[np.float64]
    classes: NDArray[np.str_]
    groups: NDArray[np.str_]

    def choices(self, chosen: NDArray[np.bool_]) -> dict[str, Choice]:
        """The choice for each class that is among some of the images, a bool array ``(N,)``."""
        choices = {}
        for name in class_order(set(self.classes.tolist()) - {NO_CLASS}):
            own = chosen & (self.classes == name)
            if own.any():
                choices[name] = choose(self.scores[own], self.start[own], self.groups[own])
        return choices

    def scores_with(self, choices: dict[str, Choice]) -> NDArray[np.float64]:
        """Every image's score, float64 ``(N,)``; a class whose choice is not better keeps its starting score."""
        scores = self.start.copy()
        for name, choice in choices.items():
            if choice.is_better:
                own = self.classes == name
                scores[own] = self.scores[(own, *choice.index)]
        return scores


def choose(scores: NDArray[np.float64], start: NDArray[np.float64], groups: NDArray[np.str_]) -> Choice:
    """The setting in the middle of the best plateau.

    The mean over the images is smoothed by the mean over each setting and its neighbours (one step up and down on each
    axis, as far as there are any), so that a chance peak among low neighbours is not selected. The plateau is the
    connected piece of settings around the best one whose smoothed scores come within :data:`PLATEAU` of it. Of these
    the one nearest to their centre of gravity is selected, in steps of the grid.

    Args:
        scores: float64 ``(images, ...)`` of at least one image.
        start: float64 ``(images,)``: scores with the starting chain.
        groups: ``(images,)``: group of each image.
    """
    mean = scores.mean(axis=0)
    smoothed = ndimage.uniform_filter(mean, 3, mode='constant')
    smoothed /= ndimage.uniform_filter(np.ones_like(mean), 3, mode='constant')
    best = np.unravel_index(smoothed.argmax(), smoothed.shape)
    pieces, _ = ndimage.label(smoothed >= smoothed[best] - PLATEAU)
    plateau = pieces == pieces[best]
    places = np.argwhere(plateau)
    distances = np.square(places - places.mean(axis=0)).sum(axis=1)
    # Rounded, so that of equally near ones the first is selected, whatever the rounding of the machine.
    index = tuple(int(place) for place in places[distances.round(9).argmin()])
    gains = scores[(slice(None), *index)] - start
    return Choice(index, plateau, float(gains.mean()), standard_error(gains, groups), len(np.unique(groups)))


def make_folds(tables: ScoreTables, cells: Sequence[int], folds: int, seed: int) -> NDArray[np.int64]:
    """Fold of each image, int64 ``(N,)``; no group is split, and each class is spread as evenly as possible.

    With fewer groups than folds there are as many folds as groups.
    """
    count = min(folds, len(np.unique(tables.groups)))
    if count < 2:
        return np.zeros(len(tables.start), dtype=np.int64)
    return np.array(assign_folds(tables.groups.tolist(), tables.classes.tolist(), cells, count, seed))


def cross_validate(
    tables: ScoreTables, folds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[dict[str, Choice]]]:
    """Scores each fold with settings that were selected without it.

    The whole selection (smoothing, plateau, and whether to keep the starting values) is repeated for each fold, on the
    images of the other folds only.

    Args:
        tables: Of all images.
        folds: ``(N,)``: fold of each image, counted from 0.

    Returns:
        Each image's score, float64 ``(N,)``; and the choices for each fold.
    """
    scores = tables.start.copy()
    choices = []
    for fold in range(folds.max() + 1):
        dropped = folds == fold
        choices.append(tables.choices(~dropped))
        scores[dropped] = tables.scores_with(choices[-1])[dropped]
    return scores, choices
