"""The data set reads what tools/prepare_sartorius.py writes, by name, and refuses what does not fit."""

import json
from pathlib import Path

import pytest

from sartorius.datasets.sartorius import LIVECellDataset, SartoriusDataset
from sartorius.utils.errors import InputError

# The bbox is wrong on purpose: the mask is believed.
RUNS = [8 * 2 + 3, 5, 3, 5, 3, 5, 3, 5, 72 - 8 * 5 - 8]
CELL = {'image_id': 1, 'bbox': [0, 0, 1, 1], 'area': 9, 'iscrowd': 0, 'segmentation': {'size': [8, 9], 'counts': RUNS}}


def write(folder: Path, **changes: object) -> str:
    content = {
        'images': [
            {'id': 1, 'file_name': 'train/full.png', 'height': 8, 'width': 9},
            {'id': 2, 'file_name': 'train/none.png', 'height': 8, 'width': 9},
        ],
        # The order is not the project's: a reader that counts instead of reading names gets every class wrong.
        'categories': [{'id': 7, 'name': 'cort'}, {'id': 8, 'name': 'shsy5y'}, {'id': 9, 'name': 'astro'}],
        'annotations': [{**CELL, 'id': 1, 'category_id': 7}, {**CELL, 'id': 2, 'category_id': 8}],
        **changes,
    }
    path = folder / 'cells.json'
    path.write_text(json.dumps(content))
    return str(path)


def test_classes_go_by_name(tmp_path: Path) -> None:
    sample = SartoriusDataset(ann_file=write(tmp_path), data_root='root', pipeline=[], test_mode=True)[0]
    assert [cell['bbox_label'] for cell in sample['instances']] == [2, 0]
    assert sample['instances'][0]['bbox'] == [2, 3, 6, 8]
    assert (sample['img_id'], sample['img_path']) == ('train/full', 'root/train/full.png')


def test_images_without_cells_stay_unless_filtered(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert len(SartoriusDataset(ann_file=path, pipeline=[])) == 2
    filtered = {'filter_empty_gt': True}
    assert len(SartoriusDataset(ann_file=path, pipeline=[], filter_cfg=filtered)) == 1
    assert len(SartoriusDataset(ann_file=path, pipeline=[], filter_cfg=filtered, test_mode=True)) == 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'categories': [{'id': 7, 'name': 'neuron'}, {'id': 8, 'name': 'cort'}]}, "unknown category 'neuron'"),
        ({'images': None}, 'images'),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    path = write(tmp_path, **changes)
    if changes.get('images', ...) is None:
        content = json.loads(Path(path).read_text())
        del content['images']
        Path(path).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        SartoriusDataset(ann_file=path, pipeline=[])


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such annotation file; tools/prepare_sartorius.py'):
        SartoriusDataset(ann_file=str(tmp_path / 'nothing.json'), pipeline=[])
    broken = tmp_path / 'broken.json'
    broken.write_text('{"images": [')
    with pytest.raises(InputError, match='not JSON'):
        SartoriusDataset(ann_file=str(broken), pipeline=[])


IMAGES = [
    {'id': 1, 'file_name': 'train/said.png', 'height': 8, 'width': 9, 'cell_type': 'astro'},
    {'id': 2, 'file_name': 'train/voted.png', 'height': 8, 'width': 9},
    {'id': 3, 'file_name': 'train/unknown.png', 'height': 8, 'width': 9},
]
# Two cort against one shsy5y in image 2; the entry of image 1 has the say over its shsy5y cell.
CELLS = [
    {**CELL, 'id': number, 'image_id': image, 'category_id': category}
    for number, (image, category) in enumerate([(1, 8), (2, 8), (2, 7), (2, 7)])
]


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize(
    ('cell_types', 'images'),
    [
        (['astro'], ['train/said']),
        (['cort'], ['train/voted']),
        (['cort', 'astro'], ['train/said', 'train/voted']),
    ],
)
def test_images_of_some_cell_types_alone(
    tmp_path: Path, cell_types: list[str], images: list[str], test_mode: bool
) -> None:
    path = write(tmp_path, images=IMAGES, annotations=CELLS)
    filtered = {'filter_empty_gt': True, 'cell_types': cell_types}
    chosen = SartoriusDataset(ann_file=path, pipeline=[], filter_cfg=filtered, test_mode=test_mode)
    assert [chosen[index]['img_id'] for index in range(len(chosen))] == images


@pytest.mark.parametrize(
    ('cell_types', 'message'),
    [
        (['shsy5y'], 'none of its 3 images shows shsy5y, only astro, cort; choose another fold'),
        (['shsy5'], "unknown cell type 'shsy5'; did you mean 'shsy5y'"),
    ],
)
def test_no_image_of_the_cell_type_is_an_error(tmp_path: Path, cell_types: list[str], message: str) -> None:
    path = write(tmp_path, images=IMAGES, annotations=CELLS)
    with pytest.raises(InputError, match=message):
        SartoriusDataset(ann_file=path, pipeline=[], filter_cfg={'cell_types': cell_types})


def test_livecells_lines_are_classes_of_their_own(tmp_path: Path) -> None:
    categories = [{'id': 5, 'name': 'SKOV3'}, {'id': 6, 'name': 'A172'}]
    cells = [{**CELL, 'id': 1, 'category_id': 5}, {**CELL, 'id': 2, 'category_id': 6}]
    path = write(tmp_path, categories=categories, annotations=cells)
    sample = LIVECellDataset(ann_file=path, pipeline=[], test_mode=True)[0]
    assert [cell['bbox_label'] for cell in sample['instances']] == [7, 0]
    with pytest.raises(InputError, match="unknown category 'SKOV3'"):
        SartoriusDataset(ann_file=path, pipeline=[])
    with pytest.raises(InputError, match=r'tools/data/prepare_livecell\.py makes it'):
        LIVECellDataset(ann_file=str(tmp_path / 'none.json'), pipeline=[])
