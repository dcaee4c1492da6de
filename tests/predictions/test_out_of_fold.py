"""Whether models are known to have learnt from what they predicted."""

import pytest

from sartorius.predictions.out_of_fold import check_out_of_fold
from sartorius.utils.errors import InputError

DATA = {
    'train': {'file': 'data/fold0_train.json', 'sha256': 'T0'},
    'val': {'file': 'data/fold0_val.json', 'sha256': 'V0', 'images': 9, 'cells': 99},
}
RUN = {'fold': 0, 'data': DATA, 'weights': None}
HELD_BACK = {
    'kind': 'model',
    'split': 'val',
    'annotations': 'data/fold0_val.json',
    'annotations_sha256': 'V0',
    'run': RUN,
}


def changed(**keys) -> dict:
    return {**HELD_BACK, **keys}


def trained(**keys) -> dict:
    return changed(run={**RUN, **keys})


@pytest.mark.parametrize(
    'source',
    [
        HELD_BACK,
        changed(annotations='elsewhere\\fold0_val.json', annotations_sha256=None),  # the name says enough
        trained(data={'train': {'file': 'fold0_train.json'}}),
        # Data without folds: the hash tells that what was predicted is what it validated on.
        changed(annotations='livecell_val.json', run={**RUN, 'fold': None}),
        {'split': 'test'},  # test images train nobody
        {'kind': 'fused', 'members': [{'name': 'a', 'source': HELD_BACK}, {'name': 'b', 'source': HELD_BACK}]},
        changed(boxes={'file': 'boxes.npz', 'source': HELD_BACK}),
        trained(weights={'file': 'work_dirs/livecell/iter_9.pth'}),
    ],
)
def test_held_out(source) -> None:
    assert check_out_of_fold(source, 'p.npz') == []


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (changed(annotations='x.json', annotations_sha256='T0'), 'was trained on fold0_train.json'),
        (changed(split='train', annotations='fold0_train.json', annotations_sha256='?'), 'was trained on fold0_train'),
        (trained(fold=None, data={'train': {'file': 'all.json'}}), 'was trained on all.json'),
        (changed(annotations='fold1_val.json', annotations_sha256='V1'), 'from fold 0 and predicted fold1_val.json'),
        (trained(weights={'file': 'work_dirs/fold3/m/iter_9.pth'}), 'weights of fold 3'),
        (
            {
                'kind': 'joined',
                'members': [
                    {'name': 'a', 'source': HELD_BACK},
                    {'name': 'b', 'source': changed(annotations='fold2_val.json')},
                ],
            },
            'p.npz, member b: was held out from fold 0',
        ),
        (changed(boxes={'file': 'b.npz', 'source': changed(annotations='fold2_val.json')}), 'p.npz, boxes b.npz: was'),
        ({'kind': 'fused'}, 'says that it is fused, and not of what'),
    ],
)
def test_trained_on_what_it_predicted(source, message) -> None:
    with pytest.raises(InputError, match='^p.npz') as error:
        check_out_of_fold(source, 'p.npz')
    assert message in str(error.value)


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ({}, 'p.npz: no record of its training'),
        (changed(run=None), 'p.npz: no record of its training'),
        (changed(run={}), 'p.npz: nothing tells'),
        # Of the same name, and yet another file than it was validated on: of another split of the data, perhaps.
        (changed(annotations_sha256='other'), 'whether it was trained on what it predicted (fold0_val.json)'),
        (changed(annotations=None, annotations_sha256=None), '(no file is named)'),
        # A model of all annotated images; those without annotations it saw as pseudo-labels at most.
        ({'split': 'unlabelled', 'run': {'data': {'train': {'file': 'all.json'}}}}, 'nothing tells'),
        (changed(boxes={'file': 'results.json', 'source': None}), 'p.npz, boxes results.json: no record'),
    ],
)
def test_not_known(source, message) -> None:
    (sentence,) = check_out_of_fold(source, 'p.npz')
    assert message in sentence
