"""Configs for inference: what TTA, tiles and box prompts change, and what they refuse."""

import pytest
from mmengine.config import Config

from sartorius.engine.config import load_config
from sartorius.inference.inference_config import (
    BoxPromptOptions,
    InferenceOptions,
    build_inference_config,
    read_orientations,
    read_scales,
    read_tiles,
)
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CONFIG_DIR

PROMPTS = BoxPromptOptions('boxes.npz', 'test.json', ('shsy5y', 'astro', 'cort'))


@pytest.fixture
def config() -> Config:
    """Its pipeline enlarges images of 352x260 px to 704x520."""
    config = load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py', small=True)
    config.test_dataloader.dataset.pipeline[1] = dict(type='Resize', scale=(704, 520), keep_ratio=True)
    config.tta_orientations, config.tta_scales = ['none', 'rot90'], [(704, 520), (1056, 780)]
    config.tiles = dict(size=(130, 176), overlap=40, scale=3.0)
    return config


def steps_of(config: Config) -> list[str]:
    return [step['type'] for step in config.test_dataloader.dataset.pipeline]


def test_default_options_change_nothing(config: Config) -> None:
    before = config.to_dict()
    assert build_inference_config(config, InferenceOptions()).to_dict() == before


def test_tta(config: Config) -> None:
    detector = config.model.type
    config = build_inference_config(config, InferenceOptions(tta=True))
    assert (config.model.type, config.model.module.type) == ('CellTTAModel', detector)
    assert steps_of(config) == ['LoadCellImage', 'TestTimeAug']
    turns, resizes, pack = config.test_dataloader.dataset.pipeline[-1].transforms
    assert [step.orientation for step in turns] == ['none', 'rot90']
    assert [(step.type, step.scale) for step in resizes] == [('Resize', (704, 520)), ('Resize', (1056, 780))]
    assert pack[0].meta_keys[-1] == 'tta_orientation'


def test_tiles(config: Config) -> None:
    detector = config.model.type
    config = build_inference_config(config, InferenceOptions(tiles=True))
    assert (config.model.type, config.model.module.type, config.model.predictor) == ('TiledModel', detector, None)
    assert steps_of(config) == ['LoadCellImage', 'PackDetInputs']
    assert [step['type'] for step in config.model.pipeline] == ['Resize', 'PackDetInputs']
    assert config.model.pipeline[0].scale_factor == 3
    assert config.model.nms_iou == 0.6


def test_tta_scales_enlarge_tiles_as_they_enlarge_images(config: Config) -> None:
    config = build_inference_config(config, InferenceOptions(tta=True, tiles=True))
    assert (config.model.type, config.model.predictor.type) == ('TiledModel', 'CellTTAModel')
    resizes = config.model.pipeline[0].transforms[1]
    # The second scale is 1.5 times the pipeline's own.
    assert [step.scale_factor for step in resizes] == pytest.approx([3, 4.5])


def test_factors_in_place_of_edges(config: Config) -> None:
    config.test_dataloader.dataset.pipeline[1] = dict(type='Resize', scale_factor=2.0)
    config.tta_scales = [2, 3.0]
    assert read_scales(config) == [2.0, 3.0]
    augmented = build_inference_config(config, InferenceOptions(tta=True))
    resizes = augmented.test_dataloader.dataset.pipeline[-1].transforms[1]
    assert [dict(step) for step in resizes] == [dict(type='Resize', scale_factor=factor) for factor in (2, 3)]
    tiled = build_inference_config(config, InferenceOptions(tta=True, tiles=True))
    assert [step.scale_factor for step in tiled.model.pipeline[0].transforms[1]] == pytest.approx([3, 4.5])


def test_factors_and_edges_do_not_mix_in_tiles(config: Config) -> None:
    config.tta_scales = [2.0]
    with pytest.raises(InputError, match=r'tta_scales holds 2\.0 and the test pipeline resizes to \(704, 520\)'):
        build_inference_config(config, InferenceOptions(tta=True, tiles=True))


@pytest.mark.parametrize('tta', [False, True])
def test_box_prompts(config: Config, tta: bool) -> None:
    config = build_inference_config(config, InferenceOptions(tta=tta, boxes=PROMPTS))
    assert config.model.type == 'BoxPromptedModel'
    assert steps_of(config) == ['LoadCellImage', 'TestTimeAug', 'LoadBoxPrompts']
    assert config.test_dataloader.dataset.pipeline[-1].path == 'boxes.npz'
    turns, resizes, _ = config.test_dataloader.dataset.pipeline[-2].transforms
    assert [step.orientation for step in turns] == (['none', 'rot90'] if tta else ['none'])
    assert len(resizes) == (2 if tta else 1)


def test_box_prompts_in_tiles(config: Config) -> None:
    config = build_inference_config(config, InferenceOptions(tiles=True, boxes=PROMPTS))
    assert (config.model.type, config.model.predictor.type) == ('TiledModel', 'BoxPromptedModel')
    assert steps_of(config) == ['LoadCellImage', 'PackDetInputs', 'LoadBoxPrompts']


@pytest.mark.parametrize('modes', [dict(tta=True), dict(tiles=True)])
def test_a_pipelines_own_steps_are_kept(config: Config, modes: dict[str, bool]) -> None:
    load, resize, pack = config.test_dataloader.dataset.pipeline
    config.test_dataloader.dataset.pipeline = [load, dict(type='Early'), resize, dict(type='Late'), pack]
    config = build_inference_config(config, InferenceOptions(**modes))
    assert steps_of(config)[:2] == ['LoadCellImage', 'Early']
    steps = config.model.pipeline if 'tiles' in modes else config.test_dataloader.dataset.pipeline[-1].transforms
    assert 'Late' in str(steps)


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        (['none', 'horizonal'], "unknown orientation 'horizonal'; did you mean 'horizontal'"),
        (['rot180'], "unknown orientation 'rot180'; did you mean 'rot"),
        ([], r'tta_orientations is \[\]; write a list of orientations'),
        ('none', "tta_orientations is 'none'; write a list of orientations"),
    ],
)
def test_orientations_that_are_refused(config: Config, names: object, message: str) -> None:
    config.tta_orientations = names
    with pytest.raises(InputError, match=message):
        read_orientations(config)


@pytest.mark.parametrize('scales', [[], (704, 520), [704, 0], [-2.0], [True], [(704, 0)], [(704, 520.5)], 704])
def test_scales_that_are_refused(config: Config, scales: object) -> None:
    config.tta_scales = scales
    with pytest.raises(InputError, match=r'tta_scales is .*; write a list of long and short edges'):
        read_scales(config)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(size=130), r'tiles\.size is 130; write height and width'),
        (dict(size=(130, 0)), r'tiles\.size is \(130, 0\)'),
        (dict(overlap=2.5), r'tiles\.overlap is 2\.5; write whole pixels'),
        (dict(overlap=130), 'overlap of 130 px; it must be at least 2 and less than a side of a tile'),
        (dict(scale=0), r'tiles\.scale is 0; write the factor'),
        (dict(scale='2'), r"tiles\.scale is '2'"),
        (dict(overlaps=20), "tiles has no 'overlaps'; did you mean 'overlap'"),
    ],
)
def test_tiles_that_are_refused(config: Config, changes: dict[str, object], message: str) -> None:
    config.tiles.update(changes)
    with pytest.raises(InputError, match=message):
        read_tiles(config)


@pytest.mark.parametrize(('key', 'mode'), [('tta_orientations', 'tta'), ('tta_model', 'tta'), ('tiles', 'tiles')])
def test_config_without_the_key_names_the_base_that_has_it(config: Config, key: str, mode: str) -> None:
    config.pop(key)
    with pytest.raises(InputError, match=rf"the config has no {key}; put '../_base_/tta\.py' into its _base_ list"):
        build_inference_config(config, InferenceOptions(**{mode: True}))


def test_pipeline_without_a_scale(config: Config) -> None:
    del config.test_dataloader.dataset.pipeline[1]
    with pytest.raises(InputError, match='no Resize with a scale'):
        build_inference_config(config, InferenceOptions(tta=True))
