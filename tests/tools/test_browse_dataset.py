"""tools/analysis/browse_dataset.py as a user types it."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.utils.cli import run_tool

Tool = Callable[..., tuple[int, str, str]]

# Stock transforms, which keep cells that are cut to nothing.
STOCK = """
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomCrop', crop_size=(60, 60)),
    dict(type='PhotoMetricDistortion'),
"""
TILES = """
    dict(type='LoadCellImage'),
    dict(type='LoadCellAnnotations'),
    dict(type='RandomTile', tile_size=(40, 60), scale_range=(2, 3), stride=(20, 30)),
"""


@pytest.fixture(scope='module')
def data(repo_root: Path, tmp_path_factory) -> Path:
    """Six synthetic images of 240x180 pixels and their prepared annotations."""
    folder = tmp_path_factory.mktemp('browse')
    for tool, *words in (
        ('data/make_synthetic.py', '--out', f'{folder}/data', '--images', '6', '--test-images', '0',
         '--unlabelled-images', '0', '--size', '240x180', '--seed', '3'),
        ('prepare_sartorius.py', '--data-root', f'{folder}/data', '--out', f'{folder}/annotations', '--folds', '3'),
    ):  # fmt: skip
        runpy.run_path(str(repo_root / 'tools' / tool))['main'](words)
    return folder


@pytest.fixture
def browse(repo_root: Path, data: Path, tmp_path, monkeypatch, capsys) -> Tool:
    """Runs the command in an empty folder; CONFIG is the small variant of Mask R-CNN."""
    main = runpy.run_path(str(repo_root / 'tools/analysis/browse_dataset.py'))['main']
    monkeypatch.chdir(tmp_path)
    config = str(repo_root / 'configs/sartorius/mrcnn_r50.py')

    def run(*words: str) -> tuple[int, str, str]:
        folders = ['--data-root', f'{data}/data', '--annotations', f'{data}/annotations']
        small = ['--small'] if 'CONFIG' in words else []
        words = [config if word == 'CONFIG' else word for word in words]
        try:
            run_tool(lambda: main([*small, *folders, *words]))
            code = 0
        except SystemExit as end:
            code = end.code
        return (code, *capsys.readouterr())

    return run


# In place of a factor drawn for every sample.
TWICE = 'train_dataloader.dataset.dataset.pipeline.3.scale_range=(2.0,2.0)'


@pytest.fixture
def config_with(repo_root: Path, tmp_path) -> Callable[[str], str]:
    """A config file whose training pipeline is the given one."""

    def write(pipeline: str, pack: str = "dict(type='PackDetInputs', meta_keys=())") -> str:
        path = tmp_path / 'own.py'
        path.write_text(
            f"_base_ = ['{repo_root}/configs/sartorius/mrcnn_r50.py']\n"
            f'train_dataloader = dict(dataset=dict(dataset=dict(pipeline=[{pipeline}{pack}])))\n'
        )
        return str(path)

    return write


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_pictures_and_page(browse: Tool, data: Path, tmp_path) -> None:
    code, said, _ = browse('CONFIG', '--out', 'new/page', '--samples', '6', '--repeats', '2', '--cfg-options', TWICE)
    assert code == 0
    assert '\n6 samples of 3 images, ' in f'\n{said}'
    assert said.endswith('wrote new/page/index.html\n')
    pictures = sorted((tmp_path / 'new/page').glob('*.png'))
    # The first pass over the four training images is shuffled: samples 0, 1 and 2 are the images on the page. Their
    # second samples come from the second pass, samples 4 to 7.
    numbers = [int(picture.name.split('_')[1]) for picture in pictures]
    assert numbers[:3] == [0, 1, 2]
    assert set(numbers[3:]) < {4, 5, 6, 7}
    names = [picture.stem.split('_')[2] for picture in pictures]
    assert sorted(names[:3]) == sorted(names[3:])
    assert len(set(names)) == 3
    # Tiles of 96 pixels, shown twice as large to the model, are enlarged three times, under a title of 32 pixels.
    assert all(cv2.imread(str(picture)).shape == (576 + 32, 576, 3) for picture in pictures)
    page = (tmp_path / 'new/page/index.html').read_text()
    held = json.loads((data / 'annotations/fold0_train.json').read_text())
    for name in names:
        image = next(image for image in held['images'] if Path(image['file_name']).stem == name)
        cells = sum(cell['image_id'] == image['id'] for cell in held['annotations'])
        assert re.search(rf'<h3>{name}</h3><span>{cells} \w+</span>', page)
    assert page.count('data-view="raw"') == 3
    assert [page.count(f'Sample {number} ') for number in numbers] == [1] * 6
    assert 'RandomTile(tile_size=(96, 96), ' in page
    assert 'class="problems"' not in page


def test_the_seed_decides(browse: Tool, tmp_path) -> None:
    for folder, seed in (('a', '5'), ('b', '5'), ('c', '6')):
        assert browse('CONFIG', '--out', folder, '--samples', '4', '--seed', seed)[0] == 0
    first, second, other = (contents(tmp_path / folder) for folder in 'abc')
    assert first == second
    assert len(first) == 5
    assert first.keys() != other.keys() or any(first[name] != other[name] for name in first)


@pytest.mark.slow
def test_pictures_of_an_earlier_run_are_replaced_and_nothing_else(browse: Tool, tmp_path) -> None:
    for samples in ('6', '2'):
        assert browse('CONFIG', '--out', 'page', '--samples', samples)[0] == 0
        (tmp_path / 'page/notes.png').write_text('mine')
    assert len(list((tmp_path / 'page').glob('sample_*.png'))) == 2
    assert (tmp_path / 'page/notes.png').read_text() == 'mine'


def test_cells_that_should_not_reach_a_loss_are_pointed_out(browse: Tool, config_with, tmp_path) -> None:
    code, said, _ = browse(config_with(STOCK), '--out', 'page', '--samples', '60', '--repeats', '15')
    flagged = int(re.search(r'^(\d+) samples have faults for the loss', said, re.MULTILINE)[1])
    page = (tmp_path / 'page/index.html').read_text()
    assert code == 0
    assert flagged > 0
    assert page.count('class="panel flagged"') == flagged
    assert 'mask without pixels: cell' in page


def test_tiles_have_no_such_cells(browse: Tool, config_with, tmp_path) -> None:
    code, said, _ = browse(config_with(TILES), '--out', 'page', '--samples', '12', '--boxes')
    page = (tmp_path / 'page/index.html').read_text()
    assert code == 0
    assert 'loss' not in said
    sizes = [tuple(map(int, size)) for size in re.findall(r'Sample \d+ <small>(\d+) × (\d+) px', page)]
    assert len(sizes) == 12
    assert all(120 <= width <= 180 and 80 <= height <= 120 for width, height in sizes)
    assert 'class="box' in page


@pytest.mark.slow
def test_the_pipeline_of_the_docs(browse: Tool, repo_root: Path, tmp_path) -> None:
    """It runs as it stands there, on the base that it names."""
    text = (repo_root / 'docs/augmentation.md').read_text()
    (config,) = re.findall(r'```python\n(_base_.*?)```', text, re.DOTALL)
    (tmp_path / 'own.py').write_text(config.replace("'./", f"'{repo_root}/configs/sartorius/"))
    code, said, _ = browse('own.py', '--out', 'page', '--samples', '12')
    assert code == 0
    assert 'loss' not in said
    page = (tmp_path / 'page/index.html').read_text()
    assert len(re.findall(r'RandomTile\(|CellCopyPaste\(|FlipPaste\(', page)) == 3


def test_options_of_the_config_and_the_fold_hold(browse: Tool, data: Path, tmp_path) -> None:
    tile = 'train_dataloader.dataset.dataset.pipeline.3.tile_size=(64,80)'
    words = ('--fold', '2', '--cfg-options', tile, TWICE)
    assert browse('CONFIG', '--out', 'page', '--samples', '30', '--repeats', '1', *words)[0] == 0
    held = json.loads((data / 'annotations/fold2_train.json').read_text())
    names = {path.stem.split('_')[2] for path in (tmp_path / 'page').glob('*.png')}
    assert names == {Path(image['file_name']).stem for image in held['images']}
    sizes = set(re.findall(r'Sample \d+ <small>(.*?) px', (tmp_path / 'page/index.html').read_text()))
    # As they are, and turned.
    assert sizes == {'160 × 128', '128 × 160'}


def test_validation_images_are_shown_once_and_without_cells(browse: Tool, data: Path, tmp_path) -> None:
    code, said, _ = browse('CONFIG', '--out', 'page', '--split', 'val')
    held = json.loads((data / 'annotations/fold0_val.json').read_text())
    assert code == 0
    assert f'{len(held["images"])} samples of {len(held["images"])} images, 0 cells' in said
    names = {path.stem.split('_')[2] for path in (tmp_path / 'page').glob('*.png')}
    assert names == {Path(image['file_name']).stem for image in held['images']}
    assert '>Sample 0 <small>480 × 360 px, no cells<' in (tmp_path / 'page/index.html').read_text()


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        (['nothing.py'], 2, 'nothing.py: no such config'),
        (['CONFIG', '--samples', '0'], 2, '--samples is 0; it must be 1 or more'),
        (['CONFIG', '--repeats', '-1'], 2, '--repeats is -1'),
        (['CONFIG', '--seed', '-1'], 2, '--seed must be 0 or more, not -1'),
        (['CONFIG', '--fold', '7'], 1, 'fold7_train.json: no such annotation file; tools/prepare_sartorius.py makes'),
        (['CONFIG', '--annotations', '.'], 1, 'fold0_train.json: no such annotation file'),
        (['CONFIG', '--data-root', '.'], 1, '.png cannot be read: No such file'),
        (['CONFIG', '--cfg-options', 'train_dataloader.batch_sise=1'], 1, 'did you mean train_dataloader.batch_size?'),
        (['CONFIG', '--cfg-options', 'train_dataloader.dataset.dataset.pipeline.3.type=RandomTurn'], 1,
         'the data set cannot be built: RandomTurn is not in the mmdet::transform registry'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    browse: Tool, tmp_path, words: list[str], code: int, message: str
) -> None:
    exit_code, said, problem = browse('--out', 'page', *words)
    assert exit_code == code
    assert 'wrote' not in said
    # MMEngine's logger writes to what was standard error when it was first used, and complains of the next test's.
    (sentence,) = (line for line in problem.splitlines() if 'error: ' in line)
    assert problem.endswith(f'{sentence}\n')
    assert message in sentence
    assert not (tmp_path / 'page').exists()


def test_pipelines_that_no_model_can_take_are_refused(browse: Tool, config_with, tmp_path) -> None:
    code, _, problem = browse(config_with(TILES, pack=''), '--out', 'page')
    assert code == 1
    assert 'does not end with PackDetInputs' in problem


@pytest.mark.slow
def test_real_images(browse: Tool, real_data: Path, repo_root: Path, tmp_path) -> None:
    """No sample of the full-size config's pipeline has a fault for the loss."""
    prepare = runpy.run_path(str(repo_root / 'tools/prepare_sartorius.py'))['main']
    prepare(['--data-root', str(real_data), '--out', 'annotations'])
    folders = ('--data-root', str(real_data), '--annotations', 'annotations')
    config = str(repo_root / 'configs/sartorius/mrcnn_r50.py')
    code, said, _ = browse(config, '--out', 'page', '--samples', '8', '--repeats', '2', *folders)
    assert code == 0
    assert '8 samples of 4 images' in said
    assert 'loss' not in said
    pictures = [cv2.imread(str(path)) for path in (tmp_path / 'page').glob('*.png')]
    assert [picture.shape for picture in pictures] == [(768 + 32, 768, 3)] * 8
    # Outlines are coloured, the images are grey.
    assert all(np.ptp(picture[32:], axis=2).max() > 60 for picture in pictures)
