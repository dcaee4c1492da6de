"""The workflow of a detector of boxes alone: trained, predicted, fused, and masks predicted by another model."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.predictions.store import load_predictions, read_header
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR

pytestmark = pytest.mark.slow

CONFIG = str(CONFIG_DIR / 'sartorius' / 'rtmdet_l.py')
MASKS = str(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py')
# Models after a few iterations have low scores.
FEW = ('model.test_cfg.score_thr=0.0', 'model.test_cfg.max_per_img=30')
FEW_MASKS = ('model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=30')
SHORT = (
    '--iterations', '2', '--cfg-options', 'default_hooks.checkpoint.interval=1', 'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', *FEW,
)  # fmt: skip


@pytest.fixture(scope='module')
def tool(repo_root: Path) -> Callable[..., None]:
    """Runs a tool in this process."""

    def run_tool(name: str, *words: object) -> None:
        runpy.run_path(str(repo_root / 'tools' / name))['main']([str(word) for word in words])

    return run_tool


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, tool: Callable[..., None]) -> Path:
    """Synthetic images of 176x130 px, two of them for the test, and their annotations."""
    folder = tmp_path_factory.mktemp('boxes')
    tool(
        'data/make_synthetic.py', '--out', folder / 'data', '--images', 6, '--test-images', 2, '--unlabelled-images', 0,
        '--size', '176x130',
    )  # fmt: skip
    tool('prepare_sartorius.py', '--data-root', folder / 'data', '--out', folder / 'annotations', '--folds', 2)
    return folder


def folders(data: Path) -> tuple[object, ...]:
    return '--data-root', data / 'data', '--annotations', data / 'annotations'


@pytest.fixture(scope='module')
def trained(data: Path, tool: Callable[..., None]) -> Path:
    """Work dir of two iterations."""
    tool('train.py', CONFIG, '--small', '--from-scratch', *folders(data), '--work-dir', data / 'run', *SHORT)
    return data / 'run'


@pytest.fixture(scope='module')
def boxes(data: Path, trained: Path, tool: Callable[..., None]) -> Path:
    """Predictions of the detector for the test images."""
    out = data / 'boxes.npz'
    tool('test.py', CONFIG, trained / 'iter_2.pth', *folders(data), '--out', out, '--cfg-options', *FEW)
    return out


@pytest.fixture(scope='module')
def mask_model(data: Path) -> Path:
    """Checkpoint of an untrained Mask R-CNN."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    torch.save({'state_dict': MODELS.build(load_config(MASKS, small=True).model).state_dict()}, data / 'masks.pth')
    return data / 'masks.pth'


def test_the_best_checkpoint_is_that_of_the_best_boxes(trained: Path) -> None:
    assert len(list(trained.glob('best_boxes_AP_iter_*.pth'))) == 1


def test_resumed_run_ends_as_the_uninterrupted_one(data: Path, trained: Path, tool: Callable[..., None]) -> None:
    """The moving average of the weights and the weights themselves."""
    stopped = data / 'stopped'
    stopped.mkdir()
    shutil.copy(trained / 'iter_1.pth', stopped)
    (stopped / 'last_checkpoint').write_text(str(stopped / 'iter_1.pth'))
    tool('train.py', CONFIG, '--small', '--from-scratch', '--resume', *folders(data), '--work-dir', stopped, *SHORT)
    whole, resumed = (torch.load(folder / 'iter_2.pth', weights_only=False) for folder in (trained, stopped))
    for part in ('state_dict', 'ema_state_dict'):
        for name, tensor in whole[part].items():
            torch.testing.assert_close(resumed[part][name], tensor, rtol=0, atol=0, msg=f'{part} {name}')


def test_boxes_are_no_submission(boxes: Path, data: Path, tool: Callable[..., None]) -> None:
    assert read_header(boxes).grid == 0 and read_header(boxes).source.boxes_only is True
    with pytest.raises(InputError, match=r'boxes\.npz: boxes without masks; let a model predict them'):
        tool('make_submission.py', boxes, '--out', data / 'submission.csv')


def test_tta_and_tiles_predict_boxes_too(boxes: Path, data: Path, trained: Path, tool: Callable[..., None]) -> None:
    out = data / 'tta_tiles.npz'
    tool(
        'test.py', CONFIG, trained / 'iter_2.pth', '--tta', '--tiles', *folders(data), '--out', out, '--cfg-options',
        *FEW, 'tiles.size=(90,120)', 'tiles.overlap=40', 'tta_orientations=[none,rot90]',
    )  # fmt: skip
    assert read_header(out).grid == 0
    for image in load_predictions(out, boxes_allowed=True).images:
        # Of four tiles with up to 30 boxes each.
        assert 30 < len(image) <= 120
        assert image.boxes.min() >= 0 and (image.boxes.max(axis=0) <= [176, 130, 176, 130]).all()
        assert image.boxes[:, 0].max() > 120 and image.boxes[:, 1].max() > 90


def test_boxes_are_refused_without_mask_heads(
    boxes: Path, data: Path, trained: Path, tool: Callable[..., None]
) -> None:
    with pytest.raises(UsageError, match=r'rtmdet_l\.py predicts boxes without masks; give --boxes to a Mask'):
        tool('test.py', CONFIG, trained / 'iter_2.pth', '--boxes', boxes, *folders(data), '--out', data / 'none.npz')


def test_fused_boxes_become_a_submission(
    boxes: Path, data: Path, mask_model: Path, tool: Callable[..., None], capsys: pytest.CaptureFixture
) -> None:
    """The model with masks adds its boxes to the fusion, and predicts the masks of all."""
    own, fused, prompted = data / 'own.npz', data / 'fused.npz', data / 'prompted.npz'
    tool('test.py', MASKS, '--small', mask_model, *folders(data), '--out', own, '--cfg-options', *FEW_MASKS)
    tool('ensemble.py', boxes, own, '--boxes-only', '--method', 'wbf', '--score', 0, '--out', fused)
    given = load_predictions(fused, boxes_allowed=True)
    assert given.source.dropped['without_mask'] == 0
    counts = [read_header(path).counts for path in (boxes, own)]
    for image, *numbers in zip(given.images, *counts, strict=True):
        # More than either alone, and no more than both together.
        assert max(numbers) < len(image) <= sum(numbers)
    tool(
        'test.py',
        MASKS,
        '--small',
        mask_model,
        '--boxes',
        fused,
        *folders(data),
        '--out',
        prompted,
        '--cfg-options',
        *FEW_MASKS,
    )
    for image, prompt in zip(load_predictions(prompted).images, given.images, strict=True):
        np.testing.assert_array_equal(image.boxes, prompt.boxes)
        assert image.soft_masks.shape == (len(prompt), 28, 28)
    lenient, submission = data / 'lenient.py', data / 'submission.csv'
    lenient.write_text("postprocess = [dict(type='ScoreThreshold', threshold=0.0), dict(type='RemoveOverlap')]")
    capsys.readouterr()
    tool('make_submission.py', prompted, '--postprocess', lenient, '--out', submission)
    rows = submission.read_text().splitlines()
    assert rows[0] == 'id,predicted' and len({row.split(',')[0] for row in rows[1:]}) == 2
