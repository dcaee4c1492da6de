"""Mask targets of the regions that the mask head is trained on."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from images import synthetic_cells
from measure import Benchmark, Setting
from mmdet.structures.mask import BitmapMasks

from sartorius.datasets.cropped_masks import CroppedMasks

IMAGE_SIZE = (800, 1083)
"""Size of a 704x520 image resized to fit 1333x800."""
GRID = (28, 28)


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """128 and 512 regions on 800 cells."""
    cells, counts = (20, (8,)) if setting.quick else (800, (128, 512))
    return [partial(make_benchmark, cells, regions) for regions in counts]


def make_benchmark(cells: int, regions: int) -> Benchmark:
    """``CroppedMasks.crop_and_resize`` against that of ``BitmapMasks``."""
    annotations = synthetic_cells(cells)
    masks = CroppedMasks(annotations.crops, *annotations.size).resize(IMAGE_SIZE)
    bitmaps = masks.to_bitmap()
    rng = np.random.default_rng(regions)
    chosen = rng.integers(cells, size=regions)
    # Boxes about as far off as those that count as positive in training.
    boxes = masks.windows[chosen] + rng.normal(0, 3, (regions, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    arguments = (torch.from_numpy(boxes.astype(np.float32)), GRID, torch.from_numpy(chosen))
    return Benchmark(
        name=f'mask_targets/{regions}',
        work=f'targets of {regions} regions on {cells} cells, {IMAGE_SIZE[1]}x{IMAGE_SIZE[0]} px, 28x28 grid',
        peer='BitmapMasks',
        ours=partial(masks.crop_and_resize, *arguments),
        theirs=partial(bitmaps.crop_and_resize, *arguments),
        same=compare_targets,
        goal='as fast; no full-size array',
    )


def compare_targets(ours: BitmapMasks, theirs: BitmapMasks) -> str:
    """Number of grid points that differ."""
    different = int(np.count_nonzero(ours.masks != theirs.masks))
    return 'same targets' if not different else f'{different} of {theirs.masks.size} grid points differ'
