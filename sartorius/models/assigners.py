"""Box assigners and box IoU that need little memory for hundreds of cells per image."""

from typing import Any

import numpy as np
import torch
from mmdet.models.task_modules.assigners import AssignResult, BboxOverlaps2D, DynamicSoftLabelAssigner, MaxIoUAssigner
from mmdet.models.task_modules.assigners.dynamic_soft_label_assigner import EPS, INF
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional


@TASK_UTILS.register_module()
class ChunkedBboxOverlaps2D(BboxOverlaps2D):
    """Computes what ``BboxOverlaps2D`` does, in chunks of a few boxes.

    MMDetection holds the corners and sides of every pair at once: for the 217,000 anchors of a 1333x800 image and 800
    cells that is 6 GB, of which the IoUs themselves are 0.7 GB.

    Args:
        chunk: Number of the first boxes that are compared at once.
    """

    def __init__(self, chunk: int = 16) -> None:
        super().__init__()
        self.chunk = chunk

    def __call__(self, bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', is_aligned: bool = False) -> Tensor:
        """Computes the IoU of boxes, as the base class returns it.

        Args:
            bboxes1: ``(M, 4)``: ``x1, y1, x2, y2``.
            bboxes2: ``(N, 4)``.
            mode: 'iou', 'iof' or 'giou'.
            is_aligned: Compare box n with box n only; then M must equal N.

        Returns:
            ``(M, N)``, or ``(M,)`` if aligned.
        """
        first, second = get_box_tensor(bboxes1), get_box_tensor(bboxes2)
        if is_aligned or len(first) <= self.chunk:
            return super().__call__(first, second, mode, is_aligned)
        overlaps = first.new_empty((len(first), len(second)))
        for rows, boxes in zip(overlaps.split(self.chunk), first.split(self.chunk), strict=True):
            rows.copy_(super().__call__(boxes, second, mode))
        return overlaps


@TASK_UTILS.register_module()
class CrowdMaxIoUAssigner(MaxIoUAssigner):
    """``MaxIoUAssigner`` that takes no box in a crowd region (COCO's ``iscrowd``) for background.

    As in scoring (:func:`sartorius.evaluation.matching.counted_predictions`), a box of which more than half lies in a
    crowd region counts neither for nor against the model, unless it is of a cell. MMDetection's own ignores no box by
    default, and with ``ignore_iof_thr`` those of cells that lie in the region's box too. Without crowd regions the
    result is the same as MMDetection's. On a CPU it comes of a compiled loop, which holds no matrix of all pairs.

    Args:
        crowd_share: Share of a box in the box of one crowd region above which it is no background.
        **kwargs: As in MMDetection.
    """

    def __init__(self, *args: Any, crowd_share: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.crowd_share = crowd_share

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Assigns boxes to ground-truth cells.

        Args:
            pred_instances: ``priors`` ``(N, 4)``: anchors or proposals.
            gt_instances: ``bboxes`` ``(G, 4)`` and ``labels`` ``(G,)``.
            gt_instances_ignore: ``bboxes`` of crowd regions.
            **kwargs: As in MMDetection.

        Returns:
            For each box the index of its cell, counted from 1, 0 for background, or -1 for neither.
        """
        priors, cells = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        if self._can_compile(priors, cells):
            result = self._assign_compiled(priors, cells, gt_instances.labels)
        else:
            result = super().assign(pred_instances, gt_instances, None, **kwargs)
        if gt_instances_ignore is not None and len(gt_instances_ignore) and len(result.gt_inds):
            shares = self.iou_calculator(priors, gt_instances_ignore.bboxes, mode='iof')
            result.gt_inds[(result.gt_inds == 0) & (shares.max(dim=1).values > self.crowd_share)] = -1
        return result

    def _can_compile(self, priors: Tensor, cells: Tensor) -> bool:
        """Whether the compiled loop does what these settings ask for; MMDetection's code does everything."""
        return (
            priors.device.type == cells.device.type == 'cpu'
            and priors.dtype == cells.dtype == torch.float32
            and len(cells) > 0
            and bool(priors.isfinite().all() and cells.isfinite().all())
            and type(self.iou_calculator) in (BboxOverlaps2D, ChunkedBboxOverlaps2D)
            and self.iou_calculator.dtype is None
            and self.perm_repeat_gt_cfg is None
            and (not self.match_low_quality or (self.min_pos_iou > 0 and self.gt_max_assign_all))
        )

    def _assign_compiled(self, priors: Tensor, cells: Tensor, cell_labels: Tensor) -> AssignResult:
        from sartorius.models.kernels.assignment import best_cells

        worth = self.min_pos_iou if self.match_low_quality else np.inf
        arrays = priors.detach().T.contiguous().numpy(), cells.detach().contiguous().numpy()
        largest, best, given = map(torch.from_numpy, best_cells(*arrays, np.float32(worth)))
        low, high = self.neg_iou_thr if isinstance(self.neg_iou_thr, tuple) else (0.0, self.neg_iou_thr)
        gt_inds = torch.full((len(priors),), -1)
        gt_inds[(largest >= low) & (largest < high)] = 0
        gt_inds = torch.where(largest >= self.pos_iou_thr, best + 1, gt_inds)
        gt_inds = torch.where(given >= 0, given + 1, gt_inds)
        labels = torch.where(gt_inds > 0, cell_labels[gt_inds.clamp(min=1) - 1], -1)
        return AssignResult(len(cells), gt_inds, largest, labels=labels)


@TASK_UTILS.register_module()
class DenseSoftLabelAssigner(DynamicSoftLabelAssigner):
    """``DynamicSoftLabelAssigner`` (RTMDet, Lyu et al. 2022, arXiv 2212.07784) for images with hundreds of cells.

    It assigns the same points to the same cells. MMDetection's repeats the scores of all classes for every pair of a
    point and a cell, and finds the best points of one cell after the other; here no tensor holds more than one number
    per pair, and all cells are assigned at once: for the 30,008 points of an image of 1408x1040 px and 800 cells that
    took 0.6 GB in place of 2.4 GB. Masks of the cells, of which MMDetection's takes the centre of mass from full-size
    bitmaps, are not used: a cell's centre is that of its box.

    A point in the box of a crowd region (COCO's ``iscrowd``) that is of no cell is no background: the loss passes over
    it, as :class:`CrowdMaxIoUAssigner` does for anchors. MMDetection's takes it for background.

    Args:
        **kwargs: As in MMDetection.
    """

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Assigns points to ground-truth cells.

        Args:
            pred_instances: Of N points ``priors`` ``(N, 4)`` (x, y, stride, stride), and the model's outputs there:
                ``bboxes`` ``(N, 4)`` and ``scores`` ``(N, classes)`` before the sigmoid.
            gt_instances: ``bboxes`` ``(G, 4)`` and ``labels`` ``(G,)``.
            gt_instances_ignore: ``bboxes`` of crowd regions.
            **kwargs: Not used.

        Returns:
            For each point the index of its cell, counted from 1, 0 for background, or -1 for neither, with their IoU
            and the cell's label.
        """
        boxes, labels = get_box_tensor(gt_instances.bboxes), gt_instances.labels
        preds, scores, priors = pred_instances.bboxes, pred_instances.scores.float(), pred_instances.priors
        cells = preds.new_zeros(len(preds), dtype=torch.long)
        point_labels = torch.full_like(cells, -1)
        if gt_instances_ignore is not None:
            regions = get_box_tensor(gt_instances_ignore.bboxes)
            cells[_inside(priors, regions, with_edge=True).any(dim=1)] = -1
        candidates = _inside(priors, boxes).any(dim=1)
        if not candidates.any():
            return AssignResult(len(boxes), cells, preds.new_zeros(len(preds)), labels=point_labels)
        ious = self.iou_calculator(preds[candidates], boxes)
        cost = self._cost(priors[candidates], scores[candidates], ious, boxes, labels)
        # Changes ``candidates`` in place to the points that were assigned.
        matched_ious, matched = self.dynamic_k_matching(cost, ious, len(boxes), candidates)
        cells[candidates] = matched + 1
        point_labels[candidates] = labels[matched].long()
        point_ious = preds.new_full((len(preds),), -INF)
        point_ious[candidates] = matched_ious
        return AssignResult(len(boxes), cells, point_ious, labels=point_labels)

    def _cost(self, priors: Tensor, scores: Tensor, ious: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        """Cost ``(N, G)`` of every pair: of class, box, and distance of the point from the cell's centre."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        distance = torch.cdist(priors[:, :2], centres, compute_mode='donot_use_mm_for_euclid_dist') / priors[:, 2:3]
        cost = torch.pow(10, distance - self.soft_center_radius)
        cost -= torch.log(ious + EPS) * self.iou_weight
        # The quality focal loss of a point is a sum over the classes; the cell changes the term of its own class only.
        probabilities = scores.sigmoid()
        as_background = functional.softplus(scores) * probabilities.square()
        cost += (as_background.sum(dim=1, keepdim=True)) - as_background[:, labels]
        own = scores[:, labels]
        cost += (functional.softplus(own) - own * ious) * (ious - probabilities[:, labels]).square()
        return cost

    def dynamic_k_matching(
        self, cost: Tensor, pairwise_ious: Tensor, num_gt: int, valid_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Assigns each cell its cheapest points, as many as the sum of its best IoUs, and each point at most one cell.

        Args:
            cost: ``(N, G)``.
            pairwise_ious: ``(N, G)``.
            num_gt: G.
            valid_mask: bool, N of it true; changed in place to the points that were assigned.

        Returns:
            IoU and cell (counted from 0) of these points.
        """
        max_points = min(self.topk, len(cost))
        counts = pairwise_ious.topk(max_points, dim=0).values.sum(dim=0).int().clamp(min=1)
        cheapest = cost.topk(max_points, dim=0, largest=False).indices
        taken = torch.arange(max_points, device=cost.device)[:, None] < counts
        chosen = torch.zeros_like(cost, dtype=torch.bool).scatter_(0, cheapest, taken)
        # A point chosen by several cells is assigned to the one, of all cells, of lowest cost.
        claims = chosen.sum(dim=1)
        cells = torch.where(claims > 1, cost.argmin(dim=1), chosen.int().argmax(dim=1))
        assigned = claims > 0
        valid_mask[valid_mask.clone()] = assigned
        cells = cells[assigned]
        return pairwise_ious[assigned].gather(1, cells[:, None])[:, 0], cells


def _inside(priors: Tensor, boxes: Tensor, with_edge: bool = False) -> Tensor:
    """Whether each point lies inside each box, or on its left or upper edge where these count; bool ``(N, G)``."""
    x, y = priors[:, 0:1], priors[:, 1:2]
    left, top, right, bottom = boxes.unbind(dim=1)
    after = torch.ge if with_edge else torch.gt
    return after(x, left) & (x < right) & after(y, top) & (y < bottom)
