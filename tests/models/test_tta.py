"""Test-time augmentation on a model whose answer is known: it finds bright blobs and draws them exactly."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.tta import CellTTAModel
from sartorius.predictions.views import VIEWS
from sartorius.utils.errors import InputError

SIZE = (60, 90)
SCALE = 2
GRID = 28


class BlobRoIHead:
    """Boxes are those of the connected bright regions; a mask is the image itself, sampled on the RoI grid."""

    test_cfg = SimpleNamespace(score_thr=0.05, max_per_img=10)

    def predict_bbox(self, features, metas, proposals, rcnn_test_cfg, rescale):
        image = features[0][0, 0].numpy() > 0.5
        labels, _ = ndimage.label(image)
        boxes = [[x.start, y.start, x.stop, y.stop] for y, x in ndimage.find_objects(labels)]
        scale = torch.tensor(metas[0]['scale_factor']).repeat(2)
        found = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) / scale,
            scores=torch.full((len(boxes),), 0.9),
            labels=torch.zeros(len(boxes), dtype=torch.int64),
        )
        return [found]

    def predict_mask(self, features, metas, results, rescale):
        grids = []
        height, width = features[0].shape[-2:]
        for x1, y1, x2, y2 in results[0].bboxes:
            centres = (torch.arange(GRID) + 0.5) / GRID
            xs = (x1 + centres * (x2 - x1)) / width * 2 - 1
            ys = (y1 + centres * (y2 - y1)) / height * 2 - 1
            grid = torch.stack(torch.meshgrid(ys, xs, indexing='ij')[::-1], dim=-1)[None]
            grids.append(torch.nn.functional.grid_sample(features[0], grid, align_corners=False)[0, 0])
        results[0].masks = torch.stack(grids)
        return results


class BlobDetector(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.roi_head = BlobRoIHead()
        self.rpn_head = SimpleNamespace(predict=lambda features, samples, rescale: None)

    def test_step(self, data):
        raise AssertionError('test-time augmentation goes around it')

    def data_preprocessor(self, data, training):
        return {'inputs': torch.stack(data['inputs']).float(), 'data_samples': data['data_samples']}

    def extract_feat(self, inputs):
        return (inputs,)


@pytest.fixture
def image() -> np.ndarray:
    """Two shapes without any symmetry, so that a wrong turn shows."""
    image = np.zeros(SIZE, dtype=np.float32)
    image[5:30, 10:22] = 1
    image[24:30, 22:50] = 1
    image[40:58, 60:66] = 1
    image[40:46, 66:88] = 1
    return image


def view_batch(image: np.ndarray, names: list[str]) -> dict:
    inputs, samples = [], []
    for name in names:
        turned = VIEWS[name].image(image)
        shown = np.kron(turned, np.ones((SCALE, SCALE), np.float32))
        meta = {
            'ori_shape': SIZE,
            'img_shape': shown.shape,
            'scale_factor': (float(SCALE), float(SCALE)),
            'tta_view': name,
            'img_path': 'train/blobs.png',
        }
        inputs.append([torch.from_numpy(shown)[None]])
        samples.append([DetDataSample(metainfo=meta)])
    return {'inputs': inputs, 'data_samples': samples}


def truth(image: np.ndarray) -> list[MaskCrop]:
    labels, count = ndimage.label(image)
    return [MaskCrop.from_full(labels == number) for number in range(1, count + 1)]


@pytest.mark.parametrize('names', [[name] for name in VIEWS] + [list(VIEWS)], ids=[*VIEWS, 'all'])
def test_masks_come_back_where_they_were(image: np.ndarray, names: list[str]) -> None:
    sample = CellTTAModel(BlobDetector()).test_step(view_batch(image, names))[0]
    found = sample.pred_instances
    crops = binarise(found.masks.numpy(), found.bboxes.numpy(), SIZE, np.full(len(found), 0.5))
    best = mask_iou(truth(image), crops, SIZE).max(axis=1)
    assert len(found) == 2
    assert best.min() > 0.99


def test_boxes_of_all_views_are_one(image: np.ndarray) -> None:
    found = CellTTAModel(BlobDetector()).test_step(view_batch(image, list(VIEWS)))[0].pred_instances
    boxes = sorted(found.bboxes.numpy().round(3).tolist())
    assert boxes == [[10, 5, 50, 30], [60, 40, 88, 58]]


def test_image_without_cells() -> None:
    found = CellTTAModel(BlobDetector()).test_step(view_batch(np.zeros(SIZE, np.float32), ['none', 'rot90']))
    assert len(found[0].pred_instances) == 0


def test_one_image_a_batch(image: np.ndarray) -> None:
    batch = view_batch(image, ['none'])
    with pytest.raises(InputError, match='one image a batch'):
        CellTTAModel(BlobDetector()).test_step({key: [value[0] * 2] for key, value in batch.items()})
