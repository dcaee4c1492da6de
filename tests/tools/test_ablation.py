"""tools/analysis/ablation.py as a user types it."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet

SIZE = (40, 90)


def write_files(folder) -> None:
    """Four cort images with two ground-truth cells and, in the predictions, a false positive of low score."""
    left = 30 * np.arange(3)
    boxes = np.stack([left, left * 0, left + 20, left * 0 + 20], axis=1).astype(np.float32)
    labels, soft = np.full(3, 2), np.ones((3, 8, 8), dtype=np.float32)
    cells = tuple(MaskCrop(np.ones((20, 20), dtype=bool), int(x), 0) for x in left[:2])
    names = [f'image{number}' for number in range(4)]
    for name, scores in (('plain', (0.9, 0.8, 0.2)), ('other', (0.7, 0.9, 0.1))):
        own = np.array(scores, dtype=np.float32)
        images = tuple(ImagePredictions(image, SIZE, boxes, own, labels, soft) for image in names)
        save_predictions(folder / f'{name}.npz', PredictionSet(images))
    write_train_csv(
        folder / 'train.csv', [TrainImage(ImageAnnotations(name, SIZE, cells, labels[:2]), 'cort') for name in names]
    )


@pytest.mark.slow
def test_writes_every_row(run, tmp_path):
    write_files(tmp_path)
    plain, other, gt, out = (str(tmp_path / name) for name in ('plain.npz', 'other.npz', 'train.csv', 'out'))
    printed = run('tools/analysis/ablation.py', plain, '--others', other, '--annotations', gt, '--out', out)
    for row in ('plain model', '+ score thresholds', '+ min areas', '+ mask NMS', '+ 1 more by consensus'):
        assert row in printed
    table = (tmp_path / 'out' / 'ablation.csv').read_text()
    assert table.splitlines()[0].startswith('image_id,group,cell_type,plain model')
    assert len(table.splitlines()) == 5
    assert '4 images in 4 groups' in (tmp_path / 'out' / 'ablation.md').read_text()


def test_a_missing_file_is_named(run, tmp_path):
    printed = run(
        'tools/analysis/ablation.py', str(tmp_path / 'no.npz'), '--annotations', str(tmp_path / 'no.json'), code=1
    )
    assert 'no.json' in printed
