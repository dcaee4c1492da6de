"""Configs that take classes, grey levels and magnification from the prepared data."""

import json
from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from sartorius.engine.run_config import DataOptions, RecipeOptions, build_prediction_config, build_train_config
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

INFO = {
    'classes': ['round', 'long', 'other'],
    'cell_diameter_px': 40.0,
    'grey_mean': [100.0, 101.0, 102.0],
    'grey_std': [30.0, 31.0, 32.0],
    'pixel_size_um': 0.5,
}


@pytest.fixture
def data(tmp_path: Path):
    """Options for prepared data whose JSONs have some info."""

    def make(**info) -> DataOptions:
        for name in ('fold1_train', 'all', 'unlabelled'):
            (tmp_path / f'{name}.json').write_text(json.dumps({'info': {**INFO, **info}, 'images': []}))
        return DataOptions(tmp_path, tmp_path, 1)

    return make


@pytest.mark.parametrize('small', [False, True])
@pytest.mark.parametrize('name', ['mrcnn_r18', 'mrcnn_r50'])
def test_everything_comes_from_the_data(data, name: str, small: bool) -> None:
    recipe = RecipeOptions(CONFIG_DIR / 'own' / f'{name}.py', small)
    plain = build_train_config(recipe, DataOptions(Path('/none'), Path('/none'), 1))
    config = build_train_config(recipe, data())
    datasets = [config.train_dataloader.dataset.dataset, config.val_dataloader.dataset, config.test_dataloader.dataset]
    assert {tuple(dataset.metainfo.classes) for dataset in datasets} == {('round', 'long', 'other')}
    assert config.val_evaluator.classes == ['round', 'long', 'other']
    assert config.model.data_preprocessor.mean == [100, 101, 102] and config.model.data_preprocessor.std == [30, 31, 32]
    assert config.pixel_size_um == 0.5 and config.fit_to_data is None
    init_default_scope('mmdet')
    model = MODELS.build({**config.model, 'init_cfg': None})
    assert model.roi_head.bbox_head.fc_cls.out_features == 4 and model.roi_head.mask_head.num_classes == 3

    # Cells of 40 px are twice as large as those that the config is written for.
    assert datasets[1].pipeline[1].scale_factor == 1.0 and plain.val_dataloader.dataset.pipeline[1].scale_factor == 2.0
    tiles = [step for step in datasets[0].pipeline if step.type == 'RandomTile']
    before = [step for step in plain.train_dataloader.dataset.dataset.pipeline if step.type == 'RandomTile']
    assert [side / 2 for side in tiles[0].tile_size] == list(before[0].tile_size)
    assert tiles[0].scale_range[0] * 2 == pytest.approx(before[0].scale_range[0])
    assert config.tiles.scale == plain.tiles.scale / 2 and config.tiles.overlap == 2 * plain.tiles.overlap
    assert list(config.tta_scales) == [0.8, 1.0]


def test_prediction_and_training_on_all_images_know_the_classes_too(data) -> None:
    recipe = RecipeOptions(CONFIG_DIR / 'own' / 'mrcnn_r18.py')
    config = build_prediction_config(recipe, data(), 'unlabelled')
    assert tuple(config.test_dataloader.dataset.metainfo.classes) == ('round', 'long', 'other')
    options = data(classes=['one', 'two'])
    config = build_train_config(recipe, DataOptions(options.data_root, options.annotations, 'all'))
    assert tuple(config.train_dataloader.dataset.dataset.metainfo.classes) == ('one', 'two')


def test_the_factor_is_limited_and_can_be_set(data) -> None:
    recipe = RecipeOptions(CONFIG_DIR / 'own' / 'mrcnn_r18.py', cfg_options=('fit_to_data.cell_diameter=30',))
    assert build_train_config(recipe, data()).val_dataloader.dataset.pipeline[1].scale_factor == 1.5
    assert (
        build_train_config(recipe, data(cell_diameter_px=2000)).val_dataloader.dataset.pipeline[1].scale_factor == 0.5
    )


def test_data_that_were_not_prepared_are_one_sentence(data, tmp_path: Path) -> None:
    recipe = RecipeOptions(CONFIG_DIR / 'own' / 'mrcnn_r18.py')
    with pytest.raises(InputError, match='prepare the data with tools/data/prepare_images.py'):
        build_train_config(recipe, data(classes=[]))
    with pytest.raises(InputError, match='fold0_train.json: no such annotation file.*prepare_images.py makes it'):
        build_prediction_config(recipe, DataOptions(tmp_path, tmp_path, 0), 'unlabelled')
