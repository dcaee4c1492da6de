"""MMDetection pipelines on one sample."""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmdet.registry import TRANSFORMS
from mmengine.registry import init_default_scope

# Registers the project's transforms, the engine first: it silences MMDetection's advice.
import sartorius.engine  # isort: skip
import sartorius.datasets  # noqa: F401

Sample = dict[str, Any]

META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
LOAD_IMAGE = dict(type='LoadImageFromFile')
LOAD_STOCK_CELLS = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
LOAD_OUR_CELLS = dict(type='LoadCellAnnotations')
FLIP = dict(type='RandomFlip', prob=1.0)
PACK = dict(type='PackDetInputs', meta_keys=META_KEYS)


def resize_to_fit(scale: tuple[int, int]) -> dict[str, Any]:
    """Step that makes an image as large as fits into ``(long edge, short edge)``."""
    return dict(type='Resize', scale=scale, keep_ratio=True)


def build_pipeline(steps: Sequence[dict[str, Any]]) -> Callable[[Sample], Sample]:
    """The transforms of a config, one after the other."""
    init_default_scope('mmdet')
    transforms = [TRANSFORMS.build(step) for step in steps]

    def run(sample: Sample) -> Sample:
        for transform in transforms:
            sample = transform(sample)
        return sample

    return run


def copies_of(*samples: Sample) -> Callable[[], tuple[Sample, ...]]:
    """Makes copies of samples, as a data set does, for transforms that modify their input."""
    data = pickle.dumps(samples)
    return lambda: pickle.loads(data)


def compare_images(ours: Sample, theirs: Sample) -> str:
    """Whether two packed samples hold the same image."""
    return 'same image' if bool((ours['inputs'] == theirs['inputs']).all()) else 'other image'


def compare_cells(ours: Sample, theirs: Sample) -> str:
    """Whether two packed samples hold the same image, labels, boxes and masks."""
    image = compare_images(ours, theirs)
    cells, peer_cells = ours['data_samples'].gt_instances, theirs['data_samples'].gt_instances
    if not np.array_equal(cells.labels, peer_cells.labels):
        return f'{image}, other cells'
    apart = float((cells.bboxes.tensor - peer_cells.bboxes.tensor).abs().max())
    boxes = f'boxes within {apart:.2g} px' if apart else 'same boxes'
    return f'{image}, {boxes}, {compare_bitmaps(cells.masks, peer_cells.masks)}'


def compare_bitmaps(ours: Any, theirs: Any) -> str:
    """Number of pixels in which two sets of masks differ; decodes one bitmap at a time."""
    pixels = different = 0
    for bitmap, peer_bitmap in zip(ours, theirs, strict=True):
        pixels += int(np.count_nonzero(peer_bitmap))
        different += int(np.count_nonzero(bitmap != peer_bitmap))
    return 'same masks' if different == 0 else f'masks differ in {different} of {pixels} px'
