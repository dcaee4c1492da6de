"""docs/make_images.py: the picture of the README."""

import runpy

import cv2
import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import UsageError


@pytest.fixture
def make_images(repo_root):
    return runpy.run_path(str(repo_root / 'docs/make_images.py'))['main']


def test_made_images_and_their_ground_truth(make_images, tmp_path) -> None:
    make_images(['--out', str(tmp_path / 'a.png')])
    picture = cv2.imread(str(tmp_path / 'a.png'))
    # Three columns of 416 pixels; two rows of 312 and a title.
    assert picture.shape == (2 * (312 + 32), 3 * 416 + 2 * 8, 3)
    coloured = np.ptp(picture.astype(int), axis=2).max(axis=1) > 60
    assert not coloured[:340].any()
    assert coloured[380:].mean() > 0.9


def test_predictions_add_a_row(make_images, tmp_path) -> None:
    size, box = (40, 60), np.array([[5, 5, 25, 25]], dtype=np.float32)
    pred = ImagePredictions(
        'one', size, box, np.array([0.9], np.float32), np.array([2]), np.ones((1, 8, 8), np.float32)
    )
    save_predictions(tmp_path / 'p.npz', PredictionSet((pred,)))
    gt = ImageAnnotations('one', size, (MaskCrop(np.ones((20, 20), bool), 5, 5),), np.array([2]))
    write_train_csv(tmp_path / 'train.csv', [TrainImage(gt, 'cort')])
    cv2.imwrite(str(tmp_path / 'one.png'), np.full(size, 99, np.uint8))
    options = ('--predictions', 'p.npz', '--images', '.', '--annotations', 'train.csv', '--out', 'a.png')
    make_images([option if option.startswith('--') else str(tmp_path / option) for option in options])
    assert cv2.imread(str(tmp_path / 'a.png')).shape == (3 * (40 + 32), 60, 3)


def test_half_of_the_options_is_an_error(make_images, tmp_path) -> None:
    with pytest.raises(UsageError, match='go together'):
        make_images(['--images', str(tmp_path)])
