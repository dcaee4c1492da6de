"""tools/export.py as a user types it."""

import json
import runpy
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from sartorius.export.formats import DEFAULT_FORMATS, FORMATS
from sartorius.export.from_predictions import group_frames
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet

SIZE = (40, 60)


def predicted(image_id: str, lefts: list[int]) -> ImagePredictions:
    """Cells of 20 x 20 pixels whose left edges are given, the later ones of a better score."""
    count = len(lefts)
    return ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=np.array([[left, 10, left + 20, 30] for left in lefts], np.float32).reshape(-1, 4),
        scores=np.linspace(0.8, 0.9, count, dtype=np.float32),
        labels=np.zeros(count, np.int64),
        soft_masks=np.ones((count, 20, 20), np.float32),
    )


@pytest.fixture
def export(repo_root, tmp_path, monkeypatch, in_process):
    """Runs the command in a folder with predictions for two images of one name, an image without cells and a movie."""
    images = [predicted('A/1', [0, 15]), predicted('B/1', [40]), predicted('none', [])]
    images += [predicted(f'movie#t{frame:04d}', [5 * frame]) for frame in range(3)]
    save_predictions(tmp_path / 'p.npz', PredictionSet(tuple(images), classes=('cell', 'debris')))
    monkeypatch.chdir(tmp_path)
    return in_process(runpy.run_path(str(repo_root / 'tools' / 'export.py'))['main'])


def write_images(folder: Path) -> None:
    for name in ('A/1', 'B/1', 'none'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{name}.png'), np.full(SIZE, 70, np.uint8))
    tifffile.imwrite(
        folder / 'movie.tif',
        np.full((3, *SIZE), 700, np.uint16),
        imagej=True,
        resolution=(2, 2),
        metadata={'axes': 'TYX', 'unit': 'um', 'finterval': 30.0},
    )


def test_the_defaults_need_no_images(export, tmp_path):
    code, output, _ = export('p.npz', '--out', 'out', '--pixel-size', '0.5')
    assert (code, output) == (
        0,
        'wrote 4 images with 6 cells as masks, rois, table below out; of all together cells.csv\n',
    )
    names = [f'{image}{FORMATS[name].suffix}' for image in ('A/1', 'B/1', 'movie', 'none') for name in DEFAULT_FORMATS]
    written = [path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*.*')]
    assert sorted(written) == sorted([*names, 'cells.csv'])
    table = pd.read_csv('out/cells.csv')
    assert table['image'].tolist() == ['A/1', 'A/1', 'B/1', 'movie', 'movie', 'movie']
    assert set(table['class']) == {'cell'}
    # The chain gives shared pixels to the better cell.
    assert table['area_px'].tolist() == [300, 400, 400, 400, 400, 400]
    assert table['area_um2'].tolist() == [75, 100, 100, 100, 100, 100]
    assert table['intensity_mean'].isna().all()
    assert tifffile.imread('out/none_masks.tif').shape == SIZE
    assert tifffile.imread('out/movie_masks.tif').shape == (3, *SIZE)


def test_images_give_intensities_pixel_size_and_all_formats(export, tmp_path):
    write_images(tmp_path / 'images')
    code, output, _ = export('p.npz', '--images', 'images', '--out', 'out', '--format', *FORMATS)
    assert code == 0, output
    assert output.endswith('of all together cells.csv, coco.json\n')
    table = pd.read_csv('out/cells.csv')
    assert table['intensity_mean'].tolist() == [70, 70, 70, 700, 700, 700]
    assert table['area_um2'].isna().tolist() == [True, True, True, False, False, False]
    assert table['area_um2'].iloc[-1] == 100
    coco = json.loads((tmp_path / 'out/coco.json').read_text())
    assert [entry['file_name'] for entry in coco['images']] == [
        'A/1.png',
        'B/1.png',
        'none.png',
        'movie#t0000.tif',
        'movie#t0001.tif',
        'movie#t0002.tif',
    ]
    for name, form in FORMATS.items():
        assert form.path(tmp_path / 'out', 'none').is_file(), name


def test_refusals(export, tmp_path):
    write_images(tmp_path / 'images')
    cv2.imwrite('images/none.png', np.zeros((40, 61), np.uint8))
    for name in ('A/1.png', 'movie.tif'):
        (tmp_path / 'few' / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(f'images/{name}', f'few/{name}')
    refusals = {
        ('--format', 'masks', 'png'): (2, "no format is called 'png'; known: masks"),
        ('--format', 'overlay'): (2, '--format overlay shows the images; name their folder by --images'),
        ('--pixel-size', '0'): (2, '--pixel-size 0.0 is no size in micrometres'),
        ('--images', 'few'): (1, '2 of 4 predicted images are not below few, the first is B/1'),
        ('--images', 'images'): (1, 'none.png has 1 frames of 61x40 pixels, but 1 of 60x40 were predicted'),
    }
    for arguments, (expected, message) in refusals.items():
        code, _, error = export('p.npz', '--out', 'out', *arguments)
        assert (code, message in error) == (expected, True), error
    assert not (tmp_path / 'out/cells.csv').exists()


def test_only_frames_without_a_gap_are_a_movie():
    assert group_frames(['b#t0001', 'a', 'b#t0000', 'c#t0001', 'd', 'd#t0000']) == {
        'a': ('a',),
        'c#t0001': ('c#t0001',),
        'd': ('d',),
        'd#t0000': ('d#t0000',),
        'b': ('b#t0000', 'b#t0001'),
    }


def test_help_names_the_formats_of_the_package(repo_root, capsys):
    main = runpy.run_path(str(repo_root / 'tools' / 'export.py'))['main']
    with pytest.raises(SystemExit):
        main(['--help'])
    shown = ' '.join(capsys.readouterr().out.split())
    assert all(f'{name}: ' in shown for name in FORMATS)
    assert f'(default: {list(DEFAULT_FORMATS)})' in shown
