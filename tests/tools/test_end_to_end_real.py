"""The workflow on the competition's own images: a few iterations of training, the held-out fold is scored."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.predictions.store import load_predictions

CONFIG = 'configs/sartorius/mrcnn_r18.py'


@pytest.mark.slow
def test_held_out_fold_is_scored(real_data: Path, run: Callable[..., str], tmp_path: Path) -> None:
    annotations = tmp_path / 'annotations'
    folders = ['--data-root', str(real_data), '--annotations', str(annotations)]
    run('tools/prepare_sartorius.py', '--data-root', str(real_data), '--out', str(annotations))
    run(
        'tools/train.py', CONFIG, '--from-scratch', '--no-validation', *folders, '--fold', '1',
        '--work-dir', str(tmp_path), '--iterations', '3', '--cfg-options', 'default_hooks.logger.interval=1',
    )  # fmt: skip
    log = next(tmp_path.glob('*/vis_data/scalars.json')).read_text()
    losses = [line for line in map(json.loads, log.splitlines()) if 'loss' in line]
    assert [line['step'] for line in losses] == [1, 2, 3]
    assert all(0 < line['loss'] < 100 and line['loss_mask'] > 0 for line in losses)

    # At the images' own size: a model of three iterations finds nothing that a larger one would show.
    small = ['--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(704,520)', 'model.test_cfg.rcnn.score_thr=0.0']
    small += ['model.test_cfg.rcnn.max_per_img=100']
    predictions = tmp_path / 'predictions_val.npz'
    run('tools/test.py', CONFIG, str(tmp_path / 'iter_3.pth'), '--split', 'val', '--fold', '1', *folders, *small)
    held_out = load_annotations(annotations / 'fold1_val.json')
    assert set(load_predictions(predictions).image_ids) == set(held_out)

    # A model of so few iterations is sure of nothing: with the usual thresholds no cell would reach the submission.
    lenient = tmp_path / 'lenient.py'
    lenient.write_text("postprocess = [dict(type='ScoreThreshold', threshold=0.0), dict(type='RemoveOverlap')]")
    fused, submission = str(tmp_path / 'fused.npz'), str(tmp_path / 'submission.csv')
    run('tools/ensemble.py', str(predictions), '--score', '0', '--out', fused)
    run('tools/make_submission.py', fused, '--postprocess', str(lenient), '--out', submission)
    run('tools/check_submission.py', submission)
    said = run('tools/score_submission.py', submission, str(real_data / 'train.csv'))
    # Columns: class, images, gt, pred, mAP.
    images, gt_cells, cells, score = re.search(r'^all +(\d+) +(\d+) +(\d+) +([\d.]+)', said, re.MULTILINE).groups()
    assert (int(images), int(gt_cells)) == (len(held_out), sum(map(len, held_out.values())))
    assert int(cells) > 0
    assert 0 <= float(score) < 0.2
