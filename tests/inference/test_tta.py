"""Test-time augmentation on the model of conftest.py, which finds bright blobs and draws them exactly."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from scipy import ndimage

from sartorius.engine.config import load_config
from sartorius.engine.inference_mode import set_inference_mode
from sartorius.inference.orientations import ORIENTATIONS
from sartorius.inference.tta import CellTTAModel
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.outputs import max_cells
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (60, 90)


@pytest.fixture
def image() -> np.ndarray:
    """Two shapes without any symmetry, so that a wrong turn shows.

    Their boxes are 28 and 56 px long and all edges lie at even pixels, so that the grid can hold them exactly and a
    scale of 1.5 puts edges between pixels.
    """
    image = np.zeros(SIZE, dtype=np.float32)
    image[2:30, 10:22] = 1
    image[24:30, 22:66] = 1
    image[32:60, 60:66] = 1
    image[32:38, 66:88] = 1
    return image


def view_batch(image: np.ndarray, names: Sequence[str], scales: Sequence[tuple[int, int]] = ((2, 2),)) -> dict:
    """Every view at every scale ``(x, y)``."""
    inputs, samples = [], []
    for name, (x, y) in itertools.product(names, scales):
        shown = np.kron(ORIENTATIONS[name].image(image), np.ones((y, x), np.float32))
        meta = {
            'ori_shape': SIZE,
            'img_shape': shown.shape,
            'scale_factor': (float(x), float(y)),
            'tta_orientation': name,
            'img_id': 'blobs',
        }
        inputs.append([torch.from_numpy(shown)[None]])
        samples.append([DetDataSample(metainfo=meta)])
    return {'inputs': inputs, 'data_samples': samples}


def gt(image: np.ndarray) -> list[MaskCrop]:
    labels, count = ndimage.label(image)
    return [MaskCrop.from_full(labels == number) for number in range(1, count + 1)]


def worst_iou(image: np.ndarray, found: InstanceData) -> float:
    """Each true blob's best IoU with a found one, the least of them; every blob must be found once."""
    blobs = gt(image)
    assert len(found) == len(blobs)
    crops = binarise(found.masks.numpy(), found.bboxes.numpy(), SIZE)
    return mask_iou(blobs, crops, SIZE).max(axis=1).min()


@pytest.mark.parametrize('scale', [(1, 1), (2, 2), (3, 3), (2, 3)], ids=str)
@pytest.mark.parametrize('name', ORIENTATIONS)
def test_masks_come_back_where_they_were(
    blob_detector: torch.nn.Module, image: np.ndarray, name: str, scale: tuple[int, int]
) -> None:
    """Also from a scale that is not the same in x and y, which a quarter turn exchanges."""
    found = CellTTAModel(blob_detector).test_step(view_batch(image, [name], [scale]))[0].pred_instances
    assert worst_iou(image, found) == 1


@pytest.mark.parametrize('scales', [[(2, 2)], [(1, 1), (2, 2), (3, 3)], [(1, 2), (3, 1)]], ids=str)
def test_all_views_at_several_scales_agree(
    blob_detector: torch.nn.Module, image: np.ndarray, scales: list[tuple[int, int]]
) -> None:
    found = CellTTAModel(blob_detector).test_step(view_batch(image, list(ORIENTATIONS), scales))[0].pred_instances
    assert worst_iou(image, found) == 1


def test_views_and_scales_of_a_config_agree(blob_detector: torch.nn.Module, image: np.ndarray, tmp_path: Path) -> None:
    """From the image file through the pipeline that tools/test.py --tta makes, as MMEngine's loader gathers it."""
    cv2.imwrite(str(tmp_path / 'blobs.png'), (image * 255).astype(np.uint8))
    config = load_config(CONFIG_DIR / 'demo' / 'htc_r18.py')
    # Larger by 2, 1 and 1.5.
    config.tta_orientations, config.tta_scales = list(ORIENTATIONS), [(180, 120), (90, 60), (135, 90)]
    set_inference_mode(config, tta=True)
    init_default_scope('mmdet')
    views = Compose(config.test_dataloader.dataset.pipeline)({'img_path': str(tmp_path / 'blobs.png'), 'img_id': 0})
    data = pseudo_collate([views])
    shapes = [tuple(shown[0].shape[1:]) for shown in data['inputs']]
    assert len(shapes) == 24 and set(shapes) == {(120, 180), (180, 120), (60, 90), (90, 60), (90, 135), (135, 90)}
    found = CellTTAModel(blob_detector).test_step(data)[0].pred_instances
    assert worst_iou(image, found) > 0.99


def test_boxes_of_all_views_are_one(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    found = CellTTAModel(blob_detector).test_step(view_batch(image, list(ORIENTATIONS)))[0].pred_instances
    boxes = sorted(found.bboxes.numpy().round(3).tolist())
    assert boxes == [[10, 2, 66, 30], [60, 32, 88, 60]]


def test_image_without_cells(blob_detector: torch.nn.Module) -> None:
    found = CellTTAModel(blob_detector).test_step(view_batch(np.zeros(SIZE, np.float32), ['none', 'rot90']))
    assert len(found[0].pred_instances) == 0


def test_the_fullest_view_is_told(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    batch = view_batch(image, ['none', 'rot90'])
    # One of the two blobs is hidden from the second view.
    batch['inputs'][1][0][:, :, : 2 * 35] = 0
    sample = CellTTAModel(blob_detector).test_step(batch)[0]
    assert max_cells(sample.to_dict()) == 2
    blob_detector.roi_head.test_cfg = SimpleNamespace(score_thr=0.95, max_per_img=10)
    none_sure = CellTTAModel(blob_detector).test_step(batch)[0]
    assert len(none_sure.pred_instances) == 0
    assert max_cells(none_sure.to_dict()) == 2


def test_one_image_a_batch(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    batch = view_batch(image, ['none'])
    with pytest.raises(InputError, match='one image a batch'):
        CellTTAModel(blob_detector).test_step({key: [value[0] * 2] for key, value in batch.items()})
