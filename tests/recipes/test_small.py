"""Every recipe has a small variant, which trains, resumes, predicts and is fused with others."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.engine.config_check.names import find_unread_names
from sartorius.engine.run_config import RecipeOptions, build_train_config
from sartorius.engine.small import make_small
from sartorius.predictions.provenance import read_run
from sartorius.predictions.store import load_predictions
from sartorius.utils.paths import CHECKOUT, CONFIG_DIR


def name_of(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


RECIPES = sorted(path for folder in ('sartorius', 'livecell') for path in (CONFIG_DIR / folder).glob('*.py'))
R50 = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'
LIVECELL = [path for path in RECIPES if path.parent.name == 'livecell']
# Each has a detector, hook, transform or sampler of its own; the others resume as one of these does.
RESUMED = [
    path
    for path in RECIPES
    if path.stem in ('htc_r50', 'rtmdet_l', 'mrcnn_r50_ema', 'mrcnn_r50_accumulate', 'mrcnn_r50_copypaste')
    or name_of(path) == 'livecell/cmrcnn_r50'
]
# The others' small variants are the same model and pipeline as that of one of these.
PREDICTED = [
    path
    for path in RECIPES
    if path in RESUMED
    or path.stem in ('mrcnn_r50', 'mrcnn_r50_tiles', 'mrcnn_r50_highres', 'mrcnn_r50_fine', 'mrcnn_r50_small_anchors')
    or path.stem in ('cmrcnn_r50', 'cmrcnn_x152', 'mrcnn_r101')
]
# One of several that differ in the cell type alone, or in the size of the model before it is made small.
TRAINED = [
    path
    for path in RECIPES
    if path.stem not in ('mrcnn_r50_astro', 'mrcnn_r50_cort', 'mrcnn_r50_livecell') and '_r18' not in path.stem
]
# A ResNet-50 Mask R-CNN has 44 million.
MAX_WEIGHTS = 1.2e7


def subject(config: Config) -> dict:
    """What sets recipes apart, whatever their size."""
    dataset = config.train_dataloader.dataset.dataset
    steps = [step.type for step in dataset.pipeline]
    return dict(
        detector=config.model.type,
        backbone=config.model.backbone.type,
        fills='FillMaskHoles' in steps,
        pastes=[step for step in dataset.pipeline if 'Paste' in step.type],
        turns=[step for step in dataset.pipeline if 'Flip' in step.type or 'Turn' in step.type],
        filter_cfg=dataset.filter_cfg,
        data=(dataset.type, config.data_root, config.annotations, config.fold),
        init_from=config.get('init_from'),
        averages=any(hook.type == 'EMAHook' for hook in config.custom_hooks),
        accumulates=config.optim_wrapper.get('accumulative_counts', 1) > 1,
        boxes_only=config.get('boxes_only', False),
        classes=sorted(_values(config.model, 'num_classes')),
        postprocess=config.get('postprocess'),
        test_limits=config.model.test_cfg,
        anchors=config.model.get('rpn_head', {}).get('anchor_generator'),
    )


def _values(node: object, key: str) -> list[int]:
    """All values of a key below a node."""
    if isinstance(node, list | tuple):
        return [value for item in node for value in _values(item, key)]
    if not isinstance(node, dict):
        return []
    own = [node[key]] if key in node else []
    return own + [value for item in node.values() for value in _values(item, key)]


@pytest.mark.parametrize('path', RECIPES, ids=name_of)
def test_a_small_variant_keeps_what_its_recipe_is_about(path: Path) -> None:
    full, small = load_config(path), load_config(path, small=True)
    assert subject(small) == subject(full)
    assert small.small and not full.get('small')
    assert small.load_from is None
    assert small.train_cfg.max_iters == 250


@pytest.mark.parametrize('path', RECIPES, ids=name_of)
def test_a_small_variant_builds_and_is_small(path: Path) -> None:
    config = build_train_config(RecipeOptions(path, small=True))
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    assert all(weight.requires_grad for weight in model.parameters())
    assert 1e5 < sum(weight.numel() for weight in model.parameters()) < MAX_WEIGHTS
    assert not [module for module in model.modules() if isinstance(module, torch.nn.SyncBatchNorm)]


@pytest.mark.slow
@pytest.mark.parametrize('path', RECIPES, ids=name_of)
def test_every_recipe_builds(path: Path) -> None:
    """At full size; what backbone and neck make of a small picture is one map for each level."""
    init_default_scope('mmdet')
    model = MODELS.build(load_config(path).model).eval()
    assert sum(weight.numel() for weight in model.parameters()) > 1e6
    assert find_unread_names(path) == []
    with torch.no_grad():
        maps = model.extract_feat(torch.rand(1, 3, 64, 64))
    assert len(maps) in (3, 5) and all(one.isfinite().all() for one in maps)
    assert [len(one[0, 0]) for one in maps] == sorted((len(one[0, 0]) for one in maps), reverse=True)


@pytest.mark.parametrize('detector', ['mrcnn', 'cmrcnn'])
def test_the_small_models_of_r50_are_those_of_the_r18_recipes(detector: str) -> None:
    small = load_config(CONFIG_DIR / 'sartorius' / f'{detector}_r50.py', small=True)
    assert small.model.to_dict() == load_config(CONFIG_DIR / 'sartorius' / f'{detector}_r18.py').model.to_dict()


@pytest.mark.parametrize(
    ('recipe', 'scale', 'tile', 'scale_range'),
    [
        pytest.param('mrcnn_r50', 2.0, 96, (1.6, 2.5), id='images at twice their size'),
        pytest.param('mrcnn_r50_fine', 1.0, 96, (0.8, 1.25), id='images at their own size'),
        pytest.param('mrcnn_r50_highres', 3.0, 96, (2.4, 3.75), id='images at three times their size'),
        pytest.param('mrcnn_r50_tiles', 2.0, 64, (2.4, 3.75), id='small tiles'),
    ],
)
def test_tiles_are_enlarged_as_the_recipe_enlarges_images(
    recipe: str, scale: float, tile: int, scale_range: tuple[float, float]
) -> None:
    config = load_config(CONFIG_DIR / 'sartorius' / f'{recipe}.py', small=True)
    pipeline = config.train_dataloader.dataset.dataset.pipeline
    (step,) = [step for step in pipeline if step.type == 'RandomTile']
    assert (step.tile_size, step.scale_range) == ((tile, tile), scale_range)
    assert not [step.type for step in pipeline if 'Resize' in step.type or 'Crop' in step.type]
    for loader in (config.val_dataloader, config.test_dataloader):
        assert [step.scale_factor for step in loader.dataset.pipeline if step.type == 'Resize'] == [scale]
    assert config.tta_scales == pytest.approx([0.8 * scale, scale])


def test_a_small_variant_stays_the_same_when_made_small_again() -> None:
    config = load_config(R50, small=True)
    again = config.copy()
    make_small(again)
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ('backbone', 'channels'),
    [
        ("type='SwinTransformer', init_cfg=dict(type='Pretrained', checkpoint='x.pth')", [96, 192, 384, 768]),
        ("type='MobileNetV2', out_indices=(1, 2, 4, 6)", [24, 32, 96, 320]),
    ],
)
def test_another_backbone_keeps_its_size_and_loses_its_weights(
    backbone: str, channels: list[int], tmp_path: Path
) -> None:
    path = tmp_path / 'own.py'
    path.write_text(
        f"_base_ = ['{R50}']\nbackbone = dict(_delete_=True, {backbone})\n"
        f'model = dict(backbone=backbone, neck=dict(in_channels={channels}))\n'
    )
    model = load_config(path, small=True).model
    assert model.backbone.get('init_cfg') is None
    assert model.neck.in_channels == channels
    init_default_scope('mmdet')
    built = MODELS.build(model)
    assert all(weight.requires_grad for weight in built.parameters())
    assert [len(maps[0]) for maps in built.extract_feat(torch.zeros(1, 3, 64, 64))] == [64] * 5


@pytest.fixture(scope='module')
def tool(repo_root: Path) -> Callable[..., None]:
    """Calls a tool's main function in this process: one start of torch serves all variants."""

    def call(name: str, *words: object) -> None:
        runpy.run_path(str(repo_root / 'tools' / name))['main']([str(word) for word in words])

    return call


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, tool: Callable[..., None]) -> Path:
    """Training images of all three cell types in both of two folds, half of the masks hollow, and two test images; and
    images of eight types."""
    folder = tmp_path_factory.mktemp('small')
    made = ['--images', 18, '--test-images', 2, '--size', '176x130', '--defects', 'hollow=0.5']
    tool('data/make_synthetic.py', '--out', folder / 'data', *made)
    tool('prepare_sartorius.py', '--data-root', folder / 'data', '--out', folder / 'annotations', '--folds', 2)
    eight = folder / 'eight'
    made = ['--images', 8, '--test-images', 2, '--size', '128x96', '--density', 3]
    tool('data/make_synthetic.py', '--form', 'livecell', '--out', eight, *made)
    tool('data/prepare_livecell.py', '--data-root', eight, '--out', eight / 'annotations', '--keep-incomplete')
    return folder


def options(data: Path, path: Path) -> list[object]:
    if path in LIVECELL:
        return ['--data-root', data / 'eight', '--annotations', data / 'eight' / 'annotations']
    return ['--data-root', data / 'data', '--annotations', data / 'annotations']


def training(path: Path) -> list[object]:
    """Two steps of the optimiser on two images at a time, in this process; a checkpoint after each step."""
    iterations = load_config(path, small=True).optim_wrapper.get('accumulative_counts', 1)
    return [
        '--small', '--from-scratch', '--no-validation', '--iterations', 2 * iterations,
        '--cfg-options', f'default_hooks.checkpoint.interval={iterations}', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'default_hooks.logger.interval=1',
    ]  # fmt: skip


def checkpoints(work_dir: Path) -> list[Path]:
    """After the first and the second step."""
    return sorted(work_dir.glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))


@pytest.fixture(scope='module')
def trained(data: Path, tool: Callable[..., None]) -> Callable[[Path], Path]:
    """Work dir of a variant, trained once; one that starts from another one's weights lets that be trained first."""

    def work_dir(path: Path) -> Path:
        folder = data / 'runs' / path.parent.name / path.stem
        if not folder.exists():
            tool('train.py', path, *options(data, path), '--work-dir', folder, *start(path), *training(path))
        return folder

    def start(path: Path) -> list[object]:
        first = load_config(path).get('init_from')
        return [] if first is None else ['--load-from', checkpoints(work_dir(CHECKOUT / first.config))[-1]]

    return work_dir


@pytest.fixture(scope='module')
def predicted(data: Path, trained: Callable[[Path], Path], tool: Callable[..., None]) -> Callable[[Path], Path]:
    """Predictions of a variant, made once."""

    def predictions(path: Path) -> Path:
        out = trained(path) / 'predictions_test.npz'
        if not out.exists():
            config = load_config(path)
            limits = 'model.test_cfg.rcnn' if 'rcnn' in config.model.test_cfg else 'model.test_cfg'
            # That the model is a small variant stands in its checkpoint.
            tool(
                'test.py', path, checkpoints(trained(path))[-1], *options(data, path), '--out', out,
                *(['--tiles'] if path.stem.endswith('_tiles') else []),
                '--cfg-options', f'{limits}.score_thr=0.0', f'{limits}.max_per_img=20',
                'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
            )  # fmt: skip
        return out

    return predictions


@pytest.mark.slow
class TestSmallVariant:
    @pytest.mark.parametrize('path', RESUMED, ids=name_of)
    def test_a_resumed_run_ends_with_the_same_weights(
        self, path: Path, data: Path, trained: Callable[[Path], Path], tool: Callable[..., None]
    ) -> None:
        whole = trained(path)
        resumed = whole.with_name(f'{whole.name}_resumed')
        resumed.mkdir()
        first, last = checkpoints(whole)
        shutil.copy(first, resumed)
        (resumed / 'last_checkpoint').write_text(str(resumed / first.name))
        tool('train.py', path, *options(data, path), '--work-dir', resumed, '--resume', *training(path))
        kept, again = weights(last), weights(resumed / last.name)
        assert kept.keys() == again.keys()
        assert all(torch.equal(kept[key], again[key]) for key in kept)
        record = read_run(resumed)
        assert record.finished and record.small
        assert record.recipe == f'{path.stem}_small'

    @pytest.mark.parametrize('path', TRAINED, ids=name_of)
    def test_training_changes_every_kind_of_layer(self, path: Path, trained: Callable[[Path], Path]) -> None:
        before, after = map(weights, checkpoints(trained(path)))
        assert all(weight.isfinite().all() for weight in after.values() if weight.is_floating_point())
        moved = {key.split('.')[0] for key in before if not torch.equal(before[key], after[key])}
        assert {key.split('.')[0] for key in before} - moved <= {'data_preprocessor'}

    @pytest.mark.parametrize('path', PREDICTED, ids=name_of)
    def test_its_predictions_are_fused_with_another_models(
        self, path: Path, predicted: Callable[[Path], Path], tool: Callable[..., None]
    ) -> None:
        found = load_predictions(predicted(path), boxes_allowed=True)
        assert len(found.images) == 2
        assert all(len(image) and (image.boxes[:, 2:] > image.boxes[:, :2]).all() for image in found.images)
        # A detector of boxes gives no masks to fuse.
        form = [] if found.images[0].has_masks else ['--boxes-only']
        # The small variants of these two are the same model, and one model cannot be fused with itself.
        same = path.stem in ('mrcnn_r50', 'mrcnn_r18')
        other = path.with_name('cmrcnn_r50.py' if same else 'mrcnn_r50.py')
        out = predicted(path).with_name('fused.npz')
        tool('ensemble.py', predicted(path), predicted(other), '--method', 'wbf', *form, '--out', out)
        fused = load_predictions(out, boxes_allowed=True)
        assert fused.image_ids == found.image_ids
        assert all(len(image) for image in fused.images)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, map_location='cpu', weights_only=False)['state_dict']
