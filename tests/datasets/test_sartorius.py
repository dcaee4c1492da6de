"""The data set reads what tools/prepare_sartorius.py writes, by name, and refuses what does not fit."""

import json
from pathlib import Path

import pytest

from sartorius.datasets.sartorius import SartoriusDataset
from sartorius.utils.errors import InputError

CELL = {'image_id': 1, 'bbox': [2, 3, 4, 5], 'area': 9, 'iscrowd': 0, 'segmentation': {'size': [8, 9], 'counts': '0'}}


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
    assert (sample['img_id'], sample['img_path']) == ('full', 'root/train/full.png')


def test_images_without_cells_stay_unless_filtered(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert len(SartoriusDataset(ann_file=path, pipeline=[])) == 2
    filtered = {'filter_empty_gt': True}
    assert len(SartoriusDataset(ann_file=path, pipeline=[], filter_cfg=filtered)) == 1
    assert len(SartoriusDataset(ann_file=path, pipeline=[], filter_cfg=filtered, test_mode=True)) == 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'categories': [{'id': 7, 'name': 'neuron'}]}, "unknown category 'neuron'"),
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
