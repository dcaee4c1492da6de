"""Boxes of several models become one set, and their members are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion import METHODS, build_method, fuse_boxes
from sartorius.masks.nms import box_nms
from sartorius.utils.errors import InputError

SIZE = (100, 200)
BOX_METHODS = [name for name, method in METHODS.items() if not method.needs_masks]
# Methods that drop no cell and keep no duplicate.
MERGING = ['wbf', 'nms', 'nmw']


def arrays(*cells):
    """Boxes, scores, labels of one model from ``(x1, y1, x2, y2, score, label)``."""
    rows = np.array(cells, dtype=np.float64).reshape(-1, 6)
    return rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64)


def run(*models, **options):
    return fuse_boxes(*(list(values) for values in zip(*models, strict=True)), SIZE, **options)


def random_model(rng, cells, labels=2, side=(5, 20)):
    corners = rng.uniform(-5, 90, (cells, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(*side, (cells, 2))], axis=1).astype(np.float32)
    return boxes, rng.uniform(0.01, 1, cells).astype(np.float32), rng.integers(0, labels, cells)


def member_pairs(fused):
    return [[tuple(pair) for pair in rows.tolist()] for rows in fused.members]


def test_wbf_by_hand():
    # The first cell is found by both models, the second by the second model alone.
    fused = run(
        arrays((10, 10, 20, 20, 0.6, 0)),
        arrays((11, 10, 21, 20, 0.3, 0), (50, 50, 60, 70, 0.8, 0)),
        method='wbf',
    )
    np.testing.assert_allclose(fused.scores, [0.45, 0.4], atol=1e-6)
    np.testing.assert_allclose(fused.boxes, [[10 + 1 / 3, 10, 20 + 1 / 3, 20], [50, 50, 60, 70]], atol=1e-4)
    assert member_pairs(fused) == [[(0, 0), (1, 0)], [(1, 1)]]
    assert not fused.keeps_boxes


def test_wbf_weights_by_hand():
    models = arrays((10, 10, 20, 20, 0.6, 0)), arrays((11, 10, 21, 20, 0.2, 0), (50, 50, 60, 70, 0.8, 0))
    fused = run(*models, method='wbf', weights=[1, 3])
    # (1 x .6 + 3 x .2) / 4; the box lies half way, as both have .6 of weight times score; .8 of 3/4 of the models.
    np.testing.assert_allclose(fused.scores, [0.6, 0.3], atol=1e-6)
    np.testing.assert_allclose(fused.boxes[1], [10.5, 10, 20.5, 20], atol=1e-4)
    scaled = run(*models, method='wbf', weights=[10, 30])
    np.testing.assert_array_equal(scaled.scores, fused.scores)


def test_wbf_takes_two_boxes_of_one_model_for_one_model():
    fused = run(arrays((10, 10, 20, 20, 0.8, 0), (10, 10, 20, 21, 0.8, 0)), arrays(), method='wbf')
    np.testing.assert_allclose(fused.scores, [0.4], atol=1e-6)


def test_nms_by_hand():
    fused = run(
        arrays((10, 10, 20, 20, 0.6, 0)),
        arrays((11, 10, 21, 20, 0.7, 0), (11, 10, 21, 20, 0.5, 1), (50, 50, 60, 70, 0.8, 0)),
        method='nms',
    )
    np.testing.assert_array_equal(fused.boxes, [[50, 50, 60, 70], [11, 10, 21, 20], [11, 10, 21, 20]])
    np.testing.assert_array_equal(fused.scores, np.float32([0.8, 0.7, 0.5]))
    np.testing.assert_array_equal(fused.labels, [0, 0, 1])
    # The chosen box stands first among its members.
    assert member_pairs(fused) == [[(1, 2)], [(1, 0), (0, 0)], [(1, 1)]]
    assert fused.keeps_boxes


def test_nms_weights_lower_the_scores_of_the_weaker_model_alone():
    models = arrays((10, 10, 20, 20, 0.6, 0)), arrays((11, 10, 21, 20, 0.7, 0))
    np.testing.assert_array_equal(run(*models, method='nms', weights=[2, 2]).scores, np.float32([0.7]))
    fused = run(*models, method='nms', weights=[2, 1])
    np.testing.assert_array_equal(fused.boxes, [[10, 10, 20, 20]])
    np.testing.assert_array_equal(fused.scores, np.float32([0.6]))


def test_nmw_by_hand():
    # IoU 9/11: the second box counts .3 x 9/11 against .6.
    fused = run(
        arrays((10, 10, 20, 20, 0.6, 0)),
        arrays((11, 10, 21, 20, 0.3, 0), (50, 50, 60, 70, 0.8, 0)),
        method='nmw',
    )
    np.testing.assert_array_equal(fused.scores, np.float32([0.8, 0.6]))
    shift = (0.3 * 9 / 11) / (0.6 + 0.3 * 9 / 11)
    np.testing.assert_allclose(fused.boxes, [[50, 50, 60, 70], [10 + shift, 10, 20 + shift, 20]], atol=1e-5)
    assert member_pairs(fused) == [[(1, 1)], [(0, 0), (1, 0)]]
    weighted = run(arrays((10, 10, 20, 20, 0.6, 0)), arrays((11, 10, 21, 20, 0.9, 0)), method='nmw', weights=[2, 1])
    np.testing.assert_allclose(weighted.scores, [0.6])


def test_soft_nms_by_hand():
    # IoU 1/3 with the best box.
    models = arrays((10, 10, 20, 20, 0.8, 0)), arrays((15, 10, 25, 20, 0.6, 0), (10, 10, 20, 20, 0.5, 1))
    fused = run(*models, method='soft-nms')
    np.testing.assert_allclose(fused.scores, [0.8, 0.5, 0.6 * np.exp(-(1 / 9) / 0.5)], atol=1e-6)
    assert member_pairs(fused) == [[(0, 0)], [(1, 1)], [(1, 0)]] and fused.keeps_boxes
    linear = {'type': 'soft-nms', 'decay': 'linear'}
    assert run(*models, method=build_method({**linear, 'iou_threshold': 0.3})).scores[2] == np.float32(0.4)
    assert run(*models, method=build_method({**linear, 'iou_threshold': 0.4})).scores[1] == np.float32(0.6)
    dropped = run(*models, method=build_method({'type': 'soft-nms', 'min_score': 0.5}))
    assert member_pairs(dropped) == [[(0, 0)]] and dropped.rejected == 2


@pytest.mark.parametrize(
    ('conf_type', 'scores'),
    [
        # Model weights 1 and 1/2; .6 and .2 of the two models, .9 of the second alone, .8 and .7 of the first alone.
        ('box_and_model_avg', [(0.6 + 0.1) / 1.5, 0.9 * 0.5 / 1.5, 0.75 / 1.5]),
        ('avg', [(0.6 + 0.1) / 1.5, 0.45 / 1.5, 1.0]),
        ('max', [0.6, 0.45, 0.8]),
        ('absent_model_aware_avg', [(0.6 + 0.1) / 1.5, 0.45 / 1.5, 1.5 / 2.5]),
    ],
)
def test_wbf_conf_types_by_hand(conf_type, scores):
    fused = run(
        arrays((10, 10, 20, 20, 0.6, 0), (50, 50, 60, 60, 0.8, 0), (50, 50, 60, 60, 0.7, 0)),
        arrays((10, 10, 20, 20, 0.2, 0), (90, 50, 99, 60, 0.9, 0)),
        method=build_method({'type': 'wbf', 'conf_type': conf_type}),
        weights=[2, 1],
    )
    by_place = [float(fused.scores[fused.boxes[:, 0].round() == x][0]) for x in (10, 90, 50)]
    np.testing.assert_allclose(by_place, scores, atol=1e-6)


def test_avg_never_exceeds_one():
    """As it does in ensemble-boxes, where a heavy model found a cell twice."""
    heavy = arrays((10, 10, 20, 20, 1.0, 0), (10, 10, 20, 20, 1.0, 0))
    fused = run(heavy, arrays(), method=build_method({'type': 'wbf', 'conf_type': 'avg'}), weights=[10, 1])
    assert fused.scores.tolist() == [1]


def test_a_model_has_no_say_in_classes_that_it_does_not_know():
    models = arrays((10, 10, 20, 20, 0.6, 0), (50, 50, 60, 60, 0.8, 1)), arrays()
    np.testing.assert_allclose(run(*models).scores, [0.4, 0.3], atol=1e-6)
    np.testing.assert_allclose(run(*models, known_labels=[{0, 1}, {1}]).scores, [0.6, 0.4], atol=1e-6)
    # Where classes are not told apart, a box is a box.
    np.testing.assert_allclose(
        run(*models, known_labels=[{0, 1}, {1}], class_agnostic=True).scores, [0.4, 0.3], atol=1e-6
    )


def test_classes_are_fused_apart_or_voted_on():
    models = arrays((10, 10, 20, 20, 0.6, 0)), arrays((10, 10, 20, 20, 0.5, 2)), arrays((10, 10, 20, 21, 0.4, 2))
    assert sorted(run(*models, method='wbf').labels.tolist()) == [0, 2]
    # .5 + .4 for class 2 against .6 for class 0.
    for method in MERGING:
        fused = run(*models, method=method, class_agnostic=True)
        assert fused.labels.tolist() == [2] and len(fused.members[0]) == 3
    # Soft-NMS lets all stand, each of its own class.
    assert run(*models, method='soft-nms', class_agnostic=True).labels.tolist() == [0, 2, 2]


def test_nms_equals_greedy_nms_on_all_boxes():
    rng = np.random.default_rng(1)
    models = [random_model(rng, 80, labels=1) for _ in range(3)]
    fused = run(*models, method='nms', iou_threshold=0.3)
    boxes, scores = np.concatenate([m[0] for m in models]), np.concatenate([m[1] for m in models])
    kept = box_nms(np.clip(boxes, 0, [200, 100, 200, 100]), scores, 0.3)
    np.testing.assert_array_equal(fused.boxes, boxes[kept])
    np.testing.assert_array_equal(fused.scores, scores[kept])


@pytest.mark.parametrize('method', MERGING)
def test_every_box_is_a_member_of_one_fused_box(method):
    rng = np.random.default_rng(2)
    models = [random_model(rng, 70) for _ in range(4)]
    fused = run(*models, method=method)
    pairs = [pair for pairs in member_pairs(fused) for pair in pairs]
    assert sorted(pairs) == [(m, n) for m in range(4) for n in range(70)]
    for label, rows in zip(fused.labels, fused.members, strict=True):
        assert {int(models[m][2][n]) for m, n in rows} == {int(label)}
        scores = [float(models[m][1][n]) for m, n in rows]
        assert scores == sorted(scores, reverse=True)
    assert fused.unusable == fused.rejected == 0


@pytest.mark.parametrize('method', BOX_METHODS)
def test_boxes_without_area_or_score_take_no_part(method):
    model = arrays(
        (10, 10, 20, 20, 0.9, 0),
        (30, 30, 30, 40, 0.9, 0),  # no width
        (40, 30, 35, 40, 0.9, 0),  # turned round
        (-20, 10, -5, 20, 0.9, 0),  # left of the image
        (10, 100, 20, 120, 0.9, 0),  # below the image
        (50, 50, 60, 60, 0.0, 0),  # no score
        (190, 90, 230, 130, 0.5, 0),  # a quarter inside
    )
    fused = run(model, method=method)
    assert member_pairs(fused) == [[(0, 0)], [(0, 6)]]
    assert fused.unusable == 5 and fused.rejected == 0
    # A chosen box stays as it is, as its mask spans it; those that are made lie inside the image.
    expected = [190, 90, 230, 130] if fused.keeps_boxes else [190, 90, 200, 100]
    np.testing.assert_allclose(fused.boxes[1], expected)


@pytest.mark.parametrize('method', BOX_METHODS)
def test_nothing_found_by_anyone(method):
    fused = run(arrays(), arrays(), method=method)
    assert len(fused) == 0 and fused.boxes.shape == (0, 4) and fused.members == ()


@pytest.mark.parametrize('method', BOX_METHODS)
def test_one_model_without_overlaps_comes_back_as_it_went_in(method):
    model = arrays((10, 10, 20.3, 20.7, 0.9, 1), (30.1, 10, 44, 20, 0.8, 0), (60, 60, 61, 61.5, 0.7, 2))
    fused = run(model, method=method)
    for ours, theirs in zip((fused.boxes, fused.scores, fused.labels), model, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('method', MERGING)
@pytest.mark.parametrize('copies', [2, 3, 5])
def test_a_model_named_again_changes_nothing(method, copies):
    rng = np.random.default_rng(4)
    model = random_model(rng, 30)
    once = run(model, method=method)
    again = run(*[model] * copies, method=method)
    np.testing.assert_array_equal(again.labels, once.labels)
    np.testing.assert_allclose(again.scores, once.scores, atol=1e-6)
    np.testing.assert_allclose(again.boxes, once.boxes, atol=1e-3)


# Coarse values, so that equal boxes, equal scores and whole equal models come up often.
coarse_model = st.lists(
    st.tuples(
        st.integers(0, 3).map(lambda v: 10.0 * v),
        st.integers(0, 2).map(lambda v: 5.0 * v),
        st.sampled_from([10.0, 12.0]),
        st.sampled_from([8.0, 10.0]),
        st.sampled_from([0.25, 0.5, 0.75]),
        st.integers(0, 1),
    ).map(lambda c: (c[0], c[1], c[0] + c[2], c[1] + c[3], c[4], c[5])),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(
    models=st.lists(coarse_model, min_size=1, max_size=4),
    method=st.sampled_from(BOX_METHODS),
    class_agnostic=st.booleans(),
    weighted=st.booleans(),
    random=st.randoms(use_true_random=False),
)
def test_order_makes_no_difference(models, method, class_agnostic, weighted, random):
    weights = [random.choice([1.0, 2.0]) for _ in models] if weighted else [1.0] * len(models)
    options = {'method': method, 'class_agnostic': class_agnostic}
    fused = run(*(arrays(*model) for model in models), weights=weights, **options)
    shuffled = [random.sample(model, len(model)) for model in models]
    order = random.sample(range(len(models)), len(models))
    other = run(*(arrays(*shuffled[m]) for m in order), weights=[weights[m] for m in order], **options)
    for name in ('boxes', 'scores', 'labels'):
        np.testing.assert_array_equal(getattr(other, name), getattr(fused, name))
    # The members are the same cells too.
    for ours, theirs in zip(fused.members, other.members, strict=True):
        assert [(weights[m], models[m][n]) for m, n in ours] == [
            (weights[order[m]], shuffled[order[m]][n]) for m, n in theirs
        ]


extreme = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from([0.0, -0.0, 1e-30, 99.999, 100.0, 100.01, 200.0, 3e38]),
)


@settings(max_examples=150, deadline=None)
@given(
    models=st.lists(
        st.lists(st.tuples(*[extreme] * 4, st.floats(0, 1, width=32), st.integers(0, 2)), max_size=8),
        min_size=1,
        max_size=3,
    ),
    method=st.sampled_from(BOX_METHODS),
)
def test_hostile_boxes_give_valid_ones(models, method):
    fused = run(*(arrays(*model) for model in models), method=method)
    assert np.isfinite(fused.boxes).all() and (fused.boxes[:, 2:] > fused.boxes[:, :2]).all()
    assert (fused.scores >= 0).all() and (fused.scores <= 1).all()
    assert all(len(rows) for rows in fused.members) and len(fused.members) == len(fused)


ONE = arrays((10, 10, 20, 20, 0.6, 0))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'method': 'average'}, "fusion method: unknown type 'average'; known: "),
        ({'iou_threshold': 1.0}, 'iou_threshold is 1; it must be a number above 0 and below 1'),
        ({'iou_threshold': float('nan')}, 'iou_threshold is nan'),
        ({'method': 'consensus'}, 'consensus compares masks, and these are boxes without masks'),
        ({'weights': [1]}, '1 weights for 2 sets'),
        ({'weights': [1, 0]}, 'weight 0 is not above 0'),
        ({'weights': [1, -2]}, 'weight -2 is not above 0'),
        ({'weights': [1, float('nan')]}, 'weight nan'),
        ({'weights': [1, 1e7]}, 'million times apart'),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        run(ONE, ONE, **options)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        ((ONE[0], np.float32([np.nan]), ONE[2]), 'model 1: a score lies outside'),
        ((ONE[0], np.float32([1.5]), ONE[2]), 'model 1: a score lies outside'),
        ((ONE[0] * np.float32(np.inf), ONE[1], ONE[2]), 'model 1: a box holds a value that is not finite'),
        ((ONE[0][:0], ONE[1], ONE[2]), r'model 1: boxes \(0, 4\)'),
        ((ONE[0], ONE[1], ONE[2] - 1), 'model 1: label -1 is negative'),
    ],
)
def test_bad_values_are_refused(model, message):
    with pytest.raises(InputError, match=message):
        run(ONE, model)


def test_no_model_is_refused():
    with pytest.raises(InputError, match='nothing to fuse'):
        fuse_boxes([], [], [], SIZE)


def test_selecting_keeps_members_and_boxes_together():
    fused = run(arrays((10, 10, 20, 20, 0.6, 0), (50, 50, 60, 70, 0.8, 1)), method='wbf')
    last = fused.select(np.array([1]))
    assert member_pairs(last) == [[(0, 0)]] and last.labels.tolist() == [0] and len(last) == 1


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ({'type': 'wfb'}, "fusion method: unknown type 'wfb'"),
        ({'type': 'wbf', 'iou_treshold': 0.5}, "wbf: unknown key 'iou_treshold'; did you mean 'iou_threshold'"),
        ({'type': 'nms', 'conf_type': 'max'}, "nms: unknown key 'conf_type'; known: iou_threshold"),
        ({'type': 'wbf', 'conf_type': 'mean'}, "conf_type is 'mean'; choose from box_and_model_avg, avg, max"),
        ({'type': 'wbf', 'iou_threshold': '0.5'}, "iou_threshold is '0.5'"),
        ({'type': 'soft-nms', 'decay': 'cubic'}, "decay is 'cubic'; choose from gaussian, linear"),
        ({'type': 'soft-nms', 'sigma': 0}, 'sigma is 0; it must be a number above 0'),
        ({'type': 'soft-nms', 'sigma': float('nan')}, 'sigma is nan'),
        ({'type': 'soft-nms', 'min_score': 2}, 'min_score is 2; it must be a number at least 0 and at most 1'),
        ({'type': 'consensus', 'min_models': 0}, 'min_models is 0'),
        ({'iou_threshold': 0.5}, r'write dict\(type='),
        ('wbf', r'write dict\(type='),
    ],
)
def test_bad_method_configs_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        build_method(config)
