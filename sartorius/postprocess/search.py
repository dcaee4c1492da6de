"""All settings of the thresholds, scored on an image at once, and the choice among them.

A kept cell's final pixels depend on better-scored cells alone (:mod:`sartorius.masks.overlap`). So the chain runs once
an image and mask threshold, with the lowest score threshold and no least area, and each setting's result is a filter on
the cells that come out: a cell counts if its score and its area are high enough, and hits if its best IoU with a true
cell is high enough. (The cells found share no pixel, so that two of them never hit the same true cell, and a cell with
several true ones above .5 is one hit all the same.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.metric import IOU_THRESHOLDS
from sartorius.masks.iou import mask_iou
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import values_of
from sartorius.postprocess.steps import LeastArea, MaskThreshold, RemoveOverlap, ScoreThreshold, VoteClass, areas_of
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

PLATEAU = 0.0005
"""Settings whose smoothed scores differ by no more than this count as equally good."""

TUNABLE_ORDER = (VoteClass, ScoreThreshold, MaskThreshold, RemoveOverlap, LeastArea)


class Settings(NamedTuple):
    """What is tuned for one class: score threshold, least area in pixels, mask threshold."""

    score: float
    area: float
    mask: float


@dataclass(frozen=True)
class SearchGrid:
    """Values that are tried, each axis in rising order; every combination is one setting.

    Attributes:
        masks: M mask thresholds.
        scores: S score thresholds.
        areas: A least areas in pixels.
    """

    masks: tuple[float, ...] = (0.4, 0.45, 0.5, 0.55, 0.6)
    scores: tuple[float, ...] = tuple(thousandth / 1000 for thousandth in range(25, 951, 25))
    areas: tuple[float, ...] = tuple(float(pixels) for pixels in range(0, 201, 25))

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(M, S, A)``."""
        return len(self.masks), len(self.scores), len(self.areas)

    def at(self, index: tuple[int, int, int]) -> Settings:
        """The setting at ``(mask, score, area)`` indices."""
        mask, score, area = index
        return Settings(score=self.scores[score], area=self.areas[area], mask=self.masks[mask])


@dataclass(frozen=True, eq=False)
class ImageTable:
    """One image's score with every setting.

    Attributes:
        image_id: Of the image.
        label: Class that the chain voted for; None if no cell is left with any setting.
        scores: float64 ``(M, S, A)``: the image's score.
    """

    image_id: str
    label: int | None
    scores: NDArray[np.float64]


def settings_of(chain: Chain) -> dict[str, Settings]:
    """A chain's own settings by cell type.

    Raises:
        InputError: A chain that cannot be tuned: of the steps VoteClass, ScoreThreshold, MaskThreshold, RemoveOverlap
            and LeastArea one is missing, stands twice or out of this order, or LeastArea is not the last step; or a
            step changes scores after ScoreThreshold, so that a cell's last score does not say whether it passed there.
    """
    tuned = [step for step in chain.steps if isinstance(step, TUNABLE_ORDER)]
    if tuple(map(type, tuned)) != TUNABLE_ORDER or tuned[-1] is not chain.steps[-1]:
        raise InputError(
            f'this post-processing cannot be tuned: it is {", ".join(type(step).__name__ for step in chain.steps)}, '
            f'and must hold {", ".join(step.__name__ for step in TUNABLE_ORDER)}, once each and in this order, with '
            'LeastArea as the last step'
        )
    _, score, mask, _, area = tuned
    for step in chain.steps[chain.steps.index(score) :]:
        if step.changes_scores:
            raise InputError(
                f'this post-processing cannot be tuned: {type(step).__name__} changes scores after ScoreThreshold; '
                'put it before'
            )
    labels = np.arange(len(CELL_TYPES))
    columns = (values_of(score.thresholds, labels), values_of(area.areas, labels), values_of(mask.thresholds, labels))
    return {cell_type: Settings(*map(float, values)) for cell_type, *values in zip(CELL_TYPES, *columns, strict=True)}


def with_settings(chain: Chain, settings: Mapping[str, Settings]) -> Chain:
    """The same chain with the settings of every cell type put in."""
    thresholds = {cell_type: settings[cell_type].score for cell_type in CELL_TYPES}
    masks = {cell_type: settings[cell_type].mask for cell_type in CELL_TYPES}
    areas = {cell_type: settings[cell_type].area for cell_type in CELL_TYPES}
    parameters = {
        ScoreThreshold: {'thresholds': thresholds},
        MaskThreshold: {'thresholds': masks},
        LeastArea: {'areas': areas},
    }
    return Chain(tuple(replace(step, **parameters.get(type(step), {})) for step in chain.steps))


def score_all_settings(image: ImagePredictions, truth: ImageAnnotations, chain: Chain, grid: SearchGrid) -> ImageTable:
    """Scores every setting of the grid on one image.

    Args:
        image: Predictions with labels that index into the project's cell types.
        truth: True cells of the same image.
        chain: A chain that can be tuned, see :func:`settings_of`.
        grid: The settings.
    """
    label = None
    scores = np.empty(grid.shape)
    for index, mask in enumerate(grid.masks):
        lowest = Settings(score=min(grid.scores), area=0.0, mask=mask)
        found = with_settings(chain, dict.fromkeys(CELL_TYPES, lowest))(image)
        if len(found):
            label = int(found.labels[0])
        best_iou = mask_iou(found.crops, truth.crops, truth.size).max(axis=1, initial=0.0)
        scores[index] = _score_filters(found.scores, areas_of(found), best_iou, len(truth), grid)
    return ImageTable(image.image_id, label, scores)


def choose(tables: NDArray[np.float64]) -> tuple[int, int, int]:
    """The setting in the middle of the best plateau.

    The mean over the images is smoothed by the mean over each setting and its neighbours (one step up and down on each
    axis, as far as there are any), so that a lucky peak among bad neighbours does not win. Of the settings whose
    smoothed score comes within :data:`PLATEAU` of the best, the one nearest to their centre of gravity is taken, in
    steps of the grid.

    Args:
        tables: float64 ``(images, M, S, A)``: scores of at least one image.

    Returns:
        Indices of the mask threshold, score threshold and least area.
    """
    mean = tables.mean(axis=0)
    smoothed = ndimage.uniform_filter(mean, 3, mode='constant') / ndimage.uniform_filter(
        np.ones_like(mean), 3, mode='constant'
    )
    plateau = np.argwhere(smoothed >= smoothed.max() - PLATEAU)
    distances = np.square(plateau - plateau.mean(axis=0)).sum(axis=1)
    mask, score, area = plateau[distances.argmin()]
    return int(mask), int(score), int(area)


def _score_filters(
    scores: NDArray[np.float32],
    areas: NDArray[np.int64],
    best_iou: NDArray[np.float64],
    true: int,
    grid: SearchGrid,
) -> NDArray[np.float64]:
    """Image scores ``(S, A)`` when only the cells with a high enough score and area count."""
    # Compared as the steps ScoreThreshold and LeastArea do.
    high = scores[None, :] >= np.array(grid.scores, dtype=scores.dtype)[:, None]
    large = areas[None, :] >= np.array(grid.areas)[:, None]
    kept = (high[:, None, :] & large[None, :, :]).astype(np.float64)
    hit = (best_iou[:, None] > np.array(IOU_THRESHOLDS)).astype(np.float64)
    hits = kept @ hit
    # TP + FP + FN: all found cells and all true ones, the hits counted once.
    cells = kept.sum(axis=2)[:, :, None] + true - hits
    return np.divide(hits, cells, out=np.ones_like(hits), where=cells > 0).mean(axis=2)
