"""Synthetic images of eight cell types in LIVECell's layout."""

import json

import cv2
import numpy as np
import pytest

from sartorius.annotations.coco import cells_from_counts, read_coco
from sartorius.annotations.livecell import LivecellOptions, prepare_livecell
from sartorius.annotations.segmentation import compressed_counts
from sartorius.masks.coco_rle import decode
from sartorius.masks.crop import MaskCrop
from sartorius.synthetic import LivecellPlan, make_livecell
from sartorius.synthetic.cell_types import LINE_SPECS
from sartorius.synthetic.livecell_format import _polygon
from sartorius.utils.classes import LIVECELL_LINES
from sartorius.utils.errors import InputError, UsageError

PLAN = LivecellPlan(images=17, val_images=8, test_images=1, size=(96, 128), density=3)
SPLITS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'data'
    return out, make_livecell(out, PLAN)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_there_is_a_made_type_a_line():
    assert tuple(LINE_SPECS) == LIVECELL_LINES
    assert len({repr(spec) for spec in LINE_SPECS.values()}) == 8


@pytest.mark.parametrize(
    'rows',
    [
        pytest.param(['#'], id='a pixel'),
        pytest.param(['.#.', '###', '.#.'], id='a cross'),
        pytest.param(['#..', '##.', '.##'], id='stairs'),
        pytest.param(['#####', '#...#', '#.###'], id='a hook'),
    ],
)
def test_a_polygon_is_rasterised_to_its_mask(rows):
    mask = np.array([[letter == '#' for letter in row] for row in rows])
    (cell,), _ = cells_from_counts([compressed_counts([_polygon(MaskCrop(mask, 3, 2))], (9, 12))], [0], (9, 12))
    expected = np.zeros((9, 12), dtype=bool)
    expected[2 : 2 + mask.shape[0], 3 : 3 + mask.shape[1]] = mask
    back = np.zeros((9, 12), dtype=bool)
    crop = decode(cell.segmentation)
    x1, y1, x2, y2 = crop.window
    back[y1:y2, x1:x2] = crop.mask
    assert (back == expected).all()


def test_preparation_takes_every_image_and_cell(made, tmp_path):
    out, summary = made
    assert summary.images == {'train': 17, 'val': 8, 'test': 1}
    # Images this small may hold fewer cells than a complete one of LIVECell has.
    prepare_livecell(LivecellOptions(out, keep_incomplete=True), tmp_path)
    for split in SPLITS:
        prepared = read_coco(tmp_path / f'{split}.json', LIVECELL_LINES)
        assert len(prepared) == summary.images[split]
        assert sum(map(len, prepared.values())) == summary.cells[split]
        assert all(set(image.labels) == {LIVECELL_LINES.index(name.split('_')[0])} for name, image in prepared.items())
    assert len({name.split('_')[0] for name in read_coco(tmp_path / 'val.json', LIVECELL_LINES)}) == 8


def test_wells_are_shared_within_a_split_and_never_between_two(made):
    out, _ = made
    wells = {}
    for split in SPLITS:
        content = json.loads((out / 'annotations' / 'LIVECell' / f'livecell_coco_{split}.json').read_text())
        names = [image['file_name'].split('_') for image in content['images']]
        wells[split] = {(name[0], name[2]) for name in names}
    # 17 images: two of each line in its first well, and one in the first line's second well.
    assert len(wells['train']) == 9
    assert not wells['train'] & wells['val']
    assert not (wells['train'] | wells['val']) & wells['test']


def test_images_are_grey_and_of_the_size(made):
    out, _ = made
    images = sorted((out / 'images').rglob('*.tif'))
    assert len(images) == 26
    assert {cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in images} == {PLAN.size}
    assert {path.parts[-3] for path in images} == {'livecell_train_val_images', 'livecell_test_images'}
    assert all(path.name.startswith(path.parent.name) for path in images)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(made, tmp_path):
    out, _ = made
    make_livecell(tmp_path / 'again', PLAN)
    assert files(tmp_path / 'again') == files(out)
    other = LivecellPlan(images=1, val_images=0, test_images=0, size=PLAN.size, density=3, seed=1)
    make_livecell(tmp_path / 'other', other)
    image = next(path for path in files(tmp_path / 'other') if path.suffix == '.tif')
    assert files(tmp_path / 'other')[image] != files(out)[image]
    assert not list((tmp_path / 'other').rglob('livecell_coco_val.json'))


@pytest.mark.parametrize(
    ('values', 'message'),
    [({'images': 0}, 'must be at least 1'), ({'val_images': -1}, 'val_images is -1'), ({'size': (8, 8)}, 'too small')],
)
def test_bad_plans_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        LivecellPlan(**values)


def test_a_folder_in_use_is_left_alone(made):
    out, _ = made
    before = files(out)
    with pytest.raises(UsageError, match='is not empty'):
        make_livecell(out, PLAN)
    assert files(out) == before
