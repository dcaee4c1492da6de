"""The leakage rule: each of its branches in a table, with the record that triggers it."""

from dataclasses import replace

import pytest

from sartorius.predictions.leakage import HeldOut, Unknown, check_leakage, check_split
from sartorius.predictions.provenance import (
    BoxSource,
    ConcatenatedSource,
    DataRecord,
    FirstWeights,
    ForeignSource,
    FusedSource,
    Member,
    ModelSource,
    RunData,
    RunRecord,
    Source,
)
from sartorius.utils.errors import InputError


def run_of(fold: int | None = 0, train: dict | None = None, val: dict | None = None, **changes: object) -> RunRecord:
    """Record of a run that holds a fold out."""
    file = f'data/fold{fold}_train.json'
    train = {'file': file, 'sha256': f'T{fold}', 'split': 'train', 'fold': fold, 'origin': 'Sartorius'} | (train or {})
    val = {'file': f'data/fold{fold}_val.json', 'sha256': f'V{fold}', 'images': 8, 'cells': 100} | (val or {})
    data = RunData(train=DataRecord(**train), val=DataRecord(**val))
    return RunRecord(**{'fold': fold, 'data': data, **changes})


def model(fold: int = 0, run: RunRecord | None = None, **changes: object) -> ModelSource:
    """Validation images of a fold, predicted by the model that the fold is held out from."""
    source = ModelSource(
        split='val',
        annotations=f'data/fold{fold}_val.json',
        annotations_sha256=f'V{fold}',
        fold=fold,
        run=run or run_of(fold),
    )
    return replace(source, **changes)


def unlabelled(fold: int | None = 0, **changes: object) -> ModelSource:
    """Images without annotations, predicted by the model that a fold is held out from."""
    source = ModelSource(
        split='unlabelled', annotations='data/unlabelled.json', annotations_sha256='U', run=run_of(fold)
    )
    return replace(source, **changes)


def members(*sources: Source) -> tuple[Member, ...]:
    return tuple(Member(name=f'm{number}.npz', source=source) for number, source in enumerate(sources))


def fused(*sources: Source) -> FusedSource:
    return FusedSource(method='wbf', members=members(*sources))


def concatenated(*sources: Source) -> ConcatenatedSource:
    return ConcatenatedSource(members=members(*sources))


ALL_DATA = run_of(None, train={'file': r'D:\data\all.json', 'sha256': 'A', 'split': 'all'})
NO_RECORD = ModelSource(split='val', annotations='data/fold0_val.json', fold=0)
LIVECELL = RunRecord(data=RunData(train=DataRecord(file='train.json', split='train', origin='LIVECell')))


def begun_with(run: RunRecord | None, fold: int = 2, **weights: str) -> ModelSource:
    """A model whose first weights are those of another run."""
    first = FirstWeights(**{'file': 'work_dirs/first/iter_9.pth', 'sha256': 'w', **weights}, run=run)
    return unlabelled(fold, run=run_of(fold, weights=first))


HELD_OUT = {
    'the fold that its run held out': model(),
    'another copy of the file': model(annotations=r'elsewhere\fold0_val.json', annotations_sha256=None),
    'the record names no hashes': model(run=run_of(val={'sha256': None})),
    'the record names no validation data': model(
        run=RunRecord(fold=0, data=RunData(train=DataRecord(file='x.json', fold=0)))
    ),
    'without folds: the hash is that of its validation data': replace(
        model(run=run_of(None, val={'sha256': 'V0'})), fold=None, annotations='livecell_val.json'
    ),
    'all members': fused(model(), fused(model(), model())),
    'each fold by its own model': concatenated(model(0), model(1)),
    'fused, then each fold by its own models': concatenated(fused(model(0), model(0)), model(1)),
    'each fold by its own model, then fused': fused(concatenated(model(0), model(1)), concatenated(model(0), model(1))),
    'what found the boxes': model(boxes=BoxSource(file='b.npz', source=model())),
    'pre-training on other data': model(run=run_of(weights=FirstWeights(file='w.pth', run=LIVECELL))),
    'pre-training of the same fold': model(run=run_of(weights=FirstWeights(file='w.pth', run=run_of(0)))),
    'foreign weights': model(run=run_of(weights=FirstWeights(url='https://x.org/coco.pth'))),
    'foreign weights of a file': model(run=run_of(weights=FirstWeights(file='work_dirs/livecell/fold1.pth'))),
    'weights without a record, in the folder of its fold': begun_with(None, file='work_dirs/fold2/first/iter_9.pth'),
    'images without annotations': unlabelled(),
}


@pytest.mark.parametrize('source', HELD_OUT.values(), ids=HELD_OUT)
def test_held_out(source: Source) -> None:
    assert check_leakage(source, 'p.npz').unknown == ()


@pytest.mark.parametrize('source', [ModelSource(split='test'), ModelSource(split='test', run=ALL_DATA)])
def test_test_images_train_no_model(source: Source) -> None:
    assert check_leakage(source, 'p.npz') == HeldOut({})


LEAKS = {
    'the very file, by its hash': (
        model(annotations='x.json', annotations_sha256='T0'),
        'p.npz: was trained on fold0_train.json, and so on the images that it predicted',
    ),
    'the very file, by its name': (
        model(split='train', annotations='C:\\fold0_train.json', annotations_sha256='?'),
        'p.npz: was trained on fold0_train.json',
    ),
    'training images of another fold': (
        model(1, run_of(0), split='train', annotations='fold1_train.json', annotations_sha256='T1'),
        'p.npz: predicted training images of a fold',
    ),
    'all data': (model(run=ALL_DATA), 'p.npz: was trained on all annotated images (all.json), those that fold 0'),
    'all data, images of no fold': (
        model(fold=None, annotations='mine.json', annotations_sha256='?', run=ALL_DATA),
        'p.npz: was trained on all annotated images (all.json), these too',
    ),
    'all data with a fold in the record': (
        unlabelled(run=run_of(2, train={'file': 'all.json', 'split': 'all', 'fold': None})),
        'those that fold 2 validates on too',
    ),
    'another fold': (model(1, run=run_of(0)), 'p.npz: was held out from fold 0 and predicted images of fold 1'),
    'training data of another fold': (
        unlabelled(run=run_of(2, train={'file': '/x/fold12_train.json', 'fold': 12})),
        'p.npz: was trained on fold12_train.json of fold 12, which holds images that fold 2 validates on',
    ),
    'first weights of another fold': (
        begun_with(run_of(1)),
        'p.npz: was held out from fold 2 and began with weights of',
    ),
    'first weights of another fold, by the run alone': (begun_with(RunRecord(fold=1)), 'weights of fold 1'),
    'first weights trained on another fold': (
        begun_with(RunRecord(data=RunData(train=DataRecord(file='x.json', fold=1)))),
        'weights of fold 1 (work_dirs/first/iter_9.pth)',
    ),
    'first weights without a record, in a folder of another fold': (
        begun_with(None, file='work_dirs/fold1/first/iter_9.pth'),
        'began with weights without a record that lie in work_dirs/fold1/first/iter_9.pth',
    ),
    'first weights of all data': (begun_with(ALL_DATA), 'began with weights of all data'),
    'first weights two runs back': (
        begun_with(RunRecord(weights=FirstWeights(file='b.pth', run=run_of(3)))),
        'weights of fold 3 (b.pth)',
    ),
    'a member': (
        fused(model(0), model(2, run=run_of(0))),
        'p.npz, member m1.npz: was held out from fold 0 and predicted',
    ),
    'a member of a concatenation': (
        concatenated(model(0), model(2, run=run_of(0))),
        'p.npz, member m1.npz: was held out from fold 0 and predicted images of fold 2',
    ),
    'what found the boxes': (
        model(boxes=BoxSource(file='b.npz', source=model(2, run=run_of(0)))),
        'p.npz, boxes b.npz: was held out from fold 0 and predicted images of fold 2',
    ),
    'members of two folds': (
        fused(unlabelled(1), fused(unlabelled(1), unlabelled(0))),
        'p.npz, member m1.npz, member m1.npz was held out from fold 0, p.npz, member m1.npz, member m0.npz from '
        'fold 1: together they have seen the validation images of both',
    ),
    'boxes of another fold': (
        unlabelled(0, boxes=BoxSource(file='b.npz', source=fused(unlabelled(1), unlabelled(1)))),
        'p.npz was held out from fold 0, p.npz, boxes b.npz, member m0.npz from fold 1',
    ),
    'concatenations of different folds, fused': (
        fused(concatenated(model(0), model(1)), model(0)),
        'p.npz, member m0.npz, member m0.npz was held out from fold 0, p.npz, member m0.npz, member m1.npz from fold 1',
    ),
    'redrawn folds': (
        fused(unlabelled(0), unlabelled(0, run=run_of(0, val={'cells': 90}))),
        'p.npz, member m1.npz was held out from 8 images with 90 cells, p.npz, member m0.npz from 8 with 100: '
        'two different splits, though both are called fold 0',
    ),
    'redrawn folds of a concatenation': (
        concatenated(model(0), model(1), model(1, run=run_of(1, val={'images': 7, 'sha256': None}))),
        'two different splits, though both are called fold 1',
    ),
    'a record of half an amount': (
        model(run=run_of(val={'cells': None})),
        'p.npz: its run was validated on 8 images with None cells',
    ),
}


@pytest.mark.parametrize('unknown', Unknown)
@pytest.mark.parametrize(('source', 'message'), LEAKS.values(), ids=LEAKS)
def test_leaks_are_refused_whatever_the_policy(source: Source, message: str, unknown: Unknown) -> None:
    with pytest.raises(InputError) as error:
        check_leakage(source, 'p.npz', unknown)
    assert message in str(error.value)


UNKNOWN = {
    'no source': (ForeignSource(), 'p.npz: no record of its training'),
    'no record': (NO_RECORD, 'p.npz: no record of its training'),
    'an empty record': (model(run=RunRecord()), 'p.npz: nothing tells'),
    # Of the same fold, and yet another file than it was validated on: of another split of the data, perhaps.
    'another hash': (model(annotations_sha256='other'), 'whether it was trained on what it predicted (fold0_val.json)'),
    'no file': (
        replace(model(), fold=None, annotations=None, annotations_sha256=None),
        'whether it was trained on what it predicted (no file is named)',
    ),
    # A model of all annotated images; those without annotations it saw as pseudo-labels at most.
    'all data, images without annotations': (unlabelled(run=ALL_DATA), 'p.npz: nothing tells'),
    'COCO results found the boxes': (
        model(boxes=BoxSource(file='results.json')),
        'p.npz, boxes results.json: no record of its training',
    ),
    'a member': (fused(model(), NO_RECORD), 'p.npz, member m1.npz: no record of its training'),
}


@pytest.mark.parametrize(('source', 'message'), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_is_noted_or_refused(source: Source, message: str) -> None:
    (sentence,) = check_leakage(source, 'p.npz', Unknown.NOTE).unknown
    assert message in sentence
    with pytest.raises(InputError, match=r'^p\.npz.*: no record of the fold .* --fold, or .* --all-data'):
        check_leakage(source, 'p.npz', Unknown.REFUSE)


def test_fold_and_amount_that_are_held_out() -> None:
    assert check_leakage(unlabelled(2), 'a', Unknown.REFUSE) == HeldOut({2: (8, 100)})
    held_out = check_leakage(fused(unlabelled(1), fused(unlabelled(1))), 'f', Unknown.REFUSE)
    assert (held_out.fold, held_out.amount) == (1, (8, 100))
    both = check_leakage(concatenated(model(1), model(0)), 'c')
    assert both == HeldOut({0: (8, 100), 1: (8, 100)})
    assert both.fold is both.amount is None


def test_labels_of_several_folds_train_neither() -> None:
    joined = concatenated(unlabelled(0), unlabelled(1))
    assert list(check_leakage(joined, 'j', Unknown.NOTE).folds) == [0, 1]
    with pytest.raises(InputError, match=r'j, member m0\.npz was held out from fold 0, j, member m1\.npz from fold 1'):
        check_leakage(joined, 'j', Unknown.REFUSE)


@pytest.mark.parametrize('run', [None, RunRecord(), RunRecord(data=RunData(train=DataRecord(file='mine.json')))])
def test_the_caller_may_name_the_fold_of_a_model_without_a_record(run: RunRecord | None) -> None:
    source = unlabelled(run=run)
    assert check_leakage(source, 'a', Unknown.REFUSE, fold=3) == HeldOut({3: None})
    assert check_leakage(fused(unlabelled(0), source), 'f', Unknown.REFUSE, fold=0) == HeldOut({0: (8, 100)})


def test_the_record_speaks_against_the_caller() -> None:
    with pytest.raises(InputError, match='a: was held out from fold 2, not from --fold 0'):
        check_leakage(unlabelled(2), 'a', Unknown.REFUSE, fold=0)
    for train in ({'file': 'all.json', 'split': 'all'}, {'file': 'fold1_train.json', 'split': 'train', 'fold': 1}):
        run = RunRecord(data=RunData(train=DataRecord(**train)))
        with pytest.raises(InputError, match='that fold 2 validates on'):
            check_leakage(unlabelled(run=run), 'a', Unknown.REFUSE, fold=2)


def test_pre_training_on_all_data_of_another_origin_saw_other_images() -> None:
    synthetic = run_of(None, train={'file': 'all.json', 'split': 'all', 'origin': 'synthetic images'})
    assert check_leakage(begun_with(synthetic), 'a', Unknown.REFUSE).fold == 2


def test_specialists_validate_on_a_part_of_the_fold() -> None:
    parts = [
        unlabelled(run=run_of(val={'cells': cells}), cell_types=(name,))
        for cells, name in ((60, 'cort'), (40, 'astro'))
    ]
    assert check_leakage(fused(*parts), 'f', Unknown.REFUSE) == HeldOut({0: None})
    assert check_leakage(fused(*parts, unlabelled()), 'f', Unknown.REFUSE) == HeldOut({0: (8, 100)})
    with pytest.raises(InputError, match='m0.npz was held out from fold 0, f, member m1.npz from fold 1'):
        check_leakage(fused(unlabelled(0), unlabelled(1, cell_types=('cort',))), 'f')


@pytest.mark.parametrize('split', ['val', 'train', 'test'])
def test_other_splits_are_refused(split: str) -> None:
    check_split(fused(unlabelled(), ForeignSource()), 'a.npz', 'unlabelled')
    message = f"a.npz, member m1.npz: predictions of the split '{split}'; .* --split unlabelled"
    with pytest.raises(InputError, match=message):
        check_split(fused(unlabelled(), unlabelled(split=split)), 'a.npz', 'unlabelled')
