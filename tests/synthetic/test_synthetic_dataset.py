"""Synthetic data sets on disk: layout, tables, repeatability, and nothing half-written."""

import csv
import hashlib
import json
import re

import cv2
import numpy as np
import pytest
from scipy import ndimage

from sartorius.masks import kaggle_rle
from sartorius.synthetic import DatasetPlan, DefectRates, dataset, make_dataset
from sartorius.synthetic.dataset import COLUMNS
from sartorius.synthetic.plates import plan_acquisitions
from sartorius.utils.errors import InputError, UsageError

SIZE = (64, 96)
PLAN = DatasetPlan(images=8, test_images=3, unlabelled_images=2, size=SIZE, density=2, seed=5)
DEFECTIVE = DatasetPlan(
    images=6,
    test_images=1,
    unlabelled_images=0,
    size=(128, 160),
    density=2,
    defects=DefectRates(convex_filled=0.4, hollow=0.2, duplicated=0.2, missing=0.2),
    seed=6,
)
CELL_RATES = dict.fromkeys(('speck', 'pieces', 'sliver', 'overlapping', 'outsized', 'wrong_class'), 0.15)
MORE_DEFECTIVE = DatasetPlan(
    images=12,
    test_images=1,
    unlabelled_images=0,
    size=(128, 160),
    density=2,
    defects=DefectRates(missing=0.1, twice=0.3, **CELL_RATES),
    seed=1,
)


def read(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('synthetic') / 'data'
    return out, make_dataset(out, PLAN)


@pytest.fixture(scope='module')
def defective(tmp_path_factory):
    out = tmp_path_factory.mktemp('defective') / 'data'
    return out, make_dataset(out, DEFECTIVE)


@pytest.fixture(scope='module')
def more_defective(tmp_path_factory):
    out = tmp_path_factory.mktemp('more_defective') / 'data'
    return out, make_dataset(out, MORE_DEFECTIVE)


def test_layout(made):
    out, summary = made
    assert sorted(path.name for path in out.iterdir()) == [
        'sample_submission.csv',
        'synthetic.json',
        'test',
        'test_gt.csv',
        'train',
        'train.csv',
        'train_semi_supervised',
    ]
    assert len(list((out / 'train').glob('*.png'))) == summary.images == 8
    assert len(list((out / 'test').glob('*.png'))) == summary.test_images == 3
    assert len(list((out / 'train_semi_supervised').glob('*.png'))) == summary.unlabelled_images == 2
    assert json.loads((out / 'synthetic.json').read_text())['size'] == {'height': 64, 'width': 96}


def test_images_are_8_bit_grey(made):
    for path in made[0].rglob('*.png'):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == SIZE
        assert image.dtype == np.uint8


def test_tables_name_the_images(made):
    out, summary = made
    for table, folder, cells in (
        ('train.csv', 'train', summary.train_cells),
        ('test_gt.csv', 'test', summary.test_cells),
    ):
        rows = read(out / table)
        assert tuple(rows[0]) == COLUMNS
        assert len(rows) == cells
        assert {row['id'] for row in rows} == {path.stem for path in (out / folder).glob('*.png')}
        assert all(re.fullmatch('[0-9a-f]{12}', row['id']) for row in rows)
        assert {(row['width'], row['height']) for row in rows} == {('96', '64')}


def test_columns_are_those_of_the_competition(made, real_data):
    with open(real_data / 'train_all_columns_sample.csv', encoding='utf-8') as file:
        header, example = file.readline(), file.readline()
    assert (made[0] / 'train.csv').read_text().splitlines()[0] == header.strip()
    # plate_time, sample_date, sample_id and elapsed_timedelta are written as in the original.
    forms = (
        r'\d\dh\d\dm\d\ds',
        r'\d{4}-\d\d-\d\d',
        r'\w+\[[\w-]+\]_[A-H]\d+-\d_Vessel-\d+_Ph_\d',
        r'\d+ days [\d:]{8}',
    )
    rows = read(made[0] / 'train.csv')
    for values in (example.strip().split(',')[5:], list(rows[0].values())[5:], list(rows[-1].values())[5:]):
        for form, value in zip(forms, values, strict=True):
            assert re.fullmatch(form, value), value


def test_annotations_decode_and_encode_back(made):
    for row in read(made[0] / 'train.csv'):
        crop = kaggle_rle.decode(row['annotation'], SIZE)
        assert crop.area >= 30
        assert kaggle_rle.encode(crop, SIZE) == row['annotation']


def test_annotated_cells_are_darker_inside_than_the_background(made):
    out, _ = made
    inside, outside = [], []
    for path in (out / 'train').glob('*.png'):
        cells = np.zeros(SIZE, dtype=bool)
        for row in read(out / 'train.csv'):
            if row['id'] == path.stem:
                cells |= kaggle_rle.decode(row['annotation'], SIZE).to_full(SIZE)
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        inside.append(image[ndimage.binary_erosion(cells, iterations=3)].mean())
        outside.append(image[~cells].mean())
    assert np.mean(inside) < np.mean(outside) - 3


def test_sample_submission_has_the_official_form(made):
    lines = (made[0] / 'sample_submission.csv').read_text().splitlines()
    assert lines[0] == 'id,predicted'
    assert sorted(line.rstrip(',') for line in lines[1:]) == sorted(path.stem for path in (made[0] / 'test').glob('*'))


def test_every_image_has_one_cell_type_and_all_types_occur(made):
    rows = read(made[0] / 'train.csv')
    types = {image: {row['cell_type'] for row in rows if row['id'] == image} for image in {row['id'] for row in rows}}
    assert all(len(names) == 1 for names in types.values())
    assert set.union(*types.values()) == {'shsy5y', 'astro', 'cort'}


def test_two_images_share_a_well_and_some_a_sample():
    train, test = plan_acquisitions(('shsy5y', 'cort'), (16, 8), seed=0)
    wells = [(one.cell_type, one.well) for one in train]
    assert sorted(wells) == sorted(2 * list(set(wells)))
    samples = {one.sample_id for one in train}
    assert len(set(wells)) < len(samples) < len(train)
    assert len({(one.sample_id, one.elapsed) for one in train}) == len(train)
    assert set(wells).isdisjoint((one.cell_type, one.well) for one in test)

    # The competition's grouping: plate and well as the sample_id spells them.
    def spelled(origin):
        plate, site = origin.sample_id.split('_')[:2]
        return plate, site[:-2]

    assert len(set(map(spelled, train))) == len(set(wells))
    assert set(map(spelled, train)).isdisjoint(map(spelled, test))


def test_origin_is_written_as_the_competition_does():
    origin = plan_acquisitions(('astro',), (2,), seed=0)[0][1]
    assert origin.sample_id == 'astros[cereb]_A1-1_Vessel-301_Ph_1'
    assert origin.plate_time == '11h30m00s'
    assert origin.elapsed_timedelta == '0 days 11:30:00'
    assert origin.described_name == 'astros[cereb]_A1-1_Vessel-301_Ph_1_00d11h30m'


@pytest.mark.slow
def test_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(made, tmp_path):
    make_dataset(tmp_path / 'again', PLAN, workers=2)
    assert digests(tmp_path / 'again') == digests(made[0])


def test_another_seed_gives_other_images(made, tmp_path):
    plan = DatasetPlan(images=1, test_images=0, unlabelled_images=0, size=SIZE, density=2, seed=6)
    make_dataset(tmp_path / 'other', plan)
    assert set(digests(tmp_path / 'other').values()).isdisjoint(digests(made[0]).values())


def test_defects_are_listed_and_nothing_else_differs_from_the_truth(defective):
    out, summary = defective
    rows, clean, defects = read(out / 'train.csv'), read(out / 'train_clean.csv'), read(out / 'defects.csv')
    assert len(defects) == summary.defects
    assert {defect['defect'] for defect in defects} == {'convex-filled', 'hollow', 'duplicated', 'missing'}
    unlisted = list(rows)
    for defect in defects:
        true = clean[int(defect['clean_row'])]
        assert true['id'] == defect['id']
        if defect['defect'] == 'missing':
            assert defect['row'] == ''
            continue
        listed = rows[int(defect['row'])]
        assert listed['id'] == defect['id']
        assert listed['annotation'] != true['annotation']
        unlisted.remove(listed)
    changed = {int(defect['clean_row']) for defect in defects if defect['defect'] != 'duplicated'}
    assert unlisted == [row for index, row in enumerate(clean) if index not in changed]


def test_defects_of_all_names_point_at_their_rows(more_defective):
    out, summary = more_defective
    rows, clean, defects = read(out / 'train.csv'), read(out / 'train_clean.csv'), read(out / 'defects.csv')
    names = {'missing', 'speck', 'pieces', 'sliver', 'overlapping', 'outsized', 'wrong-class', 'twice'}
    assert {defect['defect'] for defect in defects} == names
    assert len(defects) == summary.defects
    extra = [defect for defect in defects if defect['defect'] in ('sliver', 'twice')]
    missing = [defect for defect in defects if defect['defect'] == 'missing']
    assert len(rows) == len(clean) + len(extra) - len(missing)
    for defect in defects:
        true = clean[int(defect['clean_row'])]
        assert true['id'] == defect['id']
        if defect['defect'] == 'missing':
            assert defect['row'] == ''
            continue
        listed = rows[int(defect['row'])]
        wrong_class = defect['defect'] == 'wrong-class'
        assert (listed['cell_type'] != true['cell_type']) == wrong_class
        assert (listed['annotation'] == true['annotation']) == wrong_class
        same = set(COLUMNS) - {'annotation', 'cell_type'}
        assert all(listed[name] == true[name] for name in same)
    # Rows that are not listed are the correct ones, in their order.
    listed_rows = {int(defect['row']) for defect in defects if defect['row']}
    replaced = {int(defect['clean_row']) for defect in defects} - {int(defect['clean_row']) for defect in extra}
    unlisted = [row for index, row in enumerate(rows) if index not in listed_rows]
    assert unlisted == [row for index, row in enumerate(clean) if index not in replaced]


def test_images_are_annotated_twice_as_a_whole(more_defective):
    out, _ = more_defective
    clean, defects = read(out / 'train_clean.csv'), read(out / 'defects.csv')
    twice = [defect for defect in defects if defect['defect'] == 'twice']
    images = {defect['id'] for defect in twice}
    assert 0 < len(images) < 12
    assert [int(defect['clean_row']) for defect in twice] == [
        index for index, row in enumerate(clean) if row['id'] in images
    ]
    assert all(defect['defect'] == 'twice' for defect in defects if defect['id'] in images)


@pytest.mark.slow
def test_defects_repeat_whatever_the_number_of_workers(more_defective, tmp_path):
    make_dataset(tmp_path / 'again', MORE_DEFECTIVE, workers=2)
    assert digests(tmp_path / 'again') == digests(more_defective[0])


def test_defects_leave_images_and_test_gt_as_they_are(defective, tmp_path):
    out, _ = defective
    clean_plan = DatasetPlan(
        images=6, test_images=1, unlabelled_images=0, size=(128, 160), density=2, seed=DEFECTIVE.seed
    )
    make_dataset(tmp_path / 'clean', clean_plan)
    with_defects, without = digests(out), digests(tmp_path / 'clean')
    assert with_defects['train_clean.csv'] == without['train.csv']
    assert with_defects['train.csv'] != without['train.csv']
    assert {name: digest for name, digest in without.items() if not name.startswith(('train.csv', 'synthetic'))} == {
        name: digest
        for name, digest in with_defects.items()
        if not name.startswith(('train.csv', 'synthetic', 'train_clean', 'defects'))
    }


@pytest.fixture
def failing_writes(monkeypatch):
    """The third image finds the disk full."""
    written = []
    write = dataset.write_image

    def fail(path, image):
        if len(written) == 2:
            raise OSError(28, 'No space left on device', str(path))
        written.append(path)
        write(path, image)

    monkeypatch.setattr(dataset, 'write_image', fail)


def test_a_failure_leaves_nothing_behind(failing_writes, tmp_path):
    with pytest.raises(OSError, match='No space left'):
        make_dataset(tmp_path / 'data', PLAN)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_earlier_data_set(made, failing_writes, tmp_path):
    out = tmp_path / 'data'
    out.mkdir()
    (out / 'synthetic.json').write_text('{}')
    with pytest.raises(OSError, match='No space left'):
        make_dataset(out, PLAN, overwrite=True)
    assert [path.name for path in tmp_path.rglob('*')] == ['data', 'synthetic.json']


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(UsageError, match='is not empty; name another folder, or replace it with --overwrite'):
        make_dataset(tmp_path, PLAN)
    with pytest.raises(UsageError, match='holds no synthetic.json'):
        make_dataset(tmp_path, PLAN, overwrite=True)
    with pytest.raises(UsageError, match='is a file'):
        make_dataset(tmp_path / 'notes.txt', PLAN)
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


def test_overwrite_replaces_an_earlier_data_set(tmp_path):
    plan = DatasetPlan(images=1, test_images=0, unlabelled_images=0, size=SIZE)
    out = tmp_path / 'data'
    make_dataset(out, plan)
    (out / 'train' / 'left_over.png').touch()
    make_dataset(out, plan, overwrite=True)
    assert len(list((out / 'train').iterdir())) == 1
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'images': 0}, 'number of training images is 0'),
        ({'test_images': -1}, 'test_images is -1'),
        ({'seed': -1}, 'seed is -1'),
        ({'cell_types': ()}, 'name at least one'),
        ({'cell_types': ('cort', 'cort')}, 'each once'),
        ({'cell_types': ('hela',)}, "unknown cell type 'hela'"),
        ({'size': (10, 10)}, 'image size 10x10 is too small'),
        ({'density': -1.0}, 'density is -1.0'),
    ],
)
def test_bad_plans_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        DatasetPlan(**changes)


def test_a_plan_without_room_for_its_cells_leaves_nothing_behind(tmp_path):
    plan = DatasetPlan(images=2, size=SIZE, density=200, cell_types=('shsy5y',))
    with pytest.raises(InputError, match='has no room for'):
        make_dataset(tmp_path / 'data', plan)
    assert list(tmp_path.iterdir()) == []
