"""Validation of a detector that predicts boxes and no masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.engine.config import load_config
from sartorius.engine.hooks import attach_chain
from sartorius.engine.metrics import BoxMetric
from sartorius.masks.crop import MaskCrop
from sartorius.models.outputs import box_limits, to_image_predictions
from sartorius.postprocess.chain import build_chain
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (20, 60)


def sample(image_id: str, boxes: list[list[float]], label: int = 1) -> DetDataSample:
    """A data sample of a detector of boxes alone."""
    result = DetDataSample(metainfo=dict(img_id=image_id, ori_shape=SIZE))
    count = len(boxes)
    result.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.linspace(0.9, 0.5, count),
        labels=torch.full((count,), label),
    )
    return result


def test_predictions_without_masks_have_a_grid_of_0() -> None:
    predictions = to_image_predictions(sample('a', [[0.0, 2, 10, 12]]).to_dict())
    assert predictions.soft_masks.shape == (1, 0, 0) and not predictions.has_masks
    np.testing.assert_array_equal(predictions.boxes, [[0, 2, 10, 12]])


def test_validation_scores_boxes(tmp_path: Path) -> None:
    """Image a has one cell, a tp of the highest score; image b has one that is predicted as another class."""
    crops = [MaskCrop(np.ones((10, 10), dtype=bool), 0, 2)]
    images = [CocoImage(f'{name}.png', SIZE, cells_from_crops(crops, 1, SIZE)) for name in 'ab']
    write_coco(tmp_path / 'gt.json', images, CELL_TYPES, {})
    metric = BoxMetric(str(tmp_path / 'gt.json'), max_cells=10)
    right = [0.0, 2, 10, 12]
    pred = [sample('a', [right, [30.0, 2, 40, 12]]), sample('b', [right], label=2)]
    metric.process(None, [one.to_dict() for one in pred])
    # Of two cells one is a tp, without an fp of a higher score: precision 1 up to a recall of .5, at 51 of 101 points.
    assert metric.evaluate(2) == pytest.approx({f'boxes/{name}': 51 / 101 for name in ('AP', 'AP50', 'AP75', 'astro')})


def test_post_processing_refuses_boxes_alone() -> None:
    class Detector(torch.nn.Module):
        def forward(self, boxes: list[list[float]]) -> list[DetDataSample]:
            return [sample('a', boxes)]

    detector = Detector()
    attach_chain(detector, build_chain([dict(type='RemoveOverlap')]))
    assert len(detector([])[0].cells) == 0
    with pytest.raises(InputError, match=r'the model predicts boxes alone; put _base_/boxes_only\.py into the config'):
        detector([[0.0, 2, 10, 12]])


@pytest.mark.parametrize(('name', 'nms_iou'), [('rtmdet_l', 0.65), ('mrcnn_r50', 0.6)])
def test_limits_of_one_stage_and_of_two(name: str, nms_iou: float) -> None:
    limits = box_limits(load_config(CONFIG_DIR / 'sartorius' / f'{name}.py'))
    assert (limits.max_per_img, limits.nms.iou_threshold) == (1000, nms_iou)
