"""The loop of a user's own images, by real command lines: prepare, train, predict, correct a label, prepare, train."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sartorius.annotations.coco import read_coco
from sartorius.masks.packed import PackedMasks

SIZE = (96, 128)
ROWS, COLUMNS = np.indices(SIZE)
# A model that has learnt nothing finds cells everywhere.
FEW_CELLS = ('--cfg-options', 'model.test_cfg.rcnn.max_per_img=20')


def write_pair(folder: Path, seed: int) -> None:
    """An image of bright discs of 20 px as 16-bit TIFF, and its label image beside it."""
    random = np.random.default_rng(seed)
    labels = np.zeros(SIZE, dtype=np.uint16)
    for number, (row, column) in enumerate([(20, 24), (20, 70), (60, 40), (66, 98)], start=1):
        row, column = row + random.integers(-4, 5), column + random.integers(-4, 5)
        labels[(ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= 100] = number
    pixels = 2000 + 1500 * (labels > 0) + random.normal(0, 60, SIZE)
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / 'img.tif', pixels.astype(np.uint16))
    tifffile.imwrite(folder / 'img_masks.tif', labels)


@pytest.mark.slow
def test_predict_correct_train_and_predict_again(tmp_path: Path, run: Callable[..., str]) -> None:
    images, out = tmp_path / 'images', tmp_path / 'out'
    for seed, well in enumerate(('A1', 'A2', 'B1')):
        write_pair(images / well, seed)

    def tool(*words: object) -> str:
        return run(*map(str, words))

    def prepare_train_predict(name: str, *labels: object) -> Path:
        prepared, work_dir = tmp_path / f'prepared_{name}', tmp_path / f'run_{name}'
        said = tool('tools/data/prepare_images.py', images, '--out', prepared, *labels)
        assert f'--data-root {images} --annotations {prepared}' in said
        data = ('--data-root', images, '--annotations', prepared, '--fold', 0)
        tool(
            'tools/train.py',
            'configs/own/mrcnn_r18.py',
            *data,
            '--iterations',
            2,
            '--no-validation',
            '--work-dir',
            work_dir,
        )
        model = work_dir / 'iter_2.pth'
        tool('tools/predict.py', images, '-r', '--out', out, '--model', model, '--overwrite', '--format', 'masks')
        return prepared

    first = read_coco(prepare_train_predict('first') / 'all.json', ['cell'])
    assert {image_id: len(image) for image_id, image in first.items()} == {
        f'{well}/img': 4 for well in ('A1', 'A2', 'B1')
    }

    # A user opens what was predicted, draws a cell, and saves the file under its name.
    corrected = tifffile.imread(out / 'A1' / 'img_masks.tif')
    corrected[10:25, 30:50] = corrected.max() + 1
    tifffile.imwrite(out / 'A1' / 'img_masks.tif', corrected)
    expected = {well: tifffile.imread(out / well / 'img_masks.tif') for well in ('A1', 'A2', 'B1')}
    second = prepare_train_predict('second', '--labels', out, '--format', 'masks')
    for image_id, image in read_coco(second / 'all.json', ['cell']).items():
        labels, wanted = PackedMasks.from_crops(image.crops).to_labels(SIZE), expected[image_id[:2]]
        assert len(image) == len(np.unique(wanted)) - 1
        assert np.array_equal(labels > 0, wanted > 0)
