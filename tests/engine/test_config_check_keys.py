"""Misspelt keys are found wherever they stand, and no config of the project has one."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.registry import init_default_scope

from sartorius.datasets.sartorius import classes_of
from sartorius.engine.config import load_config
from sartorius.engine.config_check.keys import find_dead_parameter_keys, find_unread_keys
from sartorius.engine.config_check.names import find_unread_names, read_bases
from sartorius.utils.paths import CONFIG_DIR

LEAVES = sorted(path for path in CONFIG_DIR.glob('*/*.py') if path.parent.name not in ('_base_', 'ensemble'))
R50 = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'
CASCADE = CONFIG_DIR / 'sartorius' / 'cmrcnn_r50.py'


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmdet')


def problems(path: Path) -> list[str]:
    """All messages about keys of a config file."""
    config = load_config(path)
    classes = classes_of(config.test_dataloader.dataset)
    return find_unread_names(path) + find_unread_keys(config, classes, read_bases(path))


def leaf(folder: Path, text: str, base: Path = R50) -> Path:
    """A config of a user's own that changes another."""
    path = folder / 'own.py'
    path.write_text(f"_base_ = ['{base}']\n{text}\n")
    return path


def test_numbers_per_cell_type_do_not_fit_other_classes(tmp_path: Path) -> None:
    text = "test_dataloader = dict(dataset=dict(metainfo=dict(classes=('cell',))))\n"
    first, second = problems(leaf(tmp_path, text))
    assert first.startswith("postprocess: ScoreThreshold threshold has no number for the class 'cell', only for shsy5y")
    assert second.startswith('postprocess: MinArea min_area has no number')
    assert not problems(leaf(tmp_path, text + "postprocess = [dict(type='ScoreThreshold', threshold=0.5)]"))


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_no_false_alarm(path: Path) -> None:
    assert problems(path) == []


@pytest.mark.parametrize(
    ('text', 'key', 'fix'),
    [
        # Top level: a key of the runner's, one of this project's, and a name that the base has used up.
        ('train_dataloder = dict(batch_size=4)', 'train_dataloder', "'train_dataloader'"),
        ('param_schedular = []', 'param_schedular', "'param_scheduler'"),
        ('optim_wraper = dict()', 'optim_wraper', "'optim_wrapper'"),
        # Words that stand somewhere in the source of the project are no keys.
        ('stem = 5', 'stem', 'read by nothing'),
        ('parent = 7', 'parent', 'read by nothing'),
        ('suffix = 1', 'suffix', 'read by nothing'),
        ("tta_orientation = ['none']", 'tta_orientation', "'tta_orientations'"),
        ('train_pipeline = []', 'train_pipeline', 'have used their own already'),
        # Parameters of registered types, at any depth.
        ('model = dict(roi_hed=dict(bbox_head=1))', 'model.roi_hed', "'roi_head'"),
        ('model = dict(backbone=dict(dept=50))', 'model.backbone.dept', "'depth'"),
        ('model = dict(neck=dict(out_chanels=8))', 'model.neck.out_chanels', "'out_channels'"),
        ('model = dict(rpn_head=dict(anchor_generator=dict(scale=[4])))', 'anchor_generator.scale', "'scales'"),
        ('model = dict(roi_head=dict(mask_head=dict(num_class=3)))', 'mask_head.num_class', "'num_classes'"),
        ('model = dict(data_preprocessor=dict(bgr_to_rbg=False))', 'data_preprocessor.bgr_to_rbg', "'bgr_to_rgb'"),
        # Dicts without a type, whose keys the heads read.
        ('model = dict(test_cfg=dict(rcnn=dict(max_per_image=9)))', 'test_cfg.rcnn.max_per_image', "'max_per_img'"),
        ('model = dict(test_cfg=dict(rpn=dict(nms_per=9)))', 'test_cfg.rpn.nms_per', "'nms_pre'"),
        ('model = dict(test_cfg=dict(rcn=dict(score_thr=0)))', 'model.test_cfg.rcn', "'rcnn'"),
        ('model = dict(train_cfg=dict(rpn=dict(sampler=dict(pos_frac=1))))', 'sampler.pos_frac', "'pos_fraction'"),
        ('model = dict(train_cfg=dict(rpn_propsal=dict(nms_pre=9)))', 'train_cfg.rpn_propsal', "'rpn_proposal'"),
        # Loaders, transforms, optimiser, schedule, hooks, runner settings.
        ('train_dataloader = dict(batchsize=4)', 'train_dataloader.batchsize', "'batch_size'"),
        ('train_dataloader = dict(dataset=dict(dataset=dict(anno_file=1)))', 'dataset.anno_file', "'ann_file'"),
        (
            "train_dataloader = dict(dataset=dict(dataset=dict(pipeline=[dict(type='RandomFlp')])))",
            'pipeline.0.type',
            "'RandomFlip'",
        ),
        (
            "train_dataloader = dict(dataset=dict(dataset=dict(pipeline=[dict(type='RandomFlip', probs=1)])))",
            'pipeline.0.probs',
            "'prob'",
        ),
        ('optim_wrapper = dict(optimizer=dict(weight_decai=0))', 'optimizer.weight_decai', "'weight_decay'"),
        ('optim_wrapper = dict(clip_grad=dict(max_nrm=1))', 'clip_grad.max_nrm', "'max_norm'"),
        ('optim_wrapper = dict(paramwise_cfg=dict(custom_key={}))', 'paramwise_cfg.custom_key', "'custom_keys'"),
        ('train_cfg = dict(max_iter=9)', 'train_cfg.max_iter', "'max_iters'"),
        ('default_hooks = dict(checkpoit=dict(interval=9))', 'default_hooks.checkpoit', "'checkpoint'"),
        ('default_hooks = dict(logger=dict(intervall=9))', 'default_hooks.logger.intervall', "'interval'"),
        ("custom_hooks = [dict(type='EMAHook', momentums=1)]", 'custom_hooks.0.momentums', "'momentum'"),
        ('custom_hooks = [dict(interval=1)]', 'custom_hooks.0', 'has no type'),
        ('val_evaluator = dict(max_cell=9)', 'val_evaluator.max_cell', "'max_cells'"),
        ('env_cfg = dict(cudnn_benchmarks=True)', 'env_cfg.cudnn_benchmarks', "'cudnn_benchmark'"),
        ('randomness = dict(seeds=1)', 'randomness.seeds', "'seed'"),
        ('auto_scale_lr = dict(enabled=True)', 'auto_scale_lr.enabled', "'enable'"),
        ('tiles = dict(overlaps=1)', 'tiles.overlaps', "'overlap'"),
        ("init_from = dict(confg='x')", 'init_from.confg', "'config'"),
        ("postprocess = [dict(type='VoteClas')]", 'postprocess', "'VoteClass'"),
    ],
)
def test_planted_misspelling(tmp_path: Path, text: str, key: str, fix: str) -> None:
    (found,) = problems(leaf(tmp_path, text))
    assert key in found.split(': ', 1)[0] + ':'
    assert fix in found


def test_keys_left_behind_by_an_inherited_type(tmp_path: Path) -> None:
    """They are right keys of the type that was replaced; the nearest parameter of the new one would lead astray."""
    found = problems(leaf(tmp_path, "model = dict(backbone=dict(type='MobileNetV2', out_indices=(1, 2, 4, 6)))"))
    keys = [message.split(':')[0] for message in found]
    assert keys == [f'model.backbone.{key}' for key in ('depth', 'num_stages', 'style')]
    fix = 'inherited from the ResNet of the base config: write _delete_=True beside the new type of model.backbone'
    assert all(fix in message for message in found)
    text = "model = dict(backbone=dict(type='MobileNetV2', _delete_=True, widen_facto=1.0))"
    (found,) = problems(leaf(tmp_path, text))
    assert "did you mean 'widen_factor'" in found


def test_stages_of_a_cascade(tmp_path: Path) -> None:
    text = 'model = dict(train_cfg=dict(rcnn=[dict(_base_.model.train_cfg.rcnn[0], pos_wight=1)] * 3))'
    found = problems(leaf(tmp_path, text, CASCADE))
    assert [message.split(':')[0] for message in found] == [f'model.train_cfg.rcnn.{n}.pos_wight' for n in range(3)]


@pytest.mark.parametrize(
    'text',
    [
        # A name that its own file uses, one of a base that it uses, a new hook with a priority, settings by class.
        'size = 4\ntrain_dataloader = dict(batch_size=size)',
        'custom_hooks = [*_base_.custom_hooks, dict(type="EMAHook", momentum=0.1, priority=49)]',
        'optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.1)}))',
        'model = dict(backbone=dict(dcn=dict(type="DCNv2", deform_groups=1, fallback_on_stride=False)))',
        'model = dict(test_cfg=dict(rcnn=dict(nms=dict(type="soft_nms", iou_threshold=0.5, min_score=0.1))))',
        'backbone = dict(_delete_=True, type="SwinTransformer", init_cfg=None)\nmodel = dict(backbone=backbone)',
        'optim_wrapper = dict(type="AmpOptimWrapper", loss_scale="dynamic")',
        'model = dict(rpn_head=dict(loss_bbox=dict(_delete_=True, type="L1Loss", loss_weight=2.0)))',
        "load_from = 'x.pth'\nresume = True\nexperiment_name = 'x'",
    ],
)
def test_right_keys_pass(tmp_path: Path, text: str) -> None:
    assert problems(leaf(tmp_path, text)) == []


def test_keys_of_parameters_that_do_not_exist() -> None:
    config: Any = load_config(R50)
    config.optim_wrapper.paramwise_cfg = dict(custom_keys={'backbone.layer1': {}, 'bakbone': {}, 'norm': {}})
    found = find_dead_parameter_keys(config, ['backbone.layer1.0.norm1.weight', 'neck.conv.bias'])
    assert len(found) == 1
    assert 'bakbone' in found[0] and "'backbone'" in found[0]
