"""tools/make_submission.py as a user types it."""

import runpy
import subprocess
import sys

import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.evaluation.metric import score_images
from sartorius.predictions.coco_results import area_average
from sartorius.predictions.provenance import FusedSource, Member, ModelSource
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.submission.csv_format import find_problems, read_cells
from sartorius.utils.paths import DEFAULT_POSTPROCESS

SIZE = (60, 80)
SIZES = {'a': SIZE, 'b': SIZE}


def made_predictions(classes=('shsy5y', 'astro', 'cort'), source=None) -> PredictionSet:
    """Image a has two cells of 400 px that share a quarter of their pixels, and one below the threshold; b has none."""
    image = ImagePredictions(
        image_id='a',
        size=SIZE,
        boxes=np.array([[0, 0, 20, 20], [10, 10, 30, 30], [40, 0, 60, 20]], dtype=np.float32),
        scores=np.array([0.7, 0.9, 0.5], dtype=np.float32),
        labels=np.array([2, 2, 2]),
        soft_masks=np.ones((3, 20, 20), dtype=np.float32),
    )
    return PredictionSet(
        (image, ImagePredictions.empty('b', SIZE, grid=20)), classes=classes, source=source or ModelSource()
    )


@pytest.fixture
def submit(repo_root, tmp_path, monkeypatch, in_process):
    """Runs the command in an empty folder, which stands for work_dirs too; gives exit code, output and errors."""
    main = runpy.run_path(str(repo_root / 'tools' / 'make_submission.py'))['main']
    monkeypatch.setitem(main.__globals__, 'WORK_DIRS', tmp_path)
    monkeypatch.chdir(tmp_path)

    return in_process(main)


def areas(path, image_id: str = 'a') -> list[int]:
    return [cell.area for cell in read_cells(path, SIZES)[image_id]]


def test_bare_command_takes_the_only_file_there_is(submit, tmp_path):
    save_predictions(tmp_path / 'model' / 'predictions_test.npz', made_predictions())
    code, output, _ = submit()
    assert code == 0
    assert find_problems(tmp_path / 'submission.csv', SIZES, required=SIZES) == []
    assert areas(tmp_path / 'submission.csv') == [300, 400]
    assert areas(tmp_path / 'submission.csv', 'b') == []
    assert 'predictions:     model/predictions_test.npz\n' in output
    assert 'configs/_base_/postprocess.py\n' in output
    assert 'cort           1        2              2.0\n' in output
    assert 'no cells       1\n' in output
    assert 'python tools/score_submission.py submission.csv TRAIN_CSV' in output


def test_bare_command_prefers_the_fused_file(submit, tmp_path):
    save_predictions(tmp_path / 'one.npz', made_predictions())
    save_predictions(tmp_path / 'two.npz', made_predictions())
    code, _, errors = submit()
    assert code == 2
    assert 'tools/ensemble.py' in errors
    fused = FusedSource(method='wbf', members=(Member(name='one', source=ModelSource()),))
    save_predictions(tmp_path / 'ensemble' / 'predictions.npz', made_predictions(source=fused))
    code, output, _ = submit()
    assert code == 0
    assert 'predictions:     ensemble/predictions.npz\n' in output


def test_bare_command_without_predictions_names_the_command_that_makes_them(submit, tmp_path):
    code, _, errors = submit()
    assert code == 2
    assert 'python tools/test.py CONFIG CHECKPOINT' in errors
    assert list(tmp_path.iterdir()) == []


def test_other_post_processing_still_shares_no_pixel(submit, tmp_path):
    save_predictions(tmp_path / 'predictions.npz', made_predictions())
    (tmp_path / 'mine.py').write_text("postprocess = [dict(type='ScoreThreshold', threshold=0.3)]\n")
    code, output, _ = submit('predictions.npz', '--postprocess', 'mine.py', '--out', 'new/mine.csv')
    assert code == 0
    assert 'post-processing: mine.py\n' in output
    assert areas(tmp_path / 'new' / 'mine.csv') == [300, 400, 400]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['gone.npz'], 'gone.npz: No such file'),
        (['broken.npz'], 'broken.npz: truncated, damaged or no predictions file'),
        (['strange.npz', '--postprocess', str(DEFAULT_POSTPROCESS)], "no number for the class 'neuron'"),
        (['none.npz'], 'no row below the header'),
        (['good.npz', '--postprocess', 'gone.json'], 'gone.json: no such post-processing file'),
        (
            ['good.npz', '--postprocess', 'wrong.py'],
            "wrong.py: post-processing step 1: unknown type 'FilHoles'; did you",
        ),
    ],
)
def test_bad_input_ends_in_one_sentence_and_leaves_what_was_there(submit, tmp_path, arguments, message):
    save_predictions(tmp_path / 'good.npz', made_predictions())
    save_predictions(tmp_path / 'strange.npz', made_predictions(classes=('shsy5y', 'neuron', 'cort')))
    save_predictions(tmp_path / 'none.npz', PredictionSet(()))
    (tmp_path / 'broken.npz').write_bytes((tmp_path / 'good.npz').read_bytes()[:-100])
    (tmp_path / 'wrong.py').write_text("postprocess = [dict(type='FilHoles')]\n")
    (tmp_path / 'submission.csv').write_text('what was there')
    before = sorted(tmp_path.iterdir())
    code, _, errors = submit(*arguments)
    assert code == 1
    assert message in errors
    assert errors.count('\n') == 1
    assert (tmp_path / 'submission.csv').read_text() == 'what was there'
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_from_another_folder_as_a_process(repo_root, tmp_path):
    save_predictions(tmp_path / 'predictions.npz', made_predictions())
    command = [sys.executable, str(repo_root / 'tools' / 'make_submission.py'), 'predictions.npz', '--out', 'out.csv']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert areas(tmp_path / 'out.csv') == [300, 400]


def test_real_masks_survive_the_grid_and_the_chain(submit, tmp_path, real_data):
    # Every real cell, predicted perfectly on a 28x28 grid: what is lost is lost by the grid and by settling overlaps.
    gt = dict(list(load_annotations(real_data / 'train.csv').items())[:8])
    images = []
    for image_id, cells in gt.items():
        boxes = np.array([crop.tight().window for crop in cells.crops], dtype=np.float32)
        masks = [area_average(crop, box, 28) for crop, box in zip(cells.crops, boxes, strict=True)]
        scores = np.full(len(cells), 0.9, dtype=np.float32)
        images.append(ImagePredictions(image_id, cells.size, boxes, scores, cells.labels, np.stack(masks)))
    save_predictions(tmp_path / 'perfect.npz', PredictionSet(tuple(images)))
    (tmp_path / 'all.py').write_text('postprocess = []\n')
    assert submit('perfect.npz', '--postprocess', 'all.py')[0] == 0
    sizes = {image_id: cells.size for image_id, cells in gt.items()}
    table = score_images(gt, read_cells(tmp_path / 'submission.csv', sizes))
    assert table['score'].mean() > 0.9
