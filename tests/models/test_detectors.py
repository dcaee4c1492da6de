"""Mask R-CNN, Cascade Mask R-CNN and HTC with random weights: training, prediction and test-time augmentation."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads import HybridTaskCascadeRoIHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.engine.config import load_config
from sartorius.engine.mixed_precision import CpuAmpOptimWrapper
from sartorius.inference.box_prompts import BoxPromptedModel
from sartorius.inference.tta import ORIENTATIONS, CellTTAModel
from sartorius.masks.paste import binarise
from sartorius.models.mask_heads import SoftHTCRoIHead
from sartorius.models.outputs import to_image_predictions
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

DETECTORS = ('mrcnn', 'cmrcnn', 'htc')
STOCK_HEADS = {'SoftMaskHead': 'FCNMaskHead', 'SoftHTCMaskHead': 'HTCMaskHead'}
SIZE = (64, 96)
LIMIT = 12


def model_config(name: str, class_agnostic: bool = True, stock: bool = False) -> ConfigDict:
    """The model of a demo config with few candidates; with MMDetection's own mask heads if ``stock``."""
    config = load_config(CONFIG_DIR / 'sartorius' / f'{name}_r50.py', small=True).model
    heads = config.roi_head.mask_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.class_agnostic = class_agnostic
        head.type = STOCK_HEADS[head.type] if stock else head.type
    config.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=40)
    config.test_cfg.rpn.update(nms_pre=100, max_per_img=60)
    config.test_cfg.rcnn.update(max_per_img=LIMIT, mask_thr_binary=0.5)
    return config


def build(config: ConfigDict) -> torch.nn.Module:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    detector = MODELS.build(config)
    heads = detector.roi_head.mask_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        # Probabilities from 0 to 1, where untrained heads say 0.5 everywhere.
        torch.nn.init.normal_(head.conv_logits.weight, std=5)
    return detector.eval()


@pytest.fixture(scope='module', params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> torch.nn.Module:
    return build(model_config(request.param))


def image_of(size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Grey blotches, uint8 ``(3, height, width)``."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 8, 12, generator=generator) * 120 + 70
    return torch.nn.functional.interpolate(coarse, size=size, mode='bicubic')[0].expand(3, -1, -1).round().byte()


def sample_of(size: tuple[int, int], scale: float = 1.0, **more: str) -> DetDataSample:
    input_size = tuple(round(length * scale) for length in size)
    meta = dict(ori_shape=size, img_shape=input_size, scale_factor=(scale, scale), img_id='a', **more)
    return DetDataSample(metainfo=meta)


def batch_of(*bitmaps: np.ndarray, kind: Callable[[np.ndarray], object] = CroppedMasks.from_bitmaps) -> dict:
    """Images and their ground truth, from bitmaps ``(N, height, width)`` of each image."""
    samples = []
    for cells in bitmaps:
        sample = sample_of(cells.shape[1:])
        masks = kind(cells)
        boxes = CroppedMasks.from_bitmaps(cells).get_bboxes().tensor
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(len(cells)) % 3, masks=masks)
        samples.append(sample)
    inputs = [image_of(cells.shape[1:], seed) for seed, cells in enumerate(bitmaps)]
    return {'inputs': inputs, 'data_samples': samples}


def discs(*circles: tuple[int, int, int]) -> np.ndarray:
    """Bitmaps of discs: column, row and radius each."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    bitmaps = [(x - column) ** 2 + (y - row) ** 2 <= radius**2 for column, row, radius in circles]
    return np.array(bitmaps, dtype=np.uint8).reshape(-1, *SIZE)


CELLS = discs((20, 20, 9), (50, 30, 12), (75, 15, 8), (12, 50, 11), (90, 60, 10))
NONE = discs()
ALL = np.ones((1, *SIZE), dtype=np.uint8)
DOTS = discs((40, 30, 0), (0, 0, 0), (95, 63, 0))


def train_step(detector: torch.nn.Module, batch: dict) -> tuple[dict[str, float], torch.nn.Module]:
    """Losses of one step from the detector's weights, and the detector after it."""
    trained = copy.deepcopy(detector).train()
    optimizer = OptimWrapper(torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=1e-3))
    torch.manual_seed(1)
    losses = trained.train_step(copy.deepcopy(batch), optimizer)
    return {name: float(value) for name, value in losses.items()}, trained


def test_crops_train_as_bitmaps_do(detector: torch.nn.Module) -> None:
    def bitmaps(cells: np.ndarray) -> BitmapMasks:
        return BitmapMasks(cells, *cells.shape[1:])

    losses, trained = train_step(detector, batch_of(CELLS, CELLS[1:3]))
    expected, reference = train_step(detector, batch_of(CELLS, CELLS[1:3], kind=bitmaps))
    stages = [name for name in losses if name.endswith('loss_mask')]
    assert len(stages) == (1 if hasattr(detector.roi_head.mask_head, 'loss_mask') else 3)
    assert all(losses[name] > 0 for name in stages)
    assert losses == pytest.approx(expected, rel=1e-3)
    for name, weight in reference.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], weight, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.slow
def test_bfloat16_learns_and_predicts_as_float32_does(detector: torch.nn.Module) -> None:
    """Means of the losses of ten steps, which go other ways after the first, and cells of the image."""
    batch, found, means = batch_of(CELLS), {}, {}
    for wrapper in (OptimWrapper, CpuAmpOptimWrapper):
        trained = copy.deepcopy(detector).train()
        optimizer = wrapper(torch.optim.AdamW(trained.parameters(), lr=1e-3))
        losses = []
        for step in range(10):
            torch.manual_seed(step)
            losses.append(float(trained.train_step(copy.deepcopy(batch), optimizer)['loss']))
        means[wrapper] = np.mean(losses)
        assert np.isfinite(losses).all() and losses[-1] < losses[0]
        with torch.no_grad(), optimizer.optim_context(trained.eval()):
            (sample,) = trained.test_step(dict(inputs=batch['inputs'], data_samples=[sample_of(SIZE)]))
        found[wrapper] = to_image_predictions(sample.to_dict())
    assert means[CpuAmpOptimWrapper] == pytest.approx(means[OptimWrapper], rel=0.1)
    assert all(np.isfinite(cells.soft_masks).all() and len(cells) == LIMIT for cells in found.values())


@pytest.mark.parametrize(
    'bitmaps',
    [
        pytest.param((NONE, NONE), id='no cells at all'),
        pytest.param((NONE, CELLS), id='no cells in one image'),
        pytest.param((ALL,), id='one cell as large as the image'),
        pytest.param((DOTS,), id='cells of one pixel'),
    ],
)
def test_degenerate_cells_leave_losses_and_weights_finite(
    detector: torch.nn.Module, bitmaps: tuple[np.ndarray, ...]
) -> None:
    losses, trained = train_step(detector, batch_of(*bitmaps))
    assert np.isfinite(list(losses.values())).all()
    assert losses['loss'] > 0
    assert all(parameter.isfinite().all() for parameter in trained.parameters())


@pytest.mark.parametrize('class_agnostic', [True, False])
@pytest.mark.parametrize('name', DETECTORS)
def test_pasted_masks_are_those_of_the_stock_heads(name: str, class_agnostic: bool) -> None:
    # The image of 32x48 px is enlarged twice.
    image, size, scale = image_of(SIZE), (SIZE[0] // 2, SIZE[1] // 2), 2.0
    ours = build(model_config(name, class_agnostic))
    stock = build(model_config(name, class_agnostic, stock=True))
    stock.load_state_dict(ours.state_dict())
    pred, expected = (
        model.test_step({'inputs': [image], 'data_samples': [sample_of(size, scale)]})[0].pred_instances
        for model in (ours, stock)
    )
    assert pred.masks.shape == (LIMIT, 28, 28)
    assert pred.masks.min() >= 0 and pred.masks.max() <= 1 and pred.masks.std() > 0.1
    torch.testing.assert_close(pred.bboxes, expected.bboxes)
    crops = binarise(pred.masks.detach().numpy(), pred.bboxes.detach().numpy(), size)
    for crop, bitmap in zip(crops, expected.masks.numpy(), strict=True):
        assert np.count_nonzero(crop.to_full(size) != bitmap) <= 1


def test_no_predictions(detector: torch.nn.Module) -> None:
    """An image without cells, alone and beside one with cells."""
    detector = copy.deepcopy(detector)
    images = [image_of(SIZE, seed) for seed in (0, 1)]
    both = detector.test_step({'inputs': images, 'data_samples': [sample_of(SIZE), sample_of(SIZE)]})
    best = [float(sample.pred_instances.scores.max()) for sample in both]
    # Between the best scores of the two images: one keeps a prediction, the other none.
    detector.roi_head.test_cfg.score_thr = sum(best) / 2
    counts = [
        len(to_image_predictions(sample.to_dict()))
        for sample in detector.test_step({'inputs': images, 'data_samples': [sample_of(SIZE), sample_of(SIZE)]})
    ]
    assert min(counts) == 0 < max(counts)
    empty = counts.index(0)
    alone = detector.test_step({'inputs': [images[empty]], 'data_samples': [sample_of(SIZE)]})[0]
    assert len(to_image_predictions(alone.to_dict())) == 0
    augmented = CellTTAModel(detector).test_step(augmented_batch(images[empty]))[0]
    assert len(to_image_predictions(augmented.to_dict())) == 0


def augmented_batch(image: torch.Tensor, names: tuple[str, ...] = tuple(ORIENTATIONS)) -> dict:
    """An image ``(3, H, W)`` in several orientations."""
    pixels = image.permute(1, 2, 0).numpy()
    turned = [torch.from_numpy(ORIENTATIONS[name].apply_image(pixels)).permute(2, 0, 1) for name in names]
    samples = [sample_of(tuple(image.shape[1:]), tta_orientation=name) for name in names]
    for sample, pixels in zip(samples, turned, strict=True):
        sample.set_metainfo({'img_shape': tuple(pixels.shape[1:])})
    return {'inputs': [[pixels] for pixels in turned], 'data_samples': [[sample] for sample in samples]}


def test_one_pass_alone_is_the_plain_prediction(detector: torch.nn.Module) -> None:
    image = image_of(SIZE)
    plain = detector.test_step({'inputs': [image], 'data_samples': [sample_of(SIZE)]})[0].pred_instances
    # NMS has already removed boxes that overlap by so much.
    tta = CellTTAModel(detector, method='nms', iou_threshold=0.99)
    pred = tta.test_step(augmented_batch(image, ('none',)))[0].pred_instances
    assert len(pred) == len(plain) == LIMIT
    order = plain.scores.argsort(descending=True)
    for field in ('bboxes', 'scores', 'labels', 'masks'):
        torch.testing.assert_close(pred[field], plain[field][order], rtol=1e-4, atol=1e-4, msg=field)


def test_masks_in_its_own_boxes_are_its_own_masks(detector: torch.nn.Module) -> None:
    """The image of 32x48 px is enlarged twice."""
    image, size, scale = image_of(SIZE), (SIZE[0] // 2, SIZE[1] // 2), 2.0
    plain = detector.test_step({'inputs': [image], 'data_samples': [sample_of(size, scale)]})[0].pred_instances
    sample = sample_of(size, scale, tta_orientation='none')
    sample.box_prompts = InstanceData(bboxes=plain.bboxes.detach(), scores=torch.rand(LIMIT), labels=plain.labels)
    batch = {'inputs': [[image]], 'data_samples': [[sample]]}
    pred = BoxPromptedModel(detector).test_step(batch)[0].pred_instances
    torch.testing.assert_close(pred.masks, plain.masks.detach(), rtol=1e-4, atol=1e-4)
    for field in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(pred[field], sample.box_prompts[field], rtol=0, atol=0)


@pytest.mark.parametrize('name', ['rot90', 'antitranspose'])
def test_tta_of_a_turned_image_predicts_the_turned_cells(detector: torch.nn.Module, name: str) -> None:
    """An image and the turned image have the same eight orientations."""
    orientation, image = ORIENTATIONS[name], image_of(SIZE)
    turned_image = torch.from_numpy(orientation.apply_image(image.permute(1, 2, 0).numpy())).permute(2, 0, 1)
    # A network is not equivariant to turns: only all orientations together give the same.
    upright, turned = (
        to_image_predictions(CellTTAModel(detector).test_step(augmented_batch(pixels))[0].to_dict()).by_score()
        for pixels in (image, turned_image)
    )
    assert 1 < len(upright) == len(turned) <= LIMIT
    assert upright.soft_masks.shape[1:] == (28, 28)
    assert 0 <= upright.soft_masks.min() < upright.soft_masks.max() <= 1
    np.testing.assert_allclose(turned.scores, upright.scores, atol=1e-4)
    np.testing.assert_array_equal(turned.labels, upright.labels)
    np.testing.assert_allclose(orientation.invert_boxes(turned.boxes, SIZE), upright.boxes, atol=0.05)
    # A step of the predictions file is 1/255.
    np.testing.assert_allclose(orientation.invert_soft_masks(turned.soft_masks), upright.soft_masks, atol=0.02)


def test_htc_averages_its_stages_where_the_stock_head_takes_the_last() -> None:
    detector = build(model_config('htc'))
    head = detector.roi_head
    rois = torch.tensor([[0.0, 4.0, 6.0, 40.0, 50.0], [0.0, 60.0, 2.0, 90.0, 30.0]])
    with torch.no_grad():
        features = detector.extract_feat(detector.data_preprocessor({'inputs': [image_of(SIZE)]})['inputs'].float())
        stages = [head._mask_forward(stage, features, rois)['mask_preds'] for stage in range(3)]
        last = HybridTaskCascadeRoIHead._mask_forward(head, -1, features, rois, training=False)['mask_preds']
        cells = InstanceData(bboxes=rois[:, 1:], labels=torch.zeros(2, dtype=torch.int64))
        meta = sample_of(SIZE).metainfo
        pred = head.predict_mask(features, [meta], [cells])[0].masks
    assert len(last) == 1
    torch.testing.assert_close(last[0], stages[-1])
    torch.testing.assert_close(pred, torch.stack(stages).sigmoid().mean(dim=0)[:, 0])


def test_htc_has_no_semantic_branch() -> None:
    config = model_config('htc').roi_head
    config.semantic_head = dict(type='FusedSemanticHead')
    with pytest.raises(InputError, match='SoftHTCRoIHead has no semantic branch'):
        SoftHTCRoIHead(**{key: value for key, value in config.items() if key != 'type'})
