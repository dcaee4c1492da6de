"""Prediction in tiles on the model of conftest.py, against the same model on the whole image."""

import copy
import itertools
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import InstanceData

from sartorius.engine.config import load_config
from sartorius.inference.inference_config import InferenceOptions, build_inference_config
from sartorius.inference.tiling import TiledModel, cut_tiles
from sartorius.inference.tta import ORIENTATIONS
from sartorius.masks.overlap import mask_iou
from sartorius.masks.paste import binarise
from sartorius.models.outputs import max_cells
from sartorius.predictions.store import quantise
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

Size = tuple[int, int]


@pytest.fixture(scope='module')
def config() -> Config:
    init_default_scope('mmdet')
    return load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py', small=True)


@pytest.fixture
def tiled(config: Config, blob_detector: torch.nn.Module) -> Callable[..., TiledModel]:
    """The model that tools/test.py --tiles builds, around the detector of blobs."""
    blob_detector.roi_head.test_cfg = SimpleNamespace(score_thr=0.05, max_per_img=1000)

    def build(size: Size, overlap: int, scale: float = 1.0, interpolation: str = 'nearest', **more: Any) -> TiledModel:
        changed = copy.deepcopy(config)
        changed.tiles = dict(size=size, overlap=overlap, scale=scale)
        changed.tta_orientations, changed.tta_scales = more.get('orientations'), more.get('scales', [2.0])
        changed.test_dataloader.dataset.pipeline[1].interpolation = interpolation
        changed = build_inference_config(changed, InferenceOptions(tta='orientations' in more, tiles=True))
        assert changed.model.pop('type') == 'TiledModel'
        # The model of blobs has no NMS.
        return TiledModel(**{**changed.model, 'module': blob_detector, 'nms_iou': None})

    return build


def batch_of(image: np.ndarray, scale: int = 1) -> dict[str, list[Any]]:
    """An image ``(H, W)`` as the loader yields it; enlarged by repeating its pixels."""
    pixels = np.kron(image, np.ones((scale, scale), np.uint8))
    meta = dict(ori_shape=image.shape, img_shape=pixels.shape, scale_factor=(scale, scale), img_id='blobs')
    inputs = torch.from_numpy(np.repeat(pixels[None], 3, axis=0))
    return {'inputs': [inputs], 'data_samples': [DetDataSample(metainfo=meta)]}


def as_packed(image: np.ndarray) -> dict[str, list[Any]]:
    """As the pipeline packs it for tiles: without a scale."""
    batch = batch_of(image)
    batch['data_samples'] = [DetDataSample(metainfo={**batch['data_samples'][0].metainfo, 'scale_factor': None})]
    return batch


def draw(size: Size, centres: list[tuple[int, int]], shape: Size = (14, 18)) -> np.ndarray:
    """Shapes without symmetry with their boxes' centres at rows and columns, where they do not touch others."""
    height, width = shape
    blob = np.zeros(shape, dtype=np.uint8)
    blob[:, : width // 3] = 255
    blob[: height // 2] = 255
    blob[-2:, -(width // 6) :] = 0
    image = np.zeros(size, dtype=np.uint8)
    for row, column in centres:
        top, left = row - height // 2, column - width // 2
        window = image[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
        if top >= 0 and left >= 0 and top + height <= size[0] and left + width <= size[1] and not window.any():
            image[top : top + height, left : left + width] = blob
    return image


def on_seams(size: Size, tile_size: Size, overlap: int) -> list[tuple[int, int]]:
    """Places on all crossings of seams, then along the seams, then everywhere."""
    tiles = cut_tiles(size, tile_size, overlap)
    columns, rows = (
        sorted({edge for tile in tiles for edge in tile.core[side::2] if np.isfinite(edge)}) for side in (0, 1)
    )
    crossings = list(itertools.product(map(int, rows), map(int, columns)))
    down, along = range(10, size[0], 17), range(10, size[1], 23)
    return [*crossings, *itertools.product(map(int, rows), along), *itertools.product(down, map(int, columns))] + list(
        itertools.product(down, along)
    )


def assert_same_cells(pred: InstanceData, expected: InstanceData, size: Size, atol: float = 0.0) -> None:
    """The same boxes, and masks that are nearly the same, in any order."""
    assert len(pred) == len(expected)
    if not len(expected):
        # There are no masks of any shape then.
        return
    places = [np.lexsort(cells.bboxes.numpy().round(2).T) for cells in (pred, expected)]
    boxes, expected_boxes = (cells.bboxes.numpy()[place] for cells, place in zip((pred, expected), places, strict=True))
    np.testing.assert_allclose(boxes, expected_boxes, rtol=0, atol=atol)
    crops, expected_crops = (
        binarise(quantise(cells.masks.numpy())[place], cells.bboxes.numpy()[place], size)
        for cells, place in zip((pred, expected), places, strict=True)
    )
    for crop, expected_crop in zip(crops, expected_crops, strict=True):
        assert mask_iou([crop], [expected_crop], size)[0, 0] > 0.99


CASES = [
    pytest.param((40, 50), (60, 80), 40, id='smaller than a tile'),
    pytest.param((60, 80), (60, 80), 40, id='as large as a tile'),
    pytest.param((61, 81), (60, 80), 40, id='one pixel more'),
    pytest.param((100, 120), (60, 80), 40, id='two by two'),
    pytest.param((333, 517), (60, 80), 40, id='not divisible'),
    pytest.param((40, 517), (60, 80), 40, id='one row'),
    pytest.param((300, 300), (100, 90), 60, id='wide overlap'),
    pytest.param((2000, 2000), (520, 704), 256, id='large', marks=pytest.mark.slow),
]


@pytest.mark.slow
@pytest.mark.parametrize(('size', 'tile_size', 'overlap'), CASES)
def test_blobs_on_every_seam_are_those_of_the_whole_image(
    tiled: Callable[..., TiledModel], size: Size, tile_size: Size, overlap: int
) -> None:
    places = on_seams(size, tile_size, overlap)
    image = draw(size, places)
    model = tiled(tile_size, overlap)
    expected = model.module.test_step(batch_of(image))[0].pred_instances
    # All crossings of seams, and more, lie under a blob.
    crossings = len(cut_tiles(size, tile_size, overlap)) - 1
    assert len(expected) > max(crossings / 2, 3)
    sample = model.test_step(as_packed(image))[0]
    assert_same_cells(sample.pred_instances, expected, size)
    assert sample.cut_cells == 0
    assert max_cells(sample.to_dict()) <= len(expected)


@given(
    size=st.tuples(st.integers(20, 260), st.integers(20, 260)),
    tile_size=st.tuples(st.integers(60, 110), st.integers(60, 110)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blobs_anywhere_are_those_of_the_whole_image(
    tiled: Callable[..., TiledModel], size: Size, tile_size: Size, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = np.zeros(size, dtype=np.uint8)
    for _ in range(60):
        shape = tuple(rng.integers(6, 40, 2).tolist())
        part = draw(size, [tuple(rng.integers(0, size).tolist())], shape)
        if _apart(image, part):
            image = np.maximum(image, part)
    model = tiled(tile_size, 40)
    expected = model.module.test_step(batch_of(image))[0].pred_instances
    assert_same_cells(model.test_step(as_packed(image))[0].pred_instances, expected, size)


def _apart(image: np.ndarray, part: np.ndarray) -> bool:
    """Whether the image is dark in the box of a part and one pixel around it."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not rows.size:
        return False
    return not image[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2].any()


@pytest.mark.parametrize('scale', [2.0, 3.0])
def test_enlarged_tiles_predict_the_same(tiled: Callable[..., TiledModel], scale: float) -> None:
    """Also with bilinear interpolation, as in practice, which mixes neighbouring pixels."""
    size, tile_size = (96, 112), (64, 80)
    image = draw(size, on_seams(size, tile_size, 32))
    model = tiled(tile_size, 32, scale, 'bilinear')
    shapes = watch_inputs(model.module)
    expected = model.module.test_step(batch_of(image))[0].pred_instances
    shapes.clear()
    assert_same_cells(model.test_step(as_packed(image))[0].pred_instances, expected, size)
    assert set(shapes) == {(round(64 * scale), round(80 * scale))}


def test_all_orientations_at_two_scales_inside_each_tile(tiled: Callable[..., TiledModel]) -> None:
    size, tile_size = (96, 112), (64, 80)
    image = draw(size, on_seams(size, tile_size, 32))
    # The pipeline's own scale is 2: tiles are enlarged by 1 and by 2.
    model = tiled(tile_size, 32, orientations=list(ORIENTATIONS), scales=[2.0, 4.0])
    expected = model.module.test_step(batch_of(image))[0].pred_instances
    shapes = watch_inputs(model.module)
    pred = model.test_step(as_packed(image))[0].pred_instances
    assert_same_cells(pred, expected, size, atol=1e-3)
    assert set(shapes) == {(64, 80), (80, 64), (128, 160), (160, 128)}
    assert len(shapes) == 16 * len(cut_tiles(size, tile_size, 32))


def watch_inputs(detector: torch.nn.Module, max_alive: int | None = None) -> list[Size]:
    """Sizes of all inputs of the network from now on; fails if features of more than so many inputs are kept."""
    shapes, alive, extract = [], weakref.WeakSet(), detector.extract_feat

    def watched(inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert max_alive is None or len(alive) < max_alive
        features = extract(inputs)
        alive.add(features[0])
        shapes.append(tuple(inputs.shape[-2:]))
        return features

    detector.extract_feat = watched
    return shapes


@pytest.mark.parametrize(('orientations', 'max_alive'), [([], 1), (['none', 'rot90'], 2)])
def test_the_network_holds_one_tile_at_a_time(
    tiled: Callable[..., TiledModel], orientations: list[str], max_alive: int
) -> None:
    image = draw((144, 144), on_seams((144, 144), (80, 80), 40))
    model = tiled((80, 80), 40, **({'orientations': orientations} if orientations else {}))
    shapes = watch_inputs(model.module, max_alive)
    model.test_step(as_packed(image))
    assert set(shapes) == {(80, 80)} and len(shapes) == 9 * max_alive


def test_the_limit_on_cells_holds_for_each_tile(tiled: Callable[..., TiledModel]) -> None:
    image = draw((120, 120), list(itertools.product(range(15, 120, 30), repeat=2)))
    model = tiled((70, 70), 20, orientations=['none'])
    model.module.roi_head.test_cfg.max_per_img = 10
    sample = model.test_step(as_packed(image))[0]
    # Each of four tiles contains four of sixteen whole, and five in part.
    assert len(sample.pred_instances) == 16
    assert max_cells(sample.to_dict()) == 9


def test_a_cell_that_no_tile_contains_is_kept_once_and_counted(tiled: Callable[..., TiledModel]) -> None:
    image = np.zeros((60, 200), dtype=np.uint8)
    image[20:30, 10:190] = 255
    image[40:50, 10:30] = 255
    sample = tiled((60, 80), 40).test_step(as_packed(image))[0]
    assert sample.cut_cells == 1
    boxes = sorted(sample.pred_instances.bboxes.tolist())
    assert len(boxes) == 2 and boxes[0] == [10, 40, 30, 50]
    assert boxes[1][1::2] == [20, 30] and boxes[1][2] - boxes[1][0] == 80


def test_image_without_cells(tiled: Callable[..., TiledModel]) -> None:
    image = np.zeros((100, 130), dtype=np.uint8)
    for more in ({}, {'orientations': ['none', 'vertical']}):
        sample = tiled((60, 80), 40, **more).test_step(as_packed(image))[0]
        assert len(sample.pred_instances) == 0
        assert max_cells(sample.to_dict()) == sample.cut_cells == 0


def test_cells_in_one_tile_alone(tiled: Callable[..., TiledModel]) -> None:
    image = draw((100, 130), [(80, 110)])
    pred = tiled((60, 80), 40).test_step(as_packed(image))[0].pred_instances
    assert pred.bboxes.tolist() == [[101, 73, 119, 87]]


def test_one_image_per_batch(tiled: Callable[..., TiledModel]) -> None:
    batch = as_packed(np.zeros((10, 10), dtype=np.uint8))
    with pytest.raises(InputError, match='one image per batch, not 2'):
        tiled((60, 80), 40).test_step({key: value * 2 for key, value in batch.items()})


@pytest.mark.parametrize('tta', [False, True])
def test_a_checkpoint_of_the_detector_is_loaded_whole(config: Config, tta: bool) -> None:
    changed = build_inference_config(config, InferenceOptions(tta=tta, tiles=True))
    model, trained = MODELS.build(changed.model), MODELS.build(config.model)
    for weight in trained.parameters():
        torch.nn.init.uniform_(weight)
    load_state_dict(model, trained.state_dict(), strict=True)
    for name, weight in trained.state_dict().items():
        torch.testing.assert_close(model.module.state_dict()[name], weight, rtol=0, atol=0, msg=name)
    assert (model.predictor.module if tta else model.predictor) is model.module
