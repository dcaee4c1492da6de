"""What MMDetection does with masks, from its transforms to its losses: the same with CroppedMasks and BitmapMasks."""

import copy
import random
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, mask_target
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.masks import coco_rle
from sartorius.masks.crop import MaskCrop

HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope='module', autouse=True)
def _mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def record(tmp_path_factory) -> dict[str, Any]:
    """What a data set hands to its pipeline: a grey image of 25 cells, some of them cut by its border."""
    rng = np.random.default_rng(5)
    grey = rng.normal(128, 6, (HEIGHT, WIDTH))
    instances = []
    for number in range(25):
        bitmap = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        center = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        axes = tuple(rng.integers(3, 14, size=2).tolist())
        cv2.ellipse(bitmap, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        grey[bitmap > 0] += rng.uniform(20, 60)
        crop = MaskCrop.from_full(bitmap > 0)
        mask = coco_rle.encode(crop, (HEIGHT, WIDTH))
        flag = int(number == 7)
        instances.append({'bbox': list(crop.window), 'bbox_label': number % 3, 'ignore_flag': flag, 'mask': mask})
    path = tmp_path_factory.mktemp('images') / 'cells.png'
    assert cv2.imwrite(str(path), np.clip(grey, 0, 255).astype(np.uint8))
    return {'img_path': str(path), 'img_id': 0, 'height': HEIGHT, 'width': WIDTH, 'instances': instances}


def run(loaders: list[Any], transforms: list[dict[str, Any]], record: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Loads and transforms the record with a seed of the generators that MMDetection's transforms draw from."""
    np.random.seed(seed)
    random.seed(seed)
    pipeline = Compose([*loaders, *(TRANSFORMS.build(transform) for transform in transforms)])
    return pipeline(copy.deepcopy(record))


def run_both(transforms: list[dict[str, Any]], record: dict[str, Any], seed: int = 0) -> list[dict[str, Any]]:
    ours = run([LoadCellImage(), LoadCellAnnotations()], transforms, record, seed)
    theirs = run([LoadImageFromFile(), LoadAnnotations(with_mask=True)], transforms, record, seed)
    return [ours, theirs]


def assert_same_but_masks(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    np.testing.assert_array_equal(ours['img'], theirs['img'])
    assert ours['img_shape'] == theirs['img_shape']
    assert torch.equal(ours['gt_bboxes'].tensor, theirs['gt_bboxes'].tensor)
    np.testing.assert_array_equal(ours['gt_bboxes_labels'], theirs['gt_bboxes_labels'])
    np.testing.assert_array_equal(ours['gt_ignore_flags'], theirs['gt_ignore_flags'])
    assert type(ours['gt_masks']) is CroppedMasks
    assert type(theirs['gt_masks']) is BitmapMasks


EXACT = {
    'load alone': [],
    'resize': [{'type': 'Resize', 'scale': (333, 200), 'keep_ratio': True}],
    'shrink': [{'type': 'Resize', 'scale': (71, 33), 'keep_ratio': True}],
    'resize to a shape': [{'type': 'Resize', 'scale': (101, 187), 'keep_ratio': False}],
    'random resize': [{'type': 'RandomResize', 'scale': (200, 150), 'ratio_range': (0.5, 2), 'keep_ratio': True}],
    'random choice': [{'type': 'RandomChoiceResize', 'scales': [(200, 100), (333, 200)], 'keep_ratio': True}],
    'flip': [{'type': 'RandomFlip', 'prob': 1.0}],
    'flips': [{'type': 'RandomFlip', 'prob': [0.3, 0.3, 0.3], 'direction': ['horizontal', 'vertical', 'diagonal']}],
    'pad': [{'type': 'Pad', 'size_divisor': 32}],
    'crop': [{'type': 'RandomCrop', 'crop_size': (40, 50), 'recompute_bbox': True}],
    'expand': [{'type': 'Expand', 'prob': 1.0}],
    'min iou crop': [{'type': 'MinIoURandomCrop', 'min_crop_size': 0.3}],
    'translate': [{'type': 'TranslateX', 'max_mag': 0.3}, {'type': 'TranslateY', 'max_mag': 0.3}],
    'filter': [{'type': 'FilterAnnotations', 'min_gt_bbox_wh': (12, 12), 'by_mask': True, 'min_gt_mask_area': 200}],
    'cutout': [{'type': 'CutOut', 'n_holes': 3, 'cutout_shape': (9, 9)}],
    'several': [
        {'type': 'RandomResize', 'scale': (200, 150), 'ratio_range': (0.5, 2), 'keep_ratio': True},
        {'type': 'RandomCrop', 'crop_size': (64, 64), 'allow_negative_crop': True},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'Pad', 'size': (96, 80)},
        {'type': 'FilterAnnotations', 'by_mask': True},
    ],
}


@pytest.mark.parametrize('name', EXACT)
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_transforms_that_are_exact(record, name, seed):
    ours, theirs = run_both(EXACT[name], record, seed)
    assert_same_but_masks(ours, theirs)
    np.testing.assert_array_equal(ours['gt_masks'].to_ndarray(), theirs['gt_masks'].to_ndarray())


@pytest.mark.parametrize('name', ['Rotate', 'ShearX', 'ShearY'])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_transforms_that_interpolate(record, name, seed):
    ours, theirs = run_both([{'type': name, 'level': 7}], record, seed)
    assert_same_but_masks(ours, theirs)
    different = np.count_nonzero(ours['gt_masks'].to_ndarray() != theirs['gt_masks'].to_ndarray())
    assert different <= 0.002 * theirs['gt_masks'].areas.sum()


@pytest.fixture(scope='module')
def samples(record) -> list[dict[str, Any]]:
    """Two packed training samples of different sizes, ours first."""
    transforms = [
        {'type': 'RandomChoiceResize', 'scales': [(160, 120), (333, 140)], 'keep_ratio': True},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PackDetInputs'},
    ]
    pairs = [run_both(transforms, record, seed) for seed in (0, 1)]
    return [[pair[kind] for pair in pairs] for kind in (0, 1)]


def masks_of(sample: DetDataSample) -> Any:
    return sample.gt_instances.masks


def test_packed_samples(samples):
    for ours, theirs in zip(*samples, strict=True):
        assert torch.equal(ours['inputs'], theirs['inputs'])
        one, other = ours['data_samples'], theirs['data_samples']
        assert type(masks_of(one)) is CroppedMasks
        assert len(masks_of(one)) == 24
        assert len(one.ignored_instances.masks) == 1
        np.testing.assert_array_equal(masks_of(one).to_ndarray(), masks_of(other).to_ndarray())
        assert torch.equal(one.gt_instances.bboxes.tensor, other.gt_instances.bboxes.tensor)
        assert torch.equal(one.gt_instances.labels, other.gt_instances.labels)


def test_data_loader_workers(record):
    pipeline = Compose([LoadCellImage(), LoadCellAnnotations(), PackDetInputs()])

    class Records(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, Any]:
            return pipeline(copy.deepcopy(record))

    loader = DataLoader(Records(), batch_size=2, num_workers=1, collate_fn=pseudo_collate)
    (batch,) = list(loader)
    expected = pipeline(copy.deepcopy(record))['data_samples']
    for sample in batch['data_samples']:
        np.testing.assert_array_equal(masks_of(sample).to_ndarray(), masks_of(expected).to_ndarray())


def preprocess(samples: list[dict[str, Any]]) -> dict[str, Any]:
    preprocessor = MODELS.build(
        {'type': 'DetDataPreprocessor', 'mean': [128] * 3, 'std': [14] * 3, 'pad_mask': True, 'pad_size_divisor': 32}
    )
    return preprocessor(pseudo_collate(copy.deepcopy(samples)), training=True)


def test_data_preprocessor_pads_the_masks(samples):
    batches = [preprocess(kind) for kind in samples]
    shapes = [masks_of(sample).to_ndarray().shape[1:] for sample in batches[0]['data_samples']]
    assert shapes == [tuple(batches[0]['inputs'].shape[2:])] * 2
    for ours, theirs in zip(*(batch['data_samples'] for batch in batches), strict=True):
        np.testing.assert_array_equal(masks_of(ours).to_ndarray(), masks_of(theirs).to_ndarray())


def test_mask_targets(samples):
    targets = []
    for kind in samples:
        masks = [masks_of(sample['data_samples']) for sample in kind]
        generator = torch.Generator().manual_seed(0)
        boxes, inds = [], []
        for sample in kind:
            true = sample['data_samples'].gt_instances.bboxes.tensor
            boxes.append(true + 3 * torch.randn(true.shape, generator=generator))
            inds.append(torch.arange(len(true)))
        targets.append(mask_target(boxes, inds, masks, Config({'mask_size': 28})))
    assert targets[0].shape == (48, 28, 28)
    assert 0.3 < targets[0].mean() < 0.9
    assert torch.equal(*targets)


def test_visualizer_draws_the_masks(samples):
    pictures = []
    for kind in samples:
        visualizer = DetLocalVisualizer()
        image = kind[0]['inputs'].permute(1, 2, 0).numpy().copy()
        instances = kind[0]['data_samples'].gt_instances
        instances = instances.new(bboxes=instances.bboxes.tensor, labels=instances.labels, masks=instances.masks)
        np.random.seed(0)
        pictures.append(visualizer._draw_instances(image, instances, ('a', 'b', 'c'), None))
    assert (pictures[0] != samples[0][0]['inputs'].permute(1, 2, 0).numpy()).any()
    np.testing.assert_array_equal(*pictures)


def mask_rcnn() -> torch.nn.Module:
    cfg = get_config('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py').model
    cfg.backbone.update(depth=18, init_cfg=None)
    cfg.neck.in_channels = [64, 128, 256, 512]
    cfg.roi_head.bbox_head.num_classes = cfg.roi_head.mask_head.num_classes = 3
    cfg.roi_head.bbox_head.fc_out_channels = 64
    cfg.roi_head.mask_head.update(num_convs=1, conv_out_channels=16)
    cfg.train_cfg.rpn_proposal.update(nms_pre=100, max_per_img=50)
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def test_losses_of_a_training_step(samples):
    model = mask_rcnn()
    losses = []
    for kind in samples:
        data = model.data_preprocessor(pseudo_collate(copy.deepcopy(kind)), training=True)
        torch.manual_seed(1)
        np.random.seed(1)
        with torch.no_grad():
            losses.append(model(**data, mode='loss'))
    assert losses[0]['loss_mask'] > 0
    for name in losses[0]:
        for ours, theirs in zip(*(np.atleast_1d(loss[name]) for loss in losses), strict=True):
            assert np.isfinite(ours)
            # The true boxes are RoIs too, and their outermost values lie exactly at the threshold.
            assert ours == pytest.approx(theirs, rel=1e-4), name
