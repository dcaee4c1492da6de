"""Which predictions files make a row, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sartorius.leaderboard.row_key import row_key
from sartorius.leaderboard.rows import choose_baseline, expected_folds, find_files, group_rows
from sartorius.predictions.provenance import (
    ConcatenatedSource,
    ForeignSource,
    FusedSource,
    Member,
    ModelSource,
    Source,
)
from sartorius.utils.errors import InputError, UsageError
from tests.leaderboard.conftest import image, model_source


def fused(*sources: Source, weights: tuple[float, ...] = (), method: str = 'wbf') -> FusedSource:
    members = tuple(
        Member(name=f'm{number}', weight=weight, score_threshold=0.1, source=source)
        for number, (source, weight) in enumerate(zip(sources, weights or [1.0] * len(sources), strict=True))
    )
    return FusedSource(method=method, settings={'iou_threshold': 0.5}, members=members, dropped={'low_score': 3})


def concatenated(*sources: Source) -> ConcatenatedSource:
    members = tuple(Member(name=f'm{number}', source=source) for number, source in enumerate(sources))
    return ConcatenatedSource(members=members)


def names_of(tmp_path: Path) -> dict[str, tuple[int, ...]]:
    return {row.name: row.folds for row in group_rows(find_files([tmp_path]))}


def test_folds_of_a_recipe_are_one_row(tmp_path, put):
    put('fold1/mrcnn_r18', [image('c', [0.9])], model_source(fold=1))
    put('fold0/mrcnn_r18', [image('a', [0.9])], model_source(fold=0))
    put('fold0/mrcnn_r50_fine', [image('a', [0.9])], model_source('mrcnn_r50_fine', fold=0))
    assert names_of(tmp_path) == {'mrcnn_r18': (0, 1), 'mrcnn_r50_fine': (0,)}


@pytest.mark.parametrize(
    ('changes', 'name'),
    [
        ({'tta': True}, 'mrcnn_r18, TTA'),
        ({'tta': True, 'tta_orientations': ['none', 'rot90']}, 'mrcnn_r18, TTA (2 orientations)'),
        (
            {'tta': True, 'tta_orientations': ['none'], 'tta_scales': [[1, 2], [3, 4]]},
            'mrcnn_r18, TTA (1 orientations, 2 scales)',
        ),
        ({'tiles': {'size': [90, 120], 'overlap': 40, 'scale': 2.0}}, 'mrcnn_r18, tiles of 120x90 px, 2x'),
        ({'boxes': {'file': 'w/rtmdet_fold0/p.npz', 'sha256': 'e'}}, 'mrcnn_r18, in boxes of rtmdet'),
        (
            {'boxes': {'file': 'x.npz', 'sha256': 'e', 'source': model_source('rtmdet_l').to_dict()}},
            'mrcnn_r18, in boxes of rtmdet_l',
        ),
        ({'checkpoint': 'work/best_competition_mAP_iter_80.pth'}, 'mrcnn_r18 (best checkpoint)'),
        ({'run': None, 'config': 'configs/sartorius/htc_r50.py'}, 'htc_r50'),
    ],
)
def test_the_way_of_predicting_is_part_of_the_name(changes, name):
    source = ModelSource.from_dict({**model_source().to_dict(), **changes}, 'source')
    assert row_key(source, 'file').label == name


def test_predictions_that_say_nothing_are_named_by_their_file():
    assert row_key(ForeignSource(), 'work_dirs/a.npz').label == 'unknown a'
    assert row_key(ForeignSource(kind='coco_results'), 'work_dirs/a.npz').label == 'coco_results a'


def test_fused_rows_are_named_by_members_and_method():
    tta = {'tta': True, 'tta_orientations': ('none',)}
    one, two = model_source('mrcnn_r18'), model_source('cmrcnn_r18')
    assert row_key(fused(one, two), 'f').label == 'wbf of cmrcnn_r18 + mrcnn_r18'
    assert row_key(fused(two, one), 'f') == row_key(fused(one, two), 'f')
    mixed = fused(replace(one, **tta), two)
    assert row_key(mixed, 'f').label == 'wbf of cmrcnn_r18 + (mrcnn_r18, TTA (1 orientations))'
    both = fused(replace(one, **tta), replace(two, **tta), method='nms')
    assert row_key(both, 'f').label == 'nms of cmrcnn_r18 + mrcnn_r18, each TTA (1 orientations)'
    assert row_key(fused(one, two, weights=(3, 1)), 'f').label == 'wbf of 1 x cmrcnn_r18 + 3 x mrcnn_r18'
    # Settings that are no part of the name keep rows apart.
    assert row_key(replace(fused(one, two), settings={'iou_threshold': 0.7}), 'f') != row_key(fused(one, two), 'f')


@pytest.mark.parametrize(
    ('run', 'told'),
    [
        ({'iterations_done': 200}, 'iterations'),
        ({'seed': 3}, 'seed'),
        ({'config_sha256': 'another config'}, 'config'),
        ({'precision': 'amp'}, 'precision'),
        ({'data': {'train': {'file': 'round1/annotations/fold1_train.json'}}}, 'data'),
    ],
)
def test_what_differs_is_not_put_together_and_is_named(tmp_path, put, run, told):
    put('fold0', [image('a', [0.9])], model_source(fold=0))
    put('fold1', [image('c', [0.9])], model_source(fold=1, run=run))
    names = names_of(tmp_path)
    assert sorted(names.values()) == [(0,), (1,)]
    assert all(re.fullmatch(rf'mrcnn_r18 \[{told} .+\]', name) for name in names)


def test_folders_of_data_are_told_apart_by_where_they_part(tmp_path, put):
    for place in ('annotations', 'round1/annotations'):
        data = {'train': {'file': f'/far/workflow/{place}/fold0_train.json'}}
        put(place, [image('a', [0.9])], model_source(fold=0, run={'data': data}))
    rows = group_rows(find_files([tmp_path]))
    assert {row.name for row in rows} == {'mrcnn_r18 [data annotations]', 'mrcnn_r18 [data round1/annotations]'}
    put('deeper', [image('a', [0.9])], model_source(fold=0, run={'recipe': 'mrcnn_r50_fine'}))
    rows = group_rows(find_files([tmp_path]))
    # The simplest of them is what others are compared with.
    assert choose_baseline(rows, None).name == 'mrcnn_r18 [data annotations]'


def test_a_concatenated_file_counts_only_without_its_folds(tmp_path, put):
    sources = [model_source(fold=0), model_source(fold=1)]
    put('all', [image('a', [0.9]), image('c', [0.9])], concatenated(*sources))
    assert names_of(tmp_path) == {'mrcnn_r18': ()}
    put('fold0', [image('a', [0.9])], sources[0])
    put('fold1', [image('c', [0.9])], sources[1])
    assert names_of(tmp_path) == {'mrcnn_r18': (0, 1)}


def test_other_splits_and_other_archives_are_passed_over(tmp_path, put):
    put('fold0', [image('a', [0.9])], model_source(fold=0))
    put('odd', [image('x', [0.9])], model_source(fold=0, split='test'))
    assert names_of(tmp_path) == {'mrcnn_r18': (0,)}


@pytest.mark.parametrize(
    ('images', 'source', 'message'),
    [
        (['a'], model_source(fold=0), 'are both of mrcnn_r18 and hold the same images'),
        (['a', 'b'], model_source('mrcnn_r50_fine', fold=0), 'both of fold 0 and hold different images'),
        (['c'], replace(model_source(fold=0), fold=1), 'held out from fold 0 and predicted images of fold 1'),
        (
            ['c'],
            model_source(fold=1, run={'fold': None, 'data': {'train': {'file': 'x/all.json', 'split': 'all'}}}),
            'was trained on all annotated images',
        ),
        (['c'], fused(model_source(fold=1), model_source(fold=0)), 'm1 was held out from fold 0, .*m0 from fold 1'),
        (['c'], fused(model_source(fold=1), ForeignSource()), r'models of different folds \(1, no fold\)'),
        (
            ['c'],
            fused(concatenated(model_source(fold=0), model_source(fold=1))),
            r'models of different folds \(0, 1\)',
        ),
        (
            ['c'],
            model_source(fold=1, boxes={'file': 'b.npz', 'source': model_source('x', fold=0).to_dict()}),
            'boxes b.npz was held out from fold 0, .* from fold 1',
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, put, images, source, message):
    put('fold0/mrcnn_r18', [image('a', [0.9])], model_source(fold=0))
    put('other', [image(name, [0.9]) for name in images], source)
    with pytest.raises(InputError, match=message):
        group_rows(find_files([tmp_path]))


def test_baseline_is_named_or_the_simplest(tmp_path, put):
    put('1', [image('a', [0.9])], model_source('htc_r18'))
    put('2', [image('a', [0.9])], model_source('mrcnn_r18_ema'))
    put('3', [image('a', [0.9])], model_source('mrcnn_r18'))
    put('4', [image('a', [0.9], grid=0)], model_source('mrcnn'))
    rows = group_rows(find_files([tmp_path]))
    assert choose_baseline(rows, None).name == 'mrcnn_r18'
    assert choose_baseline(rows, 'htc_r18').name == 'htc_r18'
    with pytest.raises(UsageError, match='--baseline r50: no such row; there are htc_r18; mrcnn_r18_ema; mrcnn_r18$'):
        choose_baseline(rows, 'r50')


def test_expected_folds_are_those_of_the_data(tmp_path, put, gt_file):
    put('fold1', [image('c', [0.9])], model_source(fold=1))
    rows = group_rows(find_files([tmp_path]))
    assert expected_folds(rows, gt_file) == [0, 1]
    for other in (gt_file.with_name('fold1_val.json'), tmp_path / 'train.csv'):
        assert expected_folds(rows, other) == [1]


def test_nothing_found_says_what_makes_it(tmp_path):
    with pytest.raises(UsageError, match='tools/test.py --split val'):
        find_files([tmp_path])
    with pytest.raises(UsageError, match='no such file or folder'):
        find_files([tmp_path / 'gone'])
