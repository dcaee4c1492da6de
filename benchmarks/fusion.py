"""Fusion of several models' predictions of one image, masks included."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import ensemble_boxes
import numpy as np
from images import synthetic_cells
from measure import Benchmark, Setting
from numpy.typing import NDArray

from sartorius.fusion import METHODS, fuse_image
from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import box_iou
from sartorius.masks.paste import binarise, paste_soft_mask
from sartorius.predictions import ImagePredictions
from sartorius.predictions.coco_results import area_average
from sartorius.predictions.store import quantise

MODELS = 5
GRID = 28
MASK_THRESHOLD = 0.5
Cells = tuple[NDArray[np.float32], Sequence[MaskCrop] | NDArray[np.bool_]]
"""Boxes and binary masks."""


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Every method with as many cells as the fullest images have, and the default with twice as many."""
    cells, more = (10, 20) if setting.quick else (500, 1600)
    plans = [partial(against_bitmaps, name, cells) for name in METHODS]
    return [*plans, partial(against_bitmaps, 'wbf', more)]


def against_bitmaps(method: str, cells: int) -> Benchmark:
    """Against ensemble-boxes and full-size masks, pasted and averaged cell by cell."""
    images = predictions_of_models(cells)
    n_pred = sum(map(len, images))
    theirs, peer = peer_of(method)
    if theirs is not None:
        # ensemble-boxes compiles some of its loops at the first call, which is not what is measured.
        theirs(predictions_of_models(10))
    return Benchmark(
        name=f'fusion/{method}-{cells}',
        work=f'{method} of {n_pred:,} predictions of {MODELS} models for {cells:,} cells, to binary masks',
        peer=peer,
        ours=partial(fuse_as_grids, images, method),
        theirs=None if theirs is None else partial(theirs, images),
        same=compare_cells,
        goal='50 ms' if cells == 500 else '',
        skipped='' if theirs else 'no other implementation',
        point=dict(cells=cells),
    )


def peer_of(method: str) -> tuple[Callable[[Sequence[ImagePredictions]], Cells] | None, str]:
    """Another implementation of a method and what it is; None for a method that has none."""
    peers = {
        'wbf': partial(ensemble_boxes.weighted_boxes_fusion, conf_type='box_and_model_avg'),
        'nmw': ensemble_boxes.non_maximum_weighted,
        'nms': ensemble_boxes.nms,
        'soft-nms': ensemble_boxes.soft_nms,
    }
    if method == 'consensus':
        return consensus_by_bitmaps, 'full-size masks'
    if method in peers:
        return partial(fuse_by_bitmaps, method, peers[method]), 'ensemble-boxes, full-size masks'
    return None, 'none'


@cache
def predictions_of_models(cells: int) -> tuple[ImagePredictions, ...]:
    """Predictions of five models: nine of ten ground-truth cells each, their boxes shifted by a pixel or so."""
    gt = synthetic_cells(cells)
    windows = np.array([crop.window for crop in gt.crops], dtype=np.float64)
    images = []
    for model in range(MODELS):
        rng = np.random.default_rng((model, cells))
        chosen = np.flatnonzero(rng.random(cells) < 0.9)
        boxes = windows[chosen] + rng.normal(0, 0.7, (len(chosen), 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        masks = [area_average(gt.crops[index], box, GRID) for index, box in zip(chosen, boxes, strict=True)]
        scores = rng.uniform(0.1, 1, len(chosen)).astype(np.float32)
        soft_masks = quantise(np.stack(masks))
        images.append(
            ImagePredictions('image', gt.size, boxes.astype(np.float32), scores, gt.labels[chosen], soft_masks)
        )
    return tuple(images)


def fuse_as_grids(images: Sequence[ImagePredictions], method: str) -> Cells:
    """The project's way: masks stay on their grids until the end."""
    fused, _ = fuse_image(images, method)
    return fused.boxes, binarise(fused.soft_masks, fused.boxes, fused.size, MASK_THRESHOLD)


def fuse_by_bitmaps(method: str, run: Callable[..., tuple], images: Sequence[ImagePredictions]) -> Cells:
    """ensemble-boxes, members by IoU, and the mean of pasted full-size masks."""
    height, width = images[0].size
    scale = np.array([width, height, width, height])
    inputs = (
        [(image.boxes.clip(0, scale) / scale) for image in images],
        [image.scores.astype(np.float64) for image in images],
        [image.labels for image in images],
    )
    iou_threshold = METHODS[method]().iou_threshold
    # ensemble-boxes gives the linear decay of soft-NMS the threshold; the Gaussian one, its default, has none.
    options = {} if method == 'soft-nms' else {'iou_thr': iou_threshold}
    fused = (run(*inputs, **options)[0] * scale).astype(np.float32)
    models, indices, iou = _overlaps_with(fused, images)
    if method in ('nms', 'soft-nms'):
        members = [[place] for place in iou.argmax(axis=0)]
    else:
        best = np.where(iou.max(axis=1) > iou_threshold, iou.argmax(axis=1), -1)
        members = [np.flatnonzero(best == number) for number in range(len(fused))]
    pairs = [[(models[place], indices[place]) for place in places] for places in members]
    return fused, np.stack([_mean_mask(images, cell) >= MASK_THRESHOLD for cell in pairs])


def consensus_by_bitmaps(images: Sequence[ImagePredictions]) -> Cells:
    """The IoU of full-size masks of two models' cells whose boxes meet, best score first, and the mean of the masks."""
    threshold = METHODS['consensus']().iou_threshold
    pairs = [(model, index) for model, image in enumerate(images) for index in range(len(image))]
    pairs.sort(key=lambda pair: -images[pair[0]].scores[pair[1]])
    boxes = np.array([images[model].boxes[index] for model, index in pairs])
    masks = np.stack([_paste(images[model], index) >= MASK_THRESHOLD for model, index in pairs])
    models = np.array([model for model, _ in pairs])
    meet = (box_iou(boxes, boxes) > 0) & (models[:, None] != models)
    groups: list[list[int]] = []
    owners: list[int] = []
    for cell in range(len(pairs)):
        iou = {int(other): _iou(masks[cell], masks[other]) for other in np.flatnonzero(meet[cell, :cell])}
        near = {owners[other] for other in iou}
        fitting = [group for group in near if all(iou.get(other, 0) >= threshold for other in groups[group])]
        if fitting:
            owners.append(max(fitting, key=lambda group: np.mean([iou[other] for other in groups[group]])))
            groups[owners[-1]].append(cell)
        else:
            owners.append(len(groups))
            groups.append([cell])
    fused = []
    for group in groups:
        scores = np.array([images[pairs[cell][0]].scores[pairs[cell][1]] for cell in group])
        fused.append((boxes[group] * scores[:, None]).sum(axis=0) / scores.sum())
    found = [[pairs[cell] for cell in group] for group in groups]
    return np.array(fused, dtype=np.float32), np.stack([_mean_mask(images, cell) >= MASK_THRESHOLD for cell in found])


def compare_cells(ours: Cells, theirs: Cells) -> str:
    """Whether both keep the same cells, and how far their masks agree."""
    (boxes, crops), (peer_boxes, masks) = ours, theirs
    iou = box_iou(boxes, peer_boxes)
    partners = iou.argmax(axis=1)
    # Boxes that a method keeps reach past the image here and not there.
    if len(boxes) != len(peer_boxes) or iou.max(axis=1).min() < 0.8 or len(set(partners)) < len(partners):
        return f'other cells: {len(boxes)} and {len(peer_boxes)}'
    size = masks.shape[1:]
    agreement = [_iou(crop.to_full(size), masks[partner]) for crop, partner in zip(crops, partners, strict=True)]
    return f'same cells, masks agree to a mean IoU of {np.mean(agreement):.3f}'


def _overlaps_with(
    fused: NDArray[np.float32], images: Sequence[ImagePredictions]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Model and index of every box, and its IoU with every fused box of any label."""
    models = np.repeat(np.arange(len(images)), [len(image) for image in images])
    indices = np.concatenate([np.arange(len(image)) for image in images])
    return models, indices, box_iou(np.concatenate([image.boxes for image in images]), fused)


def _mean_mask(images: Sequence[ImagePredictions], members: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    total, weight = np.zeros(images[0].size, dtype=np.float32), 0.0
    for model, index in members:
        score = float(images[model].scores[index])
        total += score * _paste(images[model], index)
        weight += score
    return total / weight


def _paste(image: ImagePredictions, index: int) -> NDArray[np.float32]:
    full = np.zeros(image.size, dtype=np.float32)
    pasted, left, top = paste_soft_mask(image.soft_masks[index], image.boxes[index], image.size)
    full[top : top + pasted.shape[0], left : left + pasted.shape[1]] = pasted
    return full


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0
