"""Box prompts: boxes are read, reach their image's sample, and get the masks of the model of conftest.py."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.inference import tta
from sartorius.inference.box_prompts import BoxPromptedModel, LoadBoxPrompts, read_box_prompts
from sartorius.inference.inference_config import BoxPromptOptions, InferenceOptions, build_inference_config
from sartorius.inference.tiling import TiledModel
from sartorius.inference.tta import ORIENTATIONS
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.outputs import to_image_predictions
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (130, 190)
BOXES = np.array([[1, 2, 11, 22], [3.25, 4, 9, 9.5]], dtype=np.float32)
SCORES = np.array([0.25, 0.9], dtype=np.float32)


@pytest.fixture(scope='module')
def config() -> Config:
    init_default_scope('mmdet')
    config = load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py', small=True)
    # Images are enlarged by 2 and by 1, tiles by 3 and by 1.5.
    config.test_dataloader.dataset.pipeline[1].scale = (380, 260)
    config.tta_orientations, config.tta_scales = list(ORIENTATIONS), [(380, 260), (190, 130)]
    config.tiles = dict(size=(70, 80), overlap=32, scale=3.0)
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


def prompts_for(boxes: np.ndarray) -> ImagePredictions:
    """Boxes without masks, in random order."""
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
    config: Config, detector: torch.nn.Module, folder: Path, given: ImagePredictions, image: np.ndarray, **modes: bool
) -> ImagePredictions:
    """From the files through the pipeline and the model that tools/test.py --boxes builds."""
    cv2.imwrite(str(folder / 'blobs.png'), image)
    save_predictions(folder / 'boxes.npz', PredictionSet((given,)))
    prompts = BoxPromptOptions(str(folder / 'boxes.npz'), 'unused.json', CELL_TYPES)
    config = build_inference_config(config, InferenceOptions(boxes=prompts, **modes))
    kind = {'BoxPromptedModel': BoxPromptedModel, 'TiledModel': TiledModel}[config.model.pop('type')]
    model = kind(**{**config.model, 'module': detector})
    packed = Compose(config.test_dataloader.dataset.pipeline)(
        {'img_path': str(folder / 'blobs.png'), 'img_id': 'blobs'}
    )
    return to_image_predictions(model.test_step(pseudo_collate([packed]))[0].to_dict())


MODES = [
    pytest.param({}, id='one pass'),
    pytest.param({'tta': True}, id='all orientations at two scales'),
    pytest.param({'tiles': True}, id='tiles'),
    pytest.param({'tta': True, 'tiles': True}, id='TTA of tiles'),
]


@pytest.mark.parametrize('modes', MODES)
def test_prompts_get_their_masks_and_keep_all_else(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, modes: dict[str, bool]
) -> None:
    image, boxes = blobs()
    given = prompts_for(boxes)
    pred = predict(config, blob_detector, tmp_path, given, image, **modes)
    for name in ('boxes', 'scores', 'labels'):
        np.testing.assert_array_equal(getattr(pred, name), getattr(given, name))
    crops = binarise(pred.soft_masks, pred.boxes, SIZE)
    for crop, (x1, y1, x2, y2) in zip(crops, given.boxes.astype(int), strict=True):
        gt = np.zeros(SIZE, dtype=bool)
        gt[y1:y2, x1:x2] = image[y1:y2, x1:x2] > 0
        assert mask_iou([crop], [MaskCrop.from_full(gt)], SIZE)[0, 0] > 0.99


@pytest.mark.parametrize('modes', MODES)
def test_boxes_without_a_cell_and_boxes_beyond_the_image_are_kept(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, modes: dict[str, bool]
) -> None:
    odd = [[0, 0, 2, 2], [-9, -9, 5, 5], [170, 110, 260, 190], [300, 300, 320, 320], [40, 40, 40, 60], [0, 0, 190, 130]]
    given = prompts_for(np.array([*odd, odd[0]], dtype=np.float32))
    pred = predict(config, blob_detector, tmp_path, given, blobs()[0], **modes)
    np.testing.assert_array_equal(pred.boxes, given.boxes)
    assert np.isfinite(pred.soft_masks).all()


@pytest.mark.parametrize('modes', MODES)
def test_image_without_boxes(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, modes: dict[str, bool]
) -> None:
    """The network need not run."""
    blob_detector.extract_feat = None
    none = prompts_for(np.zeros((0, 4), np.float32))
    assert len(predict(config, blob_detector, tmp_path, none, blobs()[0], **modes)) == 0


def test_masks_of_many_boxes_are_predicted_in_batches(
    config: Config, blob_detector: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, boxes = blobs()
    given = prompts_for(boxes)
    in_one_batch = predict(config, blob_detector, tmp_path, given, image)
    batches, predict_one_batch = [], blob_detector.roi_head.predict_mask

    def predict_mask(features: object, metas: object, results: list, rescale: bool) -> list:
        batches.append(len(results[0]))
        return predict_one_batch(features, metas, results, rescale)

    blob_detector.roi_head.predict_mask = predict_mask
    monkeypatch.setattr(tta, 'BOXES_PER_BATCH', 10)
    in_batches = predict(config, blob_detector, tmp_path, given, image)
    assert batches == [10, 10, 4]
    np.testing.assert_array_equal(in_batches.soft_masks, in_one_batch.soft_masks)


def two_cells(grid: int) -> ImagePredictions:
    masks = np.ones((2, grid, grid), np.float32)
    return ImagePredictions('a', (40, 50), BOXES, SCORES, np.array([0, 1]), masks)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Images a and b; category ids in an order of their own."""
    path = tmp_path / 'test.json'
    images = [
        {'id': number, 'file_name': f'test/{name}.png', 'image_id': name, 'height': 40, 'width': 50}
        for number, name in ((7, 'a'), (8, 'b'))
    ]
    categories = [{'id': number, 'name': name} for number, name in enumerate(['cort', 'shsy5y', 'astro'], start=1)]
    path.write_text(json.dumps({'images': images, 'categories': categories}))
    return path


def write_results(path: Path, **changes: object) -> Path:
    results = [
        {'image_id': 7, 'category_id': 2, 'bbox': [1, 2, 10, 20], 'score': 0.25},
        {'image_id': 'a', 'category_id': 3, 'bbox': [3.25, 4, 5.75, 5.5], 'score': 0.9, **changes},
    ]
    path.write_text(json.dumps(results))
    return path


@pytest.mark.parametrize('kind', ['boxes alone', 'with masks', 'COCO results'])
def test_boxes_scores_and_labels_are_read_and_masks_are_not_needed(
    tmp_path: Path, annotations: Path, kind: str
) -> None:
    if kind == 'COCO results':
        path = write_results(tmp_path / 'yolo.json')
    else:
        path = tmp_path / 'boxes.npz'
        save_predictions(path, PredictionSet((two_cells(0 if kind == 'boxes alone' else 7),)))
    read = read_box_prompts(path, annotations, CELL_TYPES)
    image = read.by_id()['a']
    np.testing.assert_array_equal(image.boxes, BOXES)
    np.testing.assert_array_equal(image.scores, SCORES)
    assert [read.classes[label] for label in image.labels] == ['shsy5y', 'astro']
    assert read.classes == CELL_TYPES


def test_labels_are_matched_by_name(tmp_path: Path, annotations: Path) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((two_cells(0),), ('cort', 'astro')))
    image = read_box_prompts(tmp_path / 'boxes.npz', annotations, CELL_TYPES).images[0]
    assert [CELL_TYPES[label] for label in image.labels] == ['cort', 'astro']


def test_class_that_the_model_does_not_have(tmp_path: Path, annotations: Path) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((two_cells(0),), ('cort', 'astr')))
    with pytest.raises(InputError, match=r"boxes\.npz: class 'astr' is none of the model; did you mean 'astro'"):
        read_box_prompts(tmp_path / 'boxes.npz', annotations, CELL_TYPES)


def test_results_of_an_image_that_is_not_predicted(tmp_path: Path, annotations: Path) -> None:
    path = write_results(tmp_path / 'yolo.json', image_id='c')
    with pytest.raises(InputError, match=r"yolo\.json: result 1: image_id 'c' is not in the COCO dataset"):
        read_box_prompts(path, annotations, CELL_TYPES)


def test_file_of_something_else(tmp_path: Path, annotations: Path) -> None:
    (tmp_path / 'boxes.npz').write_bytes(b'no archive')
    with pytest.raises(InputError, match=r'boxes\.npz: truncated, damaged or no predictions file'):
        read_box_prompts(tmp_path / 'boxes.npz', annotations, CELL_TYPES)


@pytest.mark.parametrize('augmented', [None, 3])
def test_boxes_reach_the_sample_of_their_image(tmp_path: Path, annotations: Path, augmented: int | None) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((two_cells(0),)))
    load = LoadBoxPrompts(str(tmp_path / 'boxes.npz'), str(annotations), CELL_TYPES)

    def prompts_of(name: str) -> object:
        samples = [DetDataSample(metainfo={'img_id': name}) for _ in range(augmented or 1)]
        load.transform({'data_samples': samples if augmented else samples[0]})
        return samples[0].box_prompts

    prompts = prompts_of('a')
    assert prompts.bboxes.tolist() == BOXES.tolist()
    assert prompts.scores.tolist() == SCORES.tolist() and prompts.labels.tolist() == [0, 1]
    assert (prompts.bboxes.dtype, prompts.labels.dtype) == (torch.float32, torch.int64)
    # Changing a sample does not change the next one of the image.
    prompts.bboxes += 1
    assert prompts_of('a').bboxes.tolist() == BOXES.tolist()
    nothing = prompts_of('b')
    assert len(nothing) == 0 and nothing.bboxes.shape == (0, 4)
