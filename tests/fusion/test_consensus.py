"""Cells whose masks agree become one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion import build_method, fuse_image
from sartorius.fusion.kernels.boxes import cluster_by_pairs
from sartorius.masks.overlap import mask_iou
from sartorius.masks.paste import binarise
from sartorius.predictions import ImagePredictions
from sartorius.predictions.store import quantise

SIZE = (60, 80)


def fused_cells(*images, **options) -> ImagePredictions:
    """The fused image alone, without the counts."""
    return fuse_image(*images, **options)[0]


def model(*cells, grid=20):
    """Predictions of one model from ``(x1, y1, x2, y2, score, label)``, masks that fill their boxes."""
    rows = np.array(cells, dtype=np.float64).reshape(-1, 6)
    return ImagePredictions(
        'a',
        SIZE,
        rows[:, :4].astype(np.float32),
        rows[:, 4].astype(np.float32),
        rows[:, 5].astype(np.int64),
        np.ones((len(rows), grid, grid), np.float32),
    )


def consensus(*models, **parameters):
    return fused_cells(models, build_method({'type': 'consensus', **parameters}))


def test_two_halves_of_one_box_are_two_cells_to_consensus_alone():
    """Long cells that cross share a box and no body."""
    box, score, label = np.float32([[10, 10, 50, 50]]), np.float32([0.8]), np.zeros(1, np.int64)
    stripe = np.eye(20, dtype=np.float32) + np.eye(20, k=1, dtype=np.float32)
    models = [ImagePredictions('a', SIZE, box, score, label, mask[None]) for mask in (stripe, np.fliplr(stripe))]
    assert len(fused_cells(models, 'wbf')) == 1
    assert len(consensus(*models)) == 2


def test_score_place_and_mask_by_hand():
    # Masks of 400 px that share 300 and have 500 together: IoU .6.
    fused = consensus(model((10, 10, 30, 30, 0.6, 0)), model((15, 10, 35, 30, 0.2, 0)))
    np.testing.assert_allclose(fused.scores, [0.4])
    np.testing.assert_allclose(fused.boxes, [[11.25, 10, 31.25, 30]])
    # Three quarters of the say, both, one quarter; columns of one pixel that start at 11.25.
    np.testing.assert_allclose(fused.soft_masks[0, 5, [0, 10, 19]], [0.75, 1, 0.25], atol=0.5 / 255)
    assert len(consensus(model((10, 10, 30, 30, 0.6, 0)), model((15, 10, 35, 30, 0.2, 0)), iou_threshold=0.6)) == 1
    assert len(consensus(model((10, 10, 30, 30, 0.6, 0)), model((15, 10, 35, 30, 0.2, 0)), iou_threshold=0.61)) == 2
    # Another class is another cell.
    assert len(consensus(model((10, 10, 30, 30, 0.6, 0)), model((10, 10, 30, 30, 0.2, 1)))) == 2


def test_a_chain_is_not_one_cell():
    # Each overlaps the next by IoU .6, the first and the last by 1/3.
    chain = [model((x, 10, x + 20, 30, score, 0)) for x, score in ((10, 0.9), (15, 0.5), (20, 0.8))]
    fused = consensus(*chain)
    # Best score first: .9, then .8 on its own, then .5, which agrees with both alike and joins the better one.
    np.testing.assert_allclose(fused.scores, [1.4 / 2 * 2 / 3, 0.8 / 3], atol=1e-6)


def test_least_models_drops_what_one_alone_found_and_counts_it():
    models = [model((10, 10, 30, 30, 0.6, 0), (40, 10, 60, 30, 0.9, 0)), model((11, 10, 31, 30, 0.5, 0))]
    fused, dropped = fuse_image(models, build_method({'type': 'consensus', 'min_models': 2}))
    assert len(fused) == 1 and dropped['rejected'] == 1


def test_two_cells_of_one_model_are_two_cells():
    doubles = model((10, 10, 30, 30, 0.6, 0), (11, 10, 31, 30, 0.5, 0))
    assert len(consensus(doubles, model())) == 2
    assert len(consensus(doubles, model(), min_models=2)) == 0
    # A second model's cell agrees with both, and has one vote.
    fused = consensus(doubles, model((10, 10, 30, 30, 0.7, 0)))
    np.testing.assert_allclose(fused.scores, [0.65, 0.25])


def test_masks_without_pixels_agree_with_nothing():
    box, score, label = np.float32([[10, 10, 30, 30]]), np.float32([0.5]), np.zeros(1, np.int64)
    blank = ImagePredictions('a', SIZE, box, score, label, np.zeros((1, 4, 4), np.float32))
    assert len(consensus(blank, blank)) == 2


def cluster_slowly(iou, threshold):
    """Lists of the cells of each cluster."""
    clusters = []
    for cell in range(len(iou)):
        fitting = [n for n, members in enumerate(clusters) if min(iou[cell, members]) >= threshold]
        if fitting:
            # Of equal means the first.
            clusters[max(fitting, key=lambda n: sum(iou[cell, clusters[n]]) / len(clusters[n]))].append(cell)
        else:
            clusters.append([cell])
    return clusters


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), cells=st.integers(1, 30), threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_groups_equal_the_slow_way(seed, cells, threshold):
    rng = np.random.default_rng(seed)
    iou = np.round(rng.random((cells, cells)) ** 0.5, 2)
    iou = np.minimum(iou, iou.T)
    rows, columns = np.nonzero(np.tril(iou >= threshold, -1))
    owners = cluster_by_pairs(rows, columns, iou[rows, columns], cells)
    expected = cluster_slowly(iou, threshold)
    assert [np.flatnonzero(owners == n).tolist() for n in range(owners.max() + 1)] == expected


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0.1, 0.5, 0.7]), labels=st.integers(1, 2))
def test_pairs_are_those_of_the_iou_of_pasted_masks(seed, threshold, labels):
    """The whole method against the matrix of IoUs."""
    rng = np.random.default_rng(seed)
    models = []
    for _ in range(3):
        corners = rng.integers(-5, 40, (8, 2))
        boxes = np.concatenate([corners, corners + rng.integers(4, 25, (8, 2))], axis=1).astype(np.float32)
        masks = quantise((rng.random((8, 3, 3)) * 1.5).clip(0, 1).astype(np.float32))
        scores = rng.permutation(np.arange(1, 9)) / 10 + rng.random() / 100
        models.append(ImagePredictions('a', SIZE, boxes, np.float32(scores), rng.integers(0, labels, 8), masks))
    boxes, scores, classes = (np.concatenate([getattr(m, n) for m in models]) for n in ('boxes', 'scores', 'labels'))
    inside = ((boxes[:, 2:] > 0) & (boxes[:, :2] < [SIZE[1], SIZE[0]])).all(axis=1)
    order = np.argsort(-scores, kind='stable')
    order = order[inside[order]]
    crops = binarise(np.concatenate([m.soft_masks for m in models])[order], boxes[order], SIZE)
    may_join = (classes[order][:, None] == classes[order]) & (order[:, None] // 8 != order // 8)
    groups = cluster_slowly(mask_iou(crops, crops, SIZE) * may_join, threshold)
    expected = [scores[order[group]].sum() / 3 for group in groups]
    fused = consensus(*models, iou_threshold=threshold)
    np.testing.assert_allclose(np.sort(fused.scores), np.sort(expected), rtol=1e-5)


@pytest.mark.parametrize('conf_type', ['max', 'avg'])
def test_conf_type(conf_type):
    fused = consensus(model((10, 10, 30, 30, 0.6, 0)), model((10, 10, 30, 30, 0.2, 0)), conf_type=conf_type)
    np.testing.assert_allclose(fused.scores, [0.6 if conf_type == 'max' else 0.4])
