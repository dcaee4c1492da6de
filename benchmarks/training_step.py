"""A whole training step and a whole prediction of the full-size Mask R-CNN, on a CPU."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from detector_ops import mmcv_ops
from images import synthetic_cells, synthetic_sample
from loading import AUGMENT_AND_PACK, SCALE
from measure import Benchmark, Setting, available_memory
from mmdet.models import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pipelines import (
    LOAD_IMAGE,
    LOAD_OUR_CELLS,
    LOAD_STOCK_CELLS,
    PACK,
    Sample,
    build_pipeline,
    copies_of,
    resize_to_fit,
)
from prediction import HeadOutputs, codes_of, codes_of_bitmaps, compare_codes, outputs_for
from torch import Tensor

from sartorius.models.cpu_ops import keep_freed_memory, set_malloc, tune_for_cpu
from sartorius.utils.paths import CONFIG_DIR

T = TypeVar('T')

FULL_CONFIG, QUICK_CONFIG = 'sartorius/mrcnn_r50.py', 'sartorius/mrcnn_r18.py'
NEEDED = 13e9
"""Bytes of memory that the stock training step and the rest of the process need together."""
SAME_LOSS = 0.05
STOCK_PARTS = {
    'CrowdMaxIoUAssigner': 'MaxIoUAssigner',
    'SoftMaskHead': 'FCNMaskHead',
    'SoftHTCMaskHead': 'HTCMaskHead',
}
TEST_PIPELINE = [LOAD_IMAGE, resize_to_fit(SCALE), PACK]


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """One synthetic image of 800 cells."""
    if available_memory() < NEEDED and not setting.quick:
        setting.notes.append(f'training_step skipped: it needs {NEEDED / 1e9:.0f} GB of memory')
        return []
    cells, config = (20, QUICK_CONFIG) if setting.quick else (800, FULL_CONFIG)
    return [partial(training, setting, config, cells), partial(prediction, setting, config, cells)]


def training(setting: Setting, config: str, cells: int) -> Benchmark:
    """Load, augment, forward and backward."""
    sample = synthetic_sample(setting, cells)
    ours, theirs = build_models(config)
    stock = build_pipeline([LOAD_IMAGE, LOAD_STOCK_CELLS, *AUGMENT_AND_PACK])
    return Benchmark(
        name='training_step/training',
        work=f'one training step of Mask R-CNN on an image of {cells} cells: load, resize, flip, forward, backward',
        peer='MMDetection',
        ours=partial(in_our_ops, train_step, ours, build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *AUGMENT_AND_PACK])),
        theirs=partial(in_mmcv_ops, train_step, theirs, stock),
        same=compare_totals,
        fresh=copies_of(sample),
    )


def prediction(setting: Setting, config: str, cells: int) -> Benchmark:
    """Load, forward, and on to run-length codes.

    The weights are random; so that the last steps meet what they meet in use, the outputs of the last layers give place
    to synthetic ones after these layers have run.
    """
    sample = synthetic_sample(setting, cells)
    pipeline = build_pipeline(TEST_PIPELINE)
    magnification = float(pipeline(*copies_of(sample)())['data_samples'].scale_factor[0])
    outputs = outputs_for(synthetic_cells(cells), magnification)
    ours, theirs = build_models(config)
    for model in (ours, theirs):
        put_out(model, outputs)
    return Benchmark(
        name='training_step/prediction',
        work=f'one prediction of Mask R-CNN for an image of {cells} cells: load, resize, forward, disjoint COCO RLE',
        peer='MMDetection, scipy, pycocotools',
        ours=partial(in_our_ops, predict, ours, pipeline, codes_of),
        theirs=partial(in_mmcv_ops, predict, theirs, pipeline, codes_of_bitmap_sample),
        same=partial(compare_codes, outputs.size),
        fresh=copies_of(sample),
    )


def build_models(config: str) -> tuple[BaseDetector, BaseDetector]:
    """The project's model, and one of the same random weights with MMDetection's mask head and assigners."""
    init_default_scope('mmdet')
    # MMEngine would log how each of the weights was made.
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(0)
    ours = MODELS.build(Config.fromfile(CONFIG_DIR / config).model)
    ours.init_weights()
    theirs = MODELS.build(with_stock_parts(Config.fromfile(CONFIG_DIR / config).model))
    theirs.load_state_dict(ours.state_dict())
    return tune_for_cpu(ours), theirs


def with_stock_parts(model: Any) -> Any:
    """A model's config, changed in place, with MMDetection's own assigners, and mask heads where it has such."""
    for value in model.values() if isinstance(model, dict) else model if isinstance(model, list) else ():
        with_stock_parts(value)
    if isinstance(model, dict) and model.get('type') in STOCK_PARTS:
        model['type'] = STOCK_PARTS[model['type']]
        if model['type'] == 'MaxIoUAssigner':
            model.pop('iou_calculator', None)
    return model


def in_our_ops(step: Callable[..., T], *args: Any) -> T:
    """Runs a step with freed memory kept, which the other side ends."""
    keep_freed_memory()
    return step(*args)


def in_mmcv_ops(step: Callable[..., T], *args: Any) -> T:
    """Runs a step with MMCV's operators, and with the C library as programs find it."""
    # What glibc itself comes to with large arrays.
    set_malloc(mmap_max=65536, trim_threshold=64 << 20)
    with mmcv_ops():
        return step(*args)


def train_step(model: BaseDetector, pipeline: Callable[[Sample], Sample], sample: Sample) -> dict[str, float]:
    """Losses of one step; the gradients are discarded and the weights unchanged."""
    np.random.seed(0)
    torch.manual_seed(0)
    model.train()
    packed = pipeline(sample)
    batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    model.zero_grad()
    return {name: value.item() for name, value in log.items()}


def predict(
    model: BaseDetector,
    pipeline: Callable[[Sample], Sample],
    to_codes: Callable[[dict[str, Any]], list[dict[str, Any]]],
    sample: Sample,
) -> list[dict[str, Any]]:
    """Run-length codes of one image."""
    model.eval()
    packed = pipeline(sample)
    batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    with torch.no_grad():
        (pred,) = model(**model.data_preprocessor(batch), mode='predict')
    return to_codes(pred.to_dict())


def codes_of_bitmap_sample(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO RLE of a sample with full-size masks, best score first."""
    pred = sample['pred_instances']
    return codes_of_bitmaps(pred['masks'].numpy(), pred['scores'].numpy())


def put_out(model: BaseDetector, outputs: HeadOutputs) -> None:
    """Replaces the outputs of a model's heads after their layers have run."""
    bbox_head, mask_head = model.roi_head.bbox_head, model.roi_head.mask_head
    find_boxes, draw_masks = bbox_head.predict_by_feat, mask_head.forward

    def made_boxes(*args: Any, **kwargs: Any) -> list[InstanceData]:
        find_boxes(*args, **kwargs)
        return [InstanceData(bboxes=outputs.boxes.clone(), scores=outputs.scores, labels=outputs.labels)]

    def made_masks(features: Tensor) -> Tensor:
        drawn = draw_masks(features)
        return outputs.logits[:, : drawn.shape[1]]

    bbox_head.predict_by_feat, mask_head.forward = made_boxes, made_masks


def compare_totals(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """Difference of the whole loss: rounding decides which of two equally good proposals is a sample."""
    apart = abs(ours['loss'] / theirs['loss'] - 1)
    return f'{"same" if apart < SAME_LOSS else "other"} loss, {100 * apart:.1g} % apart'
