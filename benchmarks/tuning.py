"""All settings of the tuner."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import numpy as np
from competition import all_images
from images import synthetic_cells
from measure import Benchmark, Setting
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.annotations import ImageAnnotations
from sartorius.evaluation.metric import score_images
from sartorius.postprocess.chain import load_chain
from sartorius.postprocess.tuning.grid import SearchGrid, score_all_settings, with_settings
from sartorius.predictions.coco_results import area_average
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES

IMAGES = 37
"""As many as come with the competition's task."""
GROWTH = (37, 150, 600)
GROWTH_CELLS = 36
"""Cells of an image in the series: the median of the competition's images."""
GRID = 28
FOUND, FOUND_TWICE, FALSE = 0.9, 0.3, 0.5
"""Shares of the ground truth that are true positives, duplicates, and as many as which are spurious."""
Images = Sequence[tuple[ImagePredictions, ImageAnnotations]]


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Every setting on as many images as the task comes with, on more, and against the chain once a setting."""
    counts = (2, 4) if setting.quick else GROWTH
    return [partial(against_chain, setting), partial(alone, setting), *(partial(growth, count) for count in counts)]


def against_chain(setting: Setting) -> Benchmark:
    """Against running chain and metric for every setting, on every other value of the default grid."""
    step = 8 if setting.quick else 2
    grid = SearchGrid({name: values[::step] for name, values in SearchGrid.of(load_chain()).axes.items()})
    cells = 6 if setting.quick else GROWTH_CELLS
    images = [found_in(synthetic_cells(cells))]
    settings = int(np.prod(grid.shape))
    return Benchmark(
        name='tuning/chain',
        work=f'score {settings:,} settings on an image of {cells} ground-truth cells',
        peer='the chain and the metric, once a setting',
        ours=partial(count_ours, images, grid),
        theirs=partial(count_by_chain, images, grid),
        same=compare,
        goal='100x in time',
    )


def alone(setting: Setting) -> Benchmark:
    """Every setting on the competition's images, cells as dense as they are."""
    images = [found_in(image) for image in islice(all_images(setting), 3 if setting.quick else IMAGES)]
    return _without_peer('tuning/all', images, '1,000 settings a minute')


def growth(count: int) -> Benchmark:
    """Every setting on more and more images."""
    image = synthetic_cells(GROWTH_CELLS)
    return _without_peer(f'tuning/{count}', [found_in(image, seed) for seed in range(count)])


def found_in(image: ImageAnnotations, seed: int = 0) -> tuple[ImagePredictions, ImageAnnotations]:
    """What a model might find in an image: cells somewhat beside the true ones, some twice, and false ones."""
    rng = np.random.default_rng((seed, len(image)))
    true = np.arange(len(image))
    again = true[rng.random(len(true)) < FOUND_TWICE]
    false = rng.choice(true, int(FALSE * len(true)))
    chosen = np.concatenate([true[rng.random(len(true)) < FOUND], again, false])
    is_false = np.arange(len(chosen)) >= len(chosen) - len(false)
    windows = np.array([image.crops[index].window for index in chosen], dtype=np.float64).reshape(-1, 4)
    sides = np.tile(windows[:, 2:] - windows[:, :2], 2)
    boxes = windows + rng.normal(0, 0.06, windows.shape) * sides + np.where(is_false, 1.5, 0)[:, None] * sides
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 2)
    sharp = np.array(
        [area_average(image.crops[index], window, GRID) for index, window in zip(chosen, windows, strict=True)]
    )
    blurred = ndimage.gaussian_filter(sharp.reshape(-1, GRID, GRID).astype(np.float32), (0, 1, 1))
    clear = rng.normal(np.where(is_false, 0.0, 1.5), 1.0)
    predictions = ImagePredictions(
        image_id=image.image_id,
        size=image.size,
        boxes=boxes.astype(np.float32),
        scores=(1 / (1 + np.exp(-clear))).astype(np.float32),
        labels=image.labels[chosen],
        soft_masks=blurred,
    )
    return predictions, image


def count_ours(images: Images, grid: SearchGrid) -> NDArray[np.float64]:
    """Scores by the tuner's tables, one an image."""
    chain = load_chain().for_classes(CELL_TYPES)
    return np.stack([score_all_settings(pred, gt, chain, grid).scores for pred, gt in images])


def count_by_chain(images: Images, grid: SearchGrid) -> NDArray[np.float64]:
    """Scores by the obvious way."""
    chain = load_chain().for_classes(CELL_TYPES)
    scores = np.empty((len(images), *grid.shape))
    for index in np.ndindex(*grid.shape):
        one = with_settings(chain, dict.fromkeys(CELL_TYPES, grid.at(index)))
        for row, (pred, gt) in enumerate(images):
            table = score_images({gt.image_id: gt}, {gt.image_id: one(pred).crops})
            scores[(row, *index)] = table['score'][0]
    return scores


def compare(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    """Whether all scores are the same, to the last digits."""
    other = int((np.abs(ours - theirs) > 1e-9).sum())
    return 'same scores' if not other else f'other scores with {other} of {ours.size} settings'


def _without_peer(name: str, images: Images, goal: str = '') -> Benchmark:
    grid = SearchGrid.of(load_chain())
    settings = int(np.prod(grid.shape))
    cells = sum(len(gt) for _, gt in images)
    return Benchmark(
        name=name,
        work=f'score {settings:,} settings on {len(images)} images with {cells:,} ground-truth cells',
        peer='none',
        ours=partial(count_ours, images, grid),
        theirs=None,
        same=compare,
        goal=goal,
        skipped=f'the chain would run {settings * len(images):,} times',
        point={'images': len(images), 'settings': settings},
    )
