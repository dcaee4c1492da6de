"""What must never reach a loss is found, and nothing else is."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.sample_checks import boxes_of, crops_of, find_problems
from sartorius.masks.crop import MaskCrop

SIZE = (20, 30)


def sample_of(boxes: list[list[float]], labels: list[int], masks: CroppedMasks | None = None) -> DetDataSample:
    """A packed sample; masks fill their boxes if none are given."""
    if masks is None:
        crops = [MaskCrop(np.ones((int(y2 - y1), int(x2 - x1)), bool), int(x1), int(y1)) for x1, y1, x2, y2 in boxes]
        masks = CroppedMasks(crops, *SIZE)
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    cells = InstanceData(bboxes=HorizontalBoxes(tensor), labels=torch.tensor(labels), masks=masks)
    return DetDataSample(gt_instances=cells)


def test_a_good_sample_and_an_empty_one() -> None:
    assert find_problems(sample_of([[0, 0, 30, 20], [29, 19, 30, 20]], [0, 2]), SIZE, 3) == []
    assert find_problems(sample_of([], []), SIZE, 3) == []
    assert find_problems(DetDataSample(gt_instances=InstanceData()), SIZE, 3) == []


@pytest.mark.parametrize(
    ('box', 'problem'),
    [
        ([5, 5, 5, 9], 'box without width or height: cell 2'),
        ([5, 9, 8, 9], 'box without width or height: cell 2'),
        ([9, 5, 5, 9], 'box without width or height: cell 2'),
        ([float('nan'), 5, 8, 9], 'box with a coordinate that is not a number: cell 2'),
        ([5, 5, float('inf'), 9], 'box with a coordinate that is not a number: cell 2'),
        ([30, 0, 31, 5], 'box outside the image: cell 2'),
        ([-4, 0, 0, 5], 'box outside the image: cell 2'),
        ([0, 20, 3, 22], 'box outside the image: cell 2'),
    ],
)
def test_boxes(box, problem) -> None:
    masks = CroppedMasks([MaskCrop(np.ones((3, 3), bool), 1, 1)] * 2, *SIZE)
    assert find_problems(sample_of([[1, 1, 4, 4], box], [0, 0], masks), SIZE, 3) == [problem]


def test_labels() -> None:
    sample = sample_of([[1, 1, 4, 4]] * 3, [0, 3, -1])
    assert find_problems(sample, SIZE, 3) == ['label that is not a class: cells 2, 3']
    assert find_problems(sample, SIZE, 4) == ['label that is not a class: cell 3']


@pytest.mark.parametrize('full_size', [False, True])
def test_masks(full_size) -> None:
    crops = [MaskCrop(np.full((3, 3), number == 0), 1, 1) for number in range(8)]
    masks = CroppedMasks(crops, 20, 31)
    sample = sample_of([[1, 1, 4, 4]] * 8, [0] * 8, masks.to_bitmap() if full_size else masks)
    assert find_problems(sample, SIZE, 3) == [
        'masks of 31x20 px on an image of 30x20 px',
        'mask without pixels: cells 2, 3, 4, 5, 6 and 2 more',
    ]


def test_ignored_cells_may_be_anything() -> None:
    sample = sample_of([[1, 1, 4, 4]], [0])
    sample.ignored_instances = sample_of([[5, 5, 5, 5]], [7]).gt_instances
    assert find_problems(sample, SIZE, 3) == []


def test_boxes_and_crops_whatever_they_are_held_in() -> None:
    cells = sample_of([[1, 2, 4, 6]], [0]).gt_instances
    plain = InstanceData(bboxes=cells.bboxes.tensor, masks=cells.masks.to_bitmap())
    for held in (cells, plain):
        assert boxes_of(held).tolist() == [[1, 2, 4, 6]]
        assert [crop.window for crop in crops_of(held)] == [(1, 2, 4, 6)]
        assert crops_of(held)[0].mask.all()
    assert boxes_of(InstanceData()).shape == (0, 4)
    assert crops_of(InstanceData()) == []
    assert [crop.area for crop in crops_of(InstanceData(labels=torch.zeros(2)))] == [0, 0]
