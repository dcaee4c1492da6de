"""Configs are complete, pointed at data by one function, and misspelt keys are errors."""

import argparse
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

from sartorius.datasets.sartorius import classes_of
from sartorius.engine.config import (
    RUN_KEYS,
    default_work_dir,
    load_config,
    parse_options,
)
from sartorius.engine.run_config import (
    DataOptions,
    RecipeOptions,
    TrainOptions,
    build_prediction_config,
    build_train_config,
)
from sartorius.models.model_file import is_shipped
from sartorius.models.outputs import box_limits
from sartorius.postprocess.chain import build_chain
from sartorius.utils.cli import fold_number
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CHECKOUT, CONFIG_DIR

# Of models: a recipe of how to fuse some has none.
LEAVES = sorted(path for path in CONFIG_DIR.glob('*/*.py') if path.parent.name not in ('_base_', 'ensemble'))
BOXES_ONLY = [path for path in LEAVES if path.stem.startswith('rtmdet')]
R50 = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'
HTC = CONFIG_DIR / 'sartorius' / 'htc_r50.py'
RTMDET = CONFIG_DIR / 'sartorius' / 'rtmdet_l.py'
# The fullest training image of the competition.
MAX_CELLS = 790


def heads(config) -> list:
    """Box and mask heads of all stages."""
    parts = [config.model.roi_head.bbox_head, config.model.roi_head.mask_head]
    return [head for part in parts for head in (part if isinstance(part, list) else [part])]


def name_of(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


@pytest.mark.parametrize('path', [path for path in LEAVES if path not in BOXES_ONLY], ids=name_of)
def test_every_config_builds_and_fits_the_data(path: Path) -> None:
    config = load_config(path)
    init_default_scope('mmdet')
    with torch.device('meta'):  # without the seconds that random weights take
        model = MODELS.build(config.model)
    assert hasattr(model, 'roi_head')
    assert {head.num_classes for head in heads(config)} == {len(classes_of(config.test_dataloader.dataset))}
    assert config.model.test_cfg.rcnn.max_per_img > MAX_CELLS
    assert config.model.test_cfg.rpn.max_per_img > MAX_CELLS
    assert len(build_chain(config.postprocess).steps) > 0
    assert config.default_hooks.checkpoint.save_best == 'competition/mAP'
    assert any(hook.type == 'PostprocessHook' for hook in config.custom_hooks)


@pytest.mark.parametrize('path', BOXES_ONLY, ids=name_of)
def test_every_config_of_boxes_alone_builds_and_fits_the_data(path: Path) -> None:
    config = load_config(path)
    init_default_scope('mmdet')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert config.boxes_only is True and not hasattr(model, 'roi_head')
    assert model.bbox_head.num_classes == 3
    assert box_limits(config).max_per_img > MAX_CELLS
    # A whole image of the competition at the scale of the tests has fewer points.
    assert config.model.test_cfg.nms_pre >= 1408 * 1040 / 8**2
    assert (config.val_evaluator.type, config.default_hooks.checkpoint.save_best) == ('BoxMetric', 'boxes/AP')
    hooks = [hook.type for hook in config.custom_hooks]
    assert 'PostprocessHook' not in hooks and {'SeedEachIterationHook', 'EMAHook'} < set(hooks)


@pytest.mark.slow
def test_weights_of_mmdetections_rtmdet_fit_but_for_its_classes() -> None:
    """The checkpoint that the config names is one of this model of MMDetection."""
    init_default_scope('mmdet')
    ours = MODELS.build(load_config(RTMDET).model).state_dict()
    theirs = MODELS.build(get_config('mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py').model).state_dict()
    assert ours.keys() == theirs.keys()
    assert {name.split('.')[1] for name in ours if ours[name].shape != theirs[name].shape} == {'rtm_cls'}


def test_pretrained_weights_are_the_default_of_the_full_size_recipes() -> None:
    assert load_config(R50).load_from.endswith('.pth')


@pytest.mark.slow
def test_weights_of_mmdetections_htc_fit_but_for_its_classes_and_its_semantic_branch() -> None:
    """The checkpoint that the config names is one of this model of MMDetection."""
    init_default_scope('mmdet')
    ours = MODELS.build(load_config(HTC).model).state_dict()
    theirs = MODELS.build(get_config('mmdet::htc/htc_r50_fpn_20e_coco.py').model).state_dict()
    dropped = {name.split('.')[1] for name in theirs.keys() - ours.keys()}
    assert dropped == {'semantic_head'}
    assert not ours.keys() - theirs.keys()
    differing = {name.rsplit('.', 2)[1] for name in ours if ours[name].shape != theirs[name].shape}
    assert differing == {'fc_cls', 'conv_logits'}


def train_config(path: Path = R50, data: DataOptions | None = None, **options: object) -> Config:
    return build_train_config(RecipeOptions(path), data or DataOptions(), TrainOptions(**options))


def test_without_validation_no_iteration_validates_and_none_is_the_best() -> None:
    config = train_config(iterations=7, validation=False)
    assert config.train_cfg.val_begin > config.train_cfg.max_iters == 7
    assert config.default_hooks.checkpoint.save_best is None


def test_from_scratch_frees_every_layer() -> None:
    init_default_scope('mmdet')
    frozen = [name for name, p in MODELS.build(load_config(R50).model).named_parameters() if not p.requires_grad]
    config = train_config(from_scratch=True)
    assert config.load_from is None
    assert frozen
    assert all(p.requires_grad for p in MODELS.build(config.model).parameters())


@pytest.mark.parametrize(
    ('name', 'options', 'shipped'),
    [
        ('own/mrcnn_r18.py', {}, True),
        ('own/mrcnn_r18.py', {'from_scratch': True}, False),
        ('own/mrcnn_r18.py', {'load_from': 'x.pth'}, False),
        ('sartorius/mrcnn_r18.py', {}, False),
        ('sartorius/mrcnn_r18.py', {'from_shipped': True}, True),
        ('sartorius/mrcnn_r50_livecell.py', {'from_shipped': True}, True),
    ],
)
def test_the_package_s_model_is_the_start_of_own_images_and_of_what_asks_for_it(
    name: str, options: dict, shipped: bool
) -> None:
    config = train_config(CONFIG_DIR / name, **options)
    assert is_shipped(config.load_from) == shipped
    assert not (shipped and config.get('init_from'))


def test_two_kinds_of_first_weights_are_refused() -> None:
    for options in ({'from_scratch': True}, {'load_from': 'x.pth'}):
        with pytest.raises(UsageError, match='--from-shipped and --.* ask for different first weights'):
            train_config(from_shipped=True, **options)


# Small backbones of each kind, their outputs for the neck, and what --from-scratch may set of them.
BACKBONES = {
    'SwinTransformer': (
        dict(embed_dims=24, depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4), out_indices=(0, 1, 2, 3)),
        [24, 48, 96, 192],
        {'frozen_stages', 'init_cfg'},
    ),
    'HRNet': (
        dict(
            extra=dict(
                stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(8,)),
                stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1), num_channels=(8, 16)),
                stage3=dict(
                    num_modules=1, num_branches=3, block='BASIC', num_blocks=(1,) * 3, num_channels=(8, 16, 32)
                ),
                stage4=dict(
                    num_modules=1, num_branches=4, block='BASIC', num_blocks=(1,) * 4, num_channels=(8, 16, 32, 64)
                ),
            )
        ),
        [8, 16, 32, 64],
        {'norm_eval', 'init_cfg'},
    ),
    'PyramidVisionTransformerV2': (dict(embed_dims=8, num_layers=[1, 1, 1, 1]), [8, 16, 40, 64], {'init_cfg'}),
    'MobileNetV2': (
        dict(out_indices=(1, 2, 4, 6), widen_factor=0.25),
        [8, 8, 24, 80],
        {'frozen_stages', 'norm_eval', 'init_cfg'},
    ),
}


@pytest.mark.parametrize('kind', BACKBONES)
def test_from_scratch_sets_only_what_a_backbone_takes(kind: str, tmp_path: Path) -> None:
    settings, channels, keys = BACKBONES[kind]
    path = tmp_path / 'own.py'
    path.write_text(
        f"_base_ = ['{R50}']\nbackbone = dict(_delete_=True, type={kind!r}, **{settings!r})\n"
        f'model = dict(backbone=backbone, neck=dict(in_channels={channels}))\n'
    )
    config = train_config(path, from_scratch=True)
    assert config.model.backbone.keys() - {'type', *settings} == keys
    init_default_scope('mmdet')
    assert all(p.requires_grad for p in MODELS.build(config.model).parameters())


def test_data_and_fold_reach_every_data_set(tmp_path: Path) -> None:
    config = train_config(data=DataOptions(tmp_path / 'data', tmp_path / 'ann', fold=3))
    train, val = config.train_dataloader.dataset.dataset, config.val_dataloader.dataset
    assert train.ann_file == str(tmp_path / 'ann' / 'fold3_train.json')
    assert val.ann_file == config.val_evaluator.ann_file == str(tmp_path / 'ann' / 'fold3_val.json')
    assert {train.data_root, val.data_root, config.test_dataloader.dataset.data_root} == {str(tmp_path / 'data')}
    assert config.fold == 3
    assert train_config().fold == 0


def test_fold_all_trains_on_every_image_and_validates_on_none(tmp_path: Path) -> None:
    config = train_config(data=DataOptions(tmp_path, tmp_path, fold='all'))
    assert config.train_dataloader.dataset.dataset.ann_file == str(tmp_path / 'all.json')
    assert config.val_dataloader is config.val_cfg is config.val_evaluator is None
    assert config.default_hooks.checkpoint.save_best is None
    assert config.fold == 'all'
    assert Path(config.work_dir).name == 'mrcnn_r50_all'


def test_fold_is_a_number_or_all() -> None:
    assert [fold_number('0'), fold_number('12'), fold_number('all')] == [0, 12, 'all']
    for wrong in ('-1', 'al', '1.5', ''):
        with pytest.raises(argparse.ArgumentTypeError, match='a number from 0 on or "all"'):
            fold_number(wrong)


def test_folders_of_a_config_are_relative_to_the_checkout(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv('SARTORIUS_DATA', raising=False)
    monkeypatch.chdir(tmp_path)
    assert train_config().data_root == str(CHECKOUT / 'data' / 'sartorius')


@pytest.mark.parametrize(
    ('split', 'fold', 'name'),
    [
        ('test', None, 'test.json'),
        ('val', None, 'fold0_val.json'),
        ('train', 2, 'fold2_train.json'),
        ('train', 'all', 'all.json'),
        ('unlabelled', None, 'unlabelled.json'),
    ],
)
def test_split_picks_its_annotations(tmp_path: Path, split: str, fold: int | str | None, name: str) -> None:
    (tmp_path / name).write_text('{}')
    config = build_prediction_config(RecipeOptions(R50), DataOptions(tmp_path, tmp_path, fold), split)
    assert config.test_dataloader.dataset.ann_file == str(tmp_path / name)


def test_split_without_annotations_names_the_tool(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'test\.json: no such annotation file; tools/prepare_sartorius\.py'):
        build_prediction_config(RecipeOptions(R50), DataOptions(tmp_path, tmp_path), 'test')


def test_helper_variables_of_config_files_are_dropped() -> None:
    config = load_config(R50)
    assert 'train_pipeline' not in config and 'max_cells' not in config
    assert config.keys() <= RUN_KEYS


@pytest.mark.parametrize(
    ('key', 'message'),
    [
        ('train_cfg.max_iter', 'did you mean train_cfg.max_iters'),
        ('moedl.test_cfg.rcnn.score_thr', 'did you mean model'),
        ('param_scheduler.9.end', 'is a list of 2'),
        ('load_from.thing', 'has no parts'),
        ('entirely_new', 'new keys go into a config file'),
    ],
)
def test_misspelt_option_names_the_nearest(key: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(R50, {key: 1})


def test_options_are_merged_and_typed() -> None:
    options = parse_options(['train_cfg.max_iters=7', 'param_scheduler.1.end=9', 'tta_orientations=[none,rot90]'])
    config = load_config(R50, options)
    assert (config.train_cfg.max_iters, config.param_scheduler[1].end) == (7, 9)
    assert config.tta_orientations == ['none', 'rot90']


def test_option_without_value() -> None:
    with pytest.raises(UsageError, match="KEY=VALUE, not 'train_cfg'"):
        parse_options(['train_cfg'])


def test_missing_config_suggests_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such config; did you mean 'mrcnn_r50'"):
        load_config('configs/sartorius/mrcnn_r5O.py')


def test_work_dir_is_named_after_config_and_fold() -> None:
    assert default_work_dir(R50, None).name == 'mrcnn_r50'
    assert default_work_dir(R50, 2).name == 'mrcnn_r50_fold2'
    assert default_work_dir(R50, 0, small=True).name == 'mrcnn_r50_small_fold0'
    assert default_work_dir(R50, 'all').name == 'mrcnn_r50_all'


def test_iterations_stretch_the_schedule() -> None:
    config = train_config(iterations=800)
    assert (config.train_cfg.max_iters, config.train_cfg.val_interval) == (800, 500)
    assert [(part.begin, part.end) for part in config.param_scheduler] == [(0, 50), (50, 800)]
    config = train_config(iterations=2)
    assert (config.train_cfg.val_interval, config.default_hooks.checkpoint.interval) == (2, 2)
    assert all(part.begin < part.end for part in config.param_scheduler)
    with pytest.raises(UsageError, match='at least 1, not 0'):
        train_config(iterations=0)
