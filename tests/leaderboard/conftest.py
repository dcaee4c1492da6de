"""Predictions of two images, a and b, in four folds' files at most, whose scores a hand can check."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.provenance import ModelSource, Source
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.predictions.timing import write_timing
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.files import sha256_of

SIZE = (60, 240)
CORT = 2


def image(name: str, scores: list[float], grid: int = 8) -> ImagePredictions:
    """A row of cells of 20x20 px, 10 px apart; the true ones are the first two."""
    left = 30.0 * np.arange(len(scores))
    top = np.zeros(len(scores))
    boxes = np.stack([left, top, left + 20, top + 20], axis=1).astype(np.float32).reshape(-1, 4)
    soft = np.ones((len(scores), grid, grid), dtype=np.float32)
    return ImagePredictions(name, SIZE, boxes, np.array(scores, np.float32), np.full(len(scores), CORT), soft)


def model_source(recipe: str = 'mrcnn_r18', fold: int | None = 0, **changes: object) -> ModelSource:
    """What tools/test.py records of the model that holds a fold out; ``run`` changes entries of the run's record."""
    run = {
        'recipe': recipe, 'config_sha256': f'config of {recipe}', 'seed': 0, 'fold': fold, 'iterations_done': 100,
        'minutes': 2.0, 'device': 'CPU', 'batch_size': 4, 'precision': 'float32',
        'commands': [f'python tools/train.py configs/sartorius/{recipe}.py --fold {fold}'],
        'data': {'train': {
            'file': f'annotations/fold{fold}_train.json', 'sha256': 'd' * 64, 'images': 3, 'cells': 9, 'fold': fold,
        }},
        'git_commit': {'sha': 'c0ffee' * 7, 'dirty': False},
    }  # fmt: skip
    run.update(changes.pop('run', {}))
    source = {
        'config': f'configs/sartorius/{recipe}.py', 'checkpoint': f'work/{recipe}/iter_100.pth',
        'checkpoint_sha256': f'{recipe}{fold}', 'split': 'val', 'annotations': f'annotations/fold{fold}_val.json',
        'fold': fold, 'run': run,
    }  # fmt: skip
    return ModelSource.from_dict({**source, **changes}, 'source')


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes a predictions file below the test's folder."""

    def write(place: str, images: list[ImagePredictions], source: Source) -> Path:
        path = tmp_path / place / 'predictions_val.npz'
        save_predictions(path, PredictionSet(tuple(images), CELL_TYPES, source))
        write_timing(path, sha256_of(path), 0.5)
        return path

    return write


@pytest.fixture
def gt_file(tmp_path: Path) -> Path:
    """Two ground-truth cells, alike in images a to d."""
    crops = [MaskCrop(np.ones((20, 20), dtype=bool), 30 * place, 0) for place in range(2)]
    cells = cells_from_crops(crops, CORT, SIZE)
    folder = tmp_path / 'annotations'
    images = [CocoImage(f'train/{name}.png', SIZE, cells, own_id=name) for name in 'abcd']
    write_coco(folder / 'all.json', images, CELL_TYPES, {'split': 'all', 'folds': 2})
    for fold in range(2):
        info = {'split': 'val', 'fold': fold, 'folds': 2}
        write_coco(folder / f'fold{fold}_val.json', images[2 * fold : 2 * fold + 2], CELL_TYPES, info)
    return folder / 'all.json'
