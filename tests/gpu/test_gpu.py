"""What runs on a GPU gives what runs on the CPU: operators, mask targets, losses, predictions; NCCL of one process."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.ops import nms
from mmdet.registry import MODELS
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.engine.run_config import DataOptions, RecipeOptions, TrainOptions, build_train_config
from sartorius.inference import InferenceOptions, Predictor
from sartorius.models.checkpoints import read_checkpoint, weights_of
from sartorius.models.cpu_ops import roi_align, tune_for_cpu
from sartorius.models.model_file import find_model, load_model_file
from sartorius.postprocess.chain import build_chain
from sartorius.synthetic import make_image

DEVICE = 'cuda'
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')]


@pytest.fixture(autouse=True)
def float32_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs round the factors of convolutions to ten bits otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., str]) -> DataOptions:
    """A few small images in two folds."""
    folder = tmp_path_factory.mktemp('gpu')
    made = ('--images', '12', '--test-images', '2', '--size', '176x130')
    run('tools/data/make_synthetic.py', '--out', str(folder / 'data'), *made)
    out = ('--out', str(folder / 'annotations'), '--folds', '2')
    run('tools/prepare_sartorius.py', '--data-root', str(folder / 'data'), *out)
    return DataOptions(folder / 'data', folder / 'annotations', 0)


def boxes_of(count: int) -> torch.Tensor:
    """Boxes of 5 to 40 pixels in an image of 160x128, some of them across its borders."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(-10, (150, 118), (count, 2))
    return torch.tensor(np.concatenate([corners, corners + rng.uniform(5, 40, (count, 2))], 1), dtype=torch.float32)


@pytest.mark.parametrize('last', [False, True], ids=['channels first', 'channels last'])
def test_roi_align_and_its_gradients(last: bool) -> None:
    rois = torch.cat([torch.arange(50.0)[:, None] % 2, boxes_of(50)], dim=1)
    features = torch.randn(2, 8, 32, 40, generator=torch.Generator().manual_seed(0))
    features = features.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    results = []
    for device in ('cpu', DEVICE):
        leaf = features.to(device, copy=True).requires_grad_()
        bins = roi_align(leaf, rois.to(device), (7, 7), 0.25, 0, 'avg', True)
        (bins * torch.arange(7.0, device=device)).sum().backward()
        results.append((bins.detach().cpu(), leaf.grad.cpu()))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_nms_keeps_the_same_boxes() -> None:
    boxes, scores = boxes_of(300), torch.rand(300, generator=torch.Generator().manual_seed(0))
    kept = nms(boxes.to(DEVICE), scores.to(DEVICE), 0.3)[1]
    assert kept.device.type == DEVICE
    assert torch.equal(kept.cpu(), nms(boxes, scores, 0.3)[1])


def test_mask_targets() -> None:
    bitmaps = np.zeros((4, 128, 160), dtype=bool)
    for number, bitmap in enumerate(bitmaps):
        bitmap[20 * number : 20 * number + 35, 30 * number : 30 * number + 50 - 5 * number] = True
    masks, boxes, cells = CroppedMasks.from_bitmaps(bitmaps), boxes_of(60), torch.arange(60) % 4
    targets = [
        masks.crop_and_resize(boxes.to(device), (28, 28), cells.to(device), device, binarize=False).masks
        for device in ('cpu', DEVICE)
    ]
    assert targets[0].max() == 1
    assert np.abs(targets[0] - targets[1]).max() < 1e-3


def test_a_model_on_a_gpu_keeps_its_layout() -> None:
    layer = tune_for_cpu(torch.nn.Conv2d(3, 8, 3).to(DEVICE))
    assert layer.weight.is_contiguous()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mrcnn_r50', 'cmrcnn_r50', 'htc_r50', 'rtmdet_l'])
def test_losses_of_a_step(name: str, data: DataOptions) -> None:
    recipe = RecipeOptions(Path(name), small=True)
    losses = {}
    for precision in ('cpu', 'float32', 'amp'):
        config = build_train_config(recipe, data, TrainOptions(from_scratch=True, amp=precision == 'amp'))
        config.train_dataloader.update(num_workers=0, persistent_workers=False)
        batch = next(iter(Runner.build_dataloader(config.train_dataloader, seed=0)))
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
        model = model.to('cpu' if precision == 'cpu' else DEVICE).train()
        optimizer = build_optim_wrapper(model, config.optim_wrapper)
        torch.manual_seed(0)
        log = [model.train_step(copy.deepcopy(batch), optimizer) for _ in range(2)]
        losses[precision] = [float(step['loss']) for step in log]
    # The samplers draw other boxes on a GPU, whose random numbers are others.
    assert losses['float32'][0] == pytest.approx(losses['cpu'][0], rel=0.1)
    assert losses['amp'][0] == pytest.approx(losses['float32'][0], rel=0.02)
    assert all(np.isfinite(values).all() for values in losses.values())


@pytest.mark.slow
@pytest.mark.parametrize('tta', [False, True], ids=['one pass', 'TTA'])
def test_predictions(tta: bool) -> None:
    image, model = make_image('cort', (260, 352), np.random.default_rng(0)).image, load_model_file(find_model('cells'))
    chain = build_chain(model.postprocess).for_classes(model.classes)
    found = []
    for device in ('cpu', DEVICE):
        cells = chain(Predictor.from_model(model, InferenceOptions(tta=tta), device).predict_array(image))
        assert len(cells) > 5
        found.append(np.any([crop.to_full(cells.size) for crop in cells.crops], axis=0))
    assert (found[0] & found[1]).sum() > 0.98 * (found[0] | found[1]).sum()


@pytest.mark.slow
@pytest.mark.parametrize('launcher', [('tools/train.py',), ('tools/dist_train.sh',)], ids=['alone', 'NCCL'])
def test_training_in_mixed_precision(
    launcher: tuple[str], data: DataOptions, run: Callable[..., str], tmp_path: Path
) -> None:
    processes = ('1',) if launcher[0].endswith('.sh') else ()
    folders = ('--data-root', str(data.data_root), '--annotations', str(data.annotations), '--work-dir', str(tmp_path))
    run(*launcher, 'mrcnn_r50', *processes, *folders, '--fold', '0', '--small', '--from-scratch', '--amp',
        '--iterations', '3')  # fmt: skip
    record = json.loads((tmp_path / 'run.json').read_text(encoding='utf-8'))
    assert (record['precision'], record['device'], record['processes']) == ('amp', torch.cuda.get_device_name(), 1)
    weights = weights_of(read_checkpoint(tmp_path / 'iter_3.pth'))
    assert all(weight.isfinite().all() for weight in weights.values())
