"""Error analysis: the score if one kind of error were corrected, and what each cell costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import ERRORS, ImageErrors, classify_cells
from sartorius.evaluation.matching import outside_crowd
from sartorius.evaluation.metric import image_types, score_images
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks

BORDER = 'border'
"""Errors, of whatever category, with a cell that touches the border of the image: counted beside the categories."""

ALL = 'all'
"""In the table of gains, the cell type that stands for all images."""

SIDES: tuple[str, str] = ('gt', 'pred')
"""Ground truth and predictions: values of the column ``side`` of the table of cells."""

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
    """The error category of every cell of an image set, and what each error costs.

    Attributes:
        cells: One row per cell: ``image_id``, ``cell_type`` (of the image), ``side`` ('gt' or 'pred'), ``number`` (its
            index among the cells of its side, from 1), ``category``, ``group`` (number of its error in the image),
            ``iou`` (best with any cell of the other side), ``area`` in pixels, ``x`` and ``y`` (centroid in pixels,
            0 is the centre of the first; NaN without pixels), ``border`` (whether it touches the border of the image),
            ``loss`` (by how much the image's score would rise if its group were corrected).
        alone: One row per image: ``image_id``, ``cell_type``, ``score``, and for each of
            :data:`sartorius.evaluation.cell_errors.ERRORS` and for :data:`BORDER` the score if only that were
            corrected.
        cumulative: One row per image: ``image_id``, ``cell_type``, ``score``, and for each error the score if it and
            all errors before it were corrected. The last is 1 unless a ground-truth cell has no pixels.
    """

    cells: pd.DataFrame
    alone: pd.DataFrame
    cumulative: pd.DataFrame


def analyse_errors(gt: Mapping[str, ImageAnnotations], pred: Mapping[str, Sequence[MaskCrop]]) -> ErrorAnalysis:
    """Classifies all cells and scores every image again with each kind of error corrected.

    Nothing is estimated: predictions are replaced by ground-truth cells and the competition's metric counts again.

    Args:
        gt: Ground truth by image id.
        pred: Predicted cells by image id, no two of an image on one pixel. An image that is missing here counts as one
            without predictions.

    Raises:
        InputError: As :func:`sartorius.evaluation.metric.score_images`.
    """
    scores = score_images(gt, pred)
    cells, alone, cumulative = [], [], []
    for image_id, cell_type, score in scores[['image_id', 'cell_type', 'score']].itertuples(index=False):
        annotations = gt[image_id]
        sides = (annotations.crops, outside_crowd(pred.get(image_id, ()), annotations))
        errors = classify_cells(*sides, annotations.size)
        measures = [cell_geometry(crops, annotations.size) for crops in sides]
        at_border = np.zeros(len(errors.category), dtype=bool)
        for groups, measure in zip((errors.gt_group, errors.pred_group), measures, strict=True):
            at_border[groups[measure['border']]] = True
        first = (image_id, cell_type, score)
        single, steps = _corrected_scores(errors, at_border, score)
        alone.append((*first, *single))
        cumulative.append((*first, *steps))
        cells += _cell_tables(image_id, cell_type, errors, measures)
    columns = ['image_id', 'cell_type', 'score', *ERRORS]
    return ErrorAnalysis(
        cells=pd.concat(cells, ignore_index=True)[list(CELL_COLUMNS)],
        alone=pd.DataFrame(alone, columns=[*columns, BORDER]),
        cumulative=pd.DataFrame(cumulative, columns=columns),
    )


def error_gains(analysis: ErrorAnalysis) -> pd.DataFrame:
    """What each kind of error costs, overall and by cell type.

    Returns:
        One row per cell type (:data:`ALL` first) and error (:data:`BORDER` last): ``cell_type``, ``error``,
        ``n_gt``, ``n_pred`` (cells in such errors), ``score`` (competition mAP as it is), ``alone`` (if only this
        error were corrected), ``gain`` (``alone`` less ``score``), ``cumulative`` (if this and all errors before it
        were corrected; NaN for the border, which has no place among them).
    """
    rows = []
    for name in (ALL, *image_types(analysis.alone['cell_type'])):
        alone, cumulative, cells = (
            table if name == ALL else table[table['cell_type'] == name]
            for table in (analysis.alone, analysis.cumulative, analysis.cells)
        )
        if alone.empty:
            continue
        score = float(alone['score'].mean())
        wrong = cells[cells['category'] != 'correct']
        counts = wrong.groupby(['category', 'side']).size()
        border = wrong[wrong['border']].groupby('side').size()
        for error in (*ERRORS, BORDER):
            n_gt, n_pred = (
                int(border.get(side, 0) if error == BORDER else counts.get((error, side), 0)) for side in SIDES
            )
            corrected = float(alone[error].mean())
            step = float('nan') if error == BORDER else float(cumulative[error].mean())
            rows.append((name, error, n_gt, n_pred, score, corrected, corrected - score, step))
    return pd.DataFrame(rows, columns=['cell_type', 'error', 'n_gt', 'n_pred', 'score', 'alone', 'gain', 'cumulative'])


def _corrected_scores(
    errors: ImageErrors, at_border: NDArray[np.bool_], score: float
) -> tuple[list[float], list[float]]:
    """Scores with each error corrected alone (the border last), and with one after another."""
    single, steps, corrected = [], [], np.zeros(len(errors.category), dtype=bool)
    last = score
    for error in ERRORS:
        own = errors.category == error
        corrected |= own
        # An error that the image does not have changes nothing.
        single.append(errors.score_with(own) if own.any() else score)
        last = errors.score_with(corrected) if own.any() else last
        steps.append(last)
    single.append(errors.score_with(at_border & (errors.category != 'correct')))
    return single, steps


def cell_geometry(crops: Sequence[MaskCrop], size: Size) -> dict[str, NDArray]:
    """Area, centroid and contact with the border of each cell's part inside the image.

    Args:
        crops: Cells of an image.
        size: Image ``(height, width)``.

    Returns:
        ``area`` int64 in pixels, ``x`` and ``y`` float64 (centroid; NaN without pixels) and ``border`` bool, each
        ``(N,)``.
    """
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
    """Ground truth and predictions of an image, with the columns of :class:`ErrorAnalysis`."""
    losses = errors.losses()
    groups_of_sides = (errors.gt_group, errors.pred_group)
    iou_of_sides = (errors.iou.max(axis=1, initial=0), errors.iou.max(axis=0, initial=0))
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
        for side, groups, iou, measure in zip(SIDES, groups_of_sides, iou_of_sides, measures, strict=True)
    ]
