"""tools/tune.py as a user types it."""

import json
import runpy

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import load_chain
from sartorius.postprocess.tuning.grid import settings_of
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES

SIZE = (40, 200)
PNG = b'\x89PNG'


@pytest.fixture
def tune(repo_root, tmp_path, monkeypatch, in_process):
    """Runs the command in a folder with predictions.npz and train.csv, which stands for work_dirs too.

    Four cort images: true positives of 12x12 px score .3 and more, false positives .1. The baseline's threshold of .55
    drops half of the true positives.
    """
    scores = np.array([0.8, 0.7, 0.35, 0.3, 0.1, 0.1], dtype=np.float32)
    left = 15 * np.arange(len(scores))
    boxes = np.stack([left, left * 0, left + 12, left * 0 + 12], axis=1).astype(np.float32)
    cells = tuple(MaskCrop(np.ones((12, 12), dtype=bool), int(x), 0) for x in left[:4])
    labels = np.full(len(scores), 2)
    names = [f'image{place}' for place in range(4)]
    soft_masks = np.ones((len(scores), 12, 12), dtype=np.float32)
    images = tuple(ImagePredictions(name, SIZE, boxes, scores, labels, soft_masks) for name in names)
    save_predictions(tmp_path / 'predictions.npz', PredictionSet(images))
    write_train_csv(
        tmp_path / 'train.csv', [TrainImage(ImageAnnotations(name, SIZE, cells, labels[:4]), 'cort') for name in names]
    )
    main = runpy.run_path(str(repo_root / 'tools' / 'tune.py'))['main']
    monkeypatch.setitem(main.__globals__, 'WORK_DIRS', tmp_path)
    monkeypatch.chdir(tmp_path)

    return in_process(main)


def test_writes_a_chain_that_the_other_commands_take_and_pictures(tune, tmp_path):
    code, output, _ = tune('predictions.npz', '--annotations', 'train.csv')
    assert code == 0
    assert output.startswith('4 of 4 predicted images have annotations and count, each a group of its own')
    assert '| all  | 0.5000 | 1.0000 |          1.0000 |' in output
    assert '| + ScoreThreshold |' in output
    assert 'next: python tools/make_submission.py --postprocess tune/postprocess.json' in output
    tuned = settings_of(load_chain(tmp_path / 'tune' / 'postprocess.json').for_classes(CELL_TYPES))
    assert 0.1 < tuned['cort']['score'] <= 0.3
    assert tuned['astro'] == settings_of(load_chain().for_classes(CELL_TYPES))['astro']
    for name in ('thresholds.png', 'steps.png'):
        assert (tmp_path / 'tune' / name).read_bytes().startswith(PNG)
    page = (tmp_path / 'tune' / 'tuning.md').read_text()
    assert page.startswith('# Tuned on predictions.npz\n')
    assert page.split('\n\n', 1)[1].strip() in output


def test_evidence_says_what_it_was_tuned_on(tune, tmp_path):
    tune('predictions.npz', '--annotations', 'train.csv', '--out', 'here', '--folds', '2')
    evidence = json.loads((tmp_path / 'here' / 'postprocess.json').read_text())['evidence']
    assert evidence['predictions']['file'] == 'predictions.npz'
    assert len(evidence['annotations']['sha256']) == 64
    assert evidence['images'] == {'shsy5y': 0, 'astro': 0, 'cort': 4}
    assert evidence['folds'] == 2
    assert evidence['scores']['start']['score'] == pytest.approx(0.5)


@pytest.mark.slow
def test_groups_are_read_from_the_annotations(tune, tmp_path):
    content = (tmp_path / 'train.csv').read_text().splitlines()
    lines = [f'{content[0]},sample_id']
    for line in content[1:]:
        well = 'B3' if line.startswith(('image0', 'image1')) else 'C4'
        lines.append(f'{line},cort[diff]_{well}-1_Vessel-361_Ph_1')
    (tmp_path / 'wells.csv').write_text('\n'.join(lines) + '\n')
    code, output, _ = tune('predictions.npz', '--annotations', 'wells.csv')
    assert code == 0
    assert output.startswith('4 of 4 predicted images have annotations and count, in 2 groups\n')
    assert 'cort: 2 groups are too few to leave one out' in output


@pytest.mark.slow
def test_goes_on_from_a_tuned_chain(tune, tmp_path):
    tune('predictions.npz', '--annotations', 'train.csv')
    code, output, _ = tune('predictions.npz', '--annotations', 'train.csv', '--postprocess', 'tune/postprocess.json')
    assert code == 0
    assert 'nothing better found' in output
    assert 'nothing changed' in output


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['predictions.npz'], 2, 'required: --annotations'),
        (['gone.npz', '--annotations', 'train.csv'], 1, 'gone.npz'),
        (['predictions.npz', '--annotations', 'gone.csv'], 1, 'gone.csv'),
        (['train.csv', '--annotations', 'train.csv'], 1, 'train.csv: truncated, damaged or no predictions file'),
        (['predictions.npz', '--annotations', 'train.csv', '--folds', '1'], 1, '1 folds'),
        (['predictions.npz', '--annotations', 'train.csv', '--postprocess', 'short.py'], 1, 'cannot be tuned'),
        (['predictions.npz', '--annotations', 'other.csv'], 1, 'none of the 4 predicted images'),
    ],
)
def test_bad_input_ends_in_a_clear_message_and_writes_nothing(tune, tmp_path, arguments, code, message):
    (tmp_path / 'short.py').write_text("postprocess = [dict(type='VoteClass')]\n")
    (tmp_path / 'other.csv').write_text((tmp_path / 'train.csv').read_text().replace('image', 'picture'))
    ended, _, errors = tune(*arguments)
    assert ended == code
    assert message in errors
    assert 'Traceback' not in errors
    assert not (tmp_path / 'tune').exists()
