"""LIVECell's official JSONs and their known traps, on small hand-made ones."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from sartorius.annotations.coco import read_coco
from sartorius.annotations.livecell import LivecellOptions, prepare_livecell
from sartorius.utils.classes import LIVECELL_LINES
from sartorius.utils.errors import InputError, UsageError

SIZE = (60, 100)
A172 = 'A172_Phase_A7_1_00d00h00m_1'
HUH7 = 'Huh7_Phase_B3_2_01d00h00m_4'
SKOV3 = 'SKOV3_Phase_G4_1_00d00h00m_1'


def square(x, y, side=8):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def grid(count=12):
    """Squares of 64 px that do not touch."""
    return [square(2 + 16 * (index % 6), 2 + 12 * (index // 6)) for index in range(count)]


class Official:
    """An official folder in the making."""

    def __init__(self, root):
        self.root = root
        self.next_id = 100

    def images(self, *names, folder='livecell_train_val_images', by_line=True, size=SIZE):
        for name in names:
            path = self.root / 'images' / folder / (name.split('_')[0] if by_line else '.') / f'{name}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full(size, 100, dtype=np.uint8))

    def write(self, path, *images, as_dict=False):
        """``images`` are pairs of name and polygons."""
        content = {'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'cell', 'supercategory': 'cell'}]}
        for name, polygons in images:
            self.next_id += 1
            content['images'].append(
                {'id': self.next_id, 'file_name': f'{name}.tif', 'height': SIZE[0], 'width': SIZE[1]}
            )
            for polygon in polygons:
                content['annotations'].append(
                    {
                        'id': len(content['annotations']),
                        'image_id': self.next_id,
                        'category_id': 1,
                        'segmentation': [polygon],
                        'iscrowd': 0,
                    }
                )
        if as_dict:
            content['annotations'] = {str(entry['id']): entry for entry in content['annotations']}
        path = self.root / 'annotations' / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def all_lines(self, split, *images):
        return self.write(f'LIVECell/livecell_coco_{split}.json', *images)


@pytest.fixture
def official(tmp_path):
    return Official(tmp_path / 'livecell')


def row_of(summary, what):
    line = next(line for line in summary.splitlines() if line.startswith(f'| {what}'))
    return [cell.strip() for cell in line.strip('|').split('|')][1:]


def test_what_is_written(official, tmp_path):
    official.images(A172, HUH7)
    official.images(SKOV3, folder='livecell_test_images')
    official.all_lines('train', (A172, grid()))
    official.all_lines('val', (HUH7, grid()))
    official.all_lines('test', (SKOV3, grid()))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path / 'out')
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'train.json', 'val.json', 'test.json', 'summary.md'}
    content = json.loads((tmp_path / 'out' / 'test.json').read_text())
    assert content['images'] == [
        {
            'id': 1,
            'file_name': f'images/livecell_test_images/SKOV3/{SKOV3}.tif',
            'height': 60,
            'width': 100,
            'image_id': SKOV3,
            'cell_type': 'SKOV3',
            'group': 'SKOV3_G4',
        }
    ]
    assert [category['name'] for category in content['categories']] == list(LIVECELL_LINES)
    first = content['annotations'][0]
    assert (first['category_id'], first['area'], first['bbox']) == (8, 64, [2, 2, 8, 8])
    assert isinstance(first['segmentation']['counts'], str)
    cells = read_coco(tmp_path / 'out' / 'train.json', LIVECELL_LINES)[A172]
    assert cells.labels.tolist() == [0] * 12
    assert [crop.window for crop in cells.crops] == [(x, y, x + 8, y + 8) for x, y, *_ in grid()]
    assert '| A172  |      1 |    12 |' in summary


def test_single_class(official, tmp_path):
    official.images(A172, HUH7)
    official.all_lines('train', (A172, grid()), (HUH7, grid()))
    prepare_livecell(LivecellOptions(official.root, single_class=True), tmp_path)
    content = json.loads((tmp_path / 'train.json').read_text())
    assert [category['name'] for category in content['categories']] == ['cell']
    assert {annotation['category_id'] for annotation in content['annotations']} == {1}
    assert [image['cell_type'] for image in content['images']] == ['A172', 'Huh7']


def test_single_line_jsons_keep_their_annotations_in_a_dict(official, tmp_path):
    official.images(A172, HUH7, by_line=False)
    official.write('LIVECell_single_cells/a172/train.json', (A172, grid()), as_dict=True)
    official.write('LIVECell_single_cells/huh7/train.json', (HUH7, grid(11)), as_dict=True)
    prepare_livecell(LivecellOptions(official.root), tmp_path)
    read = read_coco(tmp_path / 'train.json', LIVECELL_LINES)
    assert {name: len(image) for name, image in read.items()} == {A172: 12, HUH7: 11}


def test_cells_that_are_mended(official, tmp_path):
    official.images(A172)
    twice = [2, 2, 10, 2, 10, 9, 2, 9]  # 56 of the first square's 64 pixels: IoU 0.875
    touching = square(10, 2)  # beside the first square
    half = [2, 14, 10, 14, 10, 18, 2, 18]  # half of the seventh square: IoU 0.5
    cells = [*grid(), twice, square(2, 2), touching, half, square(50, 40, 5), [90, 40, 90, 40, 90, 40]]
    cells += [[5, 40, 9, 40], [5, 40, 9, 40, 9]]  # a line, and no pairs at all
    official.all_lines('train', (A172, cells))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path / 'a')
    assert len(read_coco(tmp_path / 'a' / 'train.json', LIVECELL_LINES)[A172]) == 14
    assert row_of(summary, 'duplicate contours') == ['2']
    assert row_of(summary, 'slivers') == ['3']
    assert row_of(summary, 'malformed') == ['1']
    summary = prepare_livecell(LivecellOptions(official.root, min_area=0), tmp_path / 'b')
    assert row_of(summary, 'slivers') == ['2']


def test_incomplete_images(official, tmp_path):
    official.images(A172, HUH7)
    official.all_lines('train', (A172, grid(9)), (HUH7, grid(10)))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path / 'a')
    assert list(read_coco(tmp_path / 'a' / 'train.json', LIVECELL_LINES)) == [HUH7]
    assert f'images with fewer than 10 annotated cells dropped: 1 ({A172})' in summary
    prepare_livecell(LivecellOptions(official.root, keep_incomplete=True), tmp_path / 'b')
    assert len(read_coco(tmp_path / 'b' / 'train.json', LIVECELL_LINES)) == 2


def test_images_listed_twice(official, tmp_path):
    official.images(A172, HUH7)
    official.images(SKOV3, folder='livecell_test_images')
    official.all_lines('train', (A172, grid(10)), (A172, grid(12)), (A172, grid(11)), (HUH7, grid()), (SKOV3, grid()))
    official.all_lines('val', (HUH7, grid()))
    official.all_lines('test', (SKOV3, grid()))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path)
    train = read_coco(tmp_path / 'train.json', LIVECELL_LINES)
    assert {name: len(image) for name, image in train.items()} == {A172: 12}
    assert row_of(summary, 'second annotations of an image') == ['2', '0', '0']
    assert row_of(summary, 'images of another split') == ['2', '0', '0']


def test_unknown_lines_and_unlisted_images(official, tmp_path):
    rat = 'RatC6_Phase_H4_1_02d20h00m_3'
    official.images(A172, rat)
    path = official.all_lines('train', (A172, grid()), (rat, grid()))
    content = json.loads(path.read_text())
    content['annotations'].append({'image_id': 7, 'segmentation': [square(1, 1)]})
    path.write_text(json.dumps(content))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path / 'a')
    assert list(read_coco(tmp_path / 'a' / 'train.json', LIVECELL_LINES)) == [A172]
    assert f'images of an unknown cell line dropped: 1 ({rat})' in summary
    assert row_of(summary, 'annotations of images that are not listed') == ['1']
    summary = prepare_livecell(LivecellOptions(official.root, single_class=True), tmp_path / 'b')
    assert list(read_coco(tmp_path / 'b' / 'train.json', ('cell',))) == [A172, rat]
    assert '| RatC6 |' in summary


def test_missing_images(official, tmp_path):
    official.images(A172)
    official.all_lines('train', (A172, grid()), (HUH7, grid()))
    with pytest.raises(InputError, match=rf'1 annotated images are not there \({HUH7}\); .*--skip-missing-images'):
        prepare_livecell(LivecellOptions(official.root), tmp_path / 'a')
    summary = prepare_livecell(LivecellOptions(official.root, skip_missing_images=True), tmp_path / 'a')
    assert f'images without a file dropped: 1 ({HUH7})' in summary


def test_an_error_leaves_earlier_results(official, tmp_path):
    out = tmp_path / 'out'
    official.images(A172)
    official.all_lines('train', (A172, grid()))
    prepare_livecell(LivecellOptions(official.root), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    official.images(A172, size=(100, 60))
    with pytest.raises(InputError, match=rf'{A172}\.tif: the image is 60x100 pixels, its JSON says 100x60'):
        prepare_livecell(LivecellOptions(official.root), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"images": [', 'not JSON'),
        ('[]', 'not a COCO JSON, but a JSON list'),
        ('{"images": []}', "'annotations' is missing"),
        ('{"images": [{"id": 1}], "annotations": []}', "entry 0 of 'images' has no 'file_name'"),
        ('{"images": [], "annotations": {"5": {"image_id": 1}}}', "entry 0 of 'annotations' has no 'segmentation'"),
        ('{"images": [], "annotations": []}', 'no cell is left; it lists none'),
    ],
)
def test_names_what_is_wrong(official, tmp_path, text, message):
    path = official.all_lines('train')
    path.write_text(text)
    with pytest.raises(InputError) as error:
        prepare_livecell(LivecellOptions(official.root), tmp_path / 'out')
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert not (tmp_path / 'out').exists()


def test_says_where_the_data_should_be(tmp_path):
    with pytest.raises(UsageError, match='no such folder'):
        prepare_livecell(LivecellOptions(tmp_path / 'nowhere'), tmp_path / 'out')
    with pytest.raises(UsageError, match=r'holds neither livecell_coco_train\.json'):
        prepare_livecell(LivecellOptions(tmp_path), tmp_path / 'out')


@pytest.mark.slow
def test_command_line(official, tmp_path, repo_root):
    official.images(A172)
    official.all_lines('train', (A172, grid(5)))
    tool = [sys.executable, str(repo_root / 'tools' / 'data/prepare_livecell.py'), '--data-root', str(official.root)]
    tool += ['--out', str(tmp_path / 'out')]
    done = subprocess.run([*tool, '--keep-incomplete', '--single-class'], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '| A172  |' in done.stdout
    failed = subprocess.run(tool, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith('error: ') and failed.stderr.count('\n') == 1
    assert 'no cell is left; images with fewer than 10 annotated cells dropped: 1' in failed.stderr


def test_folders_behind_links_and_images_with_several_files(official, tmp_path):
    official.images(A172, folder='a')
    official.images(A172, folder='b', size=(9, 9))
    official.all_lines('train', (A172, grid()))
    root = tmp_path / 'linked'
    root.mkdir()
    for name in ('annotations', 'images'):
        (root / name).symlink_to(official.root / name)
    with pytest.raises(InputError, match=r'b/A172/.*: the image is 9x9 pixels'):
        prepare_livecell(LivecellOptions(root), tmp_path / 'out')
    (official.root / 'images' / 'b').rename(official.root / 'images' / '0')
    summary = prepare_livecell(LivecellOptions(root), tmp_path / 'out')
    assert row_of(summary, 'images with several files') == ['1']
    assert len(read_coco(tmp_path / 'out' / 'train.json', LIVECELL_LINES)[A172]) == 12


def test_crowd_regions_are_kept_as_such_and_two_images_under_one_id_refused(official, tmp_path):
    official.images(A172)
    path = official.all_lines('train', (A172, grid(13)))
    content = json.loads(path.read_text())
    content['annotations'][0]['iscrowd'] = 1
    path.write_text(json.dumps(content))
    summary = prepare_livecell(LivecellOptions(official.root), tmp_path / 'out')
    assert row_of(summary, 'crowd regions') == ['1']
    prepared = read_coco(tmp_path / 'out' / 'train.json', LIVECELL_LINES)[A172]
    # Neither a miss nor background: the same in preparation, training and scoring.
    assert (len(prepared), len(prepared.crowd)) == (12, 1)
    content['images'].append({**content['images'][0], 'file_name': f'{HUH7}.tif'})
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf'two images have the id 101: {A172}\.tif and {HUH7}\.tif'):
        prepare_livecell(LivecellOptions(official.root), tmp_path / 'out')
