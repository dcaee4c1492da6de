"""Pseudo-labels of single folds in the prepared data."""

import csv
import json

import pytest

from sartorius.annotations.preparation import PreparationOptions, prepare_sartorius
from sartorius.annotations.reading import load_annotations
from sartorius.utils.errors import InputError

HEADER = 'id,annotation,width,height,cell_type,sample_id,source,fold,held_out'
WELLS = ('A1', 'A2', 'A3', 'A4')


@pytest.fixture
def data(tmp_path):
    """Four wells of two images with two cells each, in two folds."""
    lines = [HEADER]
    for well in WELLS:
        for crop in (1, 2):
            row = f'{well}{crop},{{}},8,6,cort,cort[x]_{well}-1_Vessel-7_Ph_{crop},,,'
            lines += [row.format('1 1'), row.format('10 2')]
    (tmp_path / 'train.csv').write_text('\n'.join(lines) + '\n')
    return tmp_path


def prepare(data, *rows, folds=2, seed=0, name='out'):
    """Prepares the wells and more rows; the images of each JSON, and the summary."""
    path = data / f'{name}.csv'
    path.write_text((data / 'train.csv').read_text() + ''.join(f'{row}\n' for row in rows))
    settings = PreparationOptions(data, csv_paths=(path,), folds=folds, seed=seed, check_images=False)
    summary = prepare_sartorius(settings, data / name)
    return {path.stem: load_annotations(path) for path in (data / name).glob('*.json')}, summary


def held_out(data, fold=0):
    """Name of a well that a fold validates on."""
    images, _ = prepare(data, name='first')
    return next(iter(images[f'fold{fold}_val']))[:2]


def test_each_fold_trains_on_its_own_labels(data):
    rows = ['u,1 1,9,5,cort,,model,0,', 'u,1 2,9,5,cort,,model,1,', 'u,3 1,9,5,cort,,model,1,']
    images, summary = prepare(data, *rows, 'w,1 1,9,5,cort,,model,all,', 'x,1 1,9,5,cort,,model,,')
    areas = {
        name: {image_id: [crop.area for crop in image.crops] for image_id, image in found.items() if image_id in 'uwx'}
        for name, found in images.items()
    }
    assert areas == {
        'all': {'w': [1], 'x': [1]},
        'fold0_train': {'u': [1], 'x': [1]},
        'fold1_train': {'u': [2, 1], 'x': [1]},
        'fold0_val': {},
        'fold1_val': {},
    }
    assert '- pseudo-labelled images, which train and never validate: 3\n' in summary + '\n'
    assert '| 1    |      1 |      1 |     2 |' in summary
    assert 'Dropped, because their fold validates on their own well: 0.' in summary
    record = next(
        one for one in json.loads((data / 'out' / 'fold0_train.json').read_text())['images'] if 'source' in one
    )
    assert record['source'] == 'model'
    with open(data / 'out' / 'folds.csv', newline='') as file:
        pseudo = [row for row in csv.reader(file) if row[-1] == '-1']
    assert [row[0] for row in pseudo] == ['x', 'u', 'w']


def test_folds_of_real_images_stay_what_they_were(data):
    before, _ = prepare(data, name='first', seed=3)
    after, _ = prepare(data, 'u,1 1,9,5,astro,,model,0,', *[f'u{n},1 1,9,5,cort,,model,1,' for n in range(9)], seed=3)
    for fold in range(2):
        assert list(after[f'fold{fold}_val']) == list(before[f'fold{fold}_val'])


def test_a_well_that_validates_does_not_train(data):
    well = held_out(data)
    images, summary = prepare(
        data,
        f'u,1 1,9,5,cort,cort[x]_{well}-9_Vessel-8_Ph_1,model,0,',
        # Unlabelled images are named after their sample.
        f'cort[x]_{well}-2_Vessel-7_Ph_4_2020-10-08,1 1,9,5,cort,,model,0,',
        f'v,1 1,9,5,cort,cort[x]_{well}-9_Vessel-8_Ph_1,model,1,',
    )
    assert not [image_id for image_id in images['fold0_train'] if image_id in 'uv' or image_id.startswith('cort')]
    assert 'v' in images['fold1_train']
    assert 'Dropped, because their fold validates on their own well: 2.' in summary


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        (['u,1 1,9,5,cort,,model,2,'], r'image u is pseudo-labelled for fold 2, and there are 2 folds'),
        (['A11,1 1,8,6,cort,,model,0,'], r'image A11 is pseudo-labelled for fold 0 and has rows for every fold too'),
        (['u,1 1,9,5,cort,,model,0,', 'u,1 1,9,5,cort,,model,,'], r'image u .* for fold 0 and has rows for every fold'),
        (
            ['u,1 1,9,5,cort,,model,0,4 images with 9 cells'],
            r'image u is pseudo-labelled for fold 0 by models that were held out from 4 images with 9 cells; '
            r'this fold 0 validates on 4 images with 8 cells\. Give the --folds and --seed of the first round',
        ),
    ],
)
def test_refuses_labels_that_do_not_fit(data, rows, message):
    with pytest.raises(InputError, match=message):
        prepare(data, *rows)
    assert not (data / 'out').exists()


def test_labels_of_the_same_split_are_taken(data):
    images, _ = prepare(data, 'u,1 1,9,5,cort,,model,0,4 images with 8 cells')
    assert 'u' in images['fold0_train']


def test_one_fold_in_two_csvs(data):
    for name in ('one', 'two'):
        (data / f'{name}.csv').write_text(f'{HEADER}\nu,1 1,9,5,cort,,model,0,\n')
    paths = tuple(data / f'{name}.csv' for name in ('train', 'one', 'two'))
    with pytest.raises(InputError, match=r'two\.csv: image u is .* for fold 0 and has rows for fold 0 in another'):
        prepare_sartorius(PreparationOptions(data, csv_paths=paths, folds=2, check_images=False), data / 'out')
