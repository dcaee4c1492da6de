"""Random and hostile predictions through chains of any steps.

A few hundred examples run with the suite. To run 10,000 (a few minutes):

    SARTORIUS_EXAMPLES=10000 python -m pytest tests/postprocess/test_steps_fuzz.py
"""

import os
from dataclasses import MISSING, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.masks.nms import box_iou
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import values_of
from sartorius.postprocess.steps import (
    STEPS,
    MaskThreshold,
    MaxArea,
    RemoveOverlap,
    RescoreByMask,
    ScoreThreshold,
    Step,
    drop_unusable,
    with_crops,
)
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
DROPS = {'ScoreThreshold', 'BoxNMS', 'MaskNMS', 'ContainmentNMS', 'MinArea', 'MaxArea', 'RemoveOverlap'}
"""Steps that may drop cells."""


STRICT_WHEN_HIGH = {RescoreByMask, ScoreThreshold, MaskThreshold, RemoveOverlap}
"""Steps that leave less when their parameters rise; the others leave more."""


def pick(rng: np.random.Generator, values: list):
    return values[rng.integers(len(values))]


def any_image(rng: np.random.Generator) -> ImagePredictions:
    """Up to 20 cells, good, hostile, or equal to one before. The corner of a soft mask tells each from all others."""
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


def any_steps(rng: np.random.Generator) -> list[Step]:
    """Up to 7 steps, half of the times in an order that makes sense."""
    names = [pick(rng, list(STEPS)) for _ in range(rng.integers(0, 8))]
    if rng.random() < 0.5:
        names.sort(key=list(STEPS).index)
    return [any_step(rng, STEPS[name]) for name in names]


def any_step(rng: np.random.Generator, kind: type[Step]) -> Step:
    def number(name: str) -> float:
        if name in kind.unbounded:
            return float(pick(rng, [10, 100, 1e6, 1e6] if kind is MaxArea else [0, 0, 1, 10, 10, 1e6]))
        strict, lenient = (1, 0.05) if kind in STRICT_WHEN_HIGH else (0.01, 1)
        return float(pick(rng, [strict, 0.2, 0.5, 0.8, lenient, lenient, lenient]))

    parameters = {}
    for field in fields(kind):
        if field.default is MISSING or rng.random() < 0.7:
            specialists = {cell_type: number(field.name) for cell_type in CELL_TYPES}
            parameters[field.name] = specialists if rng.random() < 0.3 else number(field.name)
    return kind(**parameters)


def ids_of(image: ImagePredictions) -> list[int]:
    return np.rint(image.soft_masks[:, 0, 0] * 1024).astype(int).tolist()


def full_masks(image: ImagePredictions) -> np.ndarray:
    return np.array([crop.to_full(image.size) for crop in with_crops(image).crops], dtype=bool).reshape(-1, *image.size)


def overlap_of(name: str, image: ImagePredictions, masks: np.ndarray, one: int, two: int) -> float:
    if name == 'BoxNMS':
        return box_iou(image.boxes[[one]], image.boxes[[two]]).item()
    shared = np.count_nonzero(masks[one] & masks[two])
    areas = masks[one].sum(), masks[two].sum()
    whole = min(areas) if name == 'ContainmentNMS' else sum(areas) - shared
    return shared / whole if whole else 0.0


def who_stays(step: Step, before: ImagePredictions) -> list[int]:
    """The slow, obvious version of every step that drops cells: indices of those that stay."""
    name, labels = type(step).__name__, before.labels
    masks = full_masks(before)
    areas = masks.sum(axis=(1, 2))
    (limits,) = (values_of(getattr(step, field.name), labels) for field in fields(step))
    if name == 'ScoreThreshold':
        return np.flatnonzero(before.scores >= limits.astype(np.float32)).tolist()
    if name == 'MaxArea':
        return np.flatnonzero(areas <= limits).tolist()
    if name == 'MinArea':
        return np.flatnonzero((areas >= limits) & (areas > 0)).tolist()
    stay: list[int] = []
    for cell in sorted(range(len(before)), key=lambda cell: (-before.scores[cell], cell)):
        if name == 'RemoveOverlap':
            free = np.count_nonzero(masks[cell] & ~masks[stay].any(axis=0))
            stays = free > 0 and free >= limits[cell] * areas[cell]
        else:
            stays = all(overlap_of(name, before, masks, cell, other) <= limits[cell] for other in stay)
        if stays:
            stay.append(cell)
    return sorted(stay)


def check_step(step: Step, before: ImagePredictions, after: ImagePredictions) -> None:
    """A cell vanishes only in a step that drops cells, and only for the reason that the step states."""
    name = type(step).__name__
    ids = ids_of(before)
    stay = who_stays(step, before) if name in DROPS else list(range(len(before)))
    assert ids_of(after) == [ids[cell] for cell in stay], name
    np.testing.assert_array_equal(after.boxes, before.boxes[stay])
    if not step.changes_scores:
        np.testing.assert_array_equal(after.scores, before.scores[stay])
    if step.on_pixels:
        old, new = full_masks(before)[stay], full_masks(after)
        assert (new.any(axis=(1, 2)) == old.any(axis=(1, 2))).all(), name
        if not step.grows_cells:
            assert (new <= old).all(), name


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_chain_gives_disjoint_cells_or_says_what_is_wrong_and_drops_none_in_silence(seed):
    rng = np.random.default_rng(seed)
    given_image, steps = any_image(rng), any_steps(rng)
    try:
        chain = Chain(tuple(steps))
    except InputError as error:
        assert 'stands after' in str(error)
        return
    try:
        cells = chain(given_image)
    except InputError as error:
        assert 'none of the cell types' in str(error)
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


def test_the_examples_reach_what_they_should():
    """Most are chains that run and leave cells; every step and every way to fail occurs."""
    counts = dict.fromkeys(['ran', 'left cells', 'misplaced', 'foreign label'], 0)
    seen = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        image, steps = any_image(rng), any_steps(rng)
        try:
            chain = Chain(tuple(steps))
            seen |= {type(step).__name__ for step in steps}
            counts['left cells'] += len(chain(image)) > 1
            counts['ran'] += 1
        except InputError as error:
            counts['misplaced' if 'stands after' in str(error) else 'foreign label'] += 1
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
    with pytest.raises(AssertionError):
        check_step(step, image, after.select(np.arange(len(after)) > 0))
