"""The tuner on sample images whose best thresholds are known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import Chain, load_chain
from sartorius.postprocess.steps import Step
from sartorius.postprocess.tuning.grid import SearchGrid, with_settings
from sartorius.postprocess.tuning.tuner import tune
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (60, 200)
SHSY5Y, ASTRO, CORT = range(3)
GRID = SearchGrid({'score': (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), 'area': (0.0, 50.0, 100.0, 150.0)})


def sample_image(image_id: str, label: int, true_scores, false_scores) -> tuple[ImagePredictions, ImageAnnotations]:
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


def sample_set(*images) -> tuple[PredictionSet, dict[str, ImageAnnotations]]:
    return PredictionSet(tuple(image for image, _ in images)), {gt.image_id: gt for _, gt in images}


def cort_images(count: int):
    """True positives score .45 and more, false positives .35 and less; the baseline's .55 drops half of the cells."""
    return [sample_image(f'cort{place}', CORT, [0.8, 0.7, 0.5, 0.45], [0.35, 0.3, 0.2]) for place in range(count)]


def test_finds_the_gap_between_true_and_false_cells():
    predictions, gt = sample_set(*cort_images(4))
    result = tune(predictions, gt, load_chain(), grid=GRID)
    # Only a threshold of .4 separates them. Squares of 100 px survive a minimum area of 0, 50 and 100; of these 0 and
    # 50 have good neighbours only, and are equally near to the middle between them. Other parameters stay as they are.
    assert result.settings['cort'] == dict(score=0.4, area=0.0, mask=0.5, remaining=0.7)
    assert result.estimate('start').mean == pytest.approx(0.5)
    assert result.estimate('tuned').mean == pytest.approx(1.0)
    # All images are alike, so that leaving some out changes nothing.
    assert result.estimate('cross_validated').mean == pytest.approx(1.0)
    assert result.estimate('cross_validated', 'start') == pytest.approx((0.5, 0.5, 0.5))


def test_finds_the_mask_threshold_at_which_masks_are_right():
    """Squares of 10 px in the middle of a box of 20: .6 inside, .45 around them."""
    images = []
    for place in range(3):
        predictions, gt = sample_image(f'cort{place}', CORT, [0.9] * 4, [])
        grown = predictions.boxes + np.array([-5, -5, 5, 5], dtype=np.float32) + 20
        soft = np.full((4, 20, 20), 0.45, dtype=np.float32)
        soft[:, 5:15, 5:15] = 0.6
        apart = tuple(replace(crop, x=crop.x + 20, y=crop.y + 20) for crop in gt.crops)
        images.append((replace(predictions, boxes=grown, soft_masks=soft), replace(gt, crops=apart)))
    predictions, gt = sample_set(*images)
    chain = with_settings(load_chain(), dict.fromkeys(CELL_TYPES, dict(mask=0.4, area=0.0)))
    grid = SearchGrid({'mask': (0.3, 0.35, 0.4, 0.5, 0.55, 0.58, 0.65), 'score': (0.5,), 'area': (0.0,)})
    result = tune(predictions, gt, chain, grid=grid)
    assert result.settings['cort']['mask'] == 0.55
    assert result.estimate('tuned').mean == pytest.approx(1.0)
    assert result.estimate('start').mean < 0.5


def test_other_classes_keep_what_they_had():
    predictions, gt = sample_set(*cort_images(3))
    result = tune(predictions, gt, load_chain(), grid=GRID)
    assert result.settings['astro'] == result.before['astro'] == dict(score=0.35, area=150, mask=0.5, remaining=0.7)
    assert list(result.tables) == list(result.choices) == ['cort']
    assert set(result.images['voted']) == {'cort'}


def test_a_start_that_cannot_be_bettered_stays():
    predictions, gt = sample_set(*[sample_image(f'shsy5y{place}', SHSY5Y, [0.9, 0.8], [0.05]) for place in range(3)])
    result = tune(predictions, gt, load_chain(), grid=GRID)
    assert result.settings == result.before
    assert result.images['tuned'].tolist() == result.images['start'].tolist()


def test_a_gain_within_its_error_is_not_taken():
    """One of two images gains .1 and more, the other nothing: their mean is no more than its standard error."""
    first = sample_image('cort0', CORT, [0.9, 0.9, 0.9, 0.45], [])
    second = sample_image('cort1', CORT, [0.9] * 4, [])
    predictions, gt = sample_set(first, second)
    result = tune(predictions, gt, load_chain(), grid=GRID)
    choice = result.choices['cort']
    assert choice.gain == pytest.approx(choice.error) == pytest.approx(0.125)
    assert result.settings == result.before


def test_cross_validated_score_is_of_images_not_tuned_on():
    # Pairs of images that want opposite thresholds: the one without the other's group is scored with what suits it.
    low = [sample_image(f'low{place}', CORT, [0.45] * 6, [0.15] * 6) for place in range(2)]
    high = [sample_image(f'high{place}', CORT, [0.95] * 6, [0.62, 0.63] * 3) for place in range(2)]
    predictions, gt = sample_set(*low, *high)
    groups = {'low0': 'a', 'low1': 'b', 'high0': 'c', 'high1': 'd'}
    alone = tune(predictions, gt, load_chain(), groups, GRID, folds=4)
    assert alone.estimate('cross_validated').mean < alone.estimate('tuned').mean
    assert set(alone.images['fold']) == {0, 1, 2, 3}


def test_images_of_a_group_are_scored_together():
    """Six of one well, alike: without groups each is scored with what the other five want."""
    odd = [sample_image(f'odd{place}', CORT, [0.45] * 4, [0.35] * 3) for place in range(6)]
    plain = [sample_image(f'plain{place}', CORT, [0.9] * 4, [0.45] * 4) for place in range(6)]
    predictions, gt = sample_set(*odd, *plain)
    wells = {**{f'odd{place}': 'well' for place in range(6)}, **{f'plain{place}': f'p{place}' for place in range(6)}}
    grouped = tune(predictions, gt, load_chain(), wells, GRID)
    assert grouped.images.set_index('image_id').loc[[f'odd{place}' for place in range(6)], 'fold'].nunique() == 1
    assert len(grouped.fold_chains) == 5
    ungrouped = tune(predictions, gt, load_chain(), None, GRID)
    assert ungrouped.images['fold'].nunique() == 5
    assert ungrouped.images['group'].tolist() == ungrouped.images['image_id'].tolist()


def test_the_order_of_the_images_makes_no_difference():
    images = [sample_image(f'cort{place}', CORT, [0.9, 0.2 + place / 20], [0.4, place / 12]) for place in range(9)]
    groups = {f'cort{place}': f'well{place // 2}' for place in range(9)}
    predictions, gt = sample_set(*images)
    first = tune(predictions, gt, load_chain(), groups, GRID)
    other, other_gt = sample_set(*images[::-1])
    second = tune(other, other_gt, load_chain(), dict(reversed(groups.items())), GRID)
    assert first.settings == second.settings
    assert first.fold_chains == second.fold_chains
    assert first.images.equals(second.images)
    assert first.estimate('cross_validated', 'start') == second.estimate('cross_validated', 'start')


def test_a_class_of_one_group_keeps_what_it_had():
    predictions, gt = sample_set(*cort_images(2))
    result = tune(predictions, gt, load_chain(), {'cort0': 'well', 'cort1': 'well'}, GRID)
    assert result.settings == result.before
    assert result.choices['cort'].gain == pytest.approx(0.5)
    assert result.images['cross_validated'].tolist() == result.images['start'].tolist()


def test_images_without_annotations_do_not_count():
    predictions, gt = sample_set(*cort_images(4))
    del gt['cort0']
    assert tune(predictions, gt, load_chain(), grid=GRID).images['image_id'].tolist() == ['cort1', 'cort2', 'cort3']


def test_an_image_without_cells_scores_but_is_of_no_class():
    _, gt = sample_image('none', ASTRO, [0.9], [])
    predictions, all_gt = sample_set(*cort_images(3), (ImagePredictions.empty('none', SIZE), gt))
    result = tune(predictions, all_gt, load_chain(), grid=GRID)
    assert result.images['voted'].tolist() == ['cort', 'cort', 'cort', 'none']
    assert result.images['cell_type'].tolist() == ['cort', 'cort', 'cort', 'astro']
    assert result.estimate('tuned').mean == pytest.approx(0.75)
    assert result.estimate('tuned', None, 'astro').mean == 0


@dataclass(frozen=True)
class KeepWeakest(Step):
    """Keeps the four weakest cells: whether a cell stays depends on weaker ones, which no shortcut can know."""

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return predictions.select(np.argsort(predictions.scores)[:4])


def test_a_chain_for_which_the_shortcut_does_not_hold_is_refused():
    steps = load_chain().steps
    predictions, gt = sample_set(*[sample_image(f'cort{place}', CORT, [0.45] * 4, [0.12, 0.9]) for place in range(2)])
    grid = SearchGrid({'score': (0.1, 0.44, 0.445), 'area': (0.0,)})
    with pytest.raises(InputError, match='cannot be tuned'):
        tune(predictions, gt, Chain((*steps[:-1], KeepWeakest(), steps[-1])), grid=grid)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda gt: gt.clear(), 'none of the 2 predicted images is among the 0 annotated ones'),
        (
            lambda gt: gt.update(cort0=ImageAnnotations('cort0', (10, 20), (), np.zeros(0, dtype=np.int64))),
            'image cort0 is 200x60 in the predictions and 20x10 in the annotations',
        ),
    ],
)
def test_annotations_that_do_not_fit(change, message):
    predictions, gt = sample_set(*cort_images(2))
    change(gt)
    with pytest.raises(InputError, match=message):
        tune(predictions, gt, load_chain(), grid=GRID)


def test_too_few_folds():
    predictions, gt = sample_set(*cort_images(2))
    with pytest.raises(InputError, match='1 folds'):
        tune(predictions, gt, load_chain(), grid=GRID, folds=1)


def test_a_knob_that_the_chain_lacks():
    predictions, gt = sample_set(*cort_images(2))
    with pytest.raises(InputError, match="no step for 'nms'"):
        tune(predictions, gt, load_chain(), grid=SearchGrid({**GRID.axes, 'nms': (0.5,)}))
