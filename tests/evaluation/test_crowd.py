"""Crowd regions (COCO's iscrowd): neither a miss nor a false positive, in every score."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.coco_ap import encode_predictions, score_boxes, score_masks
from sartorius.evaluation.error_analysis import analyse_errors
from sartorius.evaluation.matching import counted_predictions
from sartorius.evaluation.metric import score_images
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import load_chain
from sartorius.postprocess.tuning.grid import SearchGrid, score_all_settings
from sartorius.predictions.structures import ImagePredictions

SIZE = (20, 60)
CELL = MaskCrop(np.ones((10, 10), dtype=bool), 5, 5)
CROWD = MaskCrop(np.ones((12, 12), dtype=bool), 30, 4)
GT = ImageAnnotations('a', SIZE, (CELL,), np.zeros(1, dtype=np.int64), crowd=(CROWD,))


def rectangle(x: int, y: int, width: int, height: int) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


@pytest.mark.parametrize(
    ('pred', 'counts'),
    [
        (rectangle(31, 5, 4, 4), False),  # wholly inside
        (rectangle(26, 5, 8, 4), True),  # half of it inside: 4 of 8 columns
        (rectangle(27, 5, 8, 4), False),  # 5 of 8
        (rectangle(50, 5, 4, 4), True),  # elsewhere
        (CELL, True),
    ],
)
def test_what_lies_in_a_crowd_region_by_more_than_half_does_not_count(pred: MaskCrop, counts: bool) -> None:
    assert counted_predictions([pred], GT).tolist() == [counts]
    row = score_images({'a': GT}, {'a': [CELL, pred]}).iloc[0]
    assert (row['n_gt'], row['n_pred'], row['tp_50']) == (1, 1 + counts, 1)
    assert row['score'] == pytest.approx(1 / (1 + counts))


def test_a_crowd_region_is_no_miss() -> None:
    assert score_images({'a': GT}, {'a': [CELL]})['score'].tolist() == [1.0]
    alone = ImageAnnotations('a', SIZE, (), np.zeros(0, dtype=np.int64), crowd=(CROWD,))
    assert score_images({'a': alone}, {'a': [rectangle(31, 5, 4, 4)]})['score'].tolist() == [1.0]
    assert score_images({'a': alone}, {'a': [CELL]})['score'].tolist() == [0.0]


def test_a_cell_within_a_crowd_region_is_matched_all_the_same() -> None:
    inside = rectangle(32, 6, 4, 4)
    gt = ImageAnnotations('a', SIZE, (inside,), np.zeros(1, dtype=np.int64), crowd=(CROWD,))
    near = rectangle(32, 6, 4, 3)  # IoU 3/4
    assert counted_predictions([inside, near, rectangle(37, 6, 4, 4)], gt).tolist() == [True, True, False]
    assert score_images({'a': gt}, {'a': [inside]})['score'].tolist() == [1.0]
    assert score_images({'a': gt}, {'a': [near]})['score'].tolist() == [0.5]


def test_predictions_past_the_border_of_the_image() -> None:
    corner = ImageAnnotations('a', SIZE, (), np.zeros(0, dtype=np.int64), crowd=(rectangle(50, 10, 20, 20),))
    assert counted_predictions([rectangle(55, 15, 6, 6), rectangle(59, 15, 10, 4)], corner).tolist() == [False, True]


def test_the_analysis_of_errors_lists_no_ignored_prediction() -> None:
    cells = analyse_errors({'a': GT}, {'a': [rectangle(31, 5, 4, 4), CELL]}).cells
    assert cells['category'].tolist() == ['correct', 'correct']


def predictions(*crops: MaskCrop) -> ImagePredictions:
    boxes = np.array([crop.window for crop in crops], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(crops), dtype=np.float32)
    labels, soft = np.zeros(len(crops), dtype=np.int64), np.ones((len(crops), 8, 8), np.float32)
    return ImagePredictions('a', SIZE, boxes, scores, labels, soft)


def test_average_precision_ignores_it_in_every_class() -> None:
    pred = predictions(rectangle(31, 5, 6, 6), CELL)
    without = ImageAnnotations('a', SIZE, GT.crops, GT.labels)
    for score, found in ((score_masks, encode_predictions(pred)), (score_boxes, pred)):
        # Without the region, the false one that scores best halves the precision.
        assert score({'a': without}, {'a': found})['AP50'] == pytest.approx(0.5)
        assert score({'a': GT}, {'a': found})['AP50'] == pytest.approx(1.0)


def test_the_tuner_counts_as_the_metric_does() -> None:
    pred, grid, chain = (
        predictions(CELL, rectangle(31, 5, 6, 6)),
        SearchGrid({'score': (0.3, 0.7), 'area': (1,)}),
        load_chain(),
    )
    without = ImageAnnotations('a', SIZE, GT.crops, GT.labels)
    assert score_all_settings(pred, GT, chain, grid).scores.ravel().tolist() == [1.0, 1.0]
    assert score_all_settings(pred, without, chain, grid).scores.ravel().tolist() == [0.5, 1.0]
