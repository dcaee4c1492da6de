"""The predictor: arrays, files and data sets give the same cells, in every inference mode, from untrained models."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.inference import BoxPromptOptions, InferenceOptions, Predictor
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (64, 90)
LIMIT = 12


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    """Grey blotches, uint8."""
    coarse = np.random.default_rng(0).uniform(70, 190, (8, 12)).astype(np.float32)
    return np.rint(cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray) -> Path:
    """The image, its annotations, and boxes of two cells in it."""
    folder = tmp_path_factory.mktemp('predictor')
    cv2.imwrite(str(folder / 'a.png'), image)
    content = {
        'images': [{'id': 1, 'file_name': 'a.png', 'height': SIZE[0], 'width': SIZE[1]}],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(CELL_TYPES)],
        'annotations': [],
    }
    (folder / 'test.json').write_text(json.dumps(content))
    boxes = np.array([[5, 6, 30, 40], [40.5, 3, 88, 60]], dtype=np.float32)
    cells = ImagePredictions(
        'a', SIZE, boxes, np.array([0.5, 0.25], np.float32), np.array([0, 2]), np.zeros((2, 0, 0), np.float32)
    )
    save_predictions(folder / 'boxes.npz', PredictionSet((cells,)))
    return folder


def config_of(name: str, folder: Path) -> Config:
    """A demo config with few candidates, tiles of a part of the image, and the folder's data."""
    config = load_config(CONFIG_DIR / 'sartorius' / f'{name}.py', small=True)
    if 'rcnn' in config.model.test_cfg:
        config.model.test_cfg.rpn.update(nms_pre=100, max_per_img=60)
    # Untrained models have low scores.
    config.model.test_cfg.get('rcnn', config.model.test_cfg).update(score_thr=0.0, max_per_img=LIMIT)
    config.tta_orientations, config.tta_scales = ['none', 'antitranspose'], [2.0]
    config.tiles = dict(size=(50, 60), overlap=20, scale=2.0)
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_dataloader.dataset.update(data_root=str(folder), ann_file=str(folder / 'test.json'))
    return config


@pytest.fixture(scope='module')
def predictor_of(folder: Path) -> Callable[..., Predictor]:
    """Builds a predictor with random weights, the same for every predictor of a config."""

    def build(name: str = 'mrcnn_r50', **options: object) -> Predictor:
        config, checkpoint = config_of(name, folder), folder / f'{name}.pth'
        if not checkpoint.exists():
            init_default_scope('mmdet')
            torch.manual_seed(0)
            model = MODELS.build(config.model)
            if hasattr(model, 'roi_head'):
                # Probabilities from 0 to 1; untrained heads predict 0.5 everywhere.
                torch.nn.init.normal_(model.roi_head.mask_head.conv_logits.weight, std=5)
            torch.save({'state_dict': model.state_dict()}, checkpoint)
        return Predictor(config, checkpoint, InferenceOptions(**options), device='cpu')

    return build


def assert_same_bytes(pred: ImagePredictions, expected: ImagePredictions) -> None:
    assert (pred.image_id, pred.size) == (expected.image_id, expected.size)
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        ours, theirs = getattr(pred, name), getattr(expected, name)
        assert (ours.shape, ours.tobytes()) == (theirs.shape, theirs.tobytes()), name


def predict_dataset(predictor: Predictor, out: Path) -> ImagePredictions:
    """The one image of the data set, from the predictions file that MMEngine's loop writes."""
    metrics = predictor.predict_dataset(dict(type='DumpPredictions', out=str(out), classes=CELL_TYPES), out.parent)
    (image,) = load_predictions(out, boxes_allowed=True).images
    assert metrics == {'images': 1, 'cells': len(image)}
    return image


MODES = [
    pytest.param({}, id='one pass'),
    pytest.param({'tta': True}, id='TTA'),
    pytest.param({'tiles': True}, id='tiles', marks=pytest.mark.slow),
    pytest.param({'tta': True, 'tiles': True}, id='TTA of tiles', marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize('modes', MODES)
def test_array_file_and_data_set_give_the_same_cells(
    predictor_of: Callable[..., Predictor], folder: Path, image: np.ndarray, tmp_path: Path, modes: dict[str, bool]
) -> None:
    predictor = predictor_of(**modes)
    pred = predictor.predict_array(image, 'a')
    assert LIMIT <= len(pred) <= 4 * LIMIT and pred.soft_masks.std() > 0.1
    assert_same_bytes(predictor.predict_file(folder / 'a.png'), pred)
    assert_same_bytes(predict_dataset(predictor, tmp_path / 'predictions.npz'), pred)


@pytest.mark.slow
def test_box_prompts_are_those_of_the_image_id(
    predictor_of: Callable[..., Predictor], folder: Path, image: np.ndarray, tmp_path: Path
) -> None:
    prompts = BoxPromptOptions(str(folder / 'boxes.npz'), str(folder / 'test.json'), CELL_TYPES)
    predictor = predictor_of(tta=True, boxes=prompts)
    pred = predictor.predict_array(image, 'a')
    given = load_predictions(folder / 'boxes.npz', boxes_allowed=True).images[0]
    for name in ('boxes', 'scores', 'labels'):
        np.testing.assert_array_equal(getattr(pred, name), getattr(given, name))
    assert pred.has_masks
    assert_same_bytes(predict_dataset(predictor, tmp_path / 'predictions.npz'), pred)
    assert len(predictor.predict_array(image, 'another')) == 0


def test_one_stage_detector_predicts_boxes_alone(
    predictor_of: Callable[..., Predictor], folder: Path, image: np.ndarray
) -> None:
    predictor = predictor_of('rtmdet_l', tta=True)
    pred = predictor.predict_array(image, 'a')
    assert len(pred) == LIMIT and not pred.has_masks
    assert_same_bytes(predictor.predict_file(folder / 'a.png'), pred)


def test_grey_is_three_equal_channels(predictor_of: Callable[..., Predictor], image: np.ndarray) -> None:
    predictor = predictor_of()
    pred = predictor.predict_array(image)
    assert_same_bytes(predictor.predict_array(np.repeat(image[:, :, None], 3, axis=2)), pred)


def test_colours_and_memory_layout_of_an_array(predictor_of: Callable[..., Predictor], folder: Path) -> None:
    """Three of six channels, against the same pixels in a file."""
    colours = np.random.default_rng(1).integers(0, 256, (*SIZE, 6), dtype=np.uint8)[:, :, ::2]
    cv2.imwrite(str(folder / 'colours.png'), colours)
    predictor = predictor_of()
    pred = predictor.predict_file(folder / 'colours.png')
    assert_same_bytes(predictor.predict_array(colours, 'colours'), pred)
    swapped = predictor.predict_array(colours[:, :, ::-1], 'colours')
    assert swapped.boxes.tobytes() != pred.boxes.tobytes()


def test_other_scales_and_modes_share_the_weights(predictor_of: Callable[..., Predictor], image: np.ndarray) -> None:
    predictor = predictor_of()
    same = predictor.at_scale(1.0, InferenceOptions())
    pred, report = same.predict_with_report(image)
    assert same.model is predictor.model and (report.limit_reached, report.cut_cells) == (True, 0)
    assert_same_bytes(pred, predictor.predict_array(image))
    tiled = predictor.at_scale(0.5, InferenceOptions(tiles=True))
    assert tiled.model.module is predictor.model and tiled.model.tile_size == (100, 120)
    in_tiles, report = tiled.predict_with_report(image)
    assert in_tiles.size == SIZE and report.cut_cells == 0
    # An image no larger than a tile is one tile.
    assert_same_bytes(in_tiles, predictor.at_scale(0.5, InferenceOptions()).predict_array(image))


def test_ids_of_files_and_arrays(predictor_of: Callable[..., Predictor], folder: Path, image: np.ndarray) -> None:
    predictor = predictor_of()
    assert predictor.predict_file(folder / 'a.png', image_id='plate/a').image_id == 'plate/a'
    assert predictor.predict_array(image).image_id == 'image'


@pytest.mark.parametrize(
    ('shape', 'dtype', 'message'),
    [
        ((4, 5), np.float32, 'image x: float32 values; convert them to uint8'),
        ((4, 5), np.uint16, 'image x: uint16 values; convert them to uint8 .*to_uint8'),
        ((4, 5, 4), np.uint8, r'image x: an array of shape \(4, 5, 4\); it must be'),
        ((4,), np.uint8, r'image x: an array of shape \(4,\)'),
        ((1, 4, 5, 3), np.uint8, r'image x: an array of shape \(1, 4, 5, 3\)'),
        ((0, 5), np.uint8, r'image x: an array of shape \(0, 5\)'),
    ],
)
def test_arrays_that_are_refused(
    predictor_of: Callable[..., Predictor], shape: tuple[int, ...], dtype: type, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predictor_of().predict_array(np.zeros(shape, dtype), 'x')


def test_file_that_cannot_be_read(predictor_of: Callable[..., Predictor], tmp_path: Path) -> None:
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(InputError, match=r'a\.png is truncated, damaged or not a PNG, TIFF, JPEG or BMP'):
        predictor_of().predict_file(tmp_path / 'a.png')


def test_checkpoint_of_another_model(folder: Path, tmp_path: Path, image: np.ndarray) -> None:
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(64, 3, 7, 7)}}, tmp_path / 'other.pth')
    predictor = Predictor(config_of('mrcnn_r50', folder), tmp_path / 'other.pth', device='cpu')
    message = (
        r'other\.pth: does not fit the config \(backbone\.conv1\.weight is float32 of shape .* in the model\); use the'
    )
    with pytest.raises(InputError, match=message):
        predictor.predict_array(image)


def test_array_in_place_of_another_loading_step(folder: Path, tmp_path: Path, image: np.ndarray) -> None:
    config = config_of('mrcnn_r50', folder)
    config.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')
    with pytest.raises(InputError, match='begins with LoadImageFromFile; arrays can only stand in for LoadCellImage'):
        Predictor(config, tmp_path / 'none.pth', device='cpu').predict_array(image)


def test_predictor_of_files(folder: Path) -> None:
    predictor = Predictor.from_files(CONFIG_DIR / 'livecell' / 'mrcnn_r50.py', folder / 'none.pth')
    assert predictor.classes == ('A172', 'BT474', 'BV2', 'Huh7', 'MCF7', 'SHSY5Y', 'SkBr3', 'SKOV3')
    with pytest.raises(InputError, match=r'nothing\.py: no such config'):
        Predictor.from_files(folder / 'nothing.py', folder / 'none.pth')
    with pytest.raises(InputError, match=r'none\.pth: no such checkpoint'):
        _ = predictor.model
