"""The tuner on made images whose best thresholds are known."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import Chain, load_chain
from sartorius.postprocess.search import SearchGrid, Settings
from sartorius.postprocess.steps import Step
from sartorius.postprocess.tuner import tune
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError

SIZE = (60, 200)
SHSY5Y, ASTRO, CORT = range(3)
GRID = SearchGrid(masks=(0.5,), scores=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), areas=(0.0, 50.0, 100.0, 150.0))


def made_image(image_id: str, label: int, true_scores, false_scores) -> tuple[ImagePredictions, ImageAnnotations]:
    """Squares of 10 px side: the first ones are true and found exactly, the others false."""
    count = len(true_scores) + len(false_scores)
    left = np.arange(count) * 12.0
    boxes = np.stack([left, np.zeros(count), left + 10, np.full(count, 10.0)], axis=1).astype(np.float32)
    predictions = ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=boxes,
        scores=np.array([*true_scores, *false_scores], dtype=np.float32),
        labels=np.full(count, label),
        soft_masks=np.ones((count, 10, 10), dtype=np.float32),
    )
    squares = tuple(MaskCrop(np.ones((10, 10), dtype=bool), 12 * place, 0) for place in range(len(true_scores)))
    return predictions, ImageAnnotations(image_id, SIZE, squares, np.full(len(squares), label))


def made_set(*images) -> tuple[PredictionSet, dict[str, ImageAnnotations]]:
    return PredictionSet(tuple(image for image, _ in images)), {truth.image_id: truth for _, truth in images}


def cort_images(count: int):
    """True cells score .45 and more, false ones .35 and less; with the baseline's .55 half of the cells miss."""
    return [made_image(f'cort{place}', CORT, [0.8, 0.7, 0.5, 0.45], [0.35, 0.3, 0.2]) for place in range(count)]


def test_finds_the_gap_between_true_and_false_cells():
    predictions, truth = made_set(*cort_images(4))
    result = tune(predictions, truth, load_chain(), GRID)
    # Only a threshold of .4 separates them. Squares of 100 px survive a least area of 0, 50 and 100; of these 0 and 50
    # have good neighbours only, and are equally near to the middle between them.
    assert result.settings['cort'] == Settings(score=0.4, area=0.0, mask=0.5)
    assert result.start.score == pytest.approx(0.5)
    assert result.tuned.score == pytest.approx(1.0)
    # All images are alike, so that leaving one out changes nothing.
    assert result.cross_validated.score == pytest.approx(1.0)
    assert result.gain == pytest.approx((0.5, 0.5, 0.5))


def test_other_classes_keep_what_they_had_and_it_is_said():
    predictions, truth = made_set(*cort_images(3))
    result = tune(predictions, truth, load_chain(), GRID)
    assert result.images == {'shsy5y': 0, 'astro': 0, 'cort': 3}
    assert result.settings['astro'] == result.before['astro'] == Settings(score=0.35, area=150, mask=0.5)
    assert result.format().count('no images: keeps what it had') == 2
    assert list(result.tables) == ['cort']


def test_a_start_that_cannot_be_bettered_stays():
    predictions, truth = made_set(*[made_image(f'shsy5y{place}', SHSY5Y, [0.9, 0.8], [0.05]) for place in range(3)])
    result = tune(predictions, truth, load_chain(), GRID)
    assert result.settings == result.before
    assert 'nothing better found: keeps what it had' in result.format()


def test_cross_validated_score_is_of_images_not_tuned_on():
    # Two images that want opposite thresholds: each is scored with what suits the other.
    first = made_image('low', CORT, [0.45] * 6, [0.15] * 6)
    second = made_image('high', CORT, [0.95] * 6, [0.62, 0.63] * 3)
    result = tune(*made_set(first, second), load_chain(), GRID, folds=2)
    assert result.cross_validated.score < result.tuned.score


def test_a_class_of_one_image_is_scored_with_what_it_started_with():
    predictions, truth = made_set(*cort_images(1))
    result = tune(predictions, truth, load_chain(), GRID)
    assert result.tuned.score == pytest.approx(1.0)
    assert result.cross_validated.score == pytest.approx(0.5)


def test_images_without_annotations_do_not_count():
    predictions, truth = made_set(*cort_images(4))
    del truth['cort0']
    assert tune(predictions, truth, load_chain(), GRID).images['cort'] == 3


def test_an_image_without_cells_scores_but_is_of_no_class():
    _, truth = made_image('none', ASTRO, [0.9], [])
    predictions, all_truth = made_set(*cort_images(1), (ImagePredictions.empty('none', SIZE), truth))
    result = tune(predictions, all_truth, load_chain(), GRID)
    assert result.images == {'shsy5y': 0, 'astro': 0, 'cort': 1}
    assert result.tuned.score == pytest.approx(0.5)


def test_evidence_is_plain():
    predictions, truth = made_set(*cort_images(2))
    evidence = tune(predictions, truth, load_chain(), GRID).evidence()
    assert json.loads(json.dumps(evidence)) == evidence
    assert evidence['scores']['tuned']['per_class'] == {'cort': pytest.approx(1.0)}
    assert evidence['settings_tried'] == 28


@dataclass(frozen=True)
class KeepWeakest(Step):
    """Keeps the four weakest cells: whether a cell stays depends on weaker ones, which no shortcut can know."""

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return predictions.select(np.argsort(predictions.scores)[:4])


def test_a_chain_for_which_the_shortcut_does_not_hold_is_refused():
    steps = load_chain().steps
    predictions, truth = made_set(*[made_image(f'cort{place}', CORT, [0.45] * 4, [0.12, 0.9]) for place in range(2)])
    grid = SearchGrid(masks=(0.5,), scores=(0.1, 0.44, 0.445), areas=(0.0,))
    with pytest.raises(InputError, match='cannot be tuned'):
        tune(predictions, truth, Chain((*steps[:-1], KeepWeakest(), steps[-1])), grid)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda truth: truth.clear(), 'none of the 2 predicted images is among the 0 annotated ones'),
        (
            lambda truth: truth.update(cort0=ImageAnnotations('cort0', (10, 20), (), np.zeros(0, dtype=np.int64))),
            'image cort0 is 200x60 in the predictions and 20x10 in the annotations',
        ),
    ],
)
def test_annotations_that_do_not_fit(change, message):
    predictions, truth = made_set(*cort_images(2))
    change(truth)
    with pytest.raises(InputError, match=message):
        tune(predictions, truth, load_chain(), GRID)


def test_too_few_folds():
    predictions, truth = made_set(*cort_images(2))
    with pytest.raises(InputError, match='1 folds'):
        tune(predictions, truth, load_chain(), GRID, folds=1)
