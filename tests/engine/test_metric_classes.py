"""Competition mAP in validation: other classes than the project's, and images of some cell types alone."""

from pathlib import Path

import numpy as np
import pytest

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.engine.metrics import CompetitionMetric
from sartorius.engine.run_config import DataOptions, RecipeOptions, build_train_config
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES, LIVECELL_LINES
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR

SIZE = (20, 30)
CROP = MaskCrop(np.ones((5, 5), dtype=bool), 2, 3)


def gt(folder: Path, classes: tuple[str, ...], labels: dict[str, int]) -> str:
    """One cell per image, all at the same place; the image's entry says its type."""
    images = [
        CocoImage(f'{name}.png', SIZE, cells_from_crops([CROP], label, SIZE), {'cell_type': classes[label]})
        for name, label in labels.items()
    ]
    write_coco(folder / 'gt.json', images, classes, {})
    return str(folder / 'gt.json')


def pred_sample(image_id: str, *crops: MaskCrop) -> dict:
    """A data sample after the chain."""
    cells = ImagePredictions(
        image_id,
        SIZE,
        np.zeros((len(crops), 4), np.float32),
        np.ones(len(crops), np.float32),
        np.zeros(len(crops), np.int64),
        np.zeros((len(crops), 28, 28), np.float32),
        tuple(crops),
    )
    return {'cells': cells, 'pred_instances': {'scores': cells.scores}}


def test_classes_beyond_the_projects_have_figures_of_their_own(tmp_path: Path) -> None:
    path = gt(tmp_path, LIVECELL_LINES, {'a': 0, 'b': 7})
    metric = CompetitionMetric(path, classes=LIVECELL_LINES)
    metric.process(None, [pred_sample('a', CROP), pred_sample('b')])
    assert metric.evaluate(2) == {'competition/mAP': 0.5, 'competition/A172': 1.0, 'competition/SKOV3': 0.0}


def test_unknown_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown category 'A172'"):
        CompetitionMetric(gt(tmp_path, LIVECELL_LINES, {'a': 0}), classes=CELL_TYPES)


def test_only_images_of_the_wanted_types_are_scored(tmp_path: Path) -> None:
    path = gt(tmp_path, CELL_TYPES, {'a': 0, 'b': 1})
    metric = CompetitionMetric(path, cell_types=['shsy5y'])
    metric.process(None, [pred_sample('a', CROP)])
    assert metric.evaluate(1) == {'competition/mAP': 1.0, 'competition/shsy5y': 1.0}


@pytest.mark.parametrize('cell_type', CELL_TYPES)
@pytest.mark.parametrize('small', [False, True])
def test_models_of_one_class_train_and_validate_on_it_and_predict_all(small: bool, cell_type: str) -> None:
    config = build_train_config(RecipeOptions(CONFIG_DIR / 'sartorius' / f'mrcnn_r50_{cell_type}.py', small))
    assert config.train_dataloader.dataset.dataset.filter_cfg == dict(filter_empty_gt=True, cell_types=[cell_type])
    assert config.val_dataloader.dataset.filter_cfg == dict(cell_types=[cell_type])
    assert config.val_evaluator.cell_types == [cell_type]
    assert 'filter_cfg' not in config.test_dataloader.dataset


def test_data_without_folds_have_none_to_hold_out(tmp_path: Path) -> None:
    recipe = RecipeOptions(CONFIG_DIR / 'livecell' / 'mrcnn_r50.py')
    config = build_train_config(recipe, DataOptions(tmp_path, tmp_path))
    assert config.fold is None
    assert config.train_dataloader.dataset.dataset.ann_file == str(tmp_path / 'train.json')
    assert config.val_evaluator.ann_file == str(tmp_path / 'val.json')
    assert config.val_evaluator.classes == list(LIVECELL_LINES)
    with pytest.raises(UsageError, match=r'--fold 2: the data of this config have no folds'):
        build_train_config(recipe, DataOptions(tmp_path, tmp_path, fold=2))
