"""The tools after prediction with the class names of any data: no name is written down but in files."""

import csv
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.annotations.coco import cells_from_crops, write_coco
from sartorius.annotations.structures import CocoImage
from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_kaggle
from sartorius.postprocess.tuning.grid import SearchGrid
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES, LIVECELL_LINES
from sartorius.visualization import plots

SIZE = (48, 120)
SIDE = 14
IMAGES = 4
HUNDRED = tuple(f'type {number}' for number in range(100))
CLASSES = {
    'competition': CELL_TYPES,
    'livecell': LIVECELL_LINES,
    'single': ('cell',),
    'hundred': HUNDRED,
}


def labels_of(kind: str, image: int, count: int) -> np.ndarray:
    """One class an image in the competition's data; all others mix two, and that of the image's number is in front."""
    classes = len(CLASSES[kind])
    first = image % classes
    rest = first if kind == 'competition' else (first + 37) % classes
    return np.array([first] * (count - 2) + [rest] * 2, dtype=np.int64)


@pytest.fixture(params=CLASSES)
def kind(request, tmp_path, monkeypatch) -> str:
    """Name of a set of classes, and in the current folder its images/, gt.json, gt.csv, a.npz and b.npz.

    Squares of 14 px: five with labels, which a.npz scores .6 (b.npz .5), and two without, which it scores .2.
    """
    monkeypatch.chdir(tmp_path)
    classes = CLASSES[request.param]
    Path('images').mkdir()
    crops = tuple(MaskCrop(np.ones((SIDE, SIDE), dtype=bool), 2 + 16 * place, 10) for place in range(7))
    boxes = np.array([crop.window for crop in crops], dtype=np.float32)
    images, rows, predictions = [], [], {0.6: [], 0.5: []}
    for number in range(IMAGES):
        name, labels = f'image{number}', labels_of(request.param, number, 5)
        cv2.imwrite(f'images/{name}.png', np.full(SIZE, 90, dtype=np.uint8))
        images.append(CocoImage(f'{name}.png', SIZE, cells_from_crops(crops[:5], labels, SIZE)))
        codes = encode_kaggle(PackedMasks.from_crops(crops[:5]), SIZE)
        rows += [[name, code, SIZE[1], SIZE[0], classes[label]] for code, label in zip(codes, labels, strict=True)]
        for score, own in predictions.items():
            scores = np.array([score] * 5 + [0.2] * 2, dtype=np.float32)
            masks = np.ones((7, 4, 4), dtype=np.float32)
            own.append(ImagePredictions(name, SIZE, boxes, scores, np.append(labels, labels[:2]), masks))
    write_coco('gt.json', images, classes, {})
    with open('gt.csv', 'w', newline='') as file:
        csv.writer(file).writerows([['id', 'annotation', 'width', 'height', 'cell_type'], *rows])
    for path, own in zip(('a.npz', 'b.npz'), predictions.values(), strict=True):
        save_predictions(path, PredictionSet(tuple(own), classes))
    return request.param


@pytest.fixture
def tool(repo_root, in_process) -> Callable[..., str]:
    """Runs a tool by its path and arguments, and returns output and errors together."""

    def run(path: str, *arguments: str) -> str:
        code, output, errors = in_process(runpy.run_path(str(repo_root / 'tools' / path))['main'])(*arguments)
        assert code == 0, errors
        return output + errors

    return run


def test_from_predictions_to_a_score(kind, tool, monkeypatch, caplog):
    classes = CLASSES[kind]
    gt = ('--annotations', 'gt.json')
    tool('ensemble.py', 'a.npz', 'b.npz', '--out', 'fused.npz')
    fused = load_predictions('fused.npz')
    assert fused.classes == classes
    assert sorted(fused.by_id()['image1'].by_score().labels[:5]) == sorted(labels_of(kind, 1, 5))

    # Few settings and no pictures, to save time.
    few = {'score': (0.1, 0.3, 0.4), 'area': (0.0, 100.0)}
    monkeypatch.setattr(SearchGrid, 'of', classmethod(lambda cls, chain: cls(few)))
    for plot in ('plot_thresholds', 'plot_steps'):
        monkeypatch.setattr(plots, plot, lambda path, _: Path(path).touch())
    tool('tune.py', 'fused.npz', *gt, '--out', 'tune', '--folds', '2')
    tuned = json.loads(Path('tune/postprocess.json').read_text())
    by_type = {step['type']: step for step in tuned['postprocess']}
    assert tuned['evidence']['scores']['tuned']['score'] == pytest.approx(1)
    if kind == 'competition':
        assert list(by_type['ScoreThreshold']['threshold']) == list(classes)
    else:
        # Cells of several classes in an image: one number for all of them.
        assert 'postprocess_any.py, which has one number for all' in caplog.text
        assert isinstance(by_type['ScoreThreshold']['threshold'], float)

    text = tool('make_submission.py', 'fused.npz', '--postprocess', 'tune/postprocess.json', '--out', 'submission.csv')
    assert all(f'\n{name} ' in text for name in classes)
    text = tool('score_submission.py', 'submission.csv', 'gt.json', '--per-image', 'scores.csv')
    with open('scores.csv') as file:
        scored = {row['image_id']: row for row in csv.DictReader(file)}
    assert [row['cell_type'] for row in scored.values()] == [classes[n % len(classes)] for n in range(IMAGES)]
    assert {row['score'] for row in scored.values()} == {'1.000000'}


def test_pages_and_label_checks(kind, tool):
    classes = CLASSES[kind]
    shown = {classes[number % len(classes)] for number in range(IMAGES)}
    tool('analysis/report.py', 'a.npz', '--images', 'images', '--annotations', 'gt.json', '--out', 'report')
    page = Path('report/index.html').read_text()
    assert all(f'">{name}</span>' in page for name in shown)
    tool('analysis/report.py', 'a.npz', '--images', 'images', '--out', 'bare', '--max-images', '0')
    assert f'">{classes[0]}</span>' in Path('bare/index.html').read_text()

    tool('analysis/data_report.py', 'gt.csv', '--images', 'images', '--out', 'data', '--max-examples', '1')
    page = Path('data/index.html').read_text()
    assert all(f'">{name}</span>' in page for name in shown)
    text = tool('data/clean_masks.py', 'gt.csv', '--areas', f'{classes[0]}=500:900')
    mixed = kind not in ('competition', 'single')
    assert ('wrong-class was not looked for' in text) == mixed
    (heads,) = (line.split('|') for line in text.splitlines() if line.startswith('| defect'))
    (sizes,) = (line.split('|') for line in text.splitlines() if line.startswith('| size '))
    column = next(place for place, head in enumerate(heads) if head.startswith(f' {classes[0]} ('))
    assert int(sizes[column]) > 0

    text = tool('analysis/missing_cells.py', 'a.npz', '--annotations', 'gt.json', '--images', 'images', '--out', 'lost')
    assert all(f'\n{name} ' in f'\n{text}' for name in shown)
