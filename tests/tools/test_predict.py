"""tools/predict.py with a real, untrained model: the same cells by every way, and by batches that were killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.paths import CONFIG_DIR

CLASSES = ('shsy5y', 'astro', 'cort')
CHAIN = [dict(type='ScoreThreshold', threshold=0.0), dict(type='MaskThreshold', threshold=0.5)]
SIZE = (64, 90)
WORKFLOW = 'batch_size: 3\nmodel: {model}\nformats: [masks, table, predictions]\n'


@pytest.fixture(scope='module')
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published model with random weights, which predicts a dozen cells in any image."""
    import torch
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from sartorius.engine.config import load_config
    from sartorius.models.file_config import make_test_config
    from sartorius.models.model_file import ModelFile, save_model_file

    config = load_config(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py', small=True)
    config.model.test_cfg.rpn.update(nms_pre=100, max_per_img=60)
    config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=12)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    detector = MODELS.build(config.model)
    torch.nn.init.normal_(detector.roi_head.mask_head.conv_logits.weight, std=5)
    path = tmp_path_factory.mktemp('model') / 'tiny.pth'
    model = ModelFile(
        path=path,
        name='tiny',
        sha256='',
        data=make_test_config(config),
        state_dict=detector.state_dict(),
        classes=CLASSES,
        palette=(),
        postprocess=CHAIN,
        pixel_size_um=1.0,
    )
    save_model_file(model, path, half=False, created_with={})
    return path


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images in two folders, one of 16 bits with finer pixels, and one file that is no image."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for number in range(6):
        coarse = rng.uniform(70, 190, (8, 12)).astype(np.float32)
        image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255)
        folder = root / ('A' if number < 3 else 'B')
        folder.mkdir(exist_ok=True)
        if number == 5:
            deep, resolution = np.rint(image * 20).astype(np.uint16), (2, 2)
            tifffile.imwrite(folder / 'img5.tif', deep, imagej=True, resolution=resolution, metadata={'unit': 'um'})
        else:
            cv2.imwrite(str(folder / f'img{number}.png'), np.rint(image).astype(np.uint8))
    (root / 'bad.png').write_bytes(b'no image')
    return root


@pytest.fixture(scope='module')
def one_go(images: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory, run: Callable[..., str]) -> Path:
    """The images predicted by one process."""
    out = tmp_path_factory.mktemp('one_go') / 'out'
    words = ('tools/predict.py', str(images), '-r', '--out', str(out), '--model', str(model_file), '--device', 'cpu')
    said = run(*words, '--format', 'masks', 'table', 'predictions', code=1)
    assert '6 images with' in said and '1 FAILED' in said and 'bad.png is truncated, damaged' in said
    return out


def outputs_of(out: Path) -> dict[str, bytes]:
    """Every file for users."""
    suffixes = ('_masks.tif', '.csv', '.webp', '.html', 'run.json')
    files = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob('*')) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name.endswith(suffixes) and name[0] != '.'}


def assert_same(pred: ImagePredictions, expected: ImagePredictions) -> None:
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        assert getattr(pred, name).tobytes() == getattr(expected, name).tobytes(), name


@pytest.mark.slow
def test_python_gives_the_cells_of_the_tool_and_of_a_data_set(images: Path, model_file: Path, one_go: Path) -> None:
    from sartorius import load_model
    from sartorius.inference import Predictor
    from sartorius.models.model_file import load_model_file

    kept = load_predictions(one_go / 'predictions.npz').by_id()
    predictor = Predictor.from_model(load_model_file(model_file), device='cpu')
    assert_same(kept['A/img0'], predictor.predict_file(images / 'A' / 'img0.png'))

    model = load_model(model_file, device='cpu')
    assert (model.name, model.classes, model.pixel_size_um) == ('tiny', CLASSES, 1.0)
    for image in ('A/img0.png', 'B/img5.tif'):
        cells = model.predict(images / image)
        expected = tifffile.imread((one_go / image).with_name(f'{Path(image).stem}_masks.tif'))
        assert cells.labels.dtype == np.uint16 and (cells.labels == expected).all() and len(cells) == expected.max()
    with (one_go / 'B' / 'img5_cells.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert cells.table()['area_px'].tolist() == [int(row['area_px']) for row in rows]
    assert float(rows[0]['area_um2']) == float(rows[0]['area_px']) / 4

    # Arrays: the same pixels, grey or as red, green and blue; and frames of a movie.
    pixels = cv2.imread(str(images / 'A' / 'img0.png'), cv2.IMREAD_UNCHANGED)
    grey = model.predict(pixels)
    assert (grey.labels == model.predict(np.stack([pixels] * 3, axis=-1)).labels).all()
    movie = model.predict(np.stack([pixels, pixels[::-1]]), axes='TYX', pixel_size_um=1.0)
    assert movie.labels.shape == (2, *SIZE) and (movie.labels[0] == grey.labels).all()
    assert repr(movie).endswith('cells in 2 frames of 90x64 px)') and 'limit of 12 cells' in movie.notes[0]


@pytest.mark.slow
def test_processes_share_the_images(
    images: Path, model_file: Path, one_go: Path, tmp_path: Path, repo_root: Path
) -> None:
    words = [str(images), '-r', '--out', str(tmp_path), '--model', str(model_file), '--device', 'cpu', '--jobs', '2']
    done = subprocess.run(
        [sys.executable, 'tools/predict.py', *words, '--format', 'masks', 'table', 'predictions'],
        cwd=repo_root,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and '1 FAILED' in done.stdout, done.stderr
    assert outputs_of(tmp_path) == outputs_of(one_go)
    ours, theirs = (load_predictions(out / 'predictions.npz').by_id() for out in (tmp_path, one_go))
    assert list(ours) == list(theirs)
    for name in ours:
        assert_same(ours[name], theirs[name])


@pytest.mark.slow
def test_a_workflow_that_was_killed_ends_as_in_one_go(
    images: Path, model_file: Path, one_go: Path, tmp_path: Path, repo_root: Path
) -> None:
    workflow, out = tmp_path / 'mine.yaml', tmp_path / 'out'
    workflow.write_text(WORKFLOW.format(model=model_file))
    command = [sys.executable, 'tools/workflow.py', str(workflow), '--data-root', str(images), '--out', str(out)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    first = subprocess.Popen(command, cwd=repo_root, env=environment, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 300
    while not list((out / '.predict').glob('images/**/*.json')) and time.monotonic() < until:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = subprocess.run(command, cwd=repo_root, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert '6 images are predicted, 1 failed' in done.stdout and '[4/4] merging the batches' in done.stdout
    assert outputs_of(out) == {**outputs_of(one_go), 'run.json': (out / 'run.json').read_bytes()}
    again = subprocess.run([*command, '--dry-run'], cwd=repo_root, env=environment, capture_output=True, text=True)
    assert '4 stages, 4 of them done' in again.stdout
