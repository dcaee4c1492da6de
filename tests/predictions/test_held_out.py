"""Which fold models were held out from, by what their predictions say."""

import pytest

from sartorius.predictions.held_out import HeldOut, check_unlabelled, models_of, read_held_out
from sartorius.utils.errors import InputError


def model(fold, images=8, cells=100, train=None, **source):
    data = {
        'train': {'file': train or f'work_dirs/data/fold{fold}_train.json'},
        'val': {'images': images, 'cells': cells},
    }
    return {'kind': 'model', 'split': 'unlabelled', 'run': {'fold': fold, 'data': data}, **source}


def fused(*members):
    return {'kind': 'fused', 'members': [{'name': f'm{n}.npz', 'source': member} for n, member in enumerate(members)]}


def test_one_model():
    assert read_held_out(model(2), 'a.npz') == HeldOut(2, (8, 100))


def test_all_members_however_deep_must_be_of_one_fold():
    assert read_held_out(fused(model(1), fused(model(1), model(1))), 'f.npz') == HeldOut(1, (8, 100))
    message = r'f\.npz, member m0\.npz was held out from fold 1, f\.npz, member m1\.npz, member m1\.npz from fold 0'
    swapped = r'f\.npz, member m1\.npz, member m1\.npz was held out from fold 0, f\.npz, member m0\.npz from fold 1'
    with pytest.raises(InputError, match=f'{message}|{swapped}'):
        read_held_out(fused(model(1), fused(model(1), model(0))), 'f.npz')


def test_members_of_one_fold_number_and_two_splits_are_refused():
    with pytest.raises(
        InputError, match='8 images with 90 cells, .* from 8 with 100: two different splits, though both'
    ):
        read_held_out(fused(model(0), model(0, cells=90)), 'f.npz')


@pytest.mark.parametrize('run', [None, {}, {'fold': None, 'data': {'train': {'file': 'mine.json'}, 'val': None}}])
def test_without_a_record_the_fold_must_be_named(run):
    unknown = {'kind': 'model', 'run': run}
    with pytest.raises(InputError, match=r'a\.npz: no record of the fold .* --fold, or .* --all-data'):
        read_held_out(unknown, 'a.npz')
    assert read_held_out(unknown, 'a.npz', fold=3) == HeldOut(3, None)
    # One member of several is enough to refuse.
    with pytest.raises(InputError, match='member m1.npz: no record'):
        read_held_out(fused(model(0), unknown), 'f.npz')
    assert read_held_out(fused(model(0), unknown), 'f.npz', fold=0) == HeldOut(0, (8, 100))


def test_the_record_speaks_against_the_option():
    with pytest.raises(InputError, match='a.npz: was held out from fold 2, not from --fold 0'):
        read_held_out(model(2), 'a.npz', fold=0)


@pytest.mark.parametrize(
    'train', ['work_dirs/data/all.json', r'D:\data\all.json', 'fold1_train.json', '/x/fold12_train.json']
)
def test_a_model_that_trained_on_its_own_validation_images_is_refused(train):
    with pytest.raises(InputError, match=r'was trained on \w+\.json, which holds images that fold 2 validates on'):
        read_held_out(model(2, train=train), 'a.npz')
    unrecorded = {'run': {'fold': None, 'data': {'train': {'file': train}}}}
    with pytest.raises(InputError, match='which holds images that fold 2 validates on'):
        read_held_out(unrecorded, 'a.npz', fold=2)


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ({'run': 'fold 0'}, r"a\.npz: its run is 'fold 0', no record"),
        ({'run': {'fold': '0'}}, r"a\.npz: its run is of fold '0'"),
        ({'run': {'fold': -1}}, 'its run is of fold -1'),
        ({'run': {'fold': True}}, 'its run is of fold True'),
        ({'run': {'fold': 0, 'data': {'val': {'images': 8}}}}, 'validated on 8 images with None cells'),
        ({'kind': 'fused'}, 'says that it is fused, and not of what'),
        ({'kind': 'fused', 'members': []}, 'says that it is fused, and not of what'),
        ({'kind': 'fused', 'members': [{'name': 'x'}]}, 'one of its members has no source'),
        ({'kind': 'fused', 'members': ['x']}, 'one of its members has no source'),
        ({'kind': 'joined'}, 'says that it is joined, and not of what'),
    ],
)
def test_damaged_records(source, message):
    with pytest.raises(InputError, match=message):
        read_held_out(source, 'a.npz')


@pytest.mark.parametrize(
    ('file', 'other'),
    [
        ('work_dirs/mrcnn_r50_fold1/iter_8000.pth', 1),
        ('work_dirs/workflows/all/fold0/mrcnn_r50/iter_8000.pth', 0),
        (r'C:\work_dirs\mrcnn_r50_fold1\iter_8000.pth', 1),
        ('work_dirs/mrcnn_r50_fold2/iter_8000.pth', None),
        ('work_dirs/livecell/mrcnn_r50/fold1.pth', None),
        ('work_dirs/manifold1/iter_8000.pth', None),
    ],
)
def test_first_weights_of_another_fold_are_refused(file, other):
    source = model(2)
    source['run']['weights'] = {'file': file, 'sha256': '0'}
    if other is None:
        assert read_held_out(source, 'a.npz').fold == 2
    else:
        with pytest.raises(InputError, match=f'held out from fold 2 and began with weights of fold {other}'):
            read_held_out(source, 'a.npz')


def test_what_found_the_boxes_counts_too():
    boxes = {'file': 'b.npz', 'source': fused(model(0), model(1))}
    with pytest.raises(InputError, match=r'a\.npz, boxes b\.npz, member m1\.npz from fold 1'):
        read_held_out(model(0, boxes=boxes), 'a.npz')
    assert read_held_out(model(0, boxes={'file': 'b.npz', 'source': model(0)}), 'a.npz').fold == 0
    assert read_held_out(model(0, boxes=None), 'a.npz').fold == 0
    with pytest.raises(InputError, match=r'a\.npz, boxes b\.json: no record of the fold'):
        read_held_out(model(0, boxes={'file': 'b.json', 'source': None}), 'a.npz')
    with pytest.raises(InputError, match='boxes None: no record of the fold'):
        read_held_out(model(0, boxes='b.json'), 'a.npz')


def test_joined_folds_are_of_several():
    joined = {'kind': 'joined', 'members': [{'name': 'x', 'source': model(0)}, {'name': 'y', 'source': model(1)}]}
    with pytest.raises(InputError, match='j, member x was held out from fold 0, j, member y from fold 1'):
        read_held_out(joined, 'j')


def test_models_of_one_cell_type_count_a_part_of_the_fold():
    parts = [model(0, cells=cells, cell_types=[name]) for cells, name in ((60, 'cort'), (40, 'astro'))]
    assert read_held_out(fused(*parts), 'f.npz') == HeldOut(0, None)
    assert read_held_out(fused(*parts, model(0, cell_types=None)), 'f.npz') == HeldOut(0, (8, 100))


def test_models_of_names_them():
    assert [name for name, _ in models_of(fused(model(0), fused(model(0))), 'f')] == [
        'f, member m0.npz',
        'f, member m1.npz, member m0.npz',
    ]


@pytest.mark.parametrize('split', ['val', 'train', 'test'])
def test_other_splits_are_refused(split):
    check_unlabelled(fused(model(0), {}), 'a.npz')
    with pytest.raises(InputError, match=f"a.npz, member m1.npz: predictions of the split '{split}'"):
        check_unlabelled(fused(model(0), model(0, split=split)), 'a.npz')
