"""Matching of ground-truth (gt) and predicted (pred) cells by IoU: true positives, false positives, false negatives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou

TP_IOU = 0.5
"""A pair is a true positive when its IoU is strictly greater: the first threshold of the competition's mAP."""

CROWD_SHARE = 0.5
"""A prediction of which a larger share lies in crowd regions is ignored."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Cells of one image that were matched at an IoU threshold, and the best IoU of every cell.

    Attributes:
        gt_matched: bool ``(n_gt,)``: whether a prediction is matched to this ground-truth cell.
        pred_matched: bool ``(n_pred,)``: whether a ground-truth cell is matched to this prediction.
        gt_iou: float64 ``(n_gt,)``: best IoU of each ground-truth cell with any prediction.
        pred_iou: float64 ``(n_pred,)``: best IoU of each prediction with any ground-truth cell.
    """

    gt_matched: NDArray[np.bool_]
    pred_matched: NDArray[np.bool_]
    gt_iou: NDArray[np.float64]
    pred_iou: NDArray[np.float64]

    @property
    def n_gt(self) -> int:
        """Number of ground-truth cells."""
        return len(self.gt_matched)

    @property
    def n_pred(self) -> int:
        """Number of predictions."""
        return len(self.pred_matched)

    @property
    def tp(self) -> int:
        """True positives: matched pairs."""
        return int(np.count_nonzero(self.pred_matched))

    @property
    def fp(self) -> int:
        """False positives: predictions without a match."""
        return self.n_pred - self.tp

    @property
    def fn(self) -> int:
        """False negatives: ground-truth cells without a match."""
        return self.n_gt - self.tp


def match(gt: Sequence[MaskCrop], pred: Sequence[MaskCrop], size: Size, threshold: float = TP_IOU) -> Matching:
    """Matches the predictions of an image to its ground truth, one to one, as :func:`matched_pairs` does.

    Args:
        gt: Ground-truth cells; they may overlap each other.
        pred: Predicted cells; they may overlap each other.
        size: Image ``(height, width)``.
        threshold: IoU that a pair must exceed.

    Example:
        >>> import numpy as np
        >>> from sartorius.evaluation.matching import match
        >>> from sartorius.masks.crop import MaskCrop
        >>> def cell(x, width):  # a rectangle of 4 rows
        ...     return MaskCrop(np.ones((4, width), dtype=bool), x, 0)
        >>> gt = [cell(0, 10), cell(12, 10)]
        >>> pred = [cell(0, 9), cell(16, 10), cell(30, 5)]
        >>> matching = match(gt, pred, size=(4, 40))
        >>> matching.n_gt, matching.n_pred
        (2, 3)
        >>> matching.tp, matching.fp, matching.fn
        (1, 2, 1)
        >>> matching.gt_iou.round(2).tolist()
        [0.9, 0.43]
        >>> match(gt, pred, size=(4, 40), threshold=0.4).tp
        2
    """
    iou = mask_iou(gt, pred, size)
    rows, columns = matched_pairs(iou, threshold)
    gt_matched, pred_matched = np.zeros(len(gt), dtype=bool), np.zeros(len(pred), dtype=bool)
    gt_matched[rows] = True
    pred_matched[columns] = True
    return Matching(gt_matched, pred_matched, iou.max(axis=1, initial=0), iou.max(axis=0, initial=0))


def matched_pairs(iou: NDArray[np.float64], threshold: float = TP_IOU) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One-to-one pairs of a ground-truth cell and a prediction whose IoU is strictly greater than a threshold.

    There are as many pairs as possible (so their number is the TP that
    :func:`sartorius.evaluation.metric.count_tp` counts), and among such pairings this is the one with the largest sum
    of IoU.

    Args:
        iou: float64 ``(n_gt, n_pred)``: IoU of every pair.
        threshold: IoU that a pair must exceed, at least 0.

    Returns:
        Index of the ground-truth cell and of the prediction of each pair, int64 ``(P,)`` each.
    """
    # A pair weighs more than all IoU together, so that one more pair always wins.
    weights = np.where(iou > threshold, min(iou.shape) + iou, 0)
    rows, columns = linear_sum_assignment(weights, maximize=True)
    paired = weights[rows, columns] > 0
    return rows[paired], columns[paired]


def outside_crowd(pred: Sequence[MaskCrop], gt: ImageAnnotations) -> Sequence[MaskCrop]:
    """The predictions of one image that count: see :func:`counted_predictions`."""
    if not gt.crowd:
        return pred
    return [crop for crop, counted in zip(pred, counted_predictions(pred, gt), strict=True) if counted]


def counted_predictions(pred: Sequence[MaskCrop], gt: ImageAnnotations) -> NDArray[np.bool_]:
    """Which predictions count; the others lie in a crowd region, and are neither true nor false positives.

    Ignored is what COCO ignores: a prediction of which more than half lies in crowd regions (intersection over its own
    area, :data:`CROWD_SHARE`), unless it may be a true positive, with an IoU above 0.5 with a gt cell.

    Args:
        pred: Predicted cells of one image.
        gt: Its gt cells and crowd regions.

    Returns:
        bool, one per prediction; all True for an image without crowd regions.
    """
    if not gt.crowd:
        return np.ones(len(pred), dtype=bool)
    crowd = np.zeros(gt.size, dtype=bool)
    for crop in gt.crowd:
        inside = crop.clipped(gt.size)
        x1, y1, x2, y2 = inside.window
        crowd[y1:y2, x1:x2] |= inside.mask
    counts = np.ones(len(pred), dtype=bool)
    for number, crop in enumerate(pred):
        inside = crop.clipped(gt.size)
        x1, y1, x2, y2 = inside.window
        counts[number] = np.count_nonzero(crowd[y1:y2, x1:x2] & inside.mask) <= CROWD_SHARE * crop.area
    return counts | (mask_iou(gt.crops, pred, gt.size).max(axis=0, initial=0) > TP_IOU)
