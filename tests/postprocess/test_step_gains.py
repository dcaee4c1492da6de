"""What each step is worth, on images that need each of them in a known way; and how it is reported."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.metric import score_images
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import load_chain
from sartorius.postprocess.tuning.grid import SearchGrid, with_settings
from sartorius.postprocess.tuning.report import evidence, format_result, format_steps, notes
from sartorius.postprocess.tuning.step_gains import PLAIN, StepGain, measure_steps
from sartorius.postprocess.tuning.tuner import TuningResult, tune
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES

SIZE = (40, 200)
CORT = 2
GRID = SearchGrid({'score': (0.3, 0.55, 0.8), 'area': (0.0, 75.0)})


def sample_image(name: str, score: float) -> tuple[ImagePredictions, ImageAnnotations]:
    """Four true squares of 12 px side, one of them found half empty; a faint false one, a speck, a second find."""
    left = np.array([0, 20, 40, 60, 80, 100, 1])
    sides = np.array([12, 12, 12, 12, 12, 6, 12])
    soft = np.ones((7, 12, 12), dtype=np.float32)
    soft[3, 2:-2, 2:-1] = 0
    boxes = np.stack([left, left * 0, left + sides, sides], axis=1).astype(np.float32)
    scores = np.array([score, score, score, score, 0.2, 0.9, score - 0.05], dtype=np.float32)
    squares = tuple(MaskCrop(np.ones((12, 12), dtype=bool), int(x), 0) for x in left[:4])
    return (
        ImagePredictions(name, SIZE, boxes, scores, np.full(7, CORT), soft),
        ImageAnnotations(name, SIZE, squares, np.full(4, CORT)),
    )


@pytest.fixture(scope='module')
def measured() -> tuple[TuningResult, list[StepGain]]:
    images = [sample_image(f'cort{place}', 0.9) for place in range(4)]
    predictions = PredictionSet(tuple(image for image, _ in images))
    gt = {own.image_id: own for _, own in images}
    result = tune(predictions, gt, load_chain(), {f'cort{place}': f'well{place}' for place in range(4)}, GRID)
    return result, measure_steps(predictions, gt, result)


def test_steps_added_one_after_the_other(measured):
    _, gains = measured
    # Of 4 ground-truth cells 3 are matched. There are 7 predictions at first: the hollow one, with half of its 144 px,
    # is no match, and there are a spurious one, a speck and the rim of the second: 3 / (7 + 4 - 3). The threshold drops
    # the spurious one; the min. area speck and rim, and the hollow one's 72 px, too, until they are filled.
    assert [(gain.name, round(gain.score.mean, 4)) for gain in gains] == [
        (PLAIN, round(3 / 8, 4)),
        ('VoteClass', round(3 / 8, 4)),
        ('ScoreThreshold', round(3 / 7, 4)),
        ('MinArea', 0.75),
        ('MaskThreshold', 0.75),
        ('FillHoles', 1.0),
        ('RemoveOverlap', 1.0),
    ]
    for before, after in zip(gains[:-1], gains[1:], strict=True):
        assert after.added.mean == pytest.approx(after.score.mean - before.score.mean)


def test_steps_left_out_alone(measured):
    result, gains = measured
    lost = {gain.name: gain.dropped.mean for gain in gains[1:]}
    assert result.estimate('cross_validated').mean == pytest.approx(1.0)
    # Without the threshold a false cell more, without the minimum area the speck; the rim goes with RemoveOverlap too.
    assert lost == pytest.approx(
        {
            'VoteClass': 0,
            'ScoreThreshold': 1 - 4 / 5,
            'MinArea': 1 - 4 / 5,
            'MaskThreshold': 0,
            'FillHoles': 1 - 3 / 4,
            'RemoveOverlap': 0,
        }
    )
    assert gains[0].added is gains[0].dropped is None


def test_every_image_runs_through_the_chain_of_its_fold():
    images = [sample_image(f'cort{place}', 0.9) for place in range(4)]
    predictions = PredictionSet(tuple(image for image, _ in images))
    gt = {own.image_id: own for _, own in images}
    result = tune(predictions, gt, load_chain(), None, GRID, folds=4)
    # Of four folds the first finds nothing at all.
    strict = with_settings(load_chain().for_classes(CELL_TYPES), dict.fromkeys(CELL_TYPES, {'score': 1.0, 'area': 0.0}))
    gains = measure_steps(predictions, gt, replace(result, fold_chains=(strict, *result.fold_chains[1:])))
    assert gains[2].name == 'ScoreThreshold'
    assert gains[2].score.mean == pytest.approx(3 / 4 * 3 / 7)
    assert gains[5].dropped.mean == pytest.approx(1 - 3 / 4 * 3 / 4)


def test_the_whole_chain_scores_what_was_cross_validated():
    images = [sample_image(f'cort{place}', 0.4 + 0.05 * place) for place in range(6)]
    predictions = PredictionSet(tuple(image for image, _ in images))
    gt = {own.image_id: own for _, own in images}
    result = tune(predictions, gt, load_chain(), None, GRID, folds=3)
    by_id = predictions.by_id()
    for _, row in result.images.iterrows():
        found = result.fold_chains[row['fold']](by_id[row['image_id']])
        assert row['cross_validated'] == pytest.approx(score_one(found, gt[row['image_id']]))
    assert measure_steps(predictions, gt, result)[-1].score == result.estimate('cross_validated')


def score_one(found: ImagePredictions, gt: ImageAnnotations) -> float:
    return score_images({gt.image_id: gt}, {gt.image_id: found.crops})['score'][0]


def test_tables(measured):
    result, gains = measured
    steps = format_steps(gains).splitlines()
    assert len(steps) == 2 + len(gains)
    assert steps[2].startswith('| plain model      |     0.3750 |')
    assert '| + FillHoles      |     1.0000 |' in steps[7]
    assert '|   +0.2500 |' in steps[7]
    text = format_result(result)
    assert '| cort   |      4 |      4 |' in text
    assert '- astro: no images: keeps its starting values' in text
    assert len({len(line) for line in steps}) == 1


def test_evidence_is_plain(measured):
    result, gains = measured
    kept = evidence(result, gains)
    assert json.loads(json.dumps(kept)) == kept
    assert kept['images'] == kept['groups'] == {'shsy5y': 0, 'astro': 0, 'cort': 4}
    assert kept['settings_tried'] == 6
    assert kept['scores']['tuned']['per_class'] == {'cort': pytest.approx(1.0)}
    assert [step['name'] for step in kept['steps']] == [gain.name for gain in gains]


def tune_few(groups: list[str]) -> list[str]:
    """Notes on images of these groups, whose true positives score below the threshold that they start with."""
    images = [sample_image(f'cort{place}', 0.4) for place in range(len(groups))]
    predictions, gt = PredictionSet(tuple(image for image, _ in images)), {own.image_id: own for _, own in images}
    wells = {image.image_id: group for (image, _), group in zip(images, groups, strict=True)}
    return notes(tune(predictions, gt, load_chain(), wells, GRID))


def test_what_is_said_of_few_groups():
    assert any('cort: images of a single group' in note for note in tune_few(['a', 'a']))
    assert any('a single group cannot be cross-validated' in note for note in tune_few(['a', 'a']))
    assert any('nothing changed' in note for note in tune_few(['a', 'a']))
    two = tune_few(['a', 'b'])
    assert any('cort: 2 groups are too few to leave one out' in note for note in two)
    assert any('2 groups in total: with fewer than 10' in note for note in two)
    assert not any('nothing changed' in note for note in two)
    assert tune_few([f'well{place}' for place in range(10)]) == [
        'shsy5y: no images: keeps its starting values',
        'astro: no images: keeps its starting values',
    ]


def test_images_that_are_voted_another_class_are_counted():
    images = [sample_image(f'cort{place}', 0.9) for place in range(2)]
    found, gt = images[0]
    wrong = (replace(found, labels=np.full(len(found), 0)), gt)
    predictions = PredictionSet((wrong[0], images[1][0]))
    lines = notes(tune(predictions, {own.image_id: own for _, own in images}, load_chain(), None, GRID))
    assert any(note.startswith('1 of 2 images are voted another class') for note in lines)
