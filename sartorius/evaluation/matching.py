"""Which true cell each found cell hits: what pictures, counts by cell and the analysis of errors are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.iou import mask_iou

TP_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Matches:
    """Which cells of an image were hit, and how well every cell is met.

    Attributes:
        gt_matched: bool, one a true cell: whether a found cell hits it.
        pred_matched: bool, one a found cell: whether it hits a true cell.
        gt_iou: float64, one a true cell: its best IoU with any found cell.
        pred_iou: float64, one a found cell: its best IoU with any true cell.
    """

    gt_matched: NDArray[np.bool_]
    pred_matched: NDArray[np.bool_]
    gt_iou: NDArray[np.float64]
    pred_iou: NDArray[np.float64]

    @property
    def hits(self) -> int:
        """Number of pairs."""
        return int(np.count_nonzero(self.pred_matched))


def match_cells(gt: Sequence[MaskCrop], pred: Sequence[MaskCrop], size: Size) -> Matches:
    """Pairs true and found cells as :func:`matched_pairs` does.

    Args:
        gt: True cells; they may overlap each other.
        pred: Found cells; they may overlap each other.
        size: Image ``(height, width)``.
    """
    iou = mask_iou(gt, pred, size)
    rows, columns = matched_pairs(iou)
    gt_matched, pred_matched = np.zeros(len(gt), dtype=bool), np.zeros(len(pred), dtype=bool)
    gt_matched[rows] = True
    pred_matched[columns] = True
    return Matches(gt_matched, pred_matched, iou.max(axis=1, initial=0), iou.max(axis=0, initial=0))


def matched_pairs(iou: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a true and a found cell whose IoU is greater than 0.5, as the competition's mAP takes at its first
    threshold.

    No cell stands in two pairs; there are as many pairs as possible (so the number of hits is that of
    :func:`sartorius.evaluation.metric.count_matches`), and among such pairings the one with the greatest sum of IoU.

    Args:
        iou: float64 ``(true cells, found cells)``: IoU of every pair.

    Returns:
        The true and the found cell of each pair, int64 ``(P,)`` each.
    """
    # A pair is worth more than all IoU together, so that one more pair always wins.
    worth = np.where(iou > TP_IOU, min(iou.shape) + iou, 0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    paired = worth[rows, columns] > 0
    return rows[paired], columns[paired]
