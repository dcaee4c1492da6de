"""The whole workflow as a user types it, images to a scored submission, through the real command lines, on a CPU."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sartorius.predictions.provenance import read_run
from sartorius.predictions.store import load_predictions, read_header
from sartorius.predictions.timing import read_seconds_per_image
from sartorius.utils.files import sha256_of
from sartorius.utils.version import git_commit

pytestmark = pytest.mark.slow

CONFIG = 'configs/sartorius/mrcnn_r50.py'
SIZE = '176x130'
# Six iterations on small crops: enough to run every stage, not to learn.
SHORT = (
    '--iterations',
    '6',
    '--cfg-options',
    'default_hooks.checkpoint.interval=3',
    'default_hooks.logger.interval=1',
    'train_dataloader.batch_size=2',
)


def losses(work_dir: Path) -> list[dict]:
    """Training lines of the newest log of a run."""
    log = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
    return [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]


@pytest.fixture(scope='module')
def data(tmp_path_factory, run: Callable[..., str]) -> Path:
    """A small synthetic data set and its prepared annotations."""
    folder = tmp_path_factory.mktemp('workflow')
    run(
        'tools/data/make_synthetic.py', '--out', str(folder / 'data'), '--images', '10', '--test-images', '2',
        '--unlabelled-images', '1', '--size', SIZE, '--seed', '1',
    )  # fmt: skip
    run(
        'tools/prepare_sartorius.py', '--data-root', str(folder / 'data'), '--out', str(folder / 'annotations'),
        '--folds', '2',
    )  # fmt: skip
    return folder


def data_options(data: Path) -> list[str]:
    return ['--data-root', str(data / 'data'), '--annotations', str(data / 'annotations')]


@pytest.fixture(scope='module')
def trained(data: Path, run: Callable[..., str]) -> Path:
    """Work dir of an undisturbed run."""
    work_dir = data / 'undisturbed'
    run(
        'tools/train.py', CONFIG, '--small', '--from-scratch', *data_options(data), '--work-dir', str(work_dir),
        *SHORT,
    )  # fmt: skip
    return work_dir


@pytest.fixture(scope='module')
def predicted(data: Path, trained: Path, run: Callable[..., str]) -> dict[str, Path]:
    """Predictions of the test images, plain and with test-time augmentation."""
    files = {}
    for name, options in {'plain': [], 'tta': ['--tta']}.items():
        files[name] = data / name / 'predictions.npz'
        run(
            'tools/test.py', CONFIG, str(trained / 'iter_6.pth'), *options, *data_options(data),
            '--out', str(files[name]), '--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0',
            'model.test_cfg.rcnn.max_per_img=40',
        )  # fmt: skip
    return files


def test_training_logs_finite_losses_and_keeps_the_best(trained: Path) -> None:
    lines = losses(trained)
    assert [line['step'] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(0 < line['loss'] < 100 and line['loss_mask'] > 0 for line in lines)
    assert len(list(trained.glob('best_competition_mAP_iter_*.pth'))) == 1


def test_training_records_what_it_did(data: Path, trained: Path) -> None:
    record = read_run(trained)
    assert (record.recipe, record.config, record.fold) == ('mrcnn_r50_small', CONFIG, 0)
    assert (record.iterations, record.iterations_done, record.finished) == (6, 6, True)
    assert record.minutes > 0 and record.validation_minutes > 0
    assert (record.git_commit is None) == (git_commit() is None)
    train = data / 'annotations' / 'fold0_train.json'
    content = json.loads(train.read_text())
    filled = {cell['image_id'] for cell in content['annotations']}
    assert record.data.train.to_dict() == {
        'file': str(train), 'sha256': sha256_of(train), 'images': len(filled), 'cells': len(content['annotations']),
        'origin': 'synthetic images', 'split': 'train', 'fold': 0,
    }  # fmt: skip
    assert record.commands[0].startswith(f'python tools/train.py {CONFIG} --small --from-scratch')


def test_checkpoint_holds_plain_types_only(trained: Path) -> None:
    """What is not plain makes torch's safe loader refuse the file and MMEngine warn for a page."""
    from sartorius.models.checkpoints import read_checkpoint

    assert 'optimizer' in read_checkpoint(trained / 'iter_6.pth')


def test_resumed_run_ends_as_the_undisturbed_one(data: Path, trained: Path, run: Callable[..., str]) -> None:
    stopped = data / 'stopped'
    stopped.mkdir()
    shutil.copy(trained / 'iter_3.pth', stopped)
    shutil.copy(trained / 'run.json', stopped)
    (stopped / 'last_checkpoint').write_text(str(stopped / 'iter_3.pth'))
    run(
        'tools/train.py', CONFIG, '--small', '--from-scratch', '--resume', *data_options(data),
        '--work-dir', str(stopped),
        *SHORT,
    )  # fmt: skip
    weights = [torch.load(folder / 'iter_6.pth', weights_only=False)['state_dict'] for folder in (trained, stopped)]
    assert [line['step'] for line in losses(stopped)] == [4, 5, 6]
    assert [line['loss'] for line in losses(stopped)] == [line['loss'] for line in losses(trained)[3:]]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=0, atol=0, msg=name)
    one, two = read_run(trained), read_run(stopped)
    assert len(two.commands) == 2 and two.commands[0] == one.commands[0]
    assert two.config_sha256 == one.config_sha256 and two.finished
    assert two.minutes > one.times['3'][0] > 0
    assert set(one.times) == set(two.times) == {'3', '6'}


def test_weights_of_other_classes_are_taken_where_they_fit(data: Path, trained: Path, run: Callable[..., str]) -> None:
    """COCO's heads have 80 classes; backbone and neck are what a fine-tuning needs of them."""
    state = torch.load(trained / 'iter_6.pth', weights_only=False)['state_dict']
    foreign = {name: torch.full_like(tensor, 0.01) for name, tensor in state.items()}
    foreign['roi_head.bbox_head.fc_cls.weight'] = torch.zeros(81, 256)
    foreign['roi_head.bbox_head.fc_cls.bias'] = torch.zeros(81)
    torch.save({'state_dict': foreign}, data / 'foreign.pth')
    work_dir = data / 'foreign'
    said = run(
        'tools/train.py', CONFIG, '--small', '--load-from', str(data / 'foreign.pth'), *data_options(data),
        '--work-dir', str(work_dir), '--tensorboard', '--iterations', '1', *SHORT[2:],
    )  # fmt: skip
    tuned = torch.load(work_dir / 'iter_1.pth', weights_only=False)['state_dict']
    assert 'size mismatch for roi_head.bbox_head.fc_cls.weight' in said
    assert list(work_dir.rglob('events.out.tfevents.*')), '--tensorboard wrote nothing'
    # One step at the start of the warm-up moves a weight by far less than this.
    assert (tuned['backbone.layer1.0.conv1.weight'] - 0.01).abs().max() < 0.002
    assert tuned['roi_head.bbox_head.fc_cls.weight'].shape == (4, 256)


def test_an_earlier_run_is_not_overwritten(data: Path, trained: Path, run: Callable[..., str]) -> None:
    before = (trained / 'iter_6.pth').stat().st_mtime_ns
    said = run(
        'tools/train.py', CONFIG, '--small', '--from-scratch', *data_options(data), '--work-dir', str(trained), code=2,
    )  # fmt: skip
    assert 'holds a run already; go on with it by --resume' in said
    assert (trained / 'iter_6.pth').stat().st_mtime_ns == before


def test_two_processes_train_and_predict_as_one(
    data: Path, trained: Path, predicted: dict, run: Callable[..., str]
) -> None:
    work_dir = data / 'two'
    run(
        'tools/dist_train.sh', CONFIG, '2', '--small', '--from-scratch', *data_options(data),
        '--work-dir', str(work_dir),
        '--iterations', '2', *SHORT[2:],
    )  # fmt: skip
    assert all(0 < line['loss'] < 100 for line in losses(work_dir))
    out = data / 'two' / 'predictions.npz'
    run(
        'tools/dist_test.sh', CONFIG, str(trained / 'iter_6.pth'), '2', *data_options(data), '--out', str(out),
        '--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=40',
    )  # fmt: skip
    assert (read_header(predicted['plain']).source.processes, read_header(out).source.processes) == (1, 2)
    one, two = load_predictions(predicted['plain']).by_id(), load_predictions(out).by_id()
    assert one.keys() == two.keys()
    for image_id, image in one.items():
        assert len(image) == len(two[image_id]) > 0
        assert abs(image.boxes - two[image_id].boxes).max() < 0.01


def test_predictions_say_where_they_came_from(predicted: dict[str, Path]) -> None:
    header = read_header(predicted['tta'])
    assert header.source.config == CONFIG
    assert header.source.tta is True
    assert len(header.source.checkpoint_sha256) == 64
    assert (header.source.git_commit is None) == (git_commit() is None)
    assert len(header.image_ids) == 2
    assert (header.source.run.recipe, header.source.run.iterations_done) == ('mrcnn_r50_small', 6)
    assert read_seconds_per_image(predicted['tta']) > 0


def test_from_predictions_to_score(data: Path, predicted: dict[str, Path], run: Callable[..., str]) -> None:
    # A model of so few iterations is sure of nothing: with the usual thresholds no cell would reach the submission.
    lenient = data / 'lenient.py'
    lenient.write_text("postprocess = [dict(type='ScoreThreshold', threshold=0.0), dict(type='RemoveOverlap')]")
    fused, submission = data / 'fused.npz', data / 'submission.csv'
    for method in ('nms', 'wbf'):
        run(
            'tools/ensemble.py', *map(str, predicted.values()), '--method', method, '--score', '0',
            '--out', str(fused),
        )  # fmt: skip
        assert min(read_header(fused).counts) > 0
    run('tools/make_submission.py', str(fused), '--postprocess', str(lenient), '--out', str(submission))
    sample = str(data / 'data' / 'sample_submission.csv')
    said = run('tools/check_submission.py', str(submission), '--sample', sample, '--size', SIZE)
    cells = sum(bool(row.split(',')[1]) for row in submission.read_text().splitlines()[1:])
    assert f'OK: 2 images, {cells} cells' in said and cells > 0
    said = run('tools/score_submission.py', str(submission), str(data / 'data' / 'test_gt.csv'))
    # Columns: class, images, gt, pred, mAP.
    assert re.search(rf'^all +2 +[1-9]\d* +{cells} +0\.\d+', said, re.MULTILINE)


def test_truncated_image_ends_in_one_sentence(
    data: Path, trained: Path, run: Callable[..., str], tmp_path: Path
) -> None:
    shutil.copytree(data / 'data', tmp_path / 'data')
    image = next((tmp_path / 'data' / 'test').iterdir())
    image.write_bytes(image.read_bytes()[:300])
    out = tmp_path / 'predictions.npz'
    said = run(
        'tools/test.py', CONFIG, str(trained / 'iter_6.pth'), '--data-root', str(tmp_path / 'data'),
        '--annotations', str(data / 'annotations'), '--out', str(out), code=1,
    )  # fmt: skip
    last = said.strip().splitlines()[-1]
    assert last.startswith('error: ') and image.name in last
    assert not out.exists()


def test_htc_trains_and_predicts_at_several_scales(data: Path, run: Callable[..., str]) -> None:
    work_dir, out, config = data / 'htc', data / 'htc' / 'predictions.npz', 'configs/sartorius/htc_r50.py'
    said = run(
        'tools/train.py', config, '--small', '--from-scratch', *data_options(data), '--work-dir', str(work_dir),
        '--iterations', '2', *SHORT[2:], 'model.test_cfg.rcnn.max_per_img=40',
    )  # fmt: skip
    assert [line['step'] for line in losses(work_dir)] == [1, 2]
    for line in losses(work_dir):
        assert 0 < line['loss'] < 100
        assert all(line[f's{stage}.loss_mask'] > 0 for stage in range(3))
    # So early every candidate is worth a say, in validation as in prediction.
    limit = 'images reach the limit of 40 cells'
    assert limit in said
    said = run(
        'tools/test.py', config, str(work_dir / 'iter_2.pth'), '--tta', *data_options(data), '--out', str(out),
        '--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=40',
        'tta_orientations=[none,rot90]', 'tta_scales=[(352,260),(528,390)]',
    )  # fmt: skip
    assert f'2 of 2 {limit}' in said
    images = load_predictions(out).images
    assert len(images) == 2
    for image in images:
        assert 0 < len(image) <= 40
        height, width = image.size
        assert (image.boxes >= 0).all() and (image.boxes <= [width, height, width, height]).all()
        assert image.soft_masks.shape[1:] == (28, 28)
