"""The command that prepares the competition's data."""

import csv
import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sartorius.annotations.preparation import PreparationOptions, prepare_sartorius
from sartorius.annotations.reading import load_annotations
from sartorius.annotations.train_csv import read_train_csv
from sartorius.utils.errors import InputError, UsageError

FIVE = 'id,annotation,width,height,cell_type'
NINE = FIVE + ',plate_time,sample_date,sample_id,elapsed_timedelta'
# 8 wide, 6 high: a ring of 3x3 pixels around pixel (2, 2), and a 2x1 cell at (5, 4).
RING, PAIR = '10 3 18 1 20 1 26 3', '38 2'


def write_image(path, size=(6, 8)):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full(size, 128, dtype=np.uint8))


@pytest.fixture
def data(tmp_path):
    """Two images a well, two wells a class; a test image, two unlabelled ones."""
    lines = [NINE]
    for letter, cell_type in zip('AB', ('cort', 'astro'), strict=True):
        for well in (1, 2):
            for crop in (1, 2):
                image_id = f'{cell_type}{well}{crop}'
                write_image(tmp_path / 'train' / f'{image_id}.png')
                sample = f'{cell_type}[x]_{letter}{well}-1_Vessel-7_Ph_{crop}'
                lines += [f'{image_id},{code},8,6,{cell_type},1h,2020-01-01,{sample},0 days' for code in (RING, PAIR)]
    (tmp_path / 'train.csv').write_text('\n'.join(lines) + '\n')
    for name in ('test/t1', 'train_semi_supervised/u2', 'train_semi_supervised/u1'):
        write_image(tmp_path / f'{name}.png', (5, 9))
    return tmp_path


def read_folds(out):
    with open(out / 'folds.csv', newline='') as file:
        return {row['id']: row for row in csv.DictReader(file)}


def test_what_is_written(data):
    out = data / 'out'
    summary = prepare_sartorius(PreparationOptions(data, folds=2), out)
    assert {path.name for path in out.iterdir()} == {
        'all.json',
        'fold0_train.json',
        'fold0_val.json',
        'fold1_train.json',
        'fold1_val.json',
        'test.json',
        'unlabelled.json',
        'folds.csv',
        'summary.md',
    }
    assert (out / 'summary.md').read_text() == summary + '\n'
    content = json.loads((out / 'all.json').read_text())
    assert content['images'][0] == {
        'id': 1,
        'file_name': 'train/cort11.png',
        'height': 6,
        'width': 8,
        'image_id': 'cort11',
        'cell_type': 'cort',
        'group': 'cort[x]_A1',
    }
    assert [annotation['area'] for annotation in content['annotations'][:2]] == [8, 2]
    assert content['info']['split'] == 'all'
    assert len(content['info']['sources'][0]['sha256']) == 64
    assert [image['file_name'] for image in json.loads((out / 'unlabelled.json').read_text())['images']] == [
        'train_semi_supervised/u1.png',
        'train_semi_supervised/u2.png',
    ]
    assert load_annotations(out / 'test.json')['t1'].size == (5, 9)


def test_all_json_holds_the_cells_of_the_csv(data):
    prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    before, after = load_annotations(data / 'train.csv'), load_annotations(data / 'out' / 'all.json')
    assert list(before) == list(after)
    for image_id, image in before.items():
        assert [crop.to_full((6, 8)).tolist() for crop in image.crops] == [
            crop.to_full((6, 8)).tolist() for crop in after[image_id].crops
        ]


def test_folds_share_no_well(data):
    out = data / 'out'
    prepare_sartorius(PreparationOptions(data, folds=2), out)
    rows = read_folds(out)
    assert {row['group'] for row in rows.values()} == {'cort[x]_A1', 'cort[x]_A2', 'astro[x]_B1', 'astro[x]_B2'}
    for fold in range(2):
        train, val = (load_annotations(out / f'fold{fold}_{part}.json') for part in ('train', 'val'))
        assert train.keys() | val.keys() == rows.keys()
        assert val.keys() == {image_id for image_id, row in rows.items() if row['fold'] == str(fold)}
        assert not {rows[image_id]['group'] for image_id in train} & {rows[image_id]['group'] for image_id in val}
        assert {rows[image_id]['cell_type'] for image_id in val} == {'cort', 'astro'}


def test_says_how_it_grouped(data):
    assert 'grouped by plate and well of the sample_id (4 groups)' in prepare_sartorius(
        PreparationOptions(data, folds=2), data / 'out'
    )
    lines = (data / 'train.csv').read_text().splitlines()
    (data / 'train.csv').write_text('\n'.join(','.join(line.split(',')[:5]) for line in lines) + '\n')
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    assert '**by image**, because the CSV has no sample_id' in summary


def test_fills_holes_on_request(data):
    summary = prepare_sartorius(PreparationOptions(data, folds=2, fill_holes=True), data / 'out')
    areas = [annotation['area'] for annotation in json.loads((data / 'out' / 'all.json').read_text())['annotations']]
    assert areas == [9, 2] * 8
    assert '- hollow cells filled: 8' in summary


def test_nothing_is_dropped_silently(data):
    with open(data / 'train.csv', 'a') as file:
        file.write('gone,1 1,8,6,cort,1h,2020-01-01,cort[x]_A3-1_Vessel-7_Ph_1,0 days\n')
        file.write('cort11,,8,6,cort,1h,2020-01-01,cort[x]_A1-1_Vessel-7_Ph_1,0 days\n')
        file.write(f'cort11,{PAIR},8,6,cort,1h,2020-01-01,cort[x]_A1-1_Vessel-7_Ph_1,0 days\n')
    write_image(data / 'train' / 'nameless.png')
    summary = prepare_sartorius(PreparationOptions(data, folds=2, skip_missing_images=True), data / 'out')
    assert '- images dropped with their cells because their file is missing: 1 (gone)' in summary
    assert '- rows of train.csv without pixels dropped, by line: 1 (19)' in summary
    assert '- exact copies of another cell of their image, kept: 1' in summary
    assert '- images of train/ without rows not used: 1 (nameless)' in summary
    assert 'gone' not in load_annotations(data / 'out' / 'all.json')


def test_keeps_images_without_file_when_not_to_look(data):
    for path in (data / 'train').iterdir():
        path.unlink()
    prepare_sartorius(PreparationOptions(data, folds=2, check_images=False), data / 'out')
    assert len(load_annotations(data / 'out' / 'all.json')) == 8


def test_a_class_with_too_few_wells_is_said(data):
    with open(data / 'train.csv', 'a') as file:
        file.write('n1,1 1,8,6,shsy5y,1h,2020-01-01,shsy5y[x]_C1-1_Vessel-7_Ph_1,0 days\n')
    write_image(data / 'train' / 'n1.png')
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    fold = int(read_folds(data / 'out')['n1']['fold'])
    assert f'- folds that validate on no shsy5y, which has too few groups: 1 ({1 - fold})' in summary


def test_pseudo_labelled_images_train_but_never_validate(data):
    out = data / 'out'
    # u1 shares a well with cort11; u2 shares none.
    pseudo = data / 'pseudo.csv'
    pseudo.write_text(
        f'{FIVE},sample_id,source\nu1,1 1,9,5,cort,cort[x]_A1-3_Vessel-7_Ph_1,round 1\nu2,1 1,9,5,astro,,round 1\n'
    )
    summary = prepare_sartorius(PreparationOptions(data, csv_paths=(data / 'train.csv', pseudo), folds=2), out)
    assert '- pseudo-labelled images, which train and never validate: 2' in summary
    rows = read_folds(out)
    assert rows['u1']['fold'] == rows['u2']['fold'] == '-1'
    for fold in range(2):
        train, val = (load_annotations(out / f'fold{fold}_{part}.json') for part in ('train', 'val'))
        assert not {'u1', 'u2'} & val.keys()
        assert 'u2' in train
        assert ('u1' in train) == (rows['cort11']['fold'] != str(fold))
    images = json.loads((out / 'all.json').read_text())['images']
    assert [image.get('source') for image in images[-3:]] == [None, 'round 1', 'round 1']
    assert images[-1]['file_name'] == 'train_semi_supervised/u2.png'


def test_a_second_run_leaves_no_stale_fold(data):
    out = data / 'out'
    prepare_sartorius(PreparationOptions(data, folds=4), out)
    (out / 'notes.txt').write_text('mine')
    (data / 'test' / 't1.png').unlink()
    prepare_sartorius(PreparationOptions(data, folds=2), out)
    names = {path.name for path in out.iterdir()}
    assert 'fold1_val.json' in names
    assert 'notes.txt' in names
    assert not names & {'fold2_train.json', 'fold3_val.json', 'test.json'}


def test_the_same_seed_gives_the_same_files(data):
    for name in ('one', 'two'):
        prepare_sartorius(PreparationOptions(data, folds=2, seed=5), data / name)
    for path in (data / 'one').iterdir():
        assert path.read_bytes() == (data / 'two' / path.name).read_bytes()


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (
            lambda data: (data / 'train' / 'cort11.png').unlink(),
            r'1 of 8 annotated images are not in train/ \(cort11\); .* --skip-missing-images',
        ),
        (lambda data: cut(data / 'train' / 'astro21.png'), r'astro21\.png is truncated, damaged or not a PNG'),
        (lambda data: cut(data / 'test' / 't1.png'), r't1\.png is truncated, damaged or not a PNG'),
        (
            lambda data: write_image(data / 'train' / 'cort12.png', (8, 6)),
            r'cort12\.png: the image is 6x8 pixels, its rows say 8x6',
        ),
        (lambda data: (data / 'train.csv').write_text(''), r'train\.csv: is empty'),
    ],
)
def test_names_bad_input_and_leaves_earlier_results(data, spoil, message):
    out = data / 'out'
    prepare_sartorius(PreparationOptions(data, folds=2), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    spoil(data)
    with pytest.raises(InputError, match=message):
        prepare_sartorius(PreparationOptions(data, folds=2), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_names_ids_of_two_csvs(data):
    (data / 'more.csv').write_text(f'{FIVE}\ncort11,1 1,8,6,cort\n')
    with pytest.raises(InputError, match=r'more\.csv: image cort11 has rows in another'):
        prepare_sartorius(PreparationOptions(data, csv_paths=(data / 'train.csv', data / 'more.csv')), data / 'out')


def test_says_where_the_data_should_be(tmp_path):
    with pytest.raises(UsageError, match='nowhere: no such folder'):
        prepare_sartorius(PreparationOptions(tmp_path / 'nowhere'), tmp_path / 'out')
    with pytest.raises(UsageError, match='holds no train.csv'):
        prepare_sartorius(PreparationOptions(tmp_path), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def run_tool(repo_root, *arguments, **options):
    command = [sys.executable, str(repo_root / 'tools' / 'prepare_sartorius.py'), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_command_line(data, repo_root, tmp_path):
    done = run_tool(repo_root, '--data-root', data, '--out', data / 'out', '--folds', 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '| cort  |' in done.stdout
    assert (data / 'out' / 'all.json').is_file()


def test_command_line_mistakes(data, repo_root, tmp_path):
    missing = run_tool(repo_root, '--data-root', data / 'nowhere', '--out', tmp_path / 'none')
    assert missing.returncode == 2
    assert missing.stderr.startswith('error: ') and missing.stderr.count('\n') == 1
    assert run_tool(repo_root, '--data-root', data, '--folds', 1).returncode == 2
    (data / 'train' / 'cort11.png').unlink()
    failed = run_tool(repo_root, '--data-root', data, '--out', tmp_path / 'none', '--folds', 2)
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: ') and failed.stderr.count('\n') == 1
    assert not (tmp_path / 'none').exists()


def test_help_imports_nothing_heavy(repo_root):
    tool = str(repo_root / 'tools' / 'prepare_sartorius.py')
    check = (
        f'import runpy, sys; runpy.run_path({tool!r}); '
        'sys.exit(bool({"numpy", "pandas", "cv2", "scipy"} & sys.modules.keys()))'
    )
    assert subprocess.run([sys.executable, '-c', check]).returncode == 0


def test_real_data(real_data, tmp_path):
    summary = prepare_sartorius(PreparationOptions(real_data), tmp_path)
    gt = read_train_csv(real_data / 'train.csv').images
    assert load_annotations(tmp_path / 'all.json').keys() == gt.keys()
    assert sum(len(load_annotations(tmp_path / f'fold{fold}_val.json')) for fold in range(5)) == len(gt)
    assert '**by image**' in summary


@pytest.mark.slow
def test_all_real_rows(real_data, tmp_path):
    paths = (real_data / 'train.csv', real_data / 'masks_without_images.csv')
    if not paths[1].is_file():
        pytest.skip('needs masks_without_images.csv')
    prepare_sartorius(PreparationOptions(real_data, csv_paths=paths, check_images=False), tmp_path)
    cells = load_annotations(tmp_path / 'all.json')
    for path in paths:
        for image_id, image in read_train_csv(path).images.items():
            for before, after in zip(image.cells.crops, cells[image_id].crops, strict=True):
                assert before.window == after.window
                assert (before.mask == after.mask).all()


def test_images_of_any_suffix_are_taken_and_other_files_named(data):
    (data / 'test' / 't1.png').rename(data / 'test' / 't1.PNG')
    write_image(data / 'test' / 't2.tif')
    (data / 'test' / 'notes.txt').touch()
    (data / 'train' / 'cort11.png').rename(data / 'train' / 'cort11.PNG')
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    names = [image['file_name'] for image in json.loads((data / 'out' / 'test.json').read_text())['images']]
    assert names == ['test/t1.PNG', 'test/t2.tif']
    assert '- files of test/ not used, which are no images by their suffix: 1 (notes.txt)' in summary
    names = [image['file_name'] for image in json.loads((data / 'out' / 'all.json').read_text())['images']]
    assert names[0] == 'train/cort11.PNG'
    write_image(data / 'test' / 't1.tif')
    with pytest.raises(InputError, match=r't1\.PNG and t1\.tif would be one image'):
        prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')


def test_images_in_subfolders_and_training_images_in_the_test_set_are_named(data):
    for number, path in enumerate(sorted(data.glob('*/*.png'))):
        cv2.imwrite(str(path), np.full((6, 8), number, np.uint8))
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    assert 'images in subfolders' not in summary and 'stand in test/ too' not in summary
    (data / 'test' / 'deep').mkdir()
    write_image(data / 'test' / 'deep' / 't9.png')
    for name in ('cort11.png', 'other.png'):
        shutil.copy(data / 'train' / 'cort11.png', data / 'test' / name)
    shutil.copy(data / 'train' / 'cort12.png', data / 'test' / 't1.png')
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    assert '- images in subfolders of test/ not used: 1 (deep/t9.png)' in summary
    assert 'says nothing of other images**: 2 (cort11' in summary and 'cort12 as t1' in summary
    assert 'same file as another' not in summary
    shutil.copy(data / 'train' / 'cort12.png', data / 'train' / 'cort21.png')
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    assert '- images of train/ that are the same file as another, in whatever folds: 1 (cort21 as cort12)' in summary


def test_image_ids_are_kept_to_the_letter(data):
    ids = ['12e456789012', '001234567890', '123456789012', 'nan']
    for name in ids:
        write_image(data / 'train' / f'{name}.png')
    # As a spreadsheet program saves it: a byte order mark, an index column, Windows line ends.
    rows = [f'{number},{name},{RING},8,6,cort' for number, name in enumerate(ids)]
    (data / 'train.csv').write_bytes('\r\n'.join(['\ufeffUnnamed: 0,' + FIVE, *rows, '']).encode())
    summary = prepare_sartorius(PreparationOptions(data, folds=2), data / 'out')
    assert list(load_annotations(data / 'out' / 'all.json')) == ids
    assert '- columns of train.csv not used: 1 (Unnamed: 0)' in summary
