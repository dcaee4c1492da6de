"""The command line tools/data/make_synthetic.py."""

import importlib.util
import subprocess
import sys

import cv2
import pytest

from sartorius.annotations.info import read_info
from sartorius.annotations.reading import load_annotations
from sartorius.synthetic import planted_defects
from sartorius.synthetic.stream import BREADTHS, stream_image


@pytest.fixture(scope='module')
def tool(repo_root):
    spec = importlib.util.spec_from_file_location('make_synthetic', repo_root / 'tools' / 'data/make_synthetic.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(repo_root, *arguments, cwd):
    command = [sys.executable, str(repo_root / 'tools' / 'data/make_synthetic.py'), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_a_data_set_is_made_from_any_folder(repo_root, tmp_path):
    done = run(
        repo_root, '--out', 'data', '--images', 2, '--test-images', 1, '--unlabelled-images', 1, '--size', '96x64',
        '--cell-types', 'cort', '--defects', 'hollow=0.7', 'wrong-class=0.2', 'twice=0.1', cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('data: 2 training images with ')
    assert (tmp_path / 'data' / 'defects.csv').is_file()
    assert 'cort' in (tmp_path / 'data' / 'train.csv').read_text()


def test_a_folder_in_use_ends_in_one_sentence(repo_root, tmp_path):
    (tmp_path / 'notes.txt').touch()
    done = run(repo_root, '--out', tmp_path, '--images', 1, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: --out {tmp_path} is not empty; ')
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', '704'], "'704' is no size; write width x height, for example 704x520"),
        (['--defects', 'hollow'], "'hollow' is no defect"),
        (['--defects', 'broken=0.1'], "'broken=0.1' is no defect"),
        (['--cell-types', 'hela'], "invalid choice: 'hela'"),
        (['--images', 'many'], "invalid int value: 'many'"),
        (['--form', 'livecell', '--cell-types', 'cort'], '--cell-types is not for --form livecell'),
        (['--form', 'livecell', '--unlabelled-images', '0'], '--unlabelled-images is not for --form livecell'),
        (['--val-images', '2'], '--val-images is not for --form competition'),
        (['--first', '2'], '--first is not for --form competition'),
        (['--breadth', 'drawn', '--density', '2'], '--density is not for --breadth drawn'),
        (['--masks', 'train.csv', '--form', 'livecell'], '--form is not for --masks'),
    ],
)
def test_bad_options_are_named(tool, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit, match='2'):
        tool.main(['--out', str(tmp_path / 'data'), *arguments])
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--images', '0'], 'number of training images is 0'),
        (['--density', '0'], 'density is 0.0'),
        (['--size', '20x20'], 'image size 20x20 is too small'),
        (['--defects', 'hollow=0.7', 'missing=0.7'], 'add up to 1.4'),
        (['--workers', '0'], 'number of workers is 0'),
    ],
)
def test_bad_values_are_bad_usage(tool, tmp_path, arguments, message):
    from sartorius.utils.errors import UsageError

    with pytest.raises(UsageError, match=message):
        tool.main(['--out', str(tmp_path / 'data'), *arguments])
    assert list(tmp_path.iterdir()) == []


def test_images_of_the_stream_are_those_of_training_and_a_sheet_shows_them(tool, tmp_path):
    options = ['--breadth', 'drawn', '--images', '3', '--size', '64x48', '--seed', '2', '--out']
    tool.main([*options, str(tmp_path / 'a'), '--sheet', str(tmp_path / 'sheet.png')])
    tool.main([*options, str(tmp_path / 'b'), '--first', '1'])
    read = load_annotations(tmp_path / 'a' / 'all.json')
    for number in range(3):
        drawn, image_id = stream_image(2, number, (48, 64)), f'images/{number:06d}'
        assert (cv2.imread(str(tmp_path / 'a' / f'{image_id}.png'), cv2.IMREAD_UNCHANGED) == drawn.image).all()
        assert [crop.to_full((48, 64)).tolist() for crop in read[image_id].crops] == [
            crop.to_full((48, 64)).tolist() for crop in drawn.crops
        ]
        later = tmp_path / 'b' / f'{image_id}.png'
        assert later.exists() == (number > 0)
        assert number == 0 or later.read_bytes() == (tmp_path / 'a' / f'{image_id}.png').read_bytes()
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape == (48 + 4, 6 * (2 * 64 + 5), 3)
    assert (sheet[:48, :64] == stream_image(2, 0, (48, 64)).image[..., None]).all()
    info = read_info(tmp_path / 'a' / 'all.json')
    assert (info.origin, info.classes) == ('synthetic images', ('cell',)) and len(info.grey_mean) == 3


def test_the_tool_knows_the_breadths(tool):
    assert tool.BREADTHS == BREADTHS


def test_the_tool_knows_the_defects(tool):
    assert tool.DEFECTS == planted_defects.DEFECTS
