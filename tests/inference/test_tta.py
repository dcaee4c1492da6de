"""Orientations and their inverses, and test-time augmentation on the model of conftest.py."""

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
from sartorius.inference.inference_config import InferenceOptions, build_inference_config
from sartorius.inference.tta import ORIENTATIONS, CellTTAModel, Orientation, get_orientation
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.outputs import max_cells
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (60, 90)
SMALL = (4, 6)


def box_of(image: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(image)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('none', [1, 0, 3, 1]),
        ('horizontal', [3, 0, 5, 1]),  # 6 px wide: columns 1, 2 become 4, 3
        ('vertical', [1, 3, 3, 4]),  # 4 px high: row 0 becomes row 3
        ('diagonal', [3, 3, 5, 4]),
        ('rot90', [0, 3, 1, 5]),  # counter-clockwise: the top row becomes the left column, read upwards
        ('rot270', [3, 1, 4, 3]),  # clockwise: the top row becomes the right column
        ('transpose', [3, 3, 4, 5]),
        ('antitranspose', [0, 1, 1, 3]),
    ],
)
def test_transformed_box_by_hand(name: str, expected: list[int]) -> None:
    box = np.array([[1, 0, 3, 1]], dtype=np.float32)
    assert ORIENTATIONS[name].apply_boxes(box, SMALL).tolist() == [expected]


@pytest.mark.parametrize('orientation', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_box_follows_the_image(orientation: Orientation) -> None:
    image = np.zeros(SMALL, dtype=np.uint8)
    image[1:3, 0:2] = 1
    transformed = orientation.apply_image(image)
    assert transformed.shape == orientation.apply_size(SMALL)
    assert orientation.apply_boxes(np.array([[0, 1, 2, 3]], np.float32), SMALL).tolist() == [box_of(transformed)]


@pytest.mark.parametrize('orientation', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_boxes_are_inverted(orientation: Orientation) -> None:
    boxes = np.random.default_rng(0).uniform(0, 4, (20, 4)).astype(np.float32)
    np.testing.assert_allclose(orientation.invert_boxes(orientation.apply_boxes(boxes, SMALL), SMALL), boxes, atol=1e-6)


@pytest.mark.parametrize('orientation', ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_soft_masks_are_inverted(orientation: Orientation) -> None:
    masks = np.random.default_rng(0).random((3, 5, 5)).astype(np.float32)
    transformed = np.stack([orientation.apply_image(mask) for mask in masks])
    np.testing.assert_array_equal(orientation.invert_soft_masks(transformed), masks)


def test_all_orientations_differ() -> None:
    image = np.arange(9).reshape(3, 3)
    assert len({orientation.apply_image(image).tobytes() for orientation in ORIENTATIONS.values()}) == 8


def test_unknown_orientation_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="'rot45'.*rot90"):
        get_orientation('rot45')


@pytest.fixture
def image() -> np.ndarray:
    """Two shapes without any symmetry, so that a wrong orientation shows.

    Their boxes are 28 and 56 px long and all edges lie at even pixels, so that the grid can hold them exactly and a
    scale of 1.5 puts edges between pixels.
    """
    image = np.zeros(SIZE, dtype=np.float32)
    image[2:30, 10:22] = 1
    image[24:30, 22:66] = 1
    image[32:60, 60:66] = 1
    image[32:38, 66:88] = 1
    return image


def augmented_batch(image: np.ndarray, names: Sequence[str], scales: Sequence[tuple[int, int]] = ((2, 2),)) -> dict:
    """Every orientation at every scale ``(x, y)``."""
    inputs, samples = [], []
    for name, (x, y) in itertools.product(names, scales):
        pixels = np.kron(ORIENTATIONS[name].apply_image(image), np.ones((y, x), np.float32))
        meta = {
            'ori_shape': SIZE,
            'img_shape': pixels.shape,
            'scale_factor': (float(x), float(y)),
            'tta_orientation': name,
            'img_id': 'blobs',
        }
        inputs.append([torch.from_numpy(pixels)[None]])
        samples.append([DetDataSample(metainfo=meta)])
    return {'inputs': inputs, 'data_samples': samples}


def gt(image: np.ndarray) -> list[MaskCrop]:
    labels, count = ndimage.label(image)
    return [MaskCrop.from_full(labels == number) for number in range(1, count + 1)]


def min_iou(image: np.ndarray, pred: InstanceData) -> float:
    """Minimum over the blobs of the best IoU with a prediction; there must be one prediction per blob."""
    blobs = gt(image)
    assert len(pred) == len(blobs)
    crops = binarise(pred.masks.numpy(), pred.bboxes.numpy(), SIZE)
    return mask_iou(blobs, crops, SIZE).max(axis=1).min()


@pytest.mark.parametrize('scale', [(1, 1), (2, 2), (3, 3), (2, 3)], ids=str)
@pytest.mark.parametrize('name', ORIENTATIONS)
def test_masks_are_transformed_back(
    blob_detector: torch.nn.Module, image: np.ndarray, name: str, scale: tuple[int, int]
) -> None:
    """Also from a scale that is not the same in x and y, which a quarter turn exchanges."""
    pred = CellTTAModel(blob_detector).test_step(augmented_batch(image, [name], [scale]))[0].pred_instances
    assert min_iou(image, pred) == 1


@pytest.mark.parametrize('scales', [[(2, 2)], [(1, 1), (2, 2), (3, 3)], [(1, 2), (3, 1)]], ids=str)
def test_all_orientations_at_several_scales_agree(
    blob_detector: torch.nn.Module, image: np.ndarray, scales: list[tuple[int, int]]
) -> None:
    pred = CellTTAModel(blob_detector).test_step(augmented_batch(image, list(ORIENTATIONS), scales))[0].pred_instances
    assert min_iou(image, pred) == 1


def test_orientations_and_scales_of_a_config_agree(
    blob_detector: torch.nn.Module, image: np.ndarray, tmp_path: Path
) -> None:
    """From the image file through the pipeline that tools/test.py --tta builds, as MMEngine's loader collates it."""
    cv2.imwrite(str(tmp_path / 'blobs.png'), (image * 255).astype(np.uint8))
    config = load_config(CONFIG_DIR / 'sartorius' / 'htc_r50.py', small=True)
    # Larger by 2, 1 and 1.5.
    config.tta_orientations, config.tta_scales = list(ORIENTATIONS), [(180, 120), (90, 60), (135, 90)]
    config = build_inference_config(config, InferenceOptions(tta=True))
    init_default_scope('mmdet')
    augmented = Compose(config.test_dataloader.dataset.pipeline)({'img_path': str(tmp_path / 'blobs.png'), 'img_id': 0})
    data = pseudo_collate([augmented])
    shapes = [tuple(pixels[0].shape[1:]) for pixels in data['inputs']]
    assert len(shapes) == 24 and set(shapes) == {(120, 180), (180, 120), (60, 90), (90, 60), (90, 135), (135, 90)}
    pred = CellTTAModel(blob_detector).test_step(data)[0].pred_instances
    assert min_iou(image, pred) > 0.99


def test_boxes_of_all_passes_are_merged(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    pred = CellTTAModel(blob_detector).test_step(augmented_batch(image, list(ORIENTATIONS)))[0].pred_instances
    boxes = sorted(pred.bboxes.numpy().round(3).tolist())
    assert boxes == [[10, 2, 66, 30], [60, 32, 88, 60]]


def test_image_without_cells(blob_detector: torch.nn.Module) -> None:
    pred = CellTTAModel(blob_detector).test_step(augmented_batch(np.zeros(SIZE, np.float32), ['none', 'rot90']))
    assert len(pred[0].pred_instances) == 0


def test_the_largest_number_of_cells_in_one_pass_is_reported(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    batch = augmented_batch(image, ['none', 'rot90'])
    # One of the two blobs is hidden in the second pass.
    batch['inputs'][1][0][:, :, : 2 * 35] = 0
    sample = CellTTAModel(blob_detector).test_step(batch)[0]
    assert max_cells(sample.to_dict()) == 2
    blob_detector.roi_head.test_cfg = SimpleNamespace(score_thr=0.95, max_per_img=10)
    none_left = CellTTAModel(blob_detector).test_step(batch)[0]
    assert len(none_left.pred_instances) == 0
    assert max_cells(none_left.to_dict()) == 2


def test_one_image_per_batch(blob_detector: torch.nn.Module, image: np.ndarray) -> None:
    batch = augmented_batch(image, ['none'])
    with pytest.raises(InputError, match='one image per batch'):
        CellTTAModel(blob_detector).test_step({key: [value[0] * 2] for key, value in batch.items()})
