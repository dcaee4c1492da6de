"""Random and adversarial prediction sets through every fusion method.

A hundred examples a method run with the suite. To run 10,000 a method (a few minutes):

    SARTORIUS_EXAMPLES=10000 python -m pytest tests/fusion/test_fusion_fuzz.py
"""

import os
from collections import Counter
from dataclasses import Field, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion import METHODS, build_method, fuse, fuse_boxes
from sartorius.fusion.base import DROPPED, Method
from sartorius.fusion.boxes import MIN_SCORE, MIN_SIDE
from sartorius.images.size_limit import MAX_EDGE
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.store import quantise
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

EXAMPLES = int(os.environ.get('SARTORIUS_EXAMPLES', 100))
SIZES = [*[(60, 80)] * 6, (24, 32), (5, 60), (1, 1), (2, 30000)]
NAN, INF, HUGE, FAR = float('nan'), float('inf'), 3e38, float(MAX_EDGE)
# What takes no part, or reaches far: none of it is an error.
ODD_BOXES = [
    (9, 9, 2, 2),  # inverted
    (4, 4, 4, 9),  # without width
    (3, 3, 3.005, 9),  # too thin
    (-50, -50, -40, -40),  # outside the image
    (-FAR, -FAR, FAR, FAR),
    (0, 0, FAR, 9),
    (0.2, 0.2, 0.8, 0.8),  # within one pixel
]
BAD_BOXES = [(NAN, 0, 9, 9), (0, 0, INF, 9), (-HUGE, -HUGE, HUGE, HUGE), (0, 0, 1e30, 9)]
SCORES = [0.0, 1e-7, 0.05, 0.2, 0.35, 0.5, 0.5, 0.5, 0.9, 1.0]
BAD_SCORES = [NAN, INF, -0.1, 1.1]


SHARES = np.array([0.1, 0.3, 0.5, 0.6, 0.9])


def rejects_none(method: Method, cells: int, part: int, rejected: int) -> None:
    assert rejected == 0


def keeps_all(method: Method, cells: int, part: int, rejected: int) -> None:
    assert cells == part - rejected


def rejects_what_few_models_find(method: Method, cells: int, part: int, rejected: int) -> None:
    assert rejected == 0 or method.min_models > 1


ORACLES = {
    'wbf': rejects_none,
    'nms': rejects_none,
    'nmw': rejects_none,
    'soft-nms': keeps_all,
    'consensus': rejects_what_few_models_find,
}
"""What some methods promise beyond what holds for all; a new method needs no entry."""


def pick(rng: np.random.Generator, values: list):
    return values[rng.integers(len(values))]


def any_cells(rng: np.random.Generator, size: tuple[int, int], pool: list, bad: bool) -> tuple[np.ndarray, np.ndarray]:
    """Up to 15 boxes and scores; boxes are often those of a pool that the models share, a little moved or not."""
    height, width = size
    boxes, scores = [], []
    for _ in range(rng.integers(0, 16)):
        low, side = rng.uniform(-4, [width, height]), rng.uniform(0.1, 14, 2)
        fresh = pick(rng, [*[(*low, *(low + side))] * 20, (0, 0, width, height), (1, 1, 2, 2), *ODD_BOXES])
        box = np.array(pick(rng, pool) if pool and rng.random() < 0.6 else fresh, dtype=np.float64)
        pool.append(tuple(box + pick(rng, [0, 0, rng.normal(0, 1, 4)])))
        boxes.append(box)
        scores.append(pick(rng, SCORES))
    if bad and boxes:
        if rng.random() < 0.5:
            boxes[0] = pick(rng, BAD_BOXES)
        else:
            scores[0] = pick(rng, BAD_SCORES)
    return np.array(boxes, dtype=np.float32).reshape(-1, 4), np.array(scores, dtype=np.float32)


def any_image(
    rng: np.random.Generator, image_id: str, size: tuple[int, int], pool: list, grid: int, classes: int, bad: str
) -> ImagePredictions:
    boxes, scores = any_cells(rng, size, pool, bad == 'cells')
    soft_masks = quantise(rng.random((len(boxes), grid, grid)) ** pick(rng, [0, 0.3, 1, 50]))
    if bad == 'masks' and soft_masks.size:
        soft_masks.flat[0] = pick(rng, [NAN, -0.5, 1.5])
    labels = rng.integers(0, classes, len(boxes))
    return ImagePredictions(image_id, size, boxes, scores, labels, soft_masks)


def any_sets(rng: np.random.Generator) -> list[PredictionSet]:
    """One to four models on one or two images: some box detectors, some of few classes, rarely something bad."""
    sizes = {image_id: pick(rng, SIZES) for image_id in 'ab'[: rng.integers(1, 3)]}
    pools: dict[str, list] = {image_id: [] for image_id in sizes}
    masks = pick(rng, ['all', 'all', 'all', 'some', 'none'] if rng.random() < 0.3 else ['all'])
    sets = []
    for model in range(rng.integers(1, 5)):
        bad = pick(rng, ['cells', 'masks', 'size', 'missing', 'classes', 'copy']) if rng.random() < 0.04 else ''
        grid = 0 if masks == 'none' or (masks == 'some' and rng.random() < 0.5) else int(rng.integers(1, 6))
        classes = tuple(rng.permutation(CELL_TYPES)[: rng.integers(1, 4) if rng.random() < 0.2 else 3].tolist())
        classes = ('other', *classes) if bad == 'classes' else classes
        if bad == 'copy' and sets:
            sets.append(sets[int(rng.integers(model))])
            continue
        images = [
            any_image(rng, key, (7, 7) if bad == 'size' else size, pools[key], grid, len(classes), bad)
            for key, size in sizes.items()
        ]
        sets.append(PredictionSet(tuple(images[1:] if bad == 'missing' else images), classes))
    return sets


def any_value(rng: np.random.Generator, one: Field, models: int) -> object:
    """A valid value of a method's parameter, often near its limits."""
    if isinstance(one.default, bool):
        return bool(rng.random() < 0.5)
    if one.metadata['choices']:
        return pick(rng, one.metadata['choices'])
    limits = one.metadata['limits']
    low, high = limits.get('at least', limits.get('above', -1e6)), limits.get('at most', limits.get('below', 1e6))
    if isinstance(one.default, int):
        return int(rng.integers(low, min(high, max(low, models)) + 1))
    inner = 1e-9 * max(1, abs(high))
    near = [low if 'at least' in limits else low + inner, high if 'at most' in limits else high - inner]
    return float(pick(rng, [one.default, one.default, *near, rng.uniform(low, high), *(low + (high - low) * SHARES)]))


def any_settings(rng: np.random.Generator, name: str, models: int) -> dict:
    """A method's parameters, weights and thresholds; a bad one now and then."""
    parameters = {one.name: any_value(rng, one, models) for one in fields(METHODS[name]) if rng.random() < 0.6}
    config = {'type': name, **parameters}
    return {
        'method': build_method(config),
        'weights': pick(rng, [None, rng.uniform(0.1, 3, models).tolist(), np.logspace(0, 6, models).tolist()])
        if rng.random() < 0.98
        else [pick(rng, [0, -1, NAN, INF, 1e-9]), *[1.0] * (models - 1)],
        'score_thresholds': pick(rng, [0.0, 0.2, 0.35, [float(rng.random())] * models]),
        'class_agnostic': rng.random() >= 0.8,
        'average_masks': rng.random() < 0.3,
        'boxes_only': rng.random() < 0.2,
    }


def why_refused(sets: list[PredictionSet], options: dict) -> list[str]:
    """Every reason for which these must be refused, whatever the score thresholds leave of them."""
    reasons = []
    weights = np.array(options['weights'] or [1])
    if not (np.isfinite(weights).all() and (weights > 0).all() and weights.max() <= 1e6 * weights.min()):
        reasons.append('weight')
    if any('other' in one.classes for one in sets):
        # A set that has every class, the other one too, makes it one of the classes.
        everything = set().union(*(one.classes for one in sets))
        if not any(set(one.classes) == everything for one in sets):
            reasons.append('classes')
    if len({frozenset(one.image_ids) for one in sets}) > 1:
        return [*reasons, 'images']
    images = [[one.by_id()[image_id] for one in sets] for image_id in sets[0].image_ids]
    if any(image.size != group[0].size for group in images for image in group):
        reasons.append('size')
    everything = [image for group in images for image in group]
    if any(len(image) and not (np.abs(image.boxes) <= MAX_EDGE).all() for image in everything):
        reasons.append('box')
    if any(not ((image.scores >= 0) & (image.scores <= 1)).all() for image in everything):
        reasons.append('score')
    if any(not ((image.soft_masks >= 0) & (image.soft_masks <= 1)).all() for image in everything):
        reasons.append('soft mask')
    filled = [image for image in everything if len(image)]
    if filled and not options['boxes_only'] and not any(image.has_masks for image in filled):
        reasons.append('no masks')
    for one in range(len(sets)):
        if any(sets[other] is sets[one] and any(map(len, sets[one].images)) for other in range(one)):
            reasons.append('copy')
    if options['method'].needs_masks and any(not image.has_masks for image in filled):
        reasons.append('needs masks')
    return reasons


def usable(image: ImagePredictions, threshold: float) -> np.ndarray:
    """Which cells take part."""
    height, width = image.size
    sides = np.clip(image.boxes.astype(np.float64), 0, [width, height, width, height])
    large = (sides[:, 2:] - sides[:, :2] >= MIN_SIDE).all(axis=1)
    return large & (image.scores >= max(MIN_SCORE, np.float32(threshold)))


def check_fused(fused: PredictionSet, sets: list[PredictionSet], options: dict) -> None:
    """Valid values, and every cell that went in accounted for."""
    limit = options['score_thresholds']
    limit = limit[0] if isinstance(limit, list) else limit
    grids = [image.soft_masks.shape[1] for one in sets for image in one.images]
    expected = Counter()
    for image in fused.images:
        given_cells = [one.by_id()[image.image_id] for one in sets]
        assert image.size == given_cells[0].size
        assert np.isfinite(image.boxes).all() and (image.boxes[:, :2] < image.boxes[:, 2:]).all()
        assert ((image.scores >= 0) & (image.scores <= 1)).all() and (np.diff(image.scores) <= 0).all()
        assert set(image.labels.tolist()) <= set(range(len(fused.classes)))
        assert ((image.soft_masks >= 0) & (image.soft_masks <= 1)).all()
        assert image.soft_masks.shape[1] <= (0 if options['boxes_only'] else max(grids))
        low = sum(int((one.scores < np.float32(limit)).sum()) for one in given_cells)
        part = sum(int(usable(one, limit).sum()) for one in given_cells)
        expected.update({'low_score': low, 'unusable': sum(map(len, given_cells)) - low - part, 'part': part})
    dropped = fused.source.dropped
    assert set(dropped) == set(DROPPED)
    assert {name: dropped[name] for name in ('low_score', 'unusable')} == {
        name: expected[name] for name in ('low_score', 'unusable')
    }
    cells = sum(map(len, fused.images)) + dropped['without_mask']
    # Every cell that is not rejected is a member of one fused cell, and every fused cell has a member.
    assert (cells > 0) == (expected['part'] > dropped['rejected']) and cells <= expected['part'] - dropped['rejected']
    ORACLES.get(fused.source.method, lambda *_: None)(options['method'], cells, expected['part'], dropped['rejected'])


def check_members(sets: list[PredictionSet], options: dict) -> None:
    """Every box that takes part is a member of one fused box, or counted as rejected."""
    for image_id in sets[0].image_ids:
        images = [one.by_id()[image_id] for one in sets]
        fused = fuse_boxes(
            [image.boxes for image in images],
            [image.scores for image in images],
            [image.labels for image in images],
            images[0].size,
            options['method'],
            weights=options['weights'],
            class_agnostic=options['class_agnostic'],
            soft_masks=[image.soft_masks for image in images],
        )
        pairs = [tuple(pair) for rows in fused.members for pair in rows.tolist()]
        taking_part = {(m, int(n)) for m, image in enumerate(images) for n in np.flatnonzero(usable(image, 0))}
        assert len(pairs) == len(set(pairs)) == len(taking_part) - fused.rejected
        assert set(pairs) <= taking_part and all(map(len, fused.members))


def shuffled(rng: np.random.Generator, sets: list[PredictionSet], options: dict) -> tuple[list[PredictionSet], dict]:
    """The same sets in another order, their images and cells too."""
    order = rng.permutation(len(sets))
    sets = [
        PredictionSet(
            tuple(image.select(rng.permutation(len(image))) for image in sets[m].images[::-1]), sets[m].classes
        )
        for m in order
    ]
    weights = options['weights'] and [options['weights'][m] for m in order]
    return sets, {**options, 'weights': weights}


@pytest.mark.parametrize('name', sorted(METHODS))
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_sets_give_valid_cells_or_a_refusal_and_lose_none_in_silence(name, seed):
    rng = np.random.default_rng(seed)
    sets = any_sets(rng)
    options = any_settings(rng, name, len(sets))
    reasons = why_refused(sets, options)
    try:
        fused = fuse(sets, **options)
    except InputError:
        assert reasons
        return
    assert not reasons
    check_fused(fused, sets, options)
    check_members(sets, options)
    other_sets, other_options = shuffled(rng, sets, options)
    other = fuse(other_sets, **other_options)
    assert other.classes == fused.classes
    for ours, theirs in zip(fused.images, other.images, strict=True):
        for array in ('boxes', 'scores', 'labels', 'soft_masks'):
            assert getattr(ours, array).tobytes() == getattr(theirs, array).tobytes(), array


@pytest.mark.slow
def test_the_examples_reach_what_they_should():
    """Most run and leave cells; every reason to refuse occurs."""
    counts, reasons = Counter(), set()
    for seed in range(600):
        rng = np.random.default_rng(seed)
        sets = any_sets(rng)
        options = any_settings(rng, pick(rng, list(METHODS)), len(sets))
        why = why_refused(sets, options)
        reasons.update(why)
        if not why:
            fused = fuse(sets, **options)
            counts['ran'] += 1
            counts['left cells'] += sum(map(len, fused.images)) > 1
            counts.update({name: count > 0 for name, count in fused.source.dropped.items()})
    values, files = {'box', 'score', 'soft mask', 'weight'}, {'images', 'size', 'classes', 'copy'}
    assert reasons == values | files | {'no masks', 'needs masks'}
    assert counts['ran'] > 400 and counts['left cells'] > 250
    assert all(counts[name] for name in DROPPED)


@pytest.mark.parametrize('name', sorted(METHODS))
def test_a_lost_cell_is_found(name):
    """The check itself fails where a cell is dropped without being counted."""
    for seed in range(50):
        sets = any_sets(np.random.default_rng(seed))
        options = any_settings(np.random.default_rng(seed), name, len(sets)) | {'method': build_method({'type': name})}
        if not why_refused(sets, options) and sum(usable(i, 0.5).sum() for one in sets for i in one.images):
            break
    options |= {'boxes_only': False, 'score_thresholds': 0.0}
    fused = fuse(sets, **options)
    check_fused(fused, sets, options)
    dropped = dict(fused.source.dropped)
    dropped['unusable'] += 1
    with pytest.raises(AssertionError):
        check_fused(PredictionSet(fused.images, fused.classes, replace(fused.source, dropped=dropped)), sets, options)
