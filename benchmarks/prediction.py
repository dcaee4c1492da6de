"""From the outputs of the network's heads to disjoint, hole-filled run-length codes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from images import real_images, synthetic_cells
from measure import Benchmark, Setting
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.structures.mask import encode_mask_results
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy import ndimage

from sartorius.annotations import ImageAnnotations
from sartorius.masks.crop import Size
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_coco
from sartorius.models import SoftMaskHead, to_image_predictions
from sartorius.postprocess.chain import Chain, build_chain
from sartorius.predictions.coco_results import area_average

GRID = 28
CLASSES = 3
# The network sees the image at twice its size, as in the project's recipes.
MAGNIFICATION = 2.0
MIN_REMAINING = 0.7
MIN_AREA = 75
MASK_THRESHOLD = 0.5
FOUND_TWICE = 0.25
"""Fraction of the cells that are predicted twice, as non-maximum suppression by boxes keeps them."""


@dataclass(frozen=True, eq=False)
class HeadOutputs:
    """Outputs of the heads for one image.

    Attributes:
        size: Image ``(height, width)`` in pixels.
        magnification: How much larger the network sees the image.
        logits: float32 ``(N, classes, S, S)``.
        boxes: float32 ``(N, 4)`` in the network's image frame.
        scores: float32 ``(N,)``.
        labels: int64 ``(N,)``.
    """

    size: Size
    magnification: float
    logits: torch.Tensor
    boxes: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Synthetic images with 500 and 800 cells, and the real image with the most cells."""
    counts = (20,) if setting.quick else (500, 800)
    plans = [
        partial(make_benchmark, f'prediction/synthetic-{cells}', partial(synthetic_cells, cells)) for cells in counts
    ]
    if setting.data_root:
        plans.append(partial(make_benchmark, 'prediction/real', lambda: real_images(setting.data_root)[0].cells))
    return plans


def make_benchmark(name: str, make: Callable[[], ImageAnnotations]) -> Benchmark:
    """Pasted bitmaps and loops over them, against the project's chain."""
    annotations = make()
    outputs = outputs_for(annotations)
    return Benchmark(
        name=name,
        work=f'boxes and mask logits of {len(outputs.scores)} predictions to disjoint, hole-filled COCO RLE',
        peer='MMDetection, scipy, pycocotools',
        ours=partial(to_codes, outputs),
        theirs=partial(to_codes_by_bitmaps, outputs),
        same=partial(compare_codes, annotations.size),
        goal='50x in time, 10x in memory',
    )


def outputs_for(annotations: ImageAnnotations, magnification: float = MAGNIFICATION) -> HeadOutputs:
    """Outputs of good heads for ground-truth cells: all of them, and some a second time, moved a little."""
    rng = np.random.default_rng(0)
    again = rng.choice(len(annotations), int(FOUND_TWICE * len(annotations)), replace=False)
    chosen = np.concatenate([np.arange(len(annotations)), again])
    windows = np.array([annotations.crops[index].window for index in chosen], dtype=np.float64).reshape(-1, 4)
    soft = [area_average(annotations.crops[index], window, GRID) for index, window in zip(chosen, windows, strict=True)]
    probabilities = np.clip(np.array(soft, dtype=np.float32).reshape(-1, 1, GRID, GRID), 0.01, 0.99)
    shifts = rng.normal(0, 0.5, windows.shape) + np.where(np.arange(len(chosen)) < len(annotations), 0, 2)[:, None]
    # Even a cell of one pixel keeps a box.
    boxes = np.maximum(windows + shifts, np.column_stack([windows[:, :2]] * 2) + [-9, -9, 1, 1])
    return HeadOutputs(
        size=annotations.size,
        logits=torch.logit(torch.from_numpy(probabilities)).repeat(1, CLASSES, 1, 1),
        magnification=magnification,
        boxes=torch.from_numpy((boxes * magnification).astype(np.float32)),
        scores=torch.from_numpy(rng.uniform(0.3, 1, len(chosen)).astype(np.float32)),
        labels=torch.zeros(len(chosen), dtype=torch.int64),
    )


def default_chain() -> Chain:
    """The steps on pixels of the project's default post-processing."""
    return build_chain(
        [
            dict(type='MaskThreshold', threshold=MASK_THRESHOLD),
            dict(type='FillHoles'),
            dict(type='RemoveOverlap', min_remaining=MIN_REMAINING),
            dict(type='MinArea', min_area=MIN_AREA),
        ]
    )


def to_codes(outputs: HeadOutputs) -> list[dict[str, Any]]:
    """The project's way, which makes no full-size bitmap."""
    results = _run_head(SoftMaskHead, outputs)
    return codes_of({'img_id': 'image', 'ori_shape': outputs.size, 'pred_instances': results.to_dict()})


def codes_of(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO RLE of a sample with soft masks, best score first."""
    predictions = default_chain()(to_image_predictions(sample)).by_score()
    counts = encode_coco(PackedMasks.from_crops(predictions.crops), predictions.size)
    return [{'size': list(predictions.size), 'counts': code} for code in counts]


def to_codes_by_bitmaps(outputs: HeadOutputs) -> list[dict[str, Any]]:
    """MMDetection's pasted bitmaps, the loop over them that competitors write, and pycocotools."""
    results = _run_head(FCNMaskHead, outputs)
    return codes_of_bitmaps(results.masks.numpy(), results.scores.numpy())


def codes_of_bitmaps(masks: NDArray[np.bool_], scores: NDArray[np.float32]) -> list[dict[str, Any]]:
    """COCO RLE of full-size masks, best score first; ``masks`` is changed."""
    taken = np.zeros(masks.shape[1:], dtype=bool)
    kept = []
    for index in np.argsort(-scores, kind='stable'):
        mask = ndimage.binary_fill_holes(masks[index])
        free = mask & ~taken
        if free.sum() == 0 or free.sum() < MIN_REMAINING * mask.sum():
            continue
        taken |= free
        if free.sum() >= MIN_AREA:
            masks[index] = free
            kept.append(index)
    return encode_mask_results([masks[index] for index in kept])


def compare_codes(size: Size, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    """Number of pixels that two lists of disjoint cells assign to different cells.

    Each of our cells stands for the peer's that it shares most pixels with, so that their order does not matter.
    """
    labels, peer_labels = (_label_image(size, codes) for codes in (ours, theirs))
    columns = len(theirs) + 1
    shared = np.bincount((labels * columns + peer_labels).ravel(), minlength=(len(ours) + 1) * columns)
    shared = shared.reshape(-1, columns)
    # Background matches no cell: a cell that overlaps none differs with all its pixels.
    shared[:, 0] = 0
    partners = np.where(shared.any(axis=1), shared.argmax(axis=1), -1)
    partners[0] = 0
    different, pixels = int(np.count_nonzero(partners[labels] != peer_labels)), int(np.count_nonzero(peer_labels))
    cells = f'same {len(ours)} cells' if len(ours) == len(theirs) else f'{len(ours)} and {len(theirs)} cells'
    return f'{cells}, same masks' if not different else f'{cells}, {different} of {pixels} px differ'


def _label_image(size: Size, codes: list[dict[str, Any]]) -> NDArray[np.int64]:
    labels = np.zeros(size, dtype=np.int64)
    for number, code in enumerate(codes, start=1):
        labels[coco_mask.decode(code) > 0] = number
    return labels


def _run_head(head_type: type[FCNMaskHead], outputs: HeadOutputs) -> InstanceData:
    """Masks of a mask head from its logits for one image."""
    # MMDetection rescales the boxes in place.
    results = InstanceData(bboxes=outputs.boxes.clone(), scores=outputs.scores, labels=outputs.labels)
    meta = {'ori_shape': outputs.size, 'scale_factor': (outputs.magnification,) * 2}
    config = ConfigDict(mask_thr_binary=MASK_THRESHOLD)
    with torch.no_grad():
        return _head(head_type).predict_by_feat((outputs.logits,), [results], [meta], config, rescale=True)[0]


@cache
def _head(head_type: type[FCNMaskHead]) -> FCNMaskHead:
    """The smallest possible head: its layers are not run."""
    return head_type(num_convs=0, in_channels=4, conv_out_channels=4, num_classes=CLASSES)
