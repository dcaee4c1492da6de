"""Fusion by agreement of masks."""

from dataclasses import dataclass

import numpy as np

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.checks import check_choice, check_iou, check_number
from sartorius.fusion.cluster_scores import CONF_TYPES, cluster_scores
from sartorius.utils.errors import InputError


@dataclass(frozen=True)
class Consensus:
    """Cells whose masks agree, whatever their boxes do, as touching cells in a crowd need.

    All models' cells are the nodes of a graph; an edge joins two of a class, found by two models, whose binary masks
    have at least the IoU asked for. Best score first, each cell joins the group with every member of which it has an
    edge (of several groups the one with the greatest mean IoU): complete linkage, so that no chain of cells that each
    resemble the next becomes one, and each model has one vote in a group. (Doubles of one model stay two cells, for
    overlap removal to choose from: a mean of both fits neither.) A fused box is the mean of its members, weighted by
    model weight times score; scores are as in WBF.

    Attributes:
        iou_threshold: Least IoU of every two masks of a group.
        conf_type: One of :data:`sartorius.fusion.cluster_scores.CONF_TYPES`.
        min_models: Groups that fewer models found are dropped.
    """

    iou_threshold: float = 0.6
    conf_type: str = 'box_and_model_avg'
    min_models: int = 1

    def __post_init__(self) -> None:
        check_iou(self.iou_threshold)
        check_choice('conf_type', self.conf_type, CONF_TYPES)
        check_number('min_models', self.min_models, lowest=1)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_by_pairs

        if candidates.masks is None:
            raise InputError('consensus compares masks, and here are boxes alone; choose another method')
        models = len(candidates.weights)
        if self.min_models > models:
            raise InputError(f'min_models is {self.min_models}, and there are {models} models')
        rows, columns, ious = self._edges(candidates)
        owners = cluster_by_pairs(rows, columns, ious, len(candidates.scores))
        scores = cluster_scores(candidates, owners, self.conf_type)
        shares = candidates.weighted_scores
        boxes = np.stack([np.bincount(owners, shares * side) for side in candidates.boxes.T], axis=1)
        boxes /= np.bincount(owners, shares)[:, None]
        counts, firsts = np.bincount(owners), np.unique(owners, return_index=True)[1]
        boxes[counts == 1] = candidates.boxes[firsts[counts == 1]]
        predicted_by = np.bincount(np.unique(owners * models + candidates.models) // models)
        kept = predicted_by >= self.min_models
        places = np.where(kept, np.cumsum(kept) - 1, -1)
        return Fusion(boxes[kept].clip(0, 1), scores[kept], candidates.labels[firsts[kept]], places[owners])

    def _edges(self, candidates: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Later cell (ascending), earlier cell and IoU of the pairs that may stand in one group."""
        from sartorius.fusion.kernels.masks import shared_pixels_of_similar

        cells = candidates.masks()
        areas = cells.areas
        order = np.argsort(cells.windows[:, 1], kind='stable')
        rows, columns, shared = shared_pixels_of_similar(
            cells.pixels, cells.windows, areas, candidates.labels, candidates.models, order, self.iou_threshold
        )
        # Whole numbers, divided once: an IoU that equals the threshold counts.
        ious = shared / (areas[rows] + areas[columns] - shared)
        # The pairs of a cell come in the order of the image; the sums of their IoUs must not depend on it.
        chosen = np.lexsort([columns, rows])
        chosen = chosen[ious[chosen] >= self.iou_threshold]
        return rows[chosen], columns[chosen], ious[chosen]
