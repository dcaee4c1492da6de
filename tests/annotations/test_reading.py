"""Groups of near-duplicates, from whichever file tells them."""

import json

import numpy as np
import pytest

from sartorius.annotations.coco import CocoImage, write_coco
from sartorius.annotations.reading import load_groups
from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (10, 12)
SAMPLE = 'cort[diff]_B3-2_Vessel-361_Ph_1'


def test_groups_of_a_coco_json(tmp_path):
    images = [
        CocoImage('train/a.png', SIZE, details={'group': 'plate_A1'}),
        CocoImage('train/b.png', SIZE, details={'group': 'plate_A1'}),
        CocoImage('train/c.png', SIZE),
        CocoImage(f'train/{SAMPLE}.png', SIZE),  # named after its sample
    ]
    write_coco(tmp_path / 'all.json', images, CELL_TYPES, {})
    groups = {
        'train/a': 'plate_A1',
        'train/b': 'plate_A1',
        'train/c': 'train/c',
        f'train/{SAMPLE}': 'cort[diff]_B3',
    }
    assert load_groups(tmp_path / 'all.json') == groups


@pytest.mark.parametrize(
    ('details', 'group'), [({'sample_id': SAMPLE}, 'cort[diff]_B3'), ({'sample_id': 'other'}, 'other'), ({}, 'a')]
)
def test_groups_of_a_training_csv(tmp_path, details, group):
    cell = MaskCrop(np.ones((2, 2), dtype=bool), 1, 1)
    image = ImageAnnotations('a', SIZE, (cell,), np.zeros(1, dtype=np.int64))
    write_train_csv(tmp_path / 'train.csv', [TrainImage(image, 'shsy5y', details)])
    assert load_groups(tmp_path / 'train.csv') == {'a': group}


def test_files_that_tell_nothing(tmp_path):
    (tmp_path / 'list.json').write_text(json.dumps([]))
    for name, message in {'list.json': 'not a COCO JSON', 'gone.json': 'no such file', 'a.txt': 'not .txt'}.items():
        with pytest.raises(InputError, match=message):
            load_groups(tmp_path / name)
