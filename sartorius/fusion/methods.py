"""The fusion methods; docs/extending/fusion_method.md says how to add one."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.base import (
    METHODS,
    Candidates,
    Fusion,
    Method,
    build_method,
    parameter,
    register,
    resolve_method,
)
from sartorius.fusion.specialists import Specialists
from sartorius.masks.nms import gaussian_soft_nms, linear_soft_nms, paired_box_iou
from sartorius.utils.errors import InputError

__all__ = ['DEFAULT_METHOD', 'METHODS', 'SET_METHODS', 'SetMethod', 'build_method', 'register', 'resolve_method']

CONF_TYPES = ('box_and_model_avg', 'avg', 'max', 'absent_model_aware_avg')
DECAYS = ('gaussian', 'linear')


@register('wbf')
@dataclass(frozen=True)
class WBF(Method):
    """Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, https://arxiv.org/abs/1910.13302).

    Best score first, each box joins the fused box of its class that it overlaps most. A fused box is the mean of its
    members, weighted by model weight times score. By the default ``conf_type`` its score is the weighted mean of its
    members' scores, times the share of the models' weight that found it: a cell that one of two equal models found at
    0.8 scores 0.4. (The default of ensemble-boxes, ``avg``, counts boxes and not models, so that two boxes of one model
    count as two models.)

    Attributes:
        iou_threshold: A box joins if its IoU is greater. The default is above the IoU of .6 up to which the models'
            own NMS keeps two boxes: below, a low-scored duplicate of one model would join the good box of another and
            pull its position and score down (docs/fusion.md has what that costs).
        conf_type: Rule for the score, see :func:`cluster_scores`.
    """

    iou_threshold: float = parameter(0.7, above=0, below=1)
    conf_type: str = parameter('box_and_model_avg', choices=CONF_TYPES)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        owners, firsts, centres = cluster_boxes(
            candidates.boxes, candidates.weighted_scores, candidates.labels, self.iou_threshold, True
        )
        return Fusion(
            # The means are taken in single precision and may pass the limits by a rounding error.
            boxes=centres.clip(0, 1),
            scores=cluster_scores(candidates, owners, self.conf_type),
            labels=candidates.labels[firsts],
            owners=owners,
        )


@register('nms')
@dataclass(frozen=True)
class NMS(Method):
    """Non-maximum suppression: the best box of each overlapping group, unchanged.

    A model's scores are multiplied by its weight, of which the largest is 1: equal weights change no score. (What
    ensemble-boxes does with weights divides every score by the sum of the weights as well.)

    Attributes:
        iou_threshold: A box is dropped if its IoU with a better kept one is greater.
    """

    iou_threshold: float = parameter(0.5, above=0, below=1)

    can_average_masks = True

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        scores = candidates.weighted_scores
        owners, kept, boxes = cluster_boxes(candidates.boxes, scores, candidates.labels, self.iou_threshold, False)
        return Fusion(boxes, scores[kept], candidates.labels[kept], owners, kept)


@register('soft-nms')
@dataclass(frozen=True)
class SoftNMS(Method):
    """Soft-NMS (Bodla et al. 2017, https://arxiv.org/abs/1704.04503): boxes are kept, but overlapped ones score less.

    Best score first, each box lowers the scores of the boxes of its class that it overlaps. Scores are multiplied by
    the models' weights as in NMS. (``soft_nms`` of ensemble-boxes drops the same boxes, but gives the rest the scores
    that they came with.)

    Attributes:
        decay: ``gaussian``: an IoU of u multiplies a score by exp(-u^2 / sigma); ``linear``: by 1 - u, where u is
            greater than ``iou_threshold``.
        sigma: Of the Gaussian decay.
        iou_threshold: Of the linear decay.
        min_score: Boxes whose score falls to this or below are dropped.
    """

    decay: str = parameter('gaussian', choices=DECAYS)
    sigma: float = parameter(0.5, above=0)
    iou_threshold: float = parameter(0.5, above=0, below=1)
    min_score: float = parameter(0.001, at_least=0, at_most=1)

    @property
    def has_iou_threshold(self) -> bool:
        """Only the linear decay has one."""
        return self.decay == 'linear'

    def __call__(self, candidates: Candidates) -> Fusion:
        boxes, scores, labels = candidates.boxes, candidates.weighted_scores, candidates.labels
        if self.decay == 'gaussian':
            scores = gaussian_soft_nms(boxes, scores, self.sigma, labels)
        else:
            scores = linear_soft_nms(boxes, scores, self.iou_threshold, labels)
        kept = np.flatnonzero(scores > self.min_score)
        owners = np.full(len(scores), -1)
        owners[kept] = np.arange(len(kept))
        return Fusion(boxes[kept], scores[kept], labels[kept], owners, kept)


@register('nmw')
@dataclass(frozen=True)
class NMW(Method):
    """Non-maximum weighted (Zhou et al. 2017, "CAD: Scale Invariant Framework for Real-Time Object Detection").

    Boxes are grouped as by NMS. A fused box is the mean of its group, weighted by model weight times score times IoU
    with the group's best box; its score is that of the best box, times its model's weight.

    Attributes:
        iou_threshold: A box joins the best box that it overlaps most, if its IoU is greater.
    """

    iou_threshold: float = parameter(0.5, above=0, below=1)

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_boxes

        scores = candidates.weighted_scores
        owners, firsts, best = cluster_boxes(candidates.boxes, scores, candidates.labels, self.iou_threshold, False)
        shares = scores * paired_box_iou(candidates.boxes, best[owners])
        totals = np.bincount(owners, shares)
        means = np.stack([np.bincount(owners, shares * side) / totals for side in candidates.boxes.T], axis=1)
        alone = np.bincount(owners) == 1
        means[alone] = best[alone]
        return Fusion(means.clip(0, 1), scores[firsts], candidates.labels[firsts], owners)


@register('consensus')
@dataclass(frozen=True)
class Consensus(Method):
    """Groups cells whose masks agree, whatever the IoU of their boxes, as touching cells in a crowd need.

    All models' cells are the nodes of a graph; an edge joins two cells of one class, predicted by two models, whose
    binary masks reach the IoU threshold. Best score first, each cell joins the group with every member of which it has
    an edge (of several groups the one with the largest mean IoU): complete linkage, so that no chain of cells that
    each resemble the next becomes one, and each model has one vote in a group. (Duplicates of one model stay two cells,
    for overlap removal to choose from: a mean of both fits neither.) A fused box is the mean of its members, weighted
    by model weight times score; scores are as in WBF.

    Attributes:
        iou_threshold: Minimum IoU of every two masks of a group.
        conf_type: Rule for the score, see :func:`cluster_scores`.
        min_models: Groups that fewer models found are dropped.
    """

    iou_threshold: float = parameter(0.6, above=0, below=1)
    conf_type: str = parameter('box_and_model_avg', choices=CONF_TYPES)
    min_models: int = parameter(1, at_least=1)

    needs_masks = True

    def __call__(self, candidates: Candidates) -> Fusion:
        from sartorius.fusion.kernels.boxes import cluster_by_pairs

        if candidates.masks is None:
            raise InputError('consensus compares masks, and these are boxes without masks; choose another method')
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
        """Later cell (ascending), earlier cell and IoU of the pairs that may be in one group."""
        from sartorius.fusion.kernels.masks import shared_pixels_of_similar

        cells = candidates.masks()
        areas = cells.areas
        order = np.argsort(cells.windows[:, 1], kind='stable')
        rows, columns, shared = shared_pixels_of_similar(
            cells.pixels, cells.windows, areas, candidates.labels, candidates.models, order, self.iou_threshold
        )
        # Integers, divided once: an IoU that equals the threshold counts.
        ious = shared / (areas[rows] + areas[columns] - shared)
        # The pairs of a cell come in the order of the image; the sums of their IoUs must not depend on it.
        chosen = np.lexsort([columns, rows])
        chosen = chosen[ious[chosen] >= self.iou_threshold]
        return rows[chosen], columns[chosen], ious[chosen]


DEFAULT_METHOD = WBF.name

SetMethod = Method | Specialists
SET_METHODS: Mapping[str, type[SetMethod]] = ChainMap({Specialists.name: Specialists}, METHODS)
"""What prediction sets can be fused by: the methods for boxes, and specialists, which fuses none."""


def cluster_scores(candidates: Candidates, owners: NDArray[np.int64], conf_type: str) -> NDArray[np.float64]:
    """Scores of clusters, by the rules and names of ensemble-boxes.

    With s the members' scores, w their models' weights, n the number of members, W the weight of all models that know
    the label, and F the weight of those of them that have a member:

    - ``box_and_model_avg``: sum(w s) / sum(w) * F / W;
    - ``avg``: sum(w s) / n * min(n, models) / W, at most 1, which it exceeds where a heavy model found a cell twice;
    - ``max``: max(w s) / max(w of all models that know the label);
    - ``absent_model_aware_avg``: sum(w s) / (sum(w) + W - F).

    ensemble-boxes counts all models; here a model that does not know the label at all does not lower a cell's score.
    Without such models the scores are the same.

    Args:
        candidates: The boxes.
        owners: int64 ``(N,)``: cluster of each box, 0 to K - 1.
        conf_type: One of :data:`CONF_TYPES`.

    Returns:
        float64 ``(K,)`` in [0, 1].
    """
    models, weights = candidates.models, candidates.weights
    members = np.bincount(owners)
    sums = np.bincount(owners, candidates.weighted_scores)
    member_weights = np.bincount(owners, weights[models])
    pairs = np.unique(owners * len(weights) + models)
    found = np.bincount(pairs // len(weights), weights[pairs % len(weights)])
    labels = np.empty(len(members), dtype=np.int64)
    labels[owners] = candidates.labels
    knows = candidates.knows[:, labels]
    total = weights @ knows
    if conf_type == 'max':
        best = np.zeros(len(members))
        np.maximum.at(best, owners, candidates.weighted_scores)
        scores = best / (weights[:, None] * knows).max(axis=0)
    elif conf_type == 'avg':
        scores = sums / members * np.minimum(members, knows.sum(axis=0)) / total
    elif conf_type == 'absent_model_aware_avg':
        scores = sums / (member_weights + total - found)
    else:
        scores = sums / member_weights * found / total
    return scores.clip(0, 1)
