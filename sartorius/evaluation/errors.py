"""Where the score is lost: what it would be if one kind of error were put right, and what each cell costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import ERRORS, ImageErrors, classify_cells
from sartorius.evaluation.metric import NO_CELL_TYPE, score_images
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.classes import CELL_TYPES

BORDER = 'border'
"""Errors, of whatever category, with a cell that touches the border of the image: counted beside the categories."""

ALL = 'all'
"""In the table of gains, the cell type that stands for all images."""

CELL_COLUMNS: tuple[str, ...] = (
    'image_id',
    'cell_type',
    'side',
    'number',
    'category',
    'group',
    'iou',
    'area',
    'x',
    'y',
    'border',
    'loss',
)


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """Every cell of an image set by what is wrong with it, and what that costs.

    Attributes:
        cells: One row a cell: ``image_id``, ``cell_type`` (of the image), ``side`` ('true' or 'found'), ``number`` (its
            place among the cells of its side, from 1), ``category``, ``group`` (number of its error in the image),
            ``iou`` (best with any cell of the other side), ``area`` in pixels, ``x`` and ``y`` (centroid in pixels,
            0 is the centre of the first; NaN without pixels), ``border`` (whether it touches the border of the image),
            ``loss`` (by how much the image's score would rise if its group were put right).
        alone: One row an image: ``image_id``, ``cell_type``, ``score``, and for each of
            :data:`sartorius.evaluation.cell_errors.ERRORS` and for :data:`BORDER` the score if just that were right.
        ladder: One row an image: ``image_id``, ``cell_type``, ``score``, and for each error the score if it and all
            errors before it were right. The last is 1 unless a true cell has no pixels.
    """

    cells: pd.DataFrame
    alone: pd.DataFrame
    ladder: pd.DataFrame


def analyse_errors(gt: Mapping[str, ImageAnnotations], pred: Mapping[str, Sequence[MaskCrop]]) -> ErrorAnalysis:
    """Classifies all cells and scores every image again with each kind of error put right.

    Nothing is estimated: found cells are replaced by true ones and the competition's metric counts the hits anew.

    Args:
        gt: True cells by image id.
        pred: Found cells by image id, no two of an image on one pixel. An image that is missing here counts as one
            without found cells.

    Raises:
        InputError: As :func:`sartorius.evaluation.metric.score_images`.
    """
    scores = score_images(gt, pred)
    cells, alone, ladder = [], [], []
    for image_id, cell_type, score in scores[['image_id', 'cell_type', 'score']].itertuples(index=False):
        true = gt[image_id]
        sides = (true.crops, pred.get(image_id, ()))
        errors = classify_cells(*sides, true.size)
        measures = [measure_cells(crops, true.size) for crops in sides]
        at_border = np.zeros(len(errors.category), dtype=bool)
        for groups, measure in zip((errors.gt_group, errors.pred_group), measures, strict=True):
            at_border[groups[measure['border']]] = True
        first = (image_id, cell_type, score)
        single, steps = _scores_put_right(errors, at_border, score)
        alone.append((*first, *single))
        ladder.append((*first, *steps))
        cells += _cell_tables(image_id, cell_type, errors, measures)
    columns = ['image_id', 'cell_type', 'score', *ERRORS]
    return ErrorAnalysis(
        cells=pd.concat(cells, ignore_index=True)[list(CELL_COLUMNS)],
        alone=pd.DataFrame(alone, columns=[*columns, BORDER]),
        ladder=pd.DataFrame(ladder, columns=columns),
    )


def error_gains(analysis: ErrorAnalysis) -> pd.DataFrame:
    """What each kind of error costs, overall and by cell type.

    Returns:
        One row a cell type (:data:`ALL` first) and error (:data:`BORDER` last): ``cell_type``, ``error``,
        ``n_gt``, ``n_pred`` (cells in such errors), ``score`` (competition mAP as it is), ``alone`` (if just
        this error were right), ``gain`` (``alone`` less ``score``), ``ladder`` (if this and all errors before it were
        right; NaN for the border, which has no place among them).
    """
    rows = []
    for name in (ALL, *CELL_TYPES, NO_CELL_TYPE):
        alone, ladder, cells = (
            table if name == ALL else table[table['cell_type'] == name]
            for table in (analysis.alone, analysis.ladder, analysis.cells)
        )
        if alone.empty:
            continue
        score = float(alone['score'].mean())
        wrong = cells[cells['category'] != 'correct']
        counts = wrong.groupby(['category', 'side']).size()
        border = wrong[wrong['border']].groupby('side').size()
        for error in (*ERRORS, BORDER):
            sides = [
                int(border.get(side, 0) if error == BORDER else counts.get((error, side), 0))
                for side in ('true', 'found')
            ]
            right = float(alone[error].mean())
            step = float('nan') if error == BORDER else float(ladder[error].mean())
            rows.append((name, error, *sides, score, right, right - score, step))
    return pd.DataFrame(rows, columns=['cell_type', 'error', 'n_gt', 'n_pred', 'score', 'alone', 'gain', 'ladder'])


def _scores_put_right(
    errors: ImageErrors, at_border: NDArray[np.bool_], score: float
) -> tuple[list[float], list[float]]:
    """Scores with each error right alone (the border last), and with one after another."""
    single, steps, right = [], [], np.zeros(len(errors.category), dtype=bool)
    last = score
    for error in ERRORS:
        own = errors.category == error
        right |= own
        # An error that the image does not have changes nothing.
        single.append(errors.score_with(own) if own.any() else score)
        last = errors.score_with(right) if own.any() else last
        steps.append(last)
    single.append(errors.score_with(at_border & (errors.category != 'correct')))
    return single, steps


def measure_cells(crops: Sequence[MaskCrop], size: Size) -> dict[str, NDArray]:
    """Area, centroid and contact with the border of each cell's part inside the image."""
    packed = PackedMasks.from_crops(crops).clipped(size).tight()
    x1, y1, x2, y2 = packed.windows.T
    centroids = np.array([_centroid(crop) for crop in packed.crops]).reshape(-1, 2)
    return {
        'area': packed.areas,
        'x': centroids[:, 0],
        'y': centroids[:, 1],
        'border': (x2 > x1) & ((x1 == 0) | (y1 == 0) | (x2 == size[1]) | (y2 == size[0])),
    }


def _centroid(crop: MaskCrop) -> tuple[float, float]:
    rows, columns = np.nonzero(crop.mask)
    if not len(rows):
        return float('nan'), float('nan')
    return crop.x + float(columns.mean()), crop.y + float(rows.mean())


def _cell_tables(
    image_id: str, cell_type: str, errors: ImageErrors, measures: Sequence[Mapping[str, NDArray]]
) -> list[pd.DataFrame]:
    """The true and the found cells of an image, with the columns of :class:`ErrorAnalysis`."""
    losses = errors.losses()
    sides = (
        ('true', errors.gt_group, errors.iou.max(axis=1, initial=0)),
        ('found', errors.pred_group, errors.iou.max(axis=0, initial=0)),
    )
    return [
        pd.DataFrame(
            {
                'image_id': image_id,
                'cell_type': cell_type,
                'side': side,
                'number': np.arange(1, len(groups) + 1),
                'category': errors.category[groups],
                'group': groups + 1,
                'iou': iou,
                **measure,
                'loss': losses[groups],
            }
        )
        for (side, groups, iou), measure in zip(sides, measures, strict=True)
    ]
