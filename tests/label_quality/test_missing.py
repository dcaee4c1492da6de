"""Predictions without a label and labels that are never predicted, on masks of a few pixels."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.label_quality.missing import LabelComparison, Limits, compare_with_labels, list_missing, merge_candidates
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.structures import ImagePredictions

SIZE = (30, 40)
LIMITS = Limits()


def block(x: int, y: int, width: int = 10, height: int = 1) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def labelled(*crops: MaskCrop, image_id: str = 'a', label: int = 2) -> ImageAnnotations:
    return ImageAnnotations(image_id, SIZE, crops, np.full(len(crops), label))


def predicted(*cells: tuple[MaskCrop, float], image_id: str = 'a') -> ImagePredictions:
    """Post-processed cells; only masks and scores count."""
    count = len(cells)
    return ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=np.zeros((count, 4), np.float32),
        scores=np.array([score for _, score in cells], np.float32),
        labels=np.zeros(count, np.int64),
        soft_masks=np.zeros((count, 1, 1), np.float32),
        crops=tuple(crop for crop, _ in cells),
    )


def compare(gt: ImageAnnotations, *cells: tuple[MaskCrop, float], candidates=()) -> LabelComparison:
    return compare_with_labels(gt, predicted(*cells, image_id=gt.image_id), candidates)


@pytest.mark.parametrize(
    ('crop', 'iou', 'covered', 'unlabelled'),
    [
        (block(20, 5), 0, 0, True),  # nothing of it is labelled
        (block(0, 0), 1, 1, False),  # the label itself
        (block(9, 0), 1 / 19, 0.1, True),  # a pixel of ten on the label, as neighbours that touch
        (block(8, 0), 2 / 18, 0.2, False),  # two of ten: IoU not below .1, and a fifth covered
        (block(8, 0, 12), 0.1, 1 / 6, False),  # an IoU of just .1 is not below it
        (block(9, 0, 5), 1 / 14, 0.2, False),  # the same fifth, though the IoU is low: not below a fifth
        (block(0, 0, 1, 1), 0.1, 1, False),  # a fragment within the label
        (block(0, 0, 10, 12), 10 / 120, 10 / 120, True),  # a large cell over a label of a twelfth of it
    ],
)
def test_a_prediction_has_no_label_when_both_measures_are_low(crop, iou, covered, unlabelled) -> None:
    seen = compare(labelled(block(0, 0)), (crop, 0.9))
    assert seen.pred_iou.tolist() == pytest.approx([iou])
    assert seen.covered.tolist() == pytest.approx([covered])
    assert seen.unlabelled(LIMITS).tolist() == [unlabelled]


def test_labels_cover_together_and_their_overlap_counts_once() -> None:
    gt = labelled(block(0, 0, 2), block(1, 0, 2))  # columns 0 and 1, 1 and 2
    assert compare(gt, (block(0, 0, 6), 0.9)).covered.tolist() == [0.5]


def test_limits_are_those_given() -> None:
    seen = compare(labelled(block(0, 0)), (block(8, 0), 0.9))  # IoU 1/9, a fifth covered
    assert not seen.unlabelled(Limits(iou=0.12)).any()
    assert not seen.unlabelled(Limits(covered=0.3)).any()
    assert seen.unlabelled(Limits(iou=0.12, covered=0.3)).all()


def test_parts_outside_the_image_do_not_count() -> None:
    seen = compare(labelled(block(38, 0, 10)), (block(39, 0, 10), 0.9))
    assert seen.pred.areas.tolist() == [1]
    assert seen.covered.tolist() == [1]
    assert seen.pred_iou.tolist() == [0.5]


@pytest.mark.parametrize(
    ('pred_crops', 'candidates', 'best', 'never'),
    [
        ([], [], 0, True),
        ([], [block(9, 0)], 1 / 19, True),
        ([], [block(0, 0, 1)], 0.1, True),  # not above .1
        ([], [block(0, 0, 2)], 0.2, False),  # a candidate that post-processing drops
        ([block(0, 0, 2)], [], 0.2, False),  # post-processing may shape a cell that no candidate has
        ([block(5, 0)], [block(9, 0)], 1 / 3, False),
    ],
)
def test_a_label_is_never_predicted_when_no_candidate_overlaps_it(pred_crops, candidates, best, never) -> None:
    gt = labelled(block(0, 0))
    seen = compare(gt, *((crop, 0.9) for crop in pred_crops), candidates=candidates)
    assert seen.label_iou.tolist() == pytest.approx([best])
    missing = list_missing({'a': gt}, {'a': 'cort'}, {'a': [seen]}, LIMITS)
    assert missing.never_predicted['best_iou'].tolist() == (pytest.approx([best]) if never else [])


def test_one_file_that_predicts_it_is_enough() -> None:
    gt = labelled(block(0, 0), block(0, 10))
    seen = [compare(gt), compare(gt, candidates=[block(0, 0)])]
    lost = list_missing({'a': gt}, {'a': 'cort'}, {'a': seen}, LIMITS).never_predicted
    assert lost['number'].tolist() == [2]
    assert lost['files'].tolist() == [2]


def test_the_same_cell_of_two_files_is_one_candidate() -> None:
    gt = labelled()
    first = compare(gt, (block(0, 0), 0.6), (block(0, 20), 0.5))
    second = compare(gt, (block(1, 0), 0.8))  # IoU 9/11 with the first file's
    one, other = merge_candidates([first, second], SIZE, LIMITS)
    assert (one.support, other.support) == (2, 1)
    assert one.score == pytest.approx(0.7)
    assert other.score == pytest.approx(0.25)  # the file without it counts as 0
    assert one.crop.window == (1, 0, 11, 1)  # as in the file with the higher score


def test_cells_that_meet_halfway_at_most_are_two() -> None:
    gt = labelled()
    seen = [compare(gt, (block(0, 0, 2), 0.9)), compare(gt, (block(0, 0, 1), 0.8))]  # IoU .5
    assert [one.support for one in merge_candidates(seen, SIZE, LIMITS)] == [1, 1]


def test_a_file_supports_a_cell_once_and_the_nearest_one() -> None:
    """Two overlapping cells of the first file, and one of the second that meets both."""
    gt = labelled()
    first = compare(gt, (block(0, 0, 10), 0.9), (block(2, 0, 10), 0.8))  # IoU 8/12
    second = compare(gt, (block(2, 0, 9), 0.7))  # 8/11 with the one, 9/10 with the other
    merged = merge_candidates([first, second], SIZE, LIMITS)
    assert [(one.crop.x, one.support) for one in merged] == [(2, 2), (0, 1)]
    assert [one.score for one in merged] == pytest.approx([0.75, 0.45])


def test_of_equal_sightings_the_earlier_file_gives_the_mask() -> None:
    gt = labelled()
    seen = [compare(gt, (block(x, 0), 0.8)) for x in (3, 2, 4)]
    (one,) = merge_candidates(seen, SIZE, LIMITS)
    assert (one.crop.x, one.support, one.score) == (3, 3, pytest.approx(0.8))


def test_a_labelled_sighting_gives_no_support() -> None:
    gt = labelled(block(0, 0))
    seen = [compare(gt, (block(9, 0), 0.8)), compare(gt, (block(7, 0), 0.8))]
    (one,) = merge_candidates(seen, SIZE, LIMITS)
    assert (one.support, one.score) == (1, pytest.approx(0.4))
    assert one.best_iou == pytest.approx(1 / 19)


def test_candidates_score_like_three_quarters_of_the_true_positives_of_their_type() -> None:
    rows = range(0, 10, 2)
    sure = labelled(*(block(0, y) for y in rows), image_id='a', label=2)
    unsure = labelled(*(block(0, y) for y in rows), image_id='b', label=0)
    tp_scores = (0.5, 0.6, 0.7, 0.8, 0.9)  # the lower quartile is the second
    new = [(block(0, 20), 0.55), (block(0, 25), 0.6)]
    seen = {
        'a': [compare(sure, *((block(0, y), score) for y, score in zip(rows, tp_scores, strict=True)), *new)],
        # The other type's scores are half as high.
        'b': [compare(unsure, *((block(0, y), score / 2) for y, score in zip(rows, tp_scores, strict=True)), *new)],
    }
    missing = list_missing({'a': sure, 'b': unsure}, {'a': 'cort', 'b': 'shsy5y'}, seen, LIMITS)
    assert missing.counts['min_score'].tolist() == pytest.approx([0.3, 0.6])
    listed = missing.unlabelled[['cell_type', 'score', 'y']].round(2).values.tolist()
    assert listed == [['shsy5y', 0.6, 25], ['shsy5y', 0.55, 20], ['cort', 0.6, 25]]


def test_a_given_min_score_holds_for_all_types() -> None:
    gt = labelled(block(0, 0))
    seen = {'a': [compare(gt, (block(0, 0), 0.9), (block(0, 20), 0.5), (block(0, 25), 0.4))]}
    missing = list_missing({'a': gt}, {'a': 'cort'}, seen, LIMITS, min_score=0.5)
    assert missing.unlabelled['y'].tolist() == [20]
    assert missing.counts['min_score'].tolist() == [0.5]


def test_without_true_positives_everything_is_listed() -> None:
    gt = labelled()
    missing = list_missing({'a': gt}, {'a': 'cort'}, {'a': [compare(gt, (block(0, 20), 0.01))]}, LIMITS)
    assert missing.counts['min_score'].tolist() == [0]
    row = missing.unlabelled.iloc[0]
    assert row[['id', 'cell_type', 'support', 'files', 'x', 'y', 'area']].tolist() == ['a', 'cort', 1, 1, 4.5, 20, 10]


def test_order_of_never_predicted_labels() -> None:
    """Those inside the image before those at its border, large before small ones, ties by position."""
    gt = labelled(block(0, 5, 20), block(5, 10, 4), block(5, 15, 8), block(5, 20, 4))
    lost = list_missing({'a': gt}, {'a': 'cort'}, {'a': [compare(gt)]}, LIMITS).never_predicted
    assert lost[['number', 'area', 'border']].values.tolist() == [
        [3, 8, False],
        [2, 4, False],
        [4, 4, False],
        [1, 20, True],
    ]


def test_equal_scores_fall_alike_whatever_the_order_of_the_images() -> None:
    gt = {name: labelled(image_id=name) for name in ('b', 'a')}
    cells = (block(0, 20), 0.5), (block(0, 10), 0.5)
    seen = {name: [compare(gt[name], *cells)] for name in gt}
    types = dict.fromkeys(gt, 'cort')
    for order in (('a', 'b'), ('b', 'a')):
        missing = list_missing(gt, types, {name: seen[name] for name in order}, LIMITS)
        assert missing.unlabelled[['id', 'y']].values.tolist() == [['a', 10], ['a', 20], ['b', 10], ['b', 20]]


def test_empty_images_and_images_without_predictions() -> None:
    """An image without labels and cells counts; one that no file predicts does not, nor are its labels listed."""
    gt = {'a': labelled(), 'b': labelled(block(0, 0), image_id='b')}
    missing = list_missing(gt, {'a': 'astro', 'b': 'cort'}, {'a': [compare(gt['a'])]}, LIMITS)
    assert missing.counts.values.tolist() == [['astro', 1, 0, 0, 0, 0, 0.0]]
    assert missing.unlabelled.empty
    assert missing.never_predicted.empty


def test_an_image_of_unknown_type_is_listed_last() -> None:
    gt = {'a': labelled(image_id='a'), 'b': labelled(image_id='b')}
    seen = {name: [compare(gt[name], (block(0, 10), 0.5))] for name in gt}
    missing = list_missing(gt, {'a': '', 'b': 'cort'}, seen, LIMITS)
    assert missing.unlabelled['cell_type'].tolist() == ['cort', 'none']
