"""What annotation JSONs say of themselves, and the info that prepared files carry."""

import json
from pathlib import Path

import pytest

from sartorius.annotations.coco import CocoImage, write_coco
from sartorius.annotations.info import DataInfo, origin_of_folder, read_info
from sartorius.annotations.preparation import PreparationOptions, prepare_sartorius
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

FOLD = {'origin': 'Sartorius', 'split': 'val', 'fold': 2, 'folds': 5, 'seed': 0}


def test_info_of_a_written_file(tmp_path: Path) -> None:
    path = tmp_path / 'any_name.json'
    write_coco(path, [CocoImage('a.png', (4, 6))], CELL_TYPES, {**FOLD, 'description': 'x'})
    info = read_info(path)
    assert info == DataInfo(**FOLD, other={'description': 'x'})
    assert info.to_dict() == {**FOLD, 'description': 'x'}


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        ({'images': [], 'info': FOLD}, DataInfo(**FOLD)),  # as other tools order the keys
        ({'info': {'long': 'x' * 70000, 'fold': 1}}, DataInfo(fold=1, other={'long': 'x' * 70000})),
        ({'info': 'made by hand'}, DataInfo()),
        ({'info': []}, DataInfo()),
        ({'images': []}, DataInfo()),
        ([], DataInfo()),
    ],
)
def test_info_of_files_of_other_tools(tmp_path: Path, content: object, expected: DataInfo) -> None:
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert read_info(tmp_path / 'a.json') == expected


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"info": {"fold": "0"}}', "a.json: info: fold is '0', expected a whole number from 0"),
        ('{"info": {"fold": -1}}', 'fold is -1'),
        ('{"info": {"fold": true}}', 'fold is True'),
        ('{"info": {"split": 1}}', 'split is 1, expected text'),
        ('{"info": ', 'a.json: not JSON'),
    ],
)
def test_bad_info_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(InputError, match=message):
        read_info(tmp_path / 'a.json')


@pytest.mark.parametrize('synthetic', [False, True])
def test_prepared_files_say_fold_split_and_origin(tmp_path: Path, synthetic: bool) -> None:
    if synthetic:
        (tmp_path / 'synthetic.json').write_text('{}')
    rows = [f'image{number},1 2,6,4,cort' for number in range(4)]
    (tmp_path / 'train.csv').write_text('\n'.join(['id,annotation,width,height,cell_type', *rows]) + '\n')
    prepare_sartorius(PreparationOptions(tmp_path, folds=2, seed=3, check_images=False), tmp_path / 'out')
    found = {path.name: read_info(path) for path in sorted((tmp_path / 'out').glob('*.json'))}
    places = {name: (info.split, info.fold) for name, info in found.items()}
    assert places == {
        'all.json': ('all', None),
        'fold0_train.json': ('train', 0),
        'fold0_val.json': ('val', 0),
        'fold1_train.json': ('train', 1),
        'fold1_val.json': ('val', 1),
    }
    origin = 'synthetic images' if synthetic else 'Sartorius'
    assert {(info.origin, info.folds, info.seed) for info in found.values()} == {(origin, 2, 3)}
    assert origin_of_folder(tmp_path, 'LIVECell') == (origin if synthetic else 'LIVECell')
