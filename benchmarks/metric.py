"""The competition's mAP."""

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from competition import all_images, found_near
from measure import Benchmark, Setting
from numpy.typing import NDArray

from sartorius.annotations import ImageAnnotations
from sartorius.evaluation.metric import IOU_THRESHOLDS, TP_COLUMNS, score_images
from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks

# Cellpose and StarDist count an IoU that equals a threshold as a true positive, the competition does not.
RAISED = [threshold + 1e-6 for threshold in IOU_THRESHOLDS]
FEW_IMAGES = 3
"""Images of each kind for the dense reference, which takes seconds per image."""
Images = Sequence[tuple[ImageAnnotations, Sequence[MaskCrop]]]
Labels = Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]]


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """All images, and some of them against dense masks; label images against Cellpose and StarDist where installed."""
    plans = [partial(alone, setting), partial(against_dense, setting)]
    installed = {'cellpose': count_cellpose, 'stardist': count_stardist}
    plans += [
        partial(against_labels, setting, name, count)
        for name, count in installed.items()
        if importlib.util.find_spec(name)
    ]
    return plans


def alone(setting: Setting) -> Benchmark:
    """All images, with overlapping cells."""
    images = [(image, found_near(image)) for image in all_images(setting)]
    cells = sum(len(image) for image, _ in images)
    return Benchmark(
        name='metric/all',
        work=f'score {len(images)} images with {cells:,} ground-truth cells',
        peer='none',
        ours=partial(count_ours, images),
        theirs=None,
        same=compare,
        goal='10 s or less',
        skipped='dense masks would take a quarter of an hour',
    )


def against_dense(setting: Setting) -> Benchmark:
    """Against the product of two matrices of full-size masks."""
    ordered = sorted(all_images(setting), key=len)
    middle = (len(ordered) - FEW_IMAGES) // 2
    chosen = dict.fromkeys([*ordered[middle : middle + FEW_IMAGES], *ordered[-FEW_IMAGES:]])
    images = [(image, found_near(image)) for image in chosen]
    return Benchmark(
        name='metric/dense',
        work=f'score {len(images)} images of {len(images[0][0])} to {len(images[-1][0])} cells that may overlap',
        peer='IoU of dense masks by a matrix product',
        ours=partial(count_ours, images),
        theirs=partial(count_dense, images),
        same=compare,
        goal='100x in time',
    )


def against_labels(setting: Setting, name: str, count: Callable[[Labels], NDArray[np.int64]]) -> Benchmark:
    """Against a metric on label images, on which cells cannot overlap."""
    labels = []
    for image in all_images(setting)[:: 1 if setting.quick else 10]:
        cells = (image.crops, found_near(image))
        labels.append(tuple(without_gaps(PackedMasks.from_crops(crops).to_labels(image.size)) for crops in cells))
    return Benchmark(
        name=f'metric/{name}',
        work=f'true positives on {len(labels)} pairs of label images',
        peer=name,
        ours=partial(count_labels, labels),
        theirs=partial(count, labels),
        same=compare,
        goal='not slower',
    )


def count_ours(images: Images) -> NDArray[np.int64]:
    """True positives by the project's metric, from crops."""
    gt = {image.image_id: image for image, _ in images}
    return score_images(gt, {image.image_id: pred for image, pred in images})[list(TP_COLUMNS)].to_numpy()


def count_dense(images: Images) -> NDArray[np.int64]:
    """True positives by the usual way: full-size masks, flattened, multiplied with each other.

    A row or column with a match counts once, which is right above an IoU of .5 as long as cells do not overlap much.
    """
    tp = np.zeros((len(images), len(IOU_THRESHOLDS)), dtype=np.int64)
    for row, (image, pred) in zip(tp, images, strict=True):
        gt_masks, pred_masks = (
            np.stack([crop.to_full(image.size) for crop in crops]).reshape(len(crops), -1).astype(np.float32)
            for crops in (image.crops, pred)
        )
        shared = gt_masks @ pred_masks.T
        iou = shared / (gt_masks.sum(axis=1)[:, None] + pred_masks.sum(axis=1)[None] - shared)
        for index, threshold in enumerate(IOU_THRESHOLDS):
            pairs = iou > threshold
            row[index] = min(pairs.any(axis=0).sum(), pairs.any(axis=1).sum())
    return tp


def count_labels(labels: Labels) -> NDArray[np.int64]:
    """True positives by the project's metric, from label images."""
    images = []
    for number, pair in enumerate(labels):
        gt, pred = (tuple(PackedMasks.from_labels(image).crops) for image in pair)
        annotations = ImageAnnotations(str(number), pair[0].shape, gt, np.zeros(len(gt), dtype=np.int64))
        images.append((annotations, pred))
    return count_ours(images)


def count_cellpose(labels: Labels) -> NDArray[np.int64]:
    """True positives by cellpose.metrics.average_precision."""
    from cellpose.metrics import average_precision

    gt, pred = zip(*labels, strict=True)
    return average_precision(list(gt), list(pred), threshold=RAISED)[1].astype(np.int64)


def count_stardist(labels: Labels) -> NDArray[np.int64]:
    """True positives by stardist.matching.matching."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from stardist.matching import matching

    return np.array([[result.tp for result in matching(gt, pred, thresh=RAISED)] for gt, pred in labels])


def without_gaps(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The same label image with labels 0, 1, 2, ..., as Cellpose wants them."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def compare(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> str:
    """Whether the true positives are the same in all images and at all thresholds."""
    other = int((ours != theirs).any(axis=1).sum())
    return 'same TP' if not other else f'other TP in {other} of {len(ours)} images'
