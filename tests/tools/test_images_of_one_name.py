"""Two images of one name in two folders, and a foreign COCO JSON that names them so, from its labels to the pages."""

import base64
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.predictions.provenance import ModelSource, RunRecord
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.submission.csv_format import read_submission
from sartorius.utils.classes import CELL_TYPES

SIZE = (60, 100)
CORNERS = {'A1/img': (5, 5), 'A2/img': (40, 20)}
"""Corner of the one cell of each image, a square of 20 pixels: those of the other image are all wrong."""

Run = Callable[..., str]


@pytest.fixture
def run(repo_root: Path, in_process: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a tool that must succeed, and gives what it prints."""
    monkeypatch.chdir(tmp_path)

    def one(tool: str, *arguments: str) -> str:
        code, out, err = in_process(runpy.run_path(str(repo_root / 'tools' / f'{tool}.py'))['main'])(*arguments)
        assert code == 0, err
        return out + err

    return one


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """``A1/img.tif`` (bright on the right), ``A2/img.tif`` (on the left) and ``instances.json`` as CVAT writes it."""
    images, annotations = [], []
    for number, (image_id, (x, y)) in enumerate(CORNERS.items(), 1):
        path = tmp_path / 'plate' / f'{image_id}.tif'
        path.parent.mkdir(parents=True)
        ramp = np.tile(np.arange(100, dtype=np.uint8), (60, 1))
        cv2.imwrite(str(path), ramp if number == 1 else ramp[:, ::-1])
        images.append(
            {'id': number, 'width': 100, 'height': 60, 'file_name': f'{image_id}.tif', 'license': 0, 'flickr_url': ''}
        )
        square = [x, y, x + 20, y, x + 20, y + 20, x, y + 20]
        annotations.append(
            {
                'id': number,
                'image_id': number,
                'category_id': 3,
                'segmentation': [square],
                'area': 400.0,
                'bbox': [x, y, 20, 20],
                'iscrowd': 0,
                'attributes': {'occluded': False},
            }
        )
    categories = [{'id': number, 'name': name, 'supercategory': ''} for number, name in enumerate(CELL_TYPES, 1)]
    content = {
        'licenses': [{'name': '', 'id': 0, 'url': ''}],
        'info': {'contributor': '', 'date_created': '', 'year': ''},
        'categories': categories,
        'images': images,
        'annotations': annotations,
    }
    (tmp_path / 'plate' / 'instances.json').write_text(json.dumps(content))
    return tmp_path / 'plate'


def predict(path: Path, names: dict[str, str], score: float) -> str:
    """A predictions file of a model that finds every cell; ``names`` are its ids of the images by ours."""
    images = tuple(
        ImagePredictions(
            image_id=names[image_id],
            size=SIZE,
            boxes=np.array([[x, y, x + 20, y + 20]], np.float32),
            scores=np.array([score], np.float32),
            labels=np.array([CELL_TYPES.index('cort')]),
            soft_masks=np.ones((1, 28, 28), np.float32),
        )
        for image_id, (x, y) in CORNERS.items()
    )
    source = ModelSource(split='val', annotations='fold0_val.json', fold=0, run=RunRecord(fold=0))
    save_predictions(path, PredictionSet(images, source=source))
    return str(path)


def score_of(printed: str) -> str:
    return next(line.split()[4] for line in printed.splitlines() if line.startswith('all '))


@pytest.mark.slow
def test_from_labels_to_pages(plate: Path, run: Run, tmp_path: Path) -> None:
    gt = str(plate / 'instances.json')
    assert list(load_annotations(gt)) == list(CORNERS)
    files = [predict(tmp_path / f'{score}.npz', {one: one for one in CORNERS}, score) for score in (0.9, 0.95)]
    run('ensemble', *files, '--out', 'fused.npz')
    assert load_predictions('fused.npz').image_ids == tuple(CORNERS)
    assert '2 of 2 predicted images' in run('tune', 'fused.npz', '--annotations', gt, '--folds', '2', '--out', 'tuned')
    run('make_submission', 'fused.npz', '--out', 'submission.csv')
    rows = read_submission('submission.csv')
    assert [row.image_id for row in rows] == list(CORNERS)
    assert 'OK' in run('check_submission', 'submission.csv', '--sample', 'submission.csv', '--size', '100x60')
    assert score_of(run('score_submission', 'submission.csv', gt)) == '1.0000'
    run('analysis/report', 'fused.npz', '--images', str(plate), '--annotations', gt, '--out', 'report')
    page = Path('report/index.html').read_text()
    assert all(page.count(f'<h3>{image_id}</h3>') == 1 for image_id in CORNERS)
    # The picture of each, not twice the same one.
    pictures = re.findall(r'href="data:image/webp;base64,([^"]+)"', page)
    shown = [cv2.imdecode(np.frombuffer(base64.b64decode(one), np.uint8), 0) for one in pictures]
    assert sorted(bool(one[:, 0].mean() > one[:, -1].mean()) for one in shown) == [False, True]
    printed = run(
        'analysis/missing_cells', 'fused.npz', '--annotations', gt, '--images', str(plate), '--out', 'missing'
    )
    assert re.search(r'^cort +2 +2 +0 +2 +0 ', printed, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('prefix', 'said'),
    [('plate/', ['2 of 2 images are known by the end of their path: plate/A1/img is A1/img']), ('', [])],
)
def test_predictions_whose_root_is_another_folder(
    plate: Path, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, prefix: str, said: list[str]
) -> None:
    gt = str(plate / 'instances.json')
    path = predict(tmp_path / 'model.npz', {one: prefix + one for one in CORNERS}, 0.9)
    run('make_submission', path, '--out', 'submission.csv')
    printed = run('score_submission', 'submission.csv', gt)
    assert score_of(printed) == '1.0000'
    assert caplog.messages == [f'submission.csv: {sentence}' for sentence in said]
    caplog.clear()
    run('analysis/report', path, '--images', str(plate), '--annotations', gt, '--out', 'report')
    assert caplog.messages == said
