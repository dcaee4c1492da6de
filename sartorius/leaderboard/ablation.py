"""Ablation of the stages after training: thresholds, areas, steps, test-time augmentation, more models.

Every row of the table is tuned anew and scored on images that it was not tuned on, so that a row with more parameters
has no advantage; and every row is shown, whether it helps or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate, estimate
from sartorius.evaluation.metric import NO_CELL_TYPE
from sartorius.fusion.recipe import DEFAULT_SCORE
from sartorius.fusion.sets import fuse
from sartorius.postprocess.chain import Chain, load_chain_for
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
from sartorius.utils.classes import class_order
from sartorius.utils.cli import progress

MASK_NMS_IOU = 0.5
"""Where tuning of mask NMS starts, which the default chain has not; the other steps start as in the default chain."""
FUSION_METHODS = ('nms', 'wbf', 'consensus')
FOLDS = 2


class AblationStage(NamedTuple):
    """One row before it is scored.

    Attributes:
        name: What is added to the row above.
        predictions: Predictions of the validation images.
        chain: Post-processing where tuning starts.
        tuned: Names of the parameters (:data:`sartorius.postprocess.tuning.grid.TUNABLE_PARAMETERS`) that are tuned.
    """

    name: str
    predictions: PredictionSet
    chain: Chain
    tuned: tuple[str, ...]


@dataclass(frozen=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: What is added to the row above; for a fusion, to the last row of a single model.
        score: Competition mAP on images that it was not tuned on.
        gain: Difference from the row that it is added to; None in the first.
        classes: Score of each cell type that the images have.
    """

    name: str
    score: Estimate
    gain: Estimate | None
    classes: Mapping[str, Estimate]


def stages(
    plain: PredictionSet, augmented: PredictionSet | None = None, others: Sequence[PredictionSet] = ()
) -> Iterator[AblationStage]:
    """Yields the rows in their order.

    Args:
        plain: Predictions of one model. The steps start as in the default chain for its classes; where that does not
            vote, one setting is tuned for all classes.
        augmented: Predictions of the same model with test-time augmentation; later rows use these if they are given.
        others: Predictions of further models, which the last rows fuse with those of the first.
    """
    default = {type(step): step for step in load_chain_for(plain.classes)[0].steps}
    vote = [default[VoteClass]] if VoteClass in default else []
    none = dict.fromkeys(plain.classes, 0.0) if vote else 0.0
    scores, areas = ScoreThreshold(none), MinArea(none)
    before, after = [], [RemoveOverlap()]

    def stage(name: str, predictions: PredictionSet, *tuned: str) -> AblationStage:
        steps: list[Step] = [*vote, scores, default[MaskThreshold], *before, *after, areas]
        return AblationStage(name, predictions, Chain(tuple(steps)), tuned)

    yield stage('plain model', plain)
    scores = default[ScoreThreshold]
    yield stage('+ score thresholds', plain, 'score')
    areas = default[MinArea]
    yield stage('+ min areas', plain, 'score', 'area')
    before = [default[FillHoles]]
    yield stage('+ hole filling', plain, 'score', 'area')
    after = [MaskNMS(MASK_NMS_IOU), RemoveOverlap()]
    yield stage('+ mask NMS', plain, 'score', 'area', 'nms')
    after = [MaskNMS(MASK_NMS_IOU), default[RemoveOverlap]]
    parameters = ('score', 'area', 'nms', 'remaining')
    yield stage('+ min remaining', plain, *parameters)
    parameters = (*parameters, 'mask')
    yield stage('+ mask thresholds', plain, *parameters)
    best = plain
    if augmented is not None:
        best = augmented
        yield stage('+ test-time augmentation', best, *parameters)
    for method in FUSION_METHODS if others else ():
        fused = fuse([best, *others], method, score_thresholds=DEFAULT_SCORE)
        yield stage(f'+ {len(others)} more by {method}', fused, *parameters)


def measure(
    rows: Sequence[AblationStage], gt: Mapping[str, ImageAnnotations], groups: Mapping[str, str], folds: int = FOLDS
) -> tuple[list[AblationRow], pd.DataFrame]:
    """Scores all rows, each tuned on some of the groups and scored on the others.

    Args:
        rows: Rows of :func:`stages`.
        gt: Ground truth by image id.
        groups: Group of near-duplicates by image id, as in :func:`sartorius.postprocess.tuning.tuner.tune`.
        folds: With 2, a row is tuned on one half and scored on the other, and the other way round.

    Returns:
        The rows, and a table with one row per image: ``image_id``, ``group``, ``cell_type`` and the score in each row.
    """
    table = pd.DataFrame()
    measured: list[AblationRow] = []
    base = ''
    for stage in progress(rows, 'stages'):
        axes = {
            name: TUNABLE_PARAMETERS[name].values if name in stage.tuned else (0.0,)
            for name in ('score', 'area', *stage.tuned)
        }
        images = tune(stage.predictions, gt, stage.chain, groups, SearchGrid(axes), folds).images
        if table.empty:
            table = images[['image_id', 'group', 'cell_type']].copy()
        table[stage.name] = images['cross_validated'].to_numpy()
        measured.append(_row(table, stage.name, base))
        base = base if ' more by ' in stage.name else stage.name
    return measured, table


def _row(table: pd.DataFrame, name: str, base: str) -> AblationRow:
    groups = table['group'].to_numpy().astype(str)
    values = table[name].to_numpy()
    classes = {}
    for cell_type in class_order(set(table['cell_type']) - {NO_CELL_TYPE}):
        chosen = (table['cell_type'] == cell_type).to_numpy()
        classes[cell_type] = estimate(values[chosen], groups[chosen])
    gain = estimate(values - table[base].to_numpy(), groups) if base else None
    return AblationRow(name, estimate(values, groups), gain, classes)
