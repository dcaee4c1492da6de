"""Random and adversarial predictions through chains of any steps.

A few hundred examples run with the suite. To run 10,000 (a few minutes):

    SARTORIUS_EXAMPLES=10000 python -m pytest tests/postprocess/test_steps_fuzz.py
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import box_iou
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import values_of
from sartorius.postprocess.steps import STEPS, RemoveOverlap, Step, drop_unusable, with_crops
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

EXAMPLES = int(os.environ.get('SARTORIUS_EXAMPLES', 300))
SIZES = [*[(60, 80)] * 6, (24, 32), (5, 60), (40, 3), (1, 1)]
NAN, INF, HUGE = float('nan'), float('inf'), 3e38
BAD_BOXES = [
    (NAN, 0, 9, 9),
    (0, 0, INF, 9),
    (-INF, -INF, INF, INF),
    (9, 9, 2, 2),  # inverted
    (4, 4, 4, 9),  # without width
    (500, 3, 520, 9),  # outside the image
    (-50, -50, -40, -40),
    (-HUGE, -HUGE, HUGE, HUGE),
    (3, 3, 1e30, 9),
    (3, 3, np.nextafter(np.float32(3), np.float32(4)), 9),
]
GOOD_SCORES = [0.0, 0.05, 0.2, 0.5, 0.5, 0.5, 0.6, 0.9, 1.0]
BAD_SCORES = [NAN, INF, -INF, -1.0, HUGE]


def pick(rng: np.random.Generator, values: list):
    return values[rng.integers(len(values))]


def any_image(rng: np.random.Generator) -> ImagePredictions:
    """Up to 20 cells: good, adversarial, or equal to an earlier one. The corner of a soft mask identifies each."""
    size = pick(rng, SIZES)
    height, width = size
    count, grid = int(rng.integers(0, 21)), int(rng.integers(2, 8))
    boxes, crops = [], []
    for _ in range(count):
        low, side = rng.uniform(-4, max(size), 2), rng.uniform(0.1, 14, 2)
        good = [*[(*low, *(low + side))] * 30, (0, 0, width, height), (1, 1, 2, 2)]
        boxes.append(pick(rng, boxes if boxes and rng.random() < 0.3 else good if rng.random() < 0.85 else BAD_BOXES))
        crops.append(pick(rng, crops) if crops and rng.random() < 0.3 else any_crop(rng, size))
    probabilities = pick(rng, [0.0, *[1.0] * 6, rng.random(), rng.random((count, grid, grid))])
    soft_masks = np.full((count, grid, grid), probabilities)
    soft_masks[rng.random(soft_masks.shape) < pick(rng, [0, 0, 0.1])] = NAN
    soft_masks[:, 0, 0] = np.arange(count) / 1024
    scores = [pick(rng, GOOD_SCORES if rng.random() < 0.93 else BAD_SCORES) for _ in range(count)]
    labels = rng.integers(0, 3, count)
    if rng.random() < 0.05:
        labels = rng.integers(-2, 9, count)
    return ImagePredictions(
        image_id='any',
        size=size,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.array(scores, dtype=np.float32),
        labels=labels,
        soft_masks=soft_masks.astype(np.float32),
        crops=tuple(crops) if rng.random() < 0.6 else None,
    )


def any_crop(rng: np.random.Generator, size: tuple[int, int]) -> MaskCrop:
    """A cell of one pixel, the whole image, nothing, noise, a ring, or far outside."""
    if rng.random() < 0.02:
        return MaskCrop(np.ones(size, dtype=bool), 0, 0)
    x, y = (int(value) for value in rng.integers(-6, max(size) + 6, 2))
    shape = tuple(rng.integers(0, 14, 2))
    ring = np.ones((9, 7), dtype=bool)
    ring[2:7, 2:5] = False
    noise, solid = MaskCrop(rng.random(shape) < 0.5, x, y), MaskCrop(np.ones(shape, dtype=bool), x, y)
    pixel, empty = MaskCrop(np.ones((1, 1), dtype=bool), x, y), MaskCrop(np.zeros(shape, dtype=bool), x, y)
    far = MaskCrop(np.ones((3, 3), dtype=bool), pick(rng, [10**9, -(10**9)]), y)
    return pick(rng, [solid, solid, solid, MaskCrop(ring, x, y), MaskCrop(ring, x, y), noise, noise, pixel, empty, far])


def any_steps(rng: np.random.Generator, rank: Callable) -> list[Step]:
    """Up to 7 steps, half of the times in an order that makes sense."""
    kinds = [pick(rng, list(STEPS.values())) for _ in range(rng.integers(0, 8))]
    if rng.random() < 0.5:
        kinds.sort(key=rank)
    return [any_step(rng, kind) for kind in kinds]


def any_step(rng: np.random.Generator, kind: type[Step]) -> Step:
    def number(limits: Mapping[str, Any]) -> float:
        numbers = [0.01, 0.05, 0.2, 0.5, 0.8, 1] if limits['at_most'] == 1 else [0, 1, 10, 100, 1e6, 1e6]
        above = -1 if limits['above'] is None else limits['above']
        return float(pick(rng, [value for value in numbers if above < value <= limits['at_most']]))

    parameters = {}
    for one in fields(kind):
        if one.default is MISSING or rng.random() < 0.7:
            values = [number(one.metadata) for _ in CELL_TYPES]
            parameters[one.name] = dict(zip(CELL_TYPES, values, strict=True)) if rng.random() < 0.3 else values[0]
    return kind(**parameters)


def ids_of(image: ImagePredictions) -> list[int]:
    return np.rint(image.soft_masks[:, 0, 0] * 1024).astype(int).tolist()


def full_masks(image: ImagePredictions) -> np.ndarray:
    return np.array([crop.to_full(image.size) for crop in with_crops(image).crops], dtype=bool).reshape(-1, *image.size)


def keeps_by_score(step: Step, before: ImagePredictions) -> list[int]:
    limits = values_of(step.threshold, before.labels)
    return np.flatnonzero(before.scores >= limits.astype(np.float32)).tolist()


def keeps_by_min_area(step: Step, before: ImagePredictions) -> list[int]:
    areas = full_masks(before).sum(axis=(1, 2))
    return np.flatnonzero((areas >= values_of(step.min_area, before.labels)) & (areas > 0)).tolist()


def keeps_by_max_area(step: Step, before: ImagePredictions) -> list[int]:
    return np.flatnonzero(full_masks(before).sum(axis=(1, 2)) <= values_of(step.max_area, before.labels)).tolist()


def keeps_greedily(before: ImagePredictions, keeps: Callable[[int, list[int]], bool]) -> list[int]:
    """Goes through the cells, best score first; ``keeps`` takes a cell and those kept so far."""
    kept: list[int] = []
    for cell in sorted(range(len(before)), key=lambda cell: (-before.scores[cell], cell)):
        if keeps(cell, kept):
            kept.append(cell)
    return sorted(kept)


def keeps_by_box_nms(step: Step, before: ImagePredictions) -> list[int]:
    limits, iou = values_of(step.iou_threshold, before.labels), box_iou(before.boxes, before.boxes)
    return keeps_greedily(before, lambda cell, kept: all(iou[cell, other] <= limits[cell] for other in kept))


def keeps_by_mask_nms(step: Step, before: ImagePredictions) -> list[int]:
    limits, masks = values_of(step.iou_threshold, before.labels), full_masks(before)

    def iou(one: int, two: int) -> float:
        return np.count_nonzero(masks[one] & masks[two]) / max(np.count_nonzero(masks[one] | masks[two]), 1)

    return keeps_greedily(before, lambda cell, kept: all(iou(cell, other) <= limits[cell] for other in kept))


def keeps_by_containment(step: Step, before: ImagePredictions) -> list[int]:
    limits, masks = values_of(step.threshold, before.labels), full_masks(before)

    def share(one: int, two: int) -> float:
        return np.count_nonzero(masks[one] & masks[two]) / max(min(masks[one].sum(), masks[two].sum()), 1)

    return keeps_greedily(before, lambda cell, kept: all(share(cell, other) <= limits[cell] for other in kept))


def keeps_by_free_pixels(step: Step, before: ImagePredictions) -> list[int]:
    limits, masks = values_of(step.min_remaining, before.labels), full_masks(before)

    def keeps(cell: int, kept: list[int]) -> bool:
        free = np.count_nonzero(masks[cell] & ~masks[kept].any(axis=0))
        return free > 0 and free >= limits[cell] * masks[cell].sum()

    return keeps_greedily(before, keeps)


KEEPS = {
    'ScoreThreshold': keeps_by_score,
    'MinArea': keeps_by_min_area,
    'MaxArea': keeps_by_max_area,
    'BoxNMS': keeps_by_box_nms,
    'MaskNMS': keeps_by_mask_nms,
    'ContainmentNMS': keeps_by_containment,
    'RemoveOverlap': keeps_by_free_pixels,
}
"""The slow, obvious version of steps that drop cells: indices of the kept ones. A new step needs no entry: of a step
without one the kept cells must be some of the cells, in their order."""


def check_step(step: Step, before: ImagePredictions, after: ImagePredictions) -> None:
    """A cell vanishes only in a step that drops cells, and only for the reason that the step states."""
    name = type(step).__name__
    ids, after_ids = ids_of(before), ids_of(after)
    if name in KEEPS:
        kept = KEEPS[name](step, before)
    elif step.drops_cells:
        kept = [ids.index(own) for own in after_ids]
        assert kept == sorted(set(kept)), f'{name} repeats cells or changes their order'
    else:
        kept = list(range(len(before)))
    wrong = f'{name} drops other cells than it says; a step that may drop cells declares drops_cells = True'
    assert after_ids == [ids[cell] for cell in kept], wrong
    np.testing.assert_array_equal(after.boxes, before.boxes[kept], f'{name} changes boxes')
    if step.changes_scores:
        assert (np.abs(after.scores) <= np.abs(before.scores[kept])).all(), f'{name} raises scores'
    else:
        np.testing.assert_array_equal(after.scores, before.scores[kept], f'{name} does not declare changes_scores')
    if step.on_pixels:
        old, new = full_masks(before)[kept], full_masks(after)
        assert (new.any(axis=(1, 2)) == old.any(axis=(1, 2))).all(), f'{name} empties cells'
        if not step.grows_cells:
            assert (new <= old).all(), f'{name} does not declare grows_cells'


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_chain_gives_disjoint_cells_or_says_what_is_wrong_and_drops_none_in_silence(step_rank, seed):
    rng = np.random.default_rng(seed)
    given_image, steps = any_image(rng), any_steps(rng, step_rank)
    try:
        chain = Chain(tuple(steps)).for_classes(CELL_TYPES)
    except InputError as error:
        assert 'is after' in str(error)
        return
    try:
        cells = chain(given_image)
    except InputError as error:
        assert 'none of the classes' in str(error)
        assert not np.isin(given_image.labels, [0, 1, 2]).all()
        return

    covered = full_masks(cells).sum(axis=0)
    assert covered.max(initial=0) <= 1
    assert all(0 < crop.area == crop.clipped(cells.size).area for crop in cells.crops)
    assert np.isfinite(cells.scores).all()

    # The same once more, step by step.
    image = drop_unusable(given_image)
    x1, y1, x2, y2 = given_image.boxes.T
    with np.errstate(invalid='ignore'):
        usable = np.isfinite(given_image.scores) & np.isfinite(given_image.boxes.sum(axis=1, dtype=np.float64))
    assert ids_of(image) == np.flatnonzero(usable & (x1 < x2) & (y1 < y2)).tolist()
    resolves = any(isinstance(step, RemoveOverlap) for step in steps)
    for step in steps if resolves else [*steps, RemoveOverlap()]:
        after = step(image)
        check_step(step, image, after)
        image = after
    assert ids_of(image) == ids_of(cells)
    np.testing.assert_array_equal(full_masks(image), full_masks(cells))


def test_the_examples_reach_what_they_should(step_rank):
    """Most are chains that run and leave cells; every step and every way to fail occurs."""
    counts = dict.fromkeys(['ran', 'left cells', 'misplaced', 'foreign label'], 0)
    seen = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        image, steps = any_image(rng), any_steps(rng, step_rank)
        try:
            chain = Chain(tuple(steps)).for_classes(CELL_TYPES)
            seen |= {type(step).__name__ for step in steps}
            counts['left cells'] += len(chain(image)) > 1
            counts['ran'] += 1
        except InputError as error:
            counts['misplaced' if 'is after' in str(error) else 'foreign label'] += 1
    assert seen == set(STEPS)
    assert counts['ran'] > 120
    assert counts['left cells'] > 60
    assert counts['misplaced'] > 0
    assert counts['foreign label'] > 0


@pytest.mark.parametrize('name', sorted(STEPS))
def test_a_cell_that_vanishes_without_a_reason_is_found(name):
    # Of several images one in which the step leaves cells to lose.
    step = any_step(np.random.default_rng(0), STEPS[name])
    images = [drop_unusable(any_image(np.random.default_rng(seed))) for seed in range(10)]
    image = max(images, key=lambda image: len(step(image)))
    after = step(image)
    check_step(step, image, after)
    assert len(after)
    if name in KEEPS or not step.drops_cells:
        with pytest.raises(AssertionError):
            check_step(step, image, after.select(np.arange(len(after)) > 0))
    with pytest.raises(AssertionError):
        check_step(step, image, after.select(np.zeros(2, dtype=np.int64)))
