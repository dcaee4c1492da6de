"""The methods do what ensemble-boxes does, to the last bit where that is defined.

Scores are all different: of equal ones, ensemble-boxes takes whichever numpy's unstable sort puts first.
"""

import ensemble_boxes
import numpy as np
import pytest
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion import build_method, fuse_boxes
from sartorius.fusion.base import Candidates

SIZE = (100, 200)
SCALE = np.array([200, 100, 200, 100])
CONF_TYPES = ['avg', 'max', 'box_and_model_avg', 'absent_model_aware_avg']


def draw(seed: int, models: int, cells: int, spread: float, coarse: bool):
    """Boxes in [0, 1], scores and labels of models; coarse boxes overlap by the same IoU again and again."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(models * cells) / (models * cells + 1) * 0.9 + 0.05
    found = []
    for model in range(models):
        corners, sides = rng.uniform(0, spread, (cells, 2)), rng.uniform(0.05, 0.1, (cells, 2))
        if coarse:
            corners, sides = np.round(corners * 32) / 32, np.full((cells, 2), 0.125)
        boxes = np.concatenate([corners, np.minimum(corners + sides, 1)], axis=1)
        found.append((boxes, scores[model * cells : (model + 1) * cells], rng.integers(0, 2, cells)))
    return found


def as_candidates(found, weights):
    boxes, scores, labels = (np.concatenate(values) for values in zip(*found, strict=True))
    models = np.repeat(np.arange(len(found)), [len(one[0]) for one in found])
    weights = np.asarray(weights) / np.max(weights)
    order = np.argsort(-scores * weights[models])
    return Candidates(
        boxes[order], scores[order], labels[order], models[order], weights, np.ones((len(found), 2), dtype=bool)
    )


def assert_same(ours, theirs, box_tolerance=0.0):
    """Compares boxes, scores and labels in any order, told apart by boxes where those must be equal, else by scores."""
    one, other = (
        [values[np.lexsort([scores, labels] if box_tolerance else [*boxes.T, labels])] for values in found]
        for found in (ours, theirs)
        for boxes, scores, labels in [found]
    )
    np.testing.assert_array_equal(one[2], other[2])
    np.testing.assert_allclose(one[1], other[1], rtol=1e-6)
    np.testing.assert_allclose(one[0], other[0], rtol=0, atol=box_tolerance)


drawn = {
    'seed': st.integers(0, 10**6),
    'models': st.integers(1, 4),
    'cells': st.integers(1, 40),
    'spread': st.sampled_from([0.1, 0.4, 0.9]),
    'coarse': st.booleans(),
    'threshold': st.sampled_from([0.1, 0.3, 0.55, 0.75]),
    'weighted': st.booleans(),
}


def weights_of(models: int, weighted: bool) -> list[float]:
    """None of which makes two weighted scores equal."""
    return [1 + 0.137 * model for model in range(models)] if weighted else [1.0] * models


@pytest.mark.parametrize('conf_type', CONF_TYPES)
@settings(max_examples=60, deadline=None)
@given(**drawn)
def test_wbf(conf_type, seed, models, cells, spread, coarse, threshold, weighted):
    found, weights = draw(seed, models, cells, spread, coarse), weights_of(models, weighted)
    fusion = build_method({'type': 'wbf', 'iou_threshold': threshold, 'conf_type': conf_type})(
        as_candidates(found, weights)
    )
    # Scaled, as ours are: the centres, in single precision, are then the same to the last bit.
    theirs = ensemble_boxes.weighted_boxes_fusion(
        *map(list, zip(*found, strict=True)),
        weights=np.array(weights) / max(weights),
        iou_thr=threshold,
        conf_type=conf_type,
    )
    assert_same((fusion.boxes, fusion.scores, fusion.labels), (theirs[0].clip(0, 1), theirs[1].clip(0, 1), theirs[2]))


@settings(max_examples=60, deadline=None)
@given(**drawn)
def test_nmw(seed, models, cells, spread, coarse, threshold, weighted):
    found, weights = draw(seed, models, cells, spread, coarse), weights_of(models, weighted)
    fusion = build_method({'type': 'nmw', 'iou_threshold': threshold})(as_candidates(found, weights))
    theirs = ensemble_boxes.non_maximum_weighted(
        *map(list, zip(*found, strict=True)), weights=list(weights), iou_thr=threshold
    )
    # Theirs add up in single precision.
    assert_same((fusion.boxes, fusion.scores, fusion.labels), theirs, box_tolerance=1e-6)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(**drawn)
def test_nms(seed, models, cells, spread, coarse, threshold, weighted):
    found, weights = draw(seed, models, cells, spread, coarse), weights_of(models, weighted)
    fusion = build_method({'type': 'nms', 'iou_threshold': threshold})(as_candidates(found, weights))
    boxes, scores, labels = ensemble_boxes.nms(
        *map(list, zip(*found, strict=True)), weights=list(weights), iou_thr=threshold
    )
    # Theirs are divided by the sum of the weights, ours by the greatest.
    scores = scores * np.sum(weights) / np.max(weights)
    assert_same((fusion.boxes, fusion.scores, fusion.labels), (boxes, scores, labels))


@pytest.mark.parametrize(('decay', 'number'), [('linear', 1), ('gaussian', 2)])
@settings(max_examples=60, deadline=None)
@given(**drawn)
def test_soft_nms(decay, number, seed, models, cells, spread, coarse, threshold, weighted):
    found, weights = draw(seed, models, cells, spread, coarse), weights_of(models, weighted)
    candidates = as_candidates(found, weights)
    method = build_method({'type': 'soft-nms', 'decay': decay, 'iou_threshold': threshold, 'min_score': 0.01})
    fusion = method(candidates)
    theirs = []
    for label in np.unique(candidates.labels):
        rows = candidates.labels == label
        # The scores are lowered in place; soft_nms() itself does this to a copy and gives the old ones back.
        scores = candidates.weighted_scores[rows]
        kept = cpu_soft_nms_float(candidates.boxes[rows], scores, threshold, 0.5, 0.01, number)
        theirs.append((candidates.boxes[rows][kept], scores[scores > 0.01], np.full(len(kept), label)))
    assert_same((fusion.boxes, fusion.scores, fusion.labels), [np.concatenate(v) for v in zip(*theirs, strict=True)])


def test_soft_nms_of_ensemble_boxes_drops_the_same_boxes():
    found = draw(0, 3, 40, 0.4, False)
    fused = fuse_boxes(
        [(boxes * SCALE).astype(np.float32) for boxes, _, _ in found],
        [scores.astype(np.float32) for _, scores, _ in found],
        [labels for _, _, labels in found],
        SIZE,
        method=build_method({'type': 'soft-nms', 'min_score': 0.2}),
    )
    boxes, _, _ = ensemble_boxes.soft_nms(*map(list, zip(*found, strict=True)), thresh=0.2)
    assert 0 < fused.rejected == 120 - len(boxes)


@pytest.mark.parametrize('conf_type', CONF_TYPES)
def test_wbf_from_pixels_to_pixels(conf_type):
    """The whole way round, called as a user calls it."""
    found = [
        ((boxes * SCALE).astype(np.float32), scores.astype(np.float32), labels)
        for boxes, scores, labels in draw(1, 3, 60, 0.9, False)
    ]
    fused = fuse_boxes(
        *map(list, zip(*found, strict=True)),
        SIZE,
        method=build_method({'type': 'wbf', 'conf_type': conf_type}),
        iou_threshold=0.4,
    )
    boxes, scores, labels = ensemble_boxes.weighted_boxes_fusion(
        [(boxes / SCALE).clip(0, 1) for boxes, _, _ in found],
        [scores for _, scores, _ in found],
        [labels for _, _, labels in found],
        iou_thr=0.4,
        conf_type=conf_type,
    )
    assert_same((fused.boxes, fused.scores, fused.labels), (boxes * SCALE, scores, labels), box_tolerance=1e-3)
