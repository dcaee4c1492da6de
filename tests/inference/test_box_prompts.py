"""Masks in given boxes, on the model of conftest.py, which draws what bright pixels a box holds."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.engine.inference_mode import set_inference_mode
from sartorius.inference import forward
from sartorius.inference.box_prompts import BoxPromptedModel
from sartorius.inference.orientations import ORIENTATIONS
from sartorius.inference.tiled_model import TiledModel
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.outputs import to_image_predictions
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.paths import CONFIG_DIR

SIZE = (130, 190)


@pytest.fixture(scope='module')
def config() -> Config:
    init_default_scope('mmdet')
    config = load_config(CONFIG_DIR / 'demo' / 'mrcnn_r18.py')
    # Images are enlarged by 2, and in the other views by 1; tiles by 3, and in the other views by 1.5.
    config.test_dataloader.dataset.pipeline[1].scale = (380, 260)
    config.tta_orientations, config.tta_scales = list(ORIENTATIONS), [(380, 260), (190, 130)]
    config.tiles = dict(size=(70, 80), margin=16, scale=3.0)
    return config


def blobs() -> tuple[np.ndarray, np.ndarray]:
    """An image of 28 px wide shapes without symmetry on a lattice, and their boxes; the grid can hold them exactly."""
    image = np.zeros(SIZE, dtype=np.uint8)
    boxes = []
    for top in range(2, SIZE[0] - 28, 32):
        for left in range(3, SIZE[1] - 28, 31):
            image[top : top + 28, left : left + 10] = 255
            image[top : top + 14, left : left + 28] = 255
            boxes.append([left, top, left + 28, top + 28])
    return image, np.array(boxes, dtype=np.float32)


def given_cells(boxes: np.ndarray) -> ImagePredictions:
    """Boxes without masks, in an order of no rule."""
    rng = np.random.default_rng(0)
    boxes = rng.permutation(boxes)
    return ImagePredictions(
        image_id='blobs',
        size=SIZE,
        boxes=boxes,
        scores=rng.uniform(0, 1, len(boxes)).astype(np.float32),
        labels=rng.integers(0, 3, len(boxes)),
        soft_masks=np.zeros((len(boxes), 0, 0), np.float32),
    )


def predict(
    config: Config, detector: torch.nn.Module, folder: Path, given: ImagePredictions, image: np.ndarray, **ways: bool
) -> ImagePredictions:
    """From the files through the pipeline and the model that tools/test.py --boxes makes."""
    cv2.imwrite(str(folder / 'blobs.png'), image)
    save_predictions(folder / 'boxes.npz', PredictionSet((given,)))
    config = copy.deepcopy(config)
    set_inference_mode(config, boxes=dict(path=str(folder / 'boxes.npz'), annotations='unused.json'), **ways)
    kind = {'BoxPromptedModel': BoxPromptedModel, 'TiledModel': TiledModel}[config.model.pop('type')]
    model = kind(**{**config.model, 'module': detector})
    packed = Compose(config.test_dataloader.dataset.pipeline)(
        {'img_path': str(folder / 'blobs.png'), 'img_id': 'blobs'}
    )
    return to_image_predictions(model.test_step(pseudo_collate([packed]))[0].to_dict())


WAYS = [
    pytest.param({}, id='once and whole'),
    pytest.param({'tta': True}, id='all views at two scales'),
    pytest.param({'tiles': True}, id='in tiles'),
    pytest.param({'tta': True, 'tiles': True}, id='in views of tiles'),
]


@pytest.mark.parametrize('ways', WAYS)
def test_given_cells_get_their_masks_and_keep_all_else(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, ways: dict[str, bool]
) -> None:
    image, boxes = blobs()
    given = given_cells(boxes)
    found = predict(config, blob_detector, tmp_path, given, image, **ways)
    for name in ('boxes', 'scores', 'labels'):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
    crops = binarise(found.soft_masks, found.boxes, SIZE)
    for crop, (x1, y1, x2, y2) in zip(crops, given.boxes.astype(int), strict=True):
        true = np.zeros(SIZE, dtype=bool)
        true[y1:y2, x1:x2] = image[y1:y2, x1:x2] > 0
        assert mask_iou([crop], [MaskCrop.from_full(true)], SIZE)[0, 0] > 0.99


@pytest.mark.parametrize('ways', WAYS)
def test_boxes_that_hold_no_cell_and_boxes_beyond_the_image_are_kept(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, ways: dict[str, bool]
) -> None:
    odd = [[0, 0, 2, 2], [-9, -9, 5, 5], [170, 110, 260, 190], [300, 300, 320, 320], [40, 40, 40, 60], [0, 0, 190, 130]]
    given = given_cells(np.array([*odd, odd[0]], dtype=np.float32))
    found = predict(config, blob_detector, tmp_path, given, blobs()[0], **ways)
    np.testing.assert_array_equal(found.boxes, given.boxes)
    assert np.isfinite(found.soft_masks).all()


@pytest.mark.parametrize('ways', WAYS)
def test_image_without_boxes(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, ways: dict[str, bool]
) -> None:
    """The network need not run."""
    blob_detector.extract_feat = None
    none = given_cells(np.zeros((0, 4), np.float32))
    assert len(predict(config, blob_detector, tmp_path, none, blobs()[0], **ways)) == 0


def test_many_boxes_are_drawn_in_parts(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, boxes = blobs()
    given = given_cells(boxes)
    at_once = predict(config, blob_detector, tmp_path, given, image)
    drawn, draw = [], blob_detector.roi_head.predict_mask

    def predict_mask(features: object, metas: object, results: list, rescale: bool) -> list:
        drawn.append(len(results[0]))
        return draw(features, metas, results, rescale)

    blob_detector.roi_head.predict_mask = predict_mask
    monkeypatch.setattr(forward, 'BOXES_AT_ONCE', 10)
    in_parts = predict(config, blob_detector, tmp_path, given, image)
    assert drawn == [10, 10, 4]
    np.testing.assert_array_equal(in_parts.soft_masks, at_once.soft_masks)
