"""Each step of post-processing on cells that a person can check."""

from dataclasses import MISSING, fields, replace

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.steps import (
    STEPS,
    BoxNMS,
    ContainmentNMS,
    ConvexFill,
    DropFragments,
    FillHoles,
    GaussianSoftNMS,
    KeepLargestComponent,
    LinearSoftNMS,
    MaskNMS,
    MaskThreshold,
    MaxArea,
    MinArea,
    RemoveOverlap,
    RescoreByMask,
    ScoreThreshold,
    VoteClass,
    drop_unusable,
    with_crops,
)
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

SIZE = (40, 60)
SHSY5Y, ASTRO, CORT = range(3)
BREAK_ASTRO = ConvexFill({'shsy5y': 0, 'astro': 1, 'cort': 0})


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


def with_pixels(mask: np.ndarray, label: int = CORT, x: int = 2, y: int = 3) -> ImagePredictions:
    """One cell with the mask at (2, 3)."""
    predictions = cells((x, y, x + mask.shape[1], y + mask.shape[0], 0.9, label))
    return replace(predictions, crops=(MaskCrop(mask, x, y),))


def solid(predictions: ImagePredictions) -> ImagePredictions:
    """The same cells with masks that fill their boxes to the corners, which the soft masks round."""
    boxes = predictions.boxes.astype(int).tolist()
    crops = tuple(MaskCrop(np.ones((y2 - y1, x2 - x1), dtype=bool), x1, y1) for x1, y1, x2, y2 in boxes)
    return replace(predictions, crops=crops)


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
        ([(0.5, -3), (0.6, 10**12)], 10**12),  # any labels will do
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


@pytest.mark.parametrize(
    ('probabilities', 'thresholds', 'expected'),
    [
        ([0.9, 0.9, 0.9, 0.9], 0.5, 0.72),
        ([1, 0.8, 0, 0.4], 0.5, 0.72),  # the mean of 1 and .8: what is below .5 does not count
        ([0.5, 0.1, 0.1, 0.1], 0.5, 0.4),  # a probability equal to the threshold counts
        ([0.4, 0.3, 0.2, 0.1], 0.5, 0),
        ([0.4, 0.2, 0.2, 0.1], {'shsy5y': 0, 'astro': 0.3, 'cort': 1}, 0.32),
        ([1, 0.8, 0.6, 0], 0, 0.48),
    ],
)
def test_rescore_by_mask(probabilities, thresholds, expected):
    grid = np.array(probabilities, dtype=np.float32).reshape(1, 2, 2)
    predictions = replace(cells((0, 0, 9, 9, 0.8, ASTRO)), soft_masks=grid)
    rescored = RescoreByMask(thresholds)(predictions)
    assert scores(rescored) == [pytest.approx(expected)]
    assert rescored.scores.dtype == np.float32
    assert rescored.crops is None


# The second box has an IoU of 9/11 with the first; the third of 1/19 with the first and 1/9 with the second.
SOFT = cells((0, 0, 10, 10, 0.8, CORT), (1, 0, 11, 10, 0.6, ASTRO), (9, 0, 19, 10, 0.4, CORT))


@pytest.mark.parametrize(
    ('step', 'expected'),
    [
        (LinearSoftNMS(0.5), [0.8, 0.109, 0.4]),  # .6 * 2/11
        (LinearSoftNMS(0.9), [0.8, 0.6, 0.4]),
        (LinearSoftNMS({'shsy5y': 0, 'astro': 0.9, 'cort': 0}), [0.8, 0.6, 0.337]),  # .4 * 18/19 * 8/9, of two cells
        # The third, .4 * exp(-2 (1/19)^2), comes before the second, .6 * exp(-2 (9/11)^2) = .157, and lowers it again.
        (GaussianSoftNMS(), [0.8, 0.153, 0.398]),
        (GaussianSoftNMS(0.01), [0.8, 0.0, 0.303]),  # .4 * exp(-100 (1/19)^2)
    ],
)
def test_soft_nms_lowers_scores_and_drops_nothing(step, expected):
    lowered = step(SOFT)
    assert scores(lowered) == expected
    assert lowered.scores.dtype == np.float32
    np.testing.assert_array_equal(lowered.boxes, SOFT.boxes)


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


def test_pixels_outside_the_image_do_not_decide_which_component_stays():
    # 4 pixels in the image, 6 outside.
    mask = np.array([[1, 1, 1, 0, 1, 1], [1, 1, 1, 0, 1, 1]], dtype=bool)
    assert KeepLargestComponent()(with_pixels(mask, x=-4, y=0)).crops[0].tight().window == (0, 0, 2, 2)
    assert DropFragments(0.9)(with_pixels(mask, x=-4, y=0)).crops[0].tight().window == (0, 0, 2, 2)


@pytest.mark.parametrize(
    ('step', 'left'),
    [
        (DropFragments(), 15),  # pieces of 10, 4 and 1: one of exactly a tenth stays
        (DropFragments(0.2), 14),
        (DropFragments(0.5), 10),
        (DropFragments(0, 2), 14),
        (DropFragments({'shsy5y': 0, 'astro': 0, 'cort': 1}), 10),
        (DropFragments(0, {'shsy5y': 99, 'astro': 99, 'cort': 4}), 14),
        (DropFragments(0, 500), 10),
    ],
)
def test_drop_fragments(step, left):
    pieces = np.array([[1] * 10 + [0] * 3, [0] * 13, [1, 1, 0, 0, 1] + [0] * 8, [1, 1] + [0] * 11], dtype=bool)
    assert areas(step(with_pixels(pieces))) == [left]


def test_convex_fill_changes_the_enabled_classes_alone():
    arch = np.ones((5, 7), dtype=bool)
    arch[2:, 2:5] = False
    assert areas(BREAK_ASTRO(with_pixels(arch, CORT))) == [26]
    # The bay is filled but for its last row; cut at the image's border, the arch is a convex corner.
    assert areas(BREAK_ASTRO(with_pixels(arch, ASTRO))) == [32]
    assert areas(BREAK_ASTRO(with_pixels(arch, ASTRO, x=SIZE[1] - 2))) == [10]


def test_broken_astrocytes_share_no_pixel_once_overlaps_are_removed():
    # The fill of an arch covers the cell that stands in its bay.
    arch = np.ones((6, 9), dtype=bool)
    arch[2:, 2:7] = False
    both = replace(
        cells((0, 0, 9, 6, 0.9, ASTRO), (3, 3, 6, 6, 0.8, ASTRO)),
        crops=(MaskCrop(arch, 0, 0), MaskCrop(np.ones((3, 3), dtype=bool), 3, 3)),
    )
    assert areas(RemoveOverlap()(both)) == [34, 9]
    assert areas(RemoveOverlap()(BREAK_ASTRO(both))) == [49, 3]


def test_greatest_area_counts_pixels_inside_the_image():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (-2, 0, 2, 4, 0.8, CORT), (70, 0, 80, 9, 0.7, ASTRO))
    assert scores(MaxArea(16)(predictions)) == [0.9, 0.8, 0.7]
    assert scores(MaxArea(15)(predictions)) == [0.8, 0.7]
    assert scores(MaxArea({'shsy5y': 0, 'astro': 0, 'cort': 20})(predictions)) == [0.9, 0.8, 0.7]


def test_least_area_counts_pixels_inside_the_image_and_drops_empty_cells_always():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (-2, 0, 2, 4, 0.8, CORT), (70, 0, 80, 9, 0.7, CORT))
    assert scores(MinArea(16)(predictions)) == [0.9]
    assert scores(MinArea(0)(predictions)) == [0.9, 0.8]


def test_mask_nms():
    predictions = cells((0, 0, 10, 10, 0.5, CORT), (0, 0, 10, 9, 0.6, ASTRO), (9, 0, 19, 10, 0.4, CORT))
    assert scores(MaskNMS(0.5)(predictions)) == [0.6, 0.4]


@pytest.mark.parametrize(
    ('rows', 'threshold', 'left'),
    [
        # A fragment inside a better cell, an IoU of .09.
        ([(0, 0, 10, 10, 0.9, CORT), (2, 2, 5, 5, 0.8, CORT)], 0.9, [0.9]),
        # A mask over two cells, one of which scores better: it goes, and the other one comes back.
        ([(0, 0, 10, 5, 0.7, CORT), (0, 0, 5, 5, 0.9, CORT), (5, 0, 10, 5, 0.6, CORT)], 0.9, [0.9, 0.6]),
        # A mask over two weaker cells stays alone.
        ([(0, 0, 10, 5, 0.9, CORT), (0, 0, 5, 5, 0.7, CORT), (5, 0, 10, 5, 0.6, CORT)], 0.9, [0.9]),
        # Neighbours that share 2 of 10 columns.
        ([(0, 0, 10, 10, 0.9, CORT), (8, 0, 18, 10, 0.8, CORT)], 0.2, [0.9, 0.8]),
        ([(0, 0, 10, 10, 0.9, CORT), (8, 0, 18, 10, 0.8, CORT)], 0.19, [0.9]),
        # The threshold of the weaker cell.
        (
            [(0, 0, 10, 10, 0.9, CORT), (2, 2, 5, 5, 0.8, ASTRO)],
            {'shsy5y': 0.1, 'astro': 1, 'cort': 0.1},
            [0.9, 0.8],
        ),
    ],
)
def test_containment_nms(rows, threshold, left):
    assert scores(ContainmentNMS(threshold)(solid(cells(*rows)))) == left


def test_remove_overlap_cuts_and_drops():
    predictions = cells((0, 0, 4, 4, 0.9, CORT), (2, 0, 6, 4, 0.8, CORT), (1, 0, 5, 4, 0.7, CORT))
    cut = RemoveOverlap()(predictions)
    assert (scores(cut), areas(cut)) == ([0.9, 0.8], [16, 8])
    strict = RemoveOverlap({'shsy5y': 0, 'astro': 0, 'cort': 0.6})(predictions)
    assert (scores(strict), areas(strict)) == ([0.9], [16])


@pytest.mark.parametrize('name', sorted(STEPS))
def test_every_step_takes_an_image_without_cells_and_leaves_its_input_alone(name):
    needs = {one.name: (one.metadata['above'] or 0) + 0.5 for one in fields(STEPS[name]) if one.default is MISSING}
    step = STEPS[name](**needs)
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
        (lambda: ScoreThreshold(1.5), 'ScoreThreshold threshold is 1.5; it must lie between 0 and 1'),
        (lambda: ScoreThreshold(float('nan')), 'must lie between'),
        (lambda: ScoreThreshold('high'), "is 'high'; give a number"),
        (lambda: ScoreThreshold(True), 'give a number'),
        (lambda: ScoreThreshold({'shsy5y': 0.1, 'astro': 0.1, 'cort': -1}), 'threshold, cort is -1'),
        (lambda: MinArea({}), 'MinArea min_area is empty'),
        (lambda: MinArea({0: 75}), 'the key 0 is no class name'),
        (
            lambda: MinArea({'a': 75}).for_classes(('a', 'b')),
            "MinArea min_area has no number for the class 'b', only for a",
        ),
        (lambda: MinArea(-1), 'MinArea min_area is -1; it must be finite and not below 0'),
        (lambda: MaxArea(float('inf')), 'MaxArea max_area is inf'),
        (lambda: DropFragments(1.5), 'DropFragments min_fraction is 1.5; it must lie between 0 and 1'),
        (lambda: GaussianSoftNMS(0), 'GaussianSoftNMS sigma is 0; it must lie above 0'),
        (lambda: GaussianSoftNMS({'shsy5y': 0.5, 'astro': 0, 'cort': 0.5}), 'GaussianSoftNMS sigma is 0'),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_parameters_by_class_need_labels_that_are_classes():
    predictions = cells((0, 0, 9, 9, 0.9, 7))
    assert len(ScoreThreshold(0.5)(predictions)) == 1
    with pytest.raises(InputError, match='label 7 is none of the classes'):
        ScoreThreshold({'shsy5y': 0.5, 'astro': 0.5, 'cort': 0.5})(predictions)
