"""Non-maximum suppression of masks."""

from collections.abc import Callable
from functools import partial

import numpy as np
from competition import found_near
from images import synthetic_cells
from measure import Benchmark, Setting
from numpy.typing import NDArray

from sartorius.annotations import ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import mask_nms

IOU_THRESHOLD = 0.5


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Candidates of one image, most cells found more than once."""
    return [partial(against_dense, 30 if setting.quick else 1000)]


def against_dense(count: int) -> Benchmark:
    """Against IoU by a matrix product of full-size masks."""
    image = synthetic_cells(2 * count // 5)
    crops, scores = candidates(image, count)
    return Benchmark(
        name=f'suppression/{count}',
        work=f'mask NMS over {count:,} candidates of an image of {len(image)} cells',
        peer='IoU of dense masks by a matrix product',
        ours=partial(mask_nms, crops, scores, image.size, IOU_THRESHOLD),
        theirs=partial(dense_nms, crops, scores, image.size),
        same=lambda ours, theirs: 'same cells' if np.array_equal(ours, theirs) else 'other cells',
        goal='50x in time',
    )


def candidates(image: ImageAnnotations, count: int) -> tuple[list[MaskCrop], NDArray[np.float32]]:
    """Cells found three times, each time elsewhere by a pixel or two, with scores."""
    crops = [crop for seed in range(3) for crop in found_near(image, seed)][:count]
    return crops, np.random.default_rng(0).random(len(crops), dtype=np.float32)


def dense_nms(crops: list[MaskCrop], scores: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.int64]:
    """Greedy NMS on the IoU matrix of full-size masks."""
    masks = np.stack([crop.to_full(size) for crop in crops]).reshape(len(crops), -1).astype(np.float32)
    shared = masks @ masks.T
    areas = masks.sum(axis=1)
    iou = shared / (areas[:, None] + areas[None] - shared)
    rest = np.argsort(-scores, kind='stable')
    kept = []
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[iou[best, rest] <= IOU_THRESHOLD]
    return np.array(kept)
