"""A large recipe at its full size: one training step and one prediction, on a real image, on a CPU."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sartorius.predictions.store import load_predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def annotations(real_data: Path, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real image of average density to learn from, and one to predict."""
    folder = tmp_path_factory.mktemp('one_image')
    prepare = runpy.run_path(str(repo_root / 'tools' / 'prepare_sartorius.py'))['main']
    prepare(['--data-root', str(real_data), '--out', str(folder)])
    for name in ('fold0_train.json', 'fold0_val.json'):
        content = json.loads((folder / name).read_text())
        cells = {image['id']: 0 for image in content['images']}
        for cell in content['annotations']:
            cells[cell['image_id']] += 1
        chosen = min(content['images'], key=lambda image: abs(cells[image['id']] - 120))
        content['annotations'] = [cell for cell in content['annotations'] if cell['image_id'] == chosen['id']]
        content['images'] = [chosen]
        (folder / name).write_text(json.dumps(content))
    return folder


def test_a_step_and_a_prediction(real_data: Path, annotations: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    config = 'configs/sartorius/mrcnn_r50.py'
    data = ['--data-root', str(real_data), '--annotations', str(annotations)]
    run(
        'tools/train.py', config, '--from-scratch', '--no-validation', '--iterations', '1', *data,
        '--work-dir', str(tmp_path), '--cfg-options', 'train_dataloader.batch_size=1', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1',
    )  # fmt: skip
    (log,) = tmp_path.glob('*/vis_data/scalars.json')
    (losses,) = [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]
    assert np.isfinite(losses['loss']) and np.isfinite(losses['grad_norm'])
    checkpoint = torch.load(tmp_path / 'iter_1.pth', map_location='cpu', weights_only=False)
    assert all(weight.isfinite().all() for weight in checkpoint['state_dict'].values())
    out = tmp_path / 'predictions.npz'
    run(
        'tools/test.py', config, str(tmp_path / 'iter_1.pth'), '--split', 'val', *data, '--out', str(out),
        '--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=50',
    )  # fmt: skip
    (image,) = load_predictions(out).images
    assert image.size == (520, 704)
    assert len(image) and image.soft_masks.shape[1:] == (28, 28)
