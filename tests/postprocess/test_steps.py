"""Each step of post-processing on cells that a person can check."""

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.steps import (
    STEPS,
    BoxNMS,
    FillHoles,
    KeepLargestComponent,
    LeastArea,
    MaskNMS,
    MaskThreshold,
    RemoveOverlap,
    ScoreThreshold,
    VoteClass,
    drop_unusable,
    with_crops,
)
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

SIZE = (40, 60)
SHSY5Y, ASTRO, CORT = range(3)


def cells(*rows, probability: float = 1.0) -> ImagePredictions:
    """Predictions of one row a cell: x1, y1, x2, y2, score, label; soft masks that fill their boxes."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return ImagePredictions(
        image_id='made',
        size=SIZE,
        boxes=table[:, :4].astype(np.float32),
        scores=table[:, 4].astype(np.float32),
        labels=table[:, 5].astype(np.int64),
        soft_masks=np.full((len(table), 4, 4), probability, dtype=np.float32),
    )


def with_pixels(mask: np.ndarray) -> ImagePredictions:
    """One cell with the mask at (2, 3)."""
    predictions = cells((2, 3, 2 + mask.shape[1], 3 + mask.shape[0], 0.9, CORT))
    return ImagePredictions(**{**vars(predictions), 'crops': (MaskCrop(mask, 2, 3),)})


def scores(predictions: ImagePredictions) -> list[float]:
    return [round(float(score), 3) for score in predictions.scores]


def areas(predictions: ImagePredictions) -> list[int]:
    return [crop.area for crop in predictions.crops]


@pytest.mark.parametrize(
    ('votes', 'winner'),
    [
        ([(0.9, CORT), (0.2, ASTRO), (0.2, ASTRO)], CORT),  # scores weigh more than numbers
        ([(0.5, CORT), (0.4, ASTRO), (0.4, ASTRO)], ASTRO),  # .25 against .32
        ([(0.9, CORT)] * 3 + [(0.1, ASTRO)] * 100, CORT),  # 2.43 against 1, not 2.7 against 10
        ([(0.5, CORT), (0.5, SHSY5Y)], SHSY5Y),  # a tie: the first class
    ],
)
def test_vote_class(votes, winner):
    voted = VoteClass()(cells(*[(0, 0, 9, 9, score, label) for score, label in votes]))
    assert voted.labels.tolist() == [winner] * len(votes)
    assert voted.labels.dtype == np.int64


def test_score_threshold_by_class_keeps_a_score_equal_to_it():
    # float32(.35) is less than the double .35.
    predictions = cells((0, 0, 9, 9, 0.35, ASTRO), (0, 0, 9, 9, 0.34, ASTRO), (0, 0, 9, 9, 0.5, CORT))
    step = ScoreThreshold({'shsy5y': 0.15, 'astro': 0.35, 'cort': 0.55})
    assert scores(step(predictions)) == [0.35]
    assert scores(ScoreThreshold(0.5)(predictions)) == [0.5]


def test_box_nms_keeps_the_order_of_the_cells():
    predictions = cells((0, 0, 10, 10, 0.5, CORT), (30, 0, 40, 10, 0.6, CORT), (1, 0, 11, 10, 0.4, CORT))
    assert scores(BoxNMS(0.5)(predictions)) == [0.5, 0.6]


def test_mask_threshold_by_class():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (8, 0, 12, 4, 0.9, ASTRO), probability=0.45)
    assert areas(MaskThreshold()(predictions)) == [0, 0]
    assert areas(MaskThreshold({'shsy5y': 0.5, 'astro': 0.45, 'cort': 0.5})(predictions)) == [0, 16]


def test_mask_threshold_leaves_binary_masks_alone():
    predictions = with_pixels(np.eye(4, dtype=bool))
    assert MaskThreshold(0.5)(predictions) is predictions


def test_fill_holes():
    ring = np.ones((5, 5), dtype=bool)
    ring[1:4, 1:4] = False
    assert areas(FillHoles()(with_pixels(ring))) == [25]


def test_keep_largest_component_counts_corners_as_connected():
    pieces = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], dtype=bool)
    kept = KeepLargestComponent()(with_pixels(pieces)).crops[0]
    assert kept.tight().window == (2, 3, 5, 6)
    assert kept.area == 3


def test_least_area_counts_pixels_inside_the_image_and_drops_empty_cells_always():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (-2, 0, 2, 4, 0.8, CORT), (70, 0, 80, 9, 0.7, CORT))
    assert scores(LeastArea(16)(predictions)) == [0.9]
    assert scores(LeastArea(0)(predictions)) == [0.9, 0.8]


def test_mask_nms():
    predictions = cells((0, 0, 10, 10, 0.5, CORT), (0, 0, 10, 9, 0.6, ASTRO), (9, 0, 19, 10, 0.4, CORT))
    assert scores(MaskNMS(0.5)(predictions)) == [0.6, 0.4]


def test_remove_overlap_cuts_and_drops():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (2, 0, 6, 4, 0.8, CORT), (1, 0, 5, 4, 0.7, CORT))
    cut = RemoveOverlap()(predictions)
    assert (scores(cut), areas(cut)) == ([0.9, 0.8], [16, 8])
    strict = RemoveOverlap({'shsy5y': 0, 'astro': 0, 'cort': 0.6})(predictions)
    assert (scores(strict), areas(strict)) == ([0.9], [16])


@pytest.mark.parametrize('name', sorted(STEPS))
def test_every_step_takes_an_image_without_cells_and_leaves_its_input_alone(name):
    step = STEPS[name](0.5) if name in ('ScoreThreshold', 'BoxNMS', 'MaskNMS', 'LeastArea') else STEPS[name]()
    assert len(step(ImagePredictions.empty('none', SIZE))) == 0
    predictions = with_crops(cells((0, 0, 10, 10, 0.9, CORT), (5, 0, 15, 10, 0.2, ASTRO)))
    before = [predictions.scores.copy(), predictions.labels.copy(), *(crop.mask.copy() for crop in predictions.crops)]
    step(predictions)
    after = [predictions.scores, predictions.labels, *(crop.mask for crop in predictions.crops)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_unusable_cells():
    nan, inf = float('nan'), float('inf')
    predictions = cells(
        (0, 0, 9, 9, nan, CORT),
        (0, 0, nan, 9, 0.9, CORT),
        (0, 0, inf, 9, 0.9, CORT),
        (5, 5, 5, 9, 0.9, CORT),
        (9, 5, 5, 9, 0.9, CORT),
        (90, 5, 99, 9, 0.8, CORT),  # outside the image is no fault
        (0, 0, 9, 9, 0.7, CORT),
    )
    assert scores(drop_unusable(predictions)) == [0.8, 0.7]


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ScoreThreshold(1.5), 'ScoreThreshold thresholds is 1.5; it must lie between 0 and 1'),
        (lambda: ScoreThreshold(float('nan')), 'must lie between'),
        (lambda: ScoreThreshold('high'), "is 'high'; give a number"),
        (lambda: ScoreThreshold(True), 'give a number'),
        (lambda: ScoreThreshold({'shsy5y': 0.1, 'astro': 0.1, 'cort': -1}), 'thresholds, cort is -1'),
        (lambda: LeastArea({'shsy5y': 75, 'astro': 150}), 'no value for cort'),
        (lambda: LeastArea({'shsy5y': 75, 'astr': 150, 'cort': 75}), "'astr'; did you mean 'astro'"),
        (lambda: LeastArea(-1), 'LeastArea areas is -1'),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_parameters_by_cell_type_need_labels_that_are_cell_types():
    predictions = cells((0, 0, 9, 9, 0.9, 7))
    assert len(ScoreThreshold(0.5)(predictions)) == 1
    with pytest.raises(InputError, match='label 7 is none of the cell types'):
        ScoreThreshold({'shsy5y': 0.5, 'astro': 0.5, 'cort': 0.5})(predictions)
