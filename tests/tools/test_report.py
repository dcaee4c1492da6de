"""tools/analysis/report.py as a user types it."""

import runpy

import cv2
import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.provenance import ModelSource
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet

SIZE = (50, 80)


@pytest.fixture
def report(repo_root, tmp_path, monkeypatch, in_process):
    """Runs the command in a folder with predictions.npz, train.csv and images/one.png; one cort cell, predicted."""
    box = np.array([[5, 5, 25, 25]], dtype=np.float32)
    cells = ImagePredictions(
        'one', SIZE, box, np.array([0.9], np.float32), np.array([2]), np.ones((1, 8, 8), np.float32)
    )
    save_predictions(tmp_path / 'predictions.npz', PredictionSet((cells,), source=ModelSource(config='small.py')))
    gt = ImageAnnotations('one', SIZE, (MaskCrop(np.ones((20, 20), bool), 5, 5),), np.array([2]))
    write_train_csv(tmp_path / 'train.csv', [TrainImage(gt, 'cort')])
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/one.png'), np.full(SIZE, 99, np.uint8))

    main = runpy.run_path(str(repo_root / 'tools/analysis/report.py'))['main']
    monkeypatch.chdir(tmp_path)

    return in_process(main)


def test_a_scored_report(report, tmp_path) -> None:
    done = report('predictions.npz', '--images', 'images', '--annotations', 'train.csv', '--out', 'new/page')
    assert done == (0, 'wrote new/page/index.html\n', '')
    text = (tmp_path / 'new/page/index.html').read_text()
    for words in ('<dd>1.000<small>', 'small.py', 'configs/_base_/postprocess.py', 'train.csv', '1 TP'):
        assert words in text
    assert [path.name for path in (tmp_path / 'new/page').iterdir()] == ['index.html']


def test_errors_as_a_table(report, tmp_path) -> None:
    given = ('predictions.npz', '--images', 'images', '--annotations', 'train.csv', '--out', 'page')
    code, output, _ = report(*given, '--errors', 'new/cells.csv')
    assert (code, output) == (0, 'wrote page/index.html\nwrote new/cells.csv\n')
    # A square of pixels 5 to 24; the prediction lacks the corners, where the pasted probability falls below .5.
    assert (tmp_path / 'new/cells.csv').read_text().splitlines() == [
        'image_id,cell_type,side,number,category,group,iou,area,x,y,border,loss',
        'one,cort,gt,1,correct,1,0.99,400,14.5,14.5,False,0',
        'one,cort,pred,1,correct,1,0.99,396,14.5,14.5,False,0',
    ]


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (
            ('predictions.npz', '--images', 'images', '--errors', 'e.csv', '--out', 'o'),
            2,
            '--errors needs --annotations',
        ),
        (('predictions.npz', '--images', 'nowhere', '--out', 'o'), 2, 'error: nowhere is not a folder'),
        (('predictions.npz', '--images', 'images', '--max-images', '-1', '--out', 'o'), 2, '--max-images is -1'),
        (('none.npz', '--images', 'images', '--out', 'o'), 1, 'none.npz: No such file'),
        (('predictions.npz', '--images', '.', '--out', 'o'), 1, 'image one is not in .'),
        (('train.csv', '--images', 'images', '--out', 'o'), 1, 'train.csv'),
        (('predictions.npz', '--images', 'images', '--postprocess', 'no.py', '--out', 'o'), 1, 'no.py: no such'),
        (('predictions.npz', '--images', 'images', '--annotations', 'no.csv', '--out', 'o'), 1, 'no.csv'),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(report, tmp_path, arguments, code, message) -> None:
    exit_code, output, problem = report(*arguments)
    assert (exit_code, output) == (code, '')
    assert problem.startswith('error: ')
    assert message in problem
    assert problem.count('\n') == 1
    assert not (tmp_path / 'o').exists()
