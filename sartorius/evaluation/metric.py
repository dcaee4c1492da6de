"""The competition's mAP.

Rule: https://www.kaggle.com/competitions/sartorius-cell-instance-segmentation/overview/evaluation. At each threshold t
a found cell hits a true cell when their IoU is strictly greater than t; each cell takes part in one pair at most, and
P(t) = TP / (TP + FP + FN). An image's score is the mean of P over the thresholds 0.50, 0.55, ..., 0.95, and the mAP is
the mean over the images. The class plays no part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

# Divided one by one, as an IoU is: np.linspace(0.5, 0.95, 10) holds 0.8999999999999999, which an IoU of 9/10 would
# pass, and np.arange(0.5, 1, 0.05) drifts upwards (0.6000000000000001).
IOU_THRESHOLDS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))

TP_COLUMNS: tuple[str, ...] = tuple(f'tp_{percent}' for percent in range(50, 100, 5))
"""Columns of the table of images: the number of hits at each threshold."""

NO_CELL_TYPE = 'none'
"""Cell type of an image without true cells."""


def count_matches(iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of hits at each threshold.

    At each threshold this is the largest number of pairs in which no cell stands twice. With cells that do not overlap
    each other every cell has at most one candidate above 0.5 and there is nothing to choose; overlapping cells, as the
    training labels have them, can have several.

    Args:
        iou: float64 ``(true cells, found cells)``: IoU of every pair.

    Returns:
        int64 ``(10,)``, one number a threshold of :data:`IOU_THRESHOLDS`.
    """
    rows, columns = np.nonzero(iou > IOU_THRESHOLDS[0])
    values = iou[rows, columns]
    counts = np.zeros(len(IOU_THRESHOLDS), dtype=np.int64)
    for index, threshold in enumerate(IOU_THRESHOLDS):
        hits = values > threshold
        counts[index] = _max_pairs(rows[hits], columns[hits], iou.shape)
    return counts


def image_score(iou: NDArray[np.float64]) -> float:
    """Score of one image: the mean of TP / (TP + FP + FN) over the thresholds.

    Args:
        iou: float64 ``(true cells, found cells)``: IoU of every pair.

    Returns:
        A score in [0, 1]. True cells and none found, or found cells and none true: 0. Neither: 1, as nothing was to be
        found and nothing was (the competition has no such image, and its rule leaves the case open).
    """
    return float(_precisions(count_matches(iou), *iou.shape).mean())


def score_images(
    gt: Mapping[str, ImageAnnotations],
    pred: Mapping[str, Sequence[MaskCrop]],
    classes: Sequence[str] = CELL_TYPES,
) -> pd.DataFrame:
    """Scores each image of the truth.

    Args:
        gt: True cells by image id.
        pred: Found cells by image id, in any order. An image that is missing here counts as one without found cells.
        classes: Names that the labels of the true cells index into.

    Returns:
        One row an image, in the order of ``gt``: ``image_id``, ``cell_type`` (that of most of its true cells, 'none'
        without any), ``n_gt``, ``n_pred``, ``tp_50`` ... ``tp_95`` (hits at each threshold), ``score``.

    Raises:
        InputError: ``pred`` has an image that ``gt`` does not have, or the truth has no image.
    """
    if not gt:
        raise InputError('there is no image to score')
    unknown = sorted(set(pred) - set(gt))
    if unknown:
        raise InputError(
            f'cells were found in image {unknown[0]!r}, which the annotations do not have ({len(unknown)} such '
            'images); score against the annotations of the same images'
        )
    rows = []
    for image_id, true in gt.items():
        cells = pred.get(image_id, ())
        counts = count_matches(mask_iou(true.crops, cells, true.size))
        score = _precisions(counts, len(true), len(cells)).mean()
        rows.append((image_id, _cell_type(true, classes), len(true), len(cells), *counts.tolist(), score))
    return pd.DataFrame(rows, columns=['image_id', 'cell_type', 'n_gt', 'n_pred', *TP_COLUMNS, 'score'])


@dataclass(frozen=True)
class Summary:
    """The competition's mAP of an image set.

    Attributes:
        score: Mean of the images' scores.
        interval: Bootstrap interval of ``score`` over the images: low, high.
        confidence: Share of resampled image sets whose score lies in the interval.
        per_class: One row a cell type, in the project's order: ``cell_type``, ``images``, ``n_gt``,
            ``n_pred``, ``score`` (mean over its images), ``low``, ``high`` (its interval).
        per_threshold: One row a threshold: ``threshold``, ``tp``, ``fp``, ``fn`` (sums over the images), ``precision``
            (mean over the images of TP / (TP + FP + FN), whose mean over the thresholds is ``score``).
    """

    score: float
    interval: tuple[float, float]
    confidence: float
    per_class: pd.DataFrame
    per_threshold: pd.DataFrame


def summarise(table: pd.DataFrame, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Summary:
    """Overall score, scores by class and by threshold, with bootstrap intervals.

    The interval is the percentile bootstrap over images: as many images are drawn with replacement, and their mean is
    taken, ``resamples`` times (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). It tells how
    much the score depends on the images at hand. Images of one well are near-duplicates, so that the true uncertainty
    is larger where there are several of a well. For one image both ends are its score.

    Args:
        table: As :func:`score_images` returns it, or some of its rows.
        confidence: Between 0 and 1.
        resamples: Number of drawn image sets.
        seed: Of the draws; the same table gives the same interval.

    Raises:
        InputError: The table has no row.
    """
    if table.empty:
        raise InputError('there is no image to summarise')
    scores = table['score'].to_numpy()
    classes = []
    for name in (*CELL_TYPES, NO_CELL_TYPE):
        chosen = table[table['cell_type'] == name]
        if len(chosen):
            own = chosen['score'].to_numpy()
            low, high = _bootstrap(own, confidence, resamples, seed)
            cells = int(chosen['n_gt'].sum()), int(chosen['n_pred'].sum())
            classes.append((name, len(chosen), *cells, float(own.mean()), low, high))
    hits = table[list(TP_COLUMNS)].to_numpy()
    true, pred = table['n_gt'].to_numpy(), table['n_pred'].to_numpy()
    precisions = np.stack([_precisions(*row) for row in zip(hits, true, pred, strict=True)])
    tp = hits.sum(axis=0)
    return Summary(
        score=float(scores.mean()),
        interval=_bootstrap(scores, confidence, resamples, seed),
        confidence=confidence,
        per_class=pd.DataFrame(classes, columns=['cell_type', 'images', 'n_gt', 'n_pred', 'score', 'low', 'high']),
        per_threshold=pd.DataFrame(
            {
                'threshold': IOU_THRESHOLDS,
                'tp': tp,
                'fp': pred.sum() - tp,
                'fn': true.sum() - tp,
                'precision': precisions.mean(axis=0),
            }
        ),
    )


def format_summary(summary: Summary) -> str:
    """The summary as lines of text for a terminal."""
    classes, thresholds = summary.per_class, summary.per_threshold
    percent = f'{summary.confidence:.0%}'
    rows = [
        ('all', *(int(classes[name].sum()) for name in ('images', 'n_gt', 'n_pred')), summary.score),
        *classes[['cell_type', 'images', 'n_gt', 'n_pred', 'score']].itertuples(index=False),
    ]
    intervals = [summary.interval, *zip(classes['low'], classes['high'], strict=True)]
    lines = [f'{"class":<8}{"images":>8}{"true cells":>12}{"found cells":>13}{"mAP":>8}   {percent} interval']
    for (name, images, true, pred, score), (low, high) in zip(rows, intervals, strict=True):
        lines.append(f'{name:<8}{images:>8}{true:>12}{pred:>13}{score:>8.4f}   {low:.4f} to {high:.4f}')
    lines += ['', f'{"IoU >":<8}{"TP":>8}{"FP":>12}{"FN":>13}{"P":>8}']
    for threshold, tp, fp, fn, precision in thresholds.itertuples(index=False):
        lines.append(f'{threshold:<8.2f}{tp:>8}{fp:>12}{fn:>13}{precision:>8.4f}')
    return '\n'.join(lines)


def _max_pairs(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> int:
    """Largest number of one-to-one pairs among candidate pairs."""
    if len(np.unique(rows)) == len(rows) and len(np.unique(columns)) == len(columns):
        return len(rows)
    graph = csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type='column') >= 0))


def _precisions(hits: NDArray[np.int64], true: int, pred: int) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) at each threshold; 1 where there is neither a true nor a found cell."""
    # TP + FP are all found cells, TP + FN all true ones.
    cells = true + pred - hits
    return hits / cells if true + pred else np.ones(len(hits))


def _cell_type(true: ImageAnnotations, classes: Sequence[str]) -> str:
    """Cell type of most of an image's true cells."""
    if not len(true):
        return NO_CELL_TYPE
    return classes[int(np.bincount(true.labels, minlength=len(classes)).argmax())]


def _bootstrap(scores: NDArray[np.float64], confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Percentile interval of the mean of resampled scores."""
    draws = np.random.default_rng(seed).integers(len(scores), size=(resamples, len(scores)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(scores[draws].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
