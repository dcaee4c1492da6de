"""What each stage after training is worth: thresholds, areas, steps, test-time augmentation, more models.

Every row of the table is tuned anew and scored on images that it was not tuned on, so that a row with more to tune has
no advantage; and every row stays, whether it helped or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate, estimate
from sartorius.fusion.sets import fuse
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.steps import (
    FillHoles,
    MaskNMS,
    MaskThreshold,
    MinArea,
    RemoveOverlap,
    ScoreThreshold,
    Step,
    VoteClass,
)
from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS, SearchGrid
from sartorius.postprocess.tuning.tuner import tune
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.cli import progress

# Where tuning starts: the Detectron2 baseline's thresholds and least areas, and the 8th place's rule on overlaps
# (docs/postprocess.md).
BASELINE_SCORES = {'shsy5y': 0.15, 'astro': 0.35, 'cort': 0.55}
BASELINE_AREAS = {'shsy5y': 75, 'astro': 150, 'cort': 75}
MIN_REMAINING = 0.7
MASK_NMS_IOU = 0.5
FUSION_METHODS = ('nms', 'wbf', 'consensus')
MIN_FUSED_SCORE = 0.1
"""Cells that their model scored lower take no part in a fusion, as in tools/ensemble.py."""
FOLDS = 2


class Stage(NamedTuple):
    """One row before it is scored.

    Attributes:
        name: What is added to the row above.
        predictions: Of the validation images.
        chain: Where tuning starts.
        tuned: Names of the parameters (:data:`sartorius.postprocess.tuning.grid.TUNABLE_PARAMETERS`) that are tuned.
    """

    name: str
    predictions: PredictionSet
    chain: Chain
    tuned: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: What is added to the row above; for a fusion, to the last row of a single model.
        score: Competition mAP on images that it was not tuned on.
        gain: Its difference from the row that it is added to; None in the first.
        classes: The score of each cell type that the images have.
    """

    name: str
    score: Estimate
    gain: Estimate | None
    classes: Mapping[str, Estimate]


def stages(
    plain: PredictionSet, augmented: PredictionSet | None = None, others: Sequence[PredictionSet] = ()
) -> Iterator[Stage]:
    """The rows in their order.

    Args:
        plain: One model's predictions.
        augmented: The same model's with test-time augmentation; the rows go on with these if they are given.
        others: Further models' predictions, which the last rows fuse with the first one's.
    """
    scores: dict[str, float] = dict.fromkeys(BASELINE_SCORES, 0.0)
    areas = dict(scores)
    before, after = [], [RemoveOverlap(0.0)]

    def stage(name: str, predictions: PredictionSet, *tuned: str) -> Stage:
        steps: list[Step] = [VoteClass(), ScoreThreshold(scores), MaskThreshold(), *before, *after, MinArea(areas)]
        return Stage(name, predictions, Chain(tuple(steps)), tuned)

    yield stage('plain model', plain)
    scores = BASELINE_SCORES
    yield stage('+ score thresholds', plain, 'score')
    areas = BASELINE_AREAS
    yield stage('+ least areas', plain, 'score', 'area')
    before = [FillHoles()]
    yield stage('+ hole filling', plain, 'score', 'area')
    after = [MaskNMS(MASK_NMS_IOU), RemoveOverlap(0.0)]
    yield stage('+ mask NMS', plain, 'score', 'area', 'nms')
    after = [MaskNMS(MASK_NMS_IOU), RemoveOverlap(MIN_REMAINING)]
    parameters = ('score', 'area', 'nms', 'remaining')
    yield stage('+ least remaining', plain, *parameters)
    parameters = (*parameters, 'mask')
    yield stage('+ mask thresholds', plain, *parameters)
    best = plain
    if augmented is not None:
        best = augmented
        yield stage('+ test-time augmentation', best, *parameters)
    for method in FUSION_METHODS if others else ():
        fused = fuse([best, *others], method, score_thresholds=MIN_FUSED_SCORE)
        yield stage(f'+ {len(others)} more by {method}', fused, *parameters)


def measure(
    rows: Sequence[Stage], gt: Mapping[str, ImageAnnotations], groups: Mapping[str, str], folds: int = FOLDS
) -> tuple[list[Row], pd.DataFrame]:
    """Scores all rows, each tuned on some of the groups and scored on the others.

    Args:
        rows: As :func:`stages` gives them.
        gt: True cells by image id.
        groups: Group of near-duplicates by image id, as in :func:`sartorius.postprocess.tuning.tuner.tune`.
        folds: With 2, a row is tuned on one half and scored on the other, and the other way round.

    Returns:
        The rows, and a table with one row an image (``image_id``, ``group``, ``cell_type``) and the scores of each row.
    """
    table = pd.DataFrame()
    measured: list[Row] = []
    base = ''
    for stage in progress(rows, 'stages'):
        axes = {
            name: TUNABLE_PARAMETERS[name].values if name in stage.tuned else (0.0,)
            for name in ('score', 'area', *stage.tuned)
        }
        found = tune(stage.predictions, gt, stage.chain, groups, SearchGrid(axes), folds).images
        if table.empty:
            table = found[['image_id', 'group', 'cell_type']].copy()
        table[stage.name] = found['cross_validated'].to_numpy()
        measured.append(_row(table, stage.name, base))
        base = base if ' more by ' in stage.name else stage.name
    return measured, table


def _row(table: pd.DataFrame, name: str, base: str) -> Row:
    groups = table['group'].to_numpy().astype(str)
    values = table[name].to_numpy()
    classes = {}
    for cell_type in (own for own in BASELINE_SCORES if (table['cell_type'] == own).any()):
        chosen = (table['cell_type'] == cell_type).to_numpy()
        classes[cell_type] = estimate(values[chosen], groups[chosen])
    gain = estimate(values - table[base].to_numpy(), groups) if base else None
    return Row(name, estimate(values, groups), gain, classes)
