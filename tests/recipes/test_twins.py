"""Every recipe builds, and its CPU-size twin walks the workflow: trained, resumed, predicted with, fused."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.predictions.provenance import read_run
from sartorius.predictions.store import load_predictions
from sartorius.utils.paths import CONFIG_DIR

# The twin of each full-size recipe.
TWINS = {
    'sartorius/mrcnn_r50': 'mrcnn_r18',
    'sartorius/mrcnn_r50_original': 'mrcnn_r18_original',
    'sartorius/mrcnn_r101': 'mrcnn_r34',
    'sartorius/cmrcnn_r50': 'cmrcnn_r18',
    'sartorius/cmrcnn_x152': 'cmrcnn_x50',
    'sartorius/htc_r50': 'htc_r18',
    'sartorius/mrcnn_r50_pasted': 'mrcnn_r18_pasted',
    'sartorius/mrcnn_r50_copypaste': 'mrcnn_r18_copypaste',
    'livecell/mrcnn_r50': 'mrcnn_r18_eight_types',
    'livecell/cmrcnn_r50': 'mrcnn_r18_eight_types',
    'sartorius/mrcnn_r50_livecell': 'mrcnn_r18_livecell',
    'sartorius/cmrcnn_r50_livecell': 'mrcnn_r18_livecell',
    'sartorius/mrcnn_r50_shsy5y': 'mrcnn_r18_shsy5y',
    'sartorius/mrcnn_r50_astro': 'mrcnn_r18_astro',
    'sartorius/mrcnn_r50_cort': 'mrcnn_r18_cort',
    'sartorius/mrcnn_r50_small_anchors': 'mrcnn_r18_small_anchors',
    'sartorius/mrcnn_r50_fine': 'mrcnn_r18_fine',
    'sartorius/mrcnn_r50_highres': 'mrcnn_r18_highres',
    'sartorius/mrcnn_r50_tiles': 'mrcnn_r18_tiles',
    'sartorius/mrcnn_r50_ema': 'mrcnn_r18_ema',
    'sartorius/mrcnn_r50_accumulate': 'mrcnn_r18_accumulate',
    'sartorius/rtmdet_l': 'rtmdet_tiny',
}
# Small models in their own right, trained on the competition's images.
SMALL = {'sartorius/mrcnn_r18', 'sartorius/cmrcnn_r18', 'sartorius/mrcnn_r18_pasted'}
# Learns eight classes of other images: tests/tools/test_livecell_road.py trains it.
EIGHT_TYPES = 'mrcnn_r18_eight_types'


def name_of(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


FULL_SIZE = sorted(
    {name_of(path) for folder in ('sartorius', 'livecell') for path in (CONFIG_DIR / folder).glob('*.py')}
)
DEMO = sorted(path.stem for path in (CONFIG_DIR / 'demo').glob('*.py'))


def test_every_full_size_recipe_has_a_twin() -> None:
    assert set(FULL_SIZE) - SMALL == set(TWINS)
    assert set(DEMO) == set(TWINS.values())


@pytest.mark.parametrize('name', TWINS)
def test_a_recipe_and_its_twin_change_the_same_keys(name: str) -> None:
    """A twin that lacks what its recipe is about would show nothing about it."""
    full, twin = load_config(CONFIG_DIR / f'{name}.py'), load_config(CONFIG_DIR / 'demo' / f'{TWINS[name]}.py')
    expected, found = what_it_is_about(full), what_it_is_about(twin)
    if 'livecell' in name:
        # One twin for both detectors: it is about where the weights come from.
        del expected['detector'], found['detector']
    assert found == expected


def what_it_is_about(config) -> dict:
    """What sets recipes apart, whatever the size."""
    dataset = config.train_dataloader.dataset.dataset
    steps = [step.type for step in dataset.pipeline]
    backbone = config.model.backbone.type
    return dict(
        detector=config.model.type,
        backbone=backbone,
        fills='FillMaskHoles' in steps,
        pastes='CellCopyPaste' in steps,
        cell_types=dataset.filter_cfg.get('cell_types'),
        starts='init_from' in config,
        averages=any(hook.type == 'EMAHook' for hook in config.custom_hooks),
        accumulates=config.optim_wrapper.get('accumulative_counts', 1) > 1,
        boxes_only=config.get('boxes_only', False),
        classes=len(dataset.get('metainfo', {}).get('classes', ())),
    )


@pytest.mark.slow
@pytest.mark.parametrize('name', FULL_SIZE)
def test_every_recipe_builds(name: str) -> None:
    init_default_scope('mmdet')
    model = MODELS.build(load_config(CONFIG_DIR / f'{name}.py').model)
    assert sum(weight.numel() for weight in model.parameters()) > 1e6


@pytest.fixture(scope='module')
def tool(repo_root: Path) -> Callable[..., None]:
    """Calls a tool's main function in this process: one start of torch serves all twins."""

    def call(name: str, *words: object) -> None:
        runpy.run_path(str(repo_root / 'tools' / name))['main']([str(word) for word in words])

    return call


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, tool: Callable[..., None]) -> Path:
    """Training images of all three cell types in both of two folds, half of the masks hollow, and two test images."""
    folder = tmp_path_factory.mktemp('twins')
    made = ['--images', 18, '--test-images', 2, '--size', '176x130', '--defects', 'hollow=0.5']
    tool('data/make_synthetic.py', '--out', folder / 'data', *made)
    tool('prepare_sartorius.py', '--data-root', folder / 'data', '--out', folder / 'annotations', '--folds', 2)
    return folder


def options(data: Path) -> list[object]:
    return ['--data-root', data / 'data', '--annotations', data / 'annotations']


def training(name: str) -> list[object]:
    """Two steps of the optimiser on two images at a time, in this process; a checkpoint after each step."""
    iterations = load_config(CONFIG_DIR / 'demo' / f'{name}.py').optim_wrapper.get('accumulative_counts', 1)
    return [
        '--from-scratch', '--no-validation', '--iterations', 2 * iterations,
        '--cfg-options', f'default_hooks.checkpoint.interval={iterations}', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
    ]  # fmt: skip


def checkpoints(work_dir: Path) -> list[Path]:
    """After the first and the second step."""
    return sorted(work_dir.glob('iter_*.pth'), key=lambda path: int(path.stem[5:]))


@pytest.fixture(scope='module')
def trained(data: Path, tool: Callable[..., None]) -> Callable[[str], Path]:
    """Work dir of a twin, trained once; a twin that starts from another one's weights lets that be trained first."""

    def work_dir(name: str) -> Path:
        folder = data / name
        if not folder.exists():
            config = CONFIG_DIR / 'demo' / f'{name}.py'
            tool('train.py', config, *options(data), '--work-dir', folder, *start(name), *training(name))
        return folder

    def start(name: str) -> list[object]:
        first = load_config(CONFIG_DIR / 'demo' / f'{name}.py').get('init_from')
        if first is None or Path(first.config).stem == EIGHT_TYPES:
            # The weights of any run will do for what is tested here.
            return [] if first is None else ['--load-from', checkpoints(work_dir('mrcnn_r18'))[-1]]
        return ['--load-from', checkpoints(work_dir(Path(first.config).stem))[-1]]

    return work_dir


@pytest.fixture(scope='module')
def predicted(data: Path, trained: Callable[[str], Path], tool: Callable[..., None]) -> Callable[[str], Path]:
    """Predictions of a twin, made once."""

    def predictions(name: str) -> Path:
        out = trained(name) / 'predictions_test.npz'
        if not out.exists():
            config = load_config(CONFIG_DIR / 'demo' / f'{name}.py')
            limits = 'model.test_cfg.rcnn' if 'rcnn' in config.model.test_cfg else 'model.test_cfg'
            tool(
                'test.py', CONFIG_DIR / 'demo' / f'{name}.py', checkpoints(trained(name))[-1], *options(data),
                '--out', out, *(['--tiles'] if name.endswith('_tiles') else []),
                '--cfg-options', f'{limits}.score_thr=0.0', f'{limits}.max_per_img=20',
            )  # fmt: skip
        return out

    return predictions


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in DEMO if name != EIGHT_TYPES])
class TestTwin:
    def test_a_resumed_run_ends_with_the_same_weights(
        self, name: str, data: Path, trained: Callable[[str], Path], tool: Callable[..., None]
    ) -> None:
        whole, resumed = trained(name), data / f'{name}_resumed'
        resumed.mkdir()
        first, last = checkpoints(whole)
        shutil.copy(first, resumed)
        (resumed / 'last_checkpoint').write_text(str(resumed / first.name))
        config = CONFIG_DIR / 'demo' / f'{name}.py'
        tool('train.py', config, *options(data), '--work-dir', resumed, '--resume', *training(name))
        kept, again = weights(last), weights(resumed / last.name)
        assert kept.keys() == again.keys()
        assert all(torch.equal(kept[key], again[key]) for key in kept)
        assert read_run(resumed).finished

    def test_training_changes_every_kind_of_layer(self, name: str, trained: Callable[[str], Path]) -> None:
        before, after = map(weights, checkpoints(trained(name)))
        moved = {key.split('.')[0] for key in before if not torch.equal(before[key], after[key])}
        assert {key.split('.')[0] for key in before} - moved <= {'data_preprocessor'}

    def test_its_predictions_are_fused_with_another_models(
        self, name: str, data: Path, predicted: Callable[[str], Path], tool: Callable[..., None]
    ) -> None:
        found = load_predictions(predicted(name), boxes_allowed=True)
        assert len(found.images) == 2
        assert all(len(image) and (image.boxes[:, 2:] > image.boxes[:, :2]).all() for image in found.images)
        # A detector of boxes gives no masks to fuse.
        form = [] if found.images[0].has_masks else ['--boxes-only']
        other = 'cmrcnn_r18' if name == 'mrcnn_r18' else 'mrcnn_r18'
        out = data / 'fused' / f'{name}.npz'
        tool('ensemble.py', predicted(name), predicted(other), '--method', 'wbf', *form, '--out', out)
        fused = load_predictions(out, boxes_allowed=True)
        assert fused.image_ids == found.image_ids
        assert all(len(image) for image in fused.images)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, map_location='cpu', weights_only=False)['state_dict']
