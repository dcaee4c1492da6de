"""Hostile arrays: numbers that are not finite or huge, boxes without size or inverted, cells of one pixel, of the whole
image, outside it or empty, arrays of other types, read-only, turned or strided.
"""

from typing import Any

import numpy as np
from fuzz_array_registry import Size
from fuzz_mutations import Random, pick

NAN, INF, HUGE = float('nan'), float('inf'), 3e38
SIZES = ((24, 32), (24, 32), (24, 32), (5, 60), (40, 3), (1, 1), (1, 30), (60, 80))


def any_layout(rng: Random, array: np.ndarray) -> np.ndarray:
    """The same values: as they are, read-only, by columns, in every other place of a larger array, or from behind."""
    how = int(rng.integers(5))
    if how == 0:
        array = array.copy()
        array.flags.writeable = False
    elif how == 1:
        array = np.asfortranarray(array)
    elif how == 2 and array.ndim:
        wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
        wide[..., ::2] = array
        array = wide[..., ::2]
    elif how == 3 and array.ndim:
        array = array[::-1].copy()[::-1]
    return array


def any_crop(rng: Random, size: Size) -> Any:
    """A cell: solid, noise, a ring, one pixel, the whole image, nothing, or partly or far outside."""
    from sartorius.masks.crop import MaskCrop

    height, width = size
    x, y = (int(value) for value in rng.integers(-6, [width + 6, height + 6]))
    shape = tuple(rng.integers(0, 14, 2))
    ring = np.ones((7, 6), dtype=bool)
    ring[2:5, 2:4] = False
    kind = int(rng.integers(10))
    if kind == 0:
        return MaskCrop(any_layout(rng, np.ones(size, bool)), 0, 0)
    if kind == 1:
        return MaskCrop(np.ones((3, 3), bool), int(pick(rng, [10**9, -(10**9), 2**40])), y)
    mask = pick(
        rng, [np.ones(shape, bool), rng.random(shape) < 0.5, rng.random(shape) < 0.1, ring, np.ones((1, 1), bool)]
    )
    return MaskCrop(any_layout(rng, mask if kind > 2 else np.zeros(shape, bool)), x, y)


def any_crops(rng: Random, size: Size, most: int = 8) -> list[Any]:
    """Some cells; often one of them twice."""
    crops = [any_crop(rng, size) for _ in range(rng.integers(0, most + 1))]
    return crops + crops[:1] if rng.random() < 0.3 else crops


def inner_crops(rng: Random, size: Size, most: int = 8) -> list[Any]:
    """Cells with pixels in the image, as annotations are, tight."""
    clipped = [crop.clipped(size).tight() for crop in any_crops(rng, size, most)]
    return [crop for crop in clipped if crop.mask.size]


def any_boxes(rng: Random, size: Size, bad: float = 0.2) -> np.ndarray:
    """Boxes of the image, with a share of odd ones."""
    height, width = size
    thin = np.nextafter(np.float32(3), np.float32(4))
    odd = [
        (NAN, 0, 9, 9), (0, 0, INF, 9), (-INF, -INF, INF, INF), (9, 9, 2, 2), (4, 4, 4, 9), (500, 3, 520, 9),
        (-50, -50, -40, -40), (-HUGE, -HUGE, HUGE, HUGE), (3, 3, 1e30, 9), (3, 3, thin, 9), (0, 0, width, height),
    ]  # fmt: skip
    boxes = []
    for _ in range(rng.integers(0, 12)):
        low, side = rng.uniform(-4, [width, height]), rng.uniform(0.1, 14, 2)
        boxes.append(
            pick(rng, odd)
            if rng.random() < bad
            else pick(rng, boxes)
            if boxes and rng.random() < 0.2
            else (*low, *(low + side))
        )
    kind = pick(rng, [np.float32, np.float32, np.float64])
    return any_layout(rng, np.array(boxes, dtype=kind).reshape(-1, 4))


def any_scores(rng: Random, count: int, bad: float = 0.05) -> np.ndarray:
    """Scores, many of them equal."""
    good = [0.0, 0.05, 0.2, 0.5, 0.5, 0.5, 0.9, 1.0, float(rng.random())]
    values = [pick(rng, [NAN, INF, -INF, -1.0, HUGE]) if rng.random() < bad else pick(rng, good) for _ in range(count)]
    return any_layout(rng, np.array(values, dtype=np.float32))
