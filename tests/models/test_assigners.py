"""Box assigners and box IoU: by hand, and against MMDetection's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.models.task_modules.assigners import (
    AssignResult,
    BboxOverlaps2D,
    DynamicSoftLabelAssigner,
    MaxIoUAssigner,
)
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from sartorius.models.assigners import ChunkedBboxOverlaps2D, CrowdMaxIoUAssigner, DenseSoftLabelAssigner


def points(height: int, width: int, strides: tuple[int, ...] = (8, 16, 32)) -> torch.Tensor:
    """x, y and twice the stride of the points of all levels."""
    levels = []
    for stride in strides:
        ys, xs = torch.meshgrid(torch.arange(0, height, stride), torch.arange(0, width, stride), indexing='ij')
        strides_of = torch.full((xs.numel(), 2), stride)
        levels.append(torch.cat([torch.stack([xs.flatten(), ys.flatten()], dim=1), strides_of], dim=1))
    return torch.cat(levels).float()


def scene(cells: int, seed: int, size: tuple[int, int] = (128, 160)) -> tuple[InstanceData, InstanceData]:
    """Predictions of an untrained model, and ground-truth cells of 10 to 50 px anywhere."""
    torch.manual_seed(seed)
    priors = points(*size)
    spread = torch.rand(len(priors), 4) * 40 + 2
    pred_boxes = torch.cat([priors[:, :2] - spread[:, :2], priors[:, :2] + spread[:, 2:]], dim=1)
    corners = torch.rand(cells, 2) * torch.tensor([size[1], size[0]])
    boxes = torch.cat([corners, corners + torch.rand(cells, 2) * 40 + 10], dim=1)
    pred = InstanceData(priors=priors, bboxes=pred_boxes, scores=torch.randn(len(priors), 3))
    return pred, InstanceData(bboxes=boxes, labels=torch.randint(3, (cells,)))


@pytest.mark.parametrize('cells', [0, 1, 7, 300])
@pytest.mark.parametrize('topk', [1, 13])
@pytest.mark.parametrize('seed', [0, 1])
def test_the_same_points_as_mmdetections(cells: int, topk: int, seed: int) -> None:
    pred, gt = scene(cells, seed)
    chunks = dict(type='ChunkedBboxOverlaps2D', chunk=100)
    ours = DenseSoftLabelAssigner(topk=topk, iou_calculator=chunks).assign(pred, gt)
    theirs = DynamicSoftLabelAssigner(topk=topk).assign(pred, gt)
    assert ours.num_gts == theirs.num_gts == cells
    assert (ours.gt_inds > 0).any() == (cells > 0)
    torch.testing.assert_close(ours.gt_inds, theirs.gt_inds, rtol=0, atol=0)
    torch.testing.assert_close(ours.labels, theirs.labels, rtol=0, atol=0)
    torch.testing.assert_close(ours.max_overlaps, theirs.max_overlaps)


def test_a_point_chosen_by_two_cells_is_assigned_to_the_cheaper() -> None:
    """One point lies in both cells and predicts the second one's box; another lies in the first alone."""
    pred = InstanceData(
        priors=torch.tensor([[12.0, 12, 8, 8], [4, 4, 8, 8], [40, 40, 8, 8]]),
        bboxes=torch.tensor([[10.0, 10, 30, 30], [0, 0, 14, 14], [0, 0, 14, 14]]),
        scores=torch.zeros(3, 3),
    )
    gt = InstanceData(bboxes=torch.tensor([[0.0, 0, 14, 14], [10, 10, 30, 30]]), labels=torch.tensor([2, 0]))
    result = DenseSoftLabelAssigner(topk=2).assign(pred, gt)
    assert result.gt_inds.tolist() == [2, 1, 0]
    assert result.labels.tolist() == [0, 2, -1]
    assert result.max_overlaps[:2].tolist() == [1, 1]


def test_no_point_inside_any_cell() -> None:
    pred, _ = scene(1, seed=0)
    gt = InstanceData(bboxes=torch.tensor([[9.0, 9, 15, 15]]), labels=torch.tensor([1]))
    result = DenseSoftLabelAssigner().assign(pred, gt)
    assert (result.gt_inds == 0).all() and (result.labels == -1).all()


def test_no_point_in_a_crowd_region_is_background() -> None:
    pred = InstanceData(
        priors=torch.tensor([[8.0, 8, 8, 8], [0, 24, 8, 8], [48, 48, 8, 8]]),
        bboxes=torch.tensor([[2.0, 2, 12, 12], [0, 20, 10, 30], [40, 40, 50, 50]]),
        scores=torch.zeros(3, 3),
    )
    cells = InstanceData(bboxes=torch.tensor([[2.0, 2, 12, 12]]), labels=torch.tensor([1]))
    crowd = InstanceData(bboxes=torch.tensor([[0.0, 0, 40, 40]]))
    ours = DenseSoftLabelAssigner(topk=13)
    # The point of a cell in the region, a point of none at the edge of the image, one outside.
    assert ours.assign(pred, cells, crowd).gt_inds.tolist() == [1, -1, 0]
    assert ours.assign(pred, cells[:0], crowd).gt_inds.tolist() == [-1, -1, 0]
    assert ours.assign(pred, cells, crowd[:0]).gt_inds.tolist() == [1, 0, 0]


def boxes_of(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand((count, 2), generator=generator) * 50
    return torch.cat([corners, corners + torch.rand((count, 2), generator=generator) * 20], dim=1)


def test_iou_of_two_boxes_that_share_a_third() -> None:
    first = torch.tensor([[0.0, 0, 2, 1], [5, 5, 6, 6]])
    second = torch.tensor([[1.0, 0, 3, 1]])
    assert ChunkedBboxOverlaps2D(chunk=1)(first, second).tolist() == [[pytest.approx(1 / 3)], [0]]


@pytest.mark.parametrize('mode', ['iou', 'iof', 'giou'])
@pytest.mark.parametrize(('first', 'second'), [(0, 5), (5, 0), (3, 7), (4, 7), (9, 30), (32, 1)])
def test_iou_in_chunks_equals_iou_at_once(mode: str, first: int, second: int) -> None:
    boxes = boxes_of(first, 0), boxes_of(second, 1)
    assert torch.equal(ChunkedBboxOverlaps2D(chunk=4)(*boxes, mode), BboxOverlaps2D()(*boxes, mode))


def test_iou_of_aligned_and_wrapped_boxes() -> None:
    first, second = boxes_of(9, 0), boxes_of(9, 1)
    aligned = ChunkedBboxOverlaps2D(chunk=4)(first, second, is_aligned=True)
    assert torch.equal(aligned, BboxOverlaps2D()(first, second).diagonal())
    wrapped = ChunkedBboxOverlaps2D(chunk=4)(HorizontalBoxes(first), HorizontalBoxes(second))
    assert torch.equal(wrapped, BboxOverlaps2D()(first, second))


def test_no_box_in_a_crowd_region_is_background() -> None:
    cells = InstanceData(bboxes=torch.tensor([[2.0, 2, 12, 12]]), labels=torch.tensor([1]))
    crowd = InstanceData(bboxes=torch.tensor([[0.0, 0, 40, 40]]))
    priors = torch.tensor([[2.0, 2, 12, 12], [20, 20, 30, 30], [35, 20, 55, 30], [60, 60, 70, 70]])
    ours = CrowdMaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5)
    # A cell in the region, a box within it, one a quarter of which lies in it, one outside.
    assert ours.assign(InstanceData(priors=priors), cells, crowd).gt_inds.tolist() == [1, -1, 0, 0]
    assert ours.assign(InstanceData(priors=priors), cells[:0], crowd).gt_inds.tolist() == [-1, -1, 0, 0]
    pred, gt = scene(7, 0)
    pred.priors = pred.bboxes
    for none in (None, crowd[:0]):
        theirs = MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5).assign(pred, gt)
        assert torch.equal(ours.assign(pred, gt, none).gt_inds, theirs.gt_inds)


ANCHORS = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3)
PROPOSALS = dict(pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False)
BAND = dict(pos_iou_thr=0.5, neg_iou_thr=(0.1, 0.4), min_pos_iou=0.2)


def assign_both(settings: dict, priors: torch.Tensor, cells: InstanceData) -> tuple[AssignResult, AssignResult]:
    """What this project's assigner gives, compiled, and what MMDetection's does."""
    ours = CrowdMaxIoUAssigner(**settings)
    assert ours._can_compile(priors, cells.bboxes)
    return tuple(assigner.assign(InstanceData(priors=priors), cells) for assigner in (ours, MaxIoUAssigner(**settings)))


def check_same(ours: AssignResult, theirs: AssignResult) -> None:
    assert ours.num_gts == theirs.num_gts
    for name in ('gt_inds', 'labels', 'max_overlaps'):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=0)


def test_a_cell_below_the_threshold_is_given_all_its_best_anchors() -> None:
    """By hand: two anchors share half of the first cell, a third all of the second one and nothing of the first."""
    priors = torch.tensor([[0.0, 0, 4, 2], [4, 0, 8, 2], [20, 0, 24, 2], [40, 0, 44, 2], [3, 0, 8, 8]])
    cells = InstanceData(bboxes=torch.tensor([[0.0, 0, 8, 2], [20, 0, 24, 2]]), labels=torch.tensor([2, 1]))
    result = CrowdMaxIoUAssigner(**ANCHORS).assign(InstanceData(priors=priors), cells)
    assert result.gt_inds.tolist() == [1, 1, 2, 0, 0]
    assert result.labels.tolist() == [2, 2, 1, -1, -1]
    assert result.max_overlaps.tolist() == [0.5, 0.5, 1, 0, pytest.approx(10 / 46)]
    result = CrowdMaxIoUAssigner(**PROPOSALS | dict(pos_iou_thr=0.6)).assign(InstanceData(priors=priors), cells)
    assert result.gt_inds.tolist() == [-1, -1, 2, 0, 0]


corners = st.integers(0, 12).map(float)
some_boxes = st.lists(st.tuples(corners, corners, corners, corners), min_size=1, max_size=20).map(torch.tensor)


@given(priors=some_boxes, boxes=some_boxes, settings=st.sampled_from([ANCHORS, PROPOSALS, BAND]))
def test_equal_and_inside_out_boxes_are_assigned_as_mmdetection_does(
    priors: torch.Tensor, boxes: torch.Tensor, settings: dict
) -> None:
    check_same(*assign_both(settings, priors, InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)))))


@pytest.mark.parametrize('settings', [ANCHORS, PROPOSALS, BAND])
@pytest.mark.parametrize('cells', [1, 7, 300])
def test_anchors_of_a_whole_image_are_assigned_as_mmdetection_does(settings: dict, cells: int) -> None:
    pred, gt = scene(cells, seed=3, size=(512, 640))
    centres = pred.priors[:, :2].repeat_interleave(3, dim=0)
    halves = pred.priors[:, 2:].repeat_interleave(3, dim=0) * torch.tensor([[1.0, 2], [1, 1], [2, 1]]).repeat(
        len(pred.priors), 1
    )
    ours, theirs = assign_both(settings, torch.cat([centres - halves, centres + halves], dim=1), gt)
    check_same(ours, theirs)
    assert (ours.gt_inds == 0).any()
    assert cells < 300 or (ours.gt_inds > 0).any()


def test_what_the_compiled_loop_is_not_made_for() -> None:
    priors, cells = boxes_of(4, 0), boxes_of(3, 1)
    assert CrowdMaxIoUAssigner(**ANCHORS)._can_compile(priors, cells)
    assert not CrowdMaxIoUAssigner(**ANCHORS)._can_compile(priors * torch.nan, cells)
    assert not CrowdMaxIoUAssigner(**ANCHORS)._can_compile(priors.double(), cells)
    assert not CrowdMaxIoUAssigner(**ANCHORS)._can_compile(priors, cells[:0])
    assert not CrowdMaxIoUAssigner(**ANCHORS | dict(min_pos_iou=0))._can_compile(priors, cells)
    assert not CrowdMaxIoUAssigner(**ANCHORS, gt_max_assign_all=False)._can_compile(priors, cells)
    gt = InstanceData(bboxes=cells, labels=torch.zeros(3, dtype=torch.long))
    settings = ANCHORS | dict(min_pos_iou=0)
    check_same(*(a(**settings).assign(InstanceData(priors=priors), gt) for a in (CrowdMaxIoUAssigner, MaxIoUAssigner)))
