"""IoU in chunks against IoU at once."""

import pytest
import torch
from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmdet.structures.bbox import HorizontalBoxes

from sartorius.models.assigners import ChunkedBboxOverlaps2D


def boxes_of(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand((count, 2), generator=generator) * 50
    return torch.cat([corners, corners + torch.rand((count, 2), generator=generator) * 20], dim=1)


def test_two_boxes_of_which_a_third_is_shared():
    first = torch.tensor([[0.0, 0, 2, 1], [5, 5, 6, 6]])
    second = torch.tensor([[1.0, 0, 3, 1]])
    assert ChunkedBboxOverlaps2D(chunk=1)(first, second).tolist() == [[pytest.approx(1 / 3)], [0]]


@pytest.mark.parametrize('mode', ['iou', 'iof', 'giou'])
@pytest.mark.parametrize(('first', 'second'), [(0, 5), (5, 0), (3, 7), (4, 7), (9, 30), (32, 1)])
def test_equals_all_at_once(mode, first, second):
    boxes = boxes_of(first, 0), boxes_of(second, 1)
    assert torch.equal(ChunkedBboxOverlaps2D(chunk=4)(*boxes, mode), BboxOverlaps2D()(*boxes, mode))


def test_aligned_and_wrapped_boxes():
    first, second = boxes_of(9, 0), boxes_of(9, 1)
    aligned = ChunkedBboxOverlaps2D(chunk=4)(first, second, is_aligned=True)
    assert torch.equal(aligned, BboxOverlaps2D()(first, second).diagonal())
    wrapped = ChunkedBboxOverlaps2D(chunk=4)(HorizontalBoxes(first), HorizontalBoxes(second))
    assert torch.equal(wrapped, BboxOverlaps2D()(first, second))
