"""Scores that can be checked by hand: two ground-truth cells per image, predicted with or without false positives."""

import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.evaluation.metric import score_images
from sartorius.leaderboard.rows import find_files, group_rows
from sartorius.leaderboard.scores import score_row, score_rows
from sartorius.postprocess.chain import build_chain, load_chain
from sartorius.postprocess.tuning.tuner import tune
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from tests.leaderboard.conftest import image, model_source

CHAIN = build_chain(
    [
        {'type': 'VoteClass'},
        {'type': 'ScoreThreshold', 'threshold': 0.0},
        {'type': 'MaskThreshold', 'threshold': 0.5},
        {'type': 'RemoveOverlap'},
        {'type': 'MinArea', 'min_area': 0},
    ]
)
RIGHT, HALF = [0.9, 0.8], [0.9, 0.8, 0.3, 0.2]


def scored(tmp_path, gt_file, chain=CHAIN, groups=None):
    rows = group_rows(find_files([tmp_path]))
    found, dropped = score_rows(rows, load_annotations(gt_file), groups or {}, chain)
    return {one.row.name: one for one in found}, dropped


def test_each_fold_is_scored_with_thresholds_of_the_other(tmp_path, put, gt_file):
    """Two of four predictions are false positives: the score is a half, and 1 with a threshold between .3 and .8.

    The second fold's cells are all right, whatever the threshold: it has no reason to change anything, so that the
    first fold stays as it is, while the second is scored with the threshold of the first.
    """
    put('fold0', [image('a', HALF), image('b', HALF)], model_source(fold=0))
    put('fold1', [image('c', RIGHT), image('d', RIGHT)], model_source(fold=1))
    row = scored(tmp_path, gt_file)[0]['mrcnn_r18']
    assert row.over_folds
    assert row.images['image_id'].tolist() == list('abcd')
    assert row.images['fold'].tolist() == [0, 0, 1, 1]
    assert row.images['default'].tolist() == [0.5, 0.5, 1, 1]
    assert row.images['tuned'].tolist() == [0.5, 0.5, 1, 1]
    assert row.score('default').mean == 0.75
    assert row.score('tuned', 'cort').mean == 0.75 and row.score('tuned', 'astro') is None


def test_tuning_helps_where_the_other_fold_shows_it(tmp_path, put, gt_file):
    put('fold0', [image('a', HALF), image('b', HALF)], model_source(fold=0))
    put('fold1', [image('c', HALF), image('d', HALF)], model_source(fold=1))
    row = scored(tmp_path, gt_file)[0]['mrcnn_r18']
    assert row.images['default'].tolist() == [0.5] * 4
    assert row.images['tuned'].tolist() == [1.0] * 4


def test_one_fold_alone_is_cut_into_parts_as_the_tuner_cuts_it(tmp_path, put, gt_file):
    images = [image('a', HALF), image('b', [0.9, 0.35]), image('c', [0.3, 0.2, 0.1]), image('d', RIGHT)]
    put('fold0', images, model_source(fold=0))
    gt = load_annotations(gt_file)
    row = scored(tmp_path, gt_file)[0]['mrcnn_r18']
    assert not row.over_folds
    from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS, SearchGrid

    grid = SearchGrid({name: TUNABLE_PARAMETERS[name].values for name in ('score', 'area')})
    slow = tune(PredictionSet(tuple(images)), gt, CHAIN, {}, grid, folds=5).images
    assert row.images['tuned'].tolist() == pytest.approx(slow['cross_validated'].tolist())
    assert row.images['default'].tolist() == pytest.approx(slow['start'].tolist())


def test_differences_are_paired(tmp_path, put, gt_file):
    put('m/fold0', [image('a', RIGHT), image('b', [0.9])], model_source(fold=0))
    put('m/fold1', [image('c', [0.9]), image('d', RIGHT)], model_source(fold=1))
    put('x/fold0', [image('a', RIGHT), image('b', RIGHT)], model_source('x', fold=0))
    rows = scored(tmp_path, gt_file)[0]
    value, images = rows['x'].difference(rows['mrcnn_r18'])
    # Images a and b are common: 1 - 1 and 1 - 1/2. With c and d the means alone would say 1 - 3/4.
    assert (value.mean, images) == (0.25, 2)
    assert (value.low, value.high) == (0.0, 0.5)
    value, _ = rows['mrcnn_r18'].difference(rows['x'])
    assert (value.mean, value.low, value.high) == (-0.25, -0.5, 0.0)


def test_intervals_draw_whole_groups(tmp_path, put, gt_file):
    put('fold0', [image('a', RIGHT), image('b', [0.9])], model_source(fold=0))
    alone = scored(tmp_path, gt_file)[0]['mrcnn_r18'].score('default')
    together = scored(tmp_path, gt_file, groups={'a': 'well', 'b': 'well'})[0]['mrcnn_r18'].score('default')
    assert (alone.low, alone.high) == (0.5, 1.0)
    assert (together.low, together.high) == (0.75, 0.75)


def test_images_without_truth_do_not_count(tmp_path, put, gt_file):
    put('fold0', [image('a', RIGHT), image('unknown', HALF)], model_source(fold=0))
    put('far', [image('elsewhere', HALF)], model_source('far', fold=3))
    rows, dropped = scored(tmp_path, gt_file)
    assert rows['mrcnn_r18'].images['image_id'].tolist() == ['a']
    assert rows['mrcnn_r18'].without_gt == 1
    assert [row.name for row in dropped] == ['far']


def test_nothing_with_truth_is_an_error(tmp_path, put, gt_file):
    put('far', [image('elsewhere', HALF)], model_source('far', fold=3))
    with pytest.raises(InputError, match='no predicted image is among the annotated ones'):
        scored(tmp_path, gt_file)


def test_boxes_alone_have_an_average_precision_only(tmp_path, put, gt_file):
    put('fold0', [image('a', RIGHT, grid=0)], model_source('rtmdet', fold=0))
    put('m/fold0', [image('a', RIGHT)], model_source(fold=0))
    rows = scored(tmp_path, gt_file)[0]
    assert rows['rtmdet'].average_precision['AP'] == pytest.approx(1.0)
    assert rows['rtmdet'].score('tuned') is None
    assert rows['rtmdet'].difference(rows['mrcnn_r18']) is None


def test_default_scores_are_the_metrics_own(tmp_path, put, gt_file):
    images = [image('a', HALF), image('b', [0.6, 0.35, 0.7])]
    put('fold0', images, model_source(fold=0))
    chain, gt = load_chain(), load_annotations(gt_file)
    row = score_row(group_rows(find_files([tmp_path]))[0], gt, {}, chain)
    chain = chain.for_classes(CELL_TYPES)
    slow = score_images({name: gt[name] for name in 'ab'}, {one.image_id: chain(one).crops for one in images})
    np.testing.assert_array_equal(row.images['default'], slow['score'])
