"""The competition's mAP.

Rule: https://www.kaggle.com/competitions/sartorius-cell-instance-segmentation/overview/evaluation. At each threshold t
a prediction is a true positive when its IoU with a ground-truth cell is strictly greater than t; each cell takes part
in one pair at most, and P(t) = TP / (TP + FP + FN). An image's score is the mean of P over the thresholds 0.50, 0.55,
..., 0.95, and the mAP is the mean over the images. The class plays no part. docs/metric.md works an example.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.bootstrap import CONFIDENCE, Estimate, estimate, groups_of_images
from sartorius.evaluation.matching import outside_crowd
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.utils.classes import class_order
from sartorius.utils.errors import InputError

# Divided one by one, as an IoU is: np.linspace(0.5, 0.95, 10) holds 0.8999999999999999, which an IoU of 9/10 would
# pass, and np.arange(0.5, 1, 0.05) drifts upwards (0.6000000000000001).
IOU_THRESHOLDS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))

TP_COLUMNS: tuple[str, ...] = tuple(f'tp_{percent}' for percent in range(50, 100, 5))
"""Columns of the table of images: true positives at each threshold."""

NO_CELL_TYPE = 'none'
"""Cell type of an image without ground-truth cells."""


def image_types(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct cell types of images in the order of tables: :func:`class_order`, images without cells last."""
    present = set(names)
    return (*class_order(present - {NO_CELL_TYPE}), *({NO_CELL_TYPE} & present))


def count_tp(iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """True positives at each threshold.

    At each threshold this is the largest number of one-to-one pairs. With cells that do not overlap each other every
    cell has at most one candidate above 0.5 and there is nothing to choose; overlapping cells, as the training labels
    have them, can have several.

    Args:
        iou: float64 ``(n_gt, n_pred)``: IoU of every pair.

    Returns:
        int64 ``(10,)``, one number per threshold of :data:`IOU_THRESHOLDS`.

    Example:
        >>> count_tp(np.array([[0.9, 0.6], [0.8, 0.0]])).tolist()  # 2 gt cells (rows), 2 predictions (columns)
        [2, 2, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    rows, columns = np.nonzero(iou > IOU_THRESHOLDS[0])
    values = iou[rows, columns]
    tp = np.zeros(len(IOU_THRESHOLDS), dtype=np.int64)
    for index, threshold in enumerate(IOU_THRESHOLDS):
        passed = values > threshold
        tp[index] = _max_pairs(rows[passed], columns[passed], iou.shape)
    return tp


def image_score(iou: NDArray[np.float64]) -> float:
    """Score of one image: the mean of TP / (TP + FP + FN) over the thresholds.

    Args:
        iou: float64 ``(n_gt, n_pred)``: IoU of every pair.

    Returns:
        A score in [0, 1]. Ground truth without predictions, or predictions without ground truth: 0. Neither: 1 (the
        competition has no such image, and its rule leaves the case open).

    Example:
        >>> image_score(np.array([[0.9, 0.0], [0.0, 0.6]]))  # P is 1 at .50 and .55, 1/3 up to .85, 0 from .90
        0.4
    """
    return float(_precisions(count_tp(iou), *iou.shape).mean())


def score_images(
    gt: Mapping[str, ImageAnnotations],
    pred: Mapping[str, Sequence[MaskCrop]],
) -> pd.DataFrame:
    """Scores each annotated image.

    Args:
        gt: Ground truth by image id; the labels of a plain mapping are the competition's (:class:`GroundTruth`).
        pred: Predicted cells by image id, in any order. An image that is missing here counts as one without
            predictions. What lies in a crowd region does not count
            (:func:`sartorius.evaluation.matching.outside_crowd`).

    Returns:
        One row per image, in the order of ``gt``: ``image_id``, ``cell_type`` (that of most of its ground-truth cells,
        the first of equally many; 'none' without any), ``n_gt``, ``n_pred``, ``tp_50`` ... ``tp_95`` (true positives at
        each threshold), ``score``.

    Raises:
        InputError: ``pred`` has an image that ``gt`` does not have, or ``gt`` has no image.
    """
    if not gt:
        raise InputError('there is no image to score')
    unknown = sorted(set(pred) - set(gt))
    if unknown:
        raise InputError(
            f'there are predictions for image {unknown[0]!r}, which the annotations do not have ({len(unknown)} such '
            'images); score against the annotations of the same images'
        )
    classes = GroundTruth.of(gt).classes
    rows = []
    for image_id, annotations in gt.items():
        cells = outside_crowd(pred.get(image_id, ()), annotations)
        tp = count_tp(mask_iou(annotations.crops, cells, annotations.size))
        score = _precisions(tp, len(annotations), len(cells)).mean()
        cell_type = _cell_type(annotations, classes)
        rows.append((image_id, cell_type, len(annotations), len(cells), *tp.tolist(), score))
    return pd.DataFrame(rows, columns=['image_id', 'cell_type', 'n_gt', 'n_pred', *TP_COLUMNS, 'score'])


@dataclass(frozen=True)
class ScoreSummary:
    """The competition's mAP of an image set.

    Attributes:
        score: Mean of the images' scores, with its interval over groups.
        groups: Number of groups.
        per_class: One row per cell type, in the order of :func:`image_types`: ``cell_type``, ``images``, ``n_gt``,
            ``n_pred``, ``score`` (mean over its images), ``low``, ``high`` (its interval over groups), ``groups`` (how
            many; with one there is no interval, and both ends are the mean).
        per_threshold: One row per threshold: ``threshold``, ``tp``, ``fp``, ``fn`` (sums over the images),
            ``precision`` (mean over the images of TP / (TP + FP + FN), whose mean over the thresholds is ``score``).
    """

    score: Estimate
    groups: int
    per_class: pd.DataFrame
    per_threshold: pd.DataFrame


def summarise_scores(table: pd.DataFrame, groups: Mapping[str, str]) -> ScoreSummary:
    """Overall score and scores by class and by threshold, with intervals over groups.

    Args:
        table: As :func:`score_images` returns it, or some of its rows.
        groups: Group of near-duplicates by image id (:func:`sartorius.annotations.reading.load_groups`); an image
            without one is a group of its own. See :func:`sartorius.evaluation.bootstrap.estimate`.

    Raises:
        InputError: The table has no row.
    """
    if table.empty:
        raise InputError('there is no image to summarise')
    scores, group_of = table['score'].to_numpy(), groups_of_images(table['image_id'], groups)
    classes = []
    for name in image_types(table['cell_type']):
        chosen = (table['cell_type'] == name).to_numpy()
        if chosen.any():
            cells = table.loc[chosen, ['n_gt', 'n_pred']].sum().tolist()
            own = estimate(scores[chosen], group_of[chosen])
            classes.append((name, int(chosen.sum()), *cells, *own, len(np.unique(group_of[chosen]))))
    n_gt, n_pred, tp = table['n_gt'].to_numpy(), table['n_pred'].to_numpy(), table[list(TP_COLUMNS)].to_numpy()
    precisions = np.stack([_precisions(*row) for row in zip(tp, n_gt, n_pred, strict=True)])
    return ScoreSummary(
        score=estimate(scores, group_of),
        groups=len(np.unique(group_of)),
        per_class=pd.DataFrame(
            classes, columns=['cell_type', 'images', 'n_gt', 'n_pred', 'score', 'low', 'high', 'groups']
        ),
        per_threshold=pd.DataFrame(
            {
                'threshold': IOU_THRESHOLDS,
                'tp': tp.sum(axis=0),
                'fp': n_pred.sum() - tp.sum(axis=0),
                'fn': n_gt.sum() - tp.sum(axis=0),
                'precision': precisions.mean(axis=0),
            }
        ),
    )


def format_score_summary(summary: ScoreSummary) -> str:
    """The summary as lines of text for a terminal."""
    classes = summary.per_class
    counts = [int(classes[name].sum()) for name in ('images', 'n_gt', 'n_pred')]
    width = max(8, *(len(name) + 1 for name in classes['cell_type']))
    lines = [f'{"class":<{width}}{"images":>8}{"gt":>10}{"pred":>10}{"mAP":>9}   {CONFIDENCE:.0%} interval over groups']
    for name, images, n_gt, n_pred, *own, groups in [
        ('all', *counts, *summary.score, summary.groups),
        *classes.itertuples(index=False),
    ]:
        interval = format_interval(Estimate(*own), groups, digits=4)
        lines.append(f'{name:<{width}}{images:>8}{n_gt:>10}{n_pred:>10}{own[0]:>9.4f}   {interval}')
    lines += ['', f'{"IoU >":<8}{"TP":>8}{"FP":>10}{"FN":>10}{"P":>9}']
    for threshold, tp, fp, fn, precision in summary.per_threshold.itertuples(index=False):
        lines.append(f'{threshold:<8.2f}{tp:>8}{fp:>10}{fn:>10}{precision:>9.4f}')
    return '\n'.join(lines)


def format_interval(estimate: Estimate, groups: int, digits: int = 3) -> str:
    """The interval and the number of groups that it is over; a single group has no interval."""
    if groups == 1:
        return '- (1 group)'
    return f'{estimate.low:.{digits}f} to {estimate.high:.{digits}f} ({groups} groups)'


def _max_pairs(rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> int:
    """Largest number of one-to-one pairs among candidate pairs."""
    if len(np.unique(rows)) == len(rows) and len(np.unique(columns)) == len(columns):
        return len(rows)
    graph = csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type='column') >= 0))


def _precisions(tp: NDArray[np.int64], n_gt: int, n_pred: int) -> NDArray[np.float64]:
    """TP / (TP + FP + FN) at each threshold; 1 where there is neither ground truth nor a prediction."""
    # TP + FP are all predictions, TP + FN all ground-truth cells.
    return tp / (n_gt + n_pred - tp) if n_gt + n_pred else np.ones(len(tp))


def _cell_type(annotations: ImageAnnotations, classes: Sequence[str]) -> str:
    """Cell type of most of an image's ground-truth cells."""
    if not len(annotations):
        return NO_CELL_TYPE
    return classes[int(np.bincount(annotations.labels, minlength=len(classes)).argmax())]
