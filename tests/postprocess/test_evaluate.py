"""Evaluation of whole predictions files: every image post-processed, measured and scored."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import build_chain
from sartorius.postprocess.evaluate import evaluate_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError

SIZE = (40, 60)
CHAIN = build_chain([{'type': 'ScoreThreshold', 'threshold': 0.5}])


def squares(*corners: tuple[int, int]) -> tuple[MaskCrop, ...]:
    return tuple(MaskCrop(np.ones((10, 10), dtype=bool), x, y) for x, y in corners)


def predicted(image_id: str, *cells: tuple[int, int, float]) -> ImagePredictions:
    """Squares of 10 pixels of class 1, by corner and score."""
    boxes = np.array([(x, y, x + 10, y + 10) for x, y, _ in cells], dtype=np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in cells], dtype=np.float32)
    masks = np.ones((len(cells), 10, 10), dtype=np.float32)
    return ImagePredictions(image_id, SIZE, boxes, scores, np.full(len(cells), 1), masks)


def annotated(image_id: str, *corners: tuple[int, int]) -> ImageAnnotations:
    return ImageAnnotations(image_id, SIZE, squares(*corners), np.full(len(corners), 1))


# a: one true positive, and a cell that post-processing drops; b: TP 1, FP 1, FN 1; c: no predictions.
PREDICTIONS = PredictionSet(
    (predicted('a', (0, 0, 0.9), (20, 0, 0.2)), predicted('b', (0, 0, 0.7), (45, 25, 0.6)), predicted('c')),
    source={'config': 'small.py'},
)
GT = {
    'a': annotated('a', (0, 0)),
    'b': annotated('b', (0, 0), (20, 20)),
    'c': annotated('c', (5, 5)),
    'd': annotated('d', (1, 1)),
}


def test_scores_and_measures() -> None:
    report = evaluate_predictions(PREDICTIONS, CHAIN, GT)
    table = report.table.set_index('image_id')
    assert table['n_gt'].to_dict() == {'a': 1, 'b': 2, 'c': 1}
    assert table['n_pred'].to_dict() == {'a': 1, 'b': 2, 'c': 0}
    assert table['tp_50'].to_dict() == {'a': 1, 'b': 1, 'c': 0}
    assert table['score'].tolist() == pytest.approx([1, 1 / 3, 0])
    assert table['detected_as'].tolist() == ['astro', 'astro', 'none']
    assert table['confidence'].tolist() == pytest.approx([0.9, 0.65, np.nan], nan_ok=True)
    assert table['area'].tolist() == pytest.approx([100, 100, np.nan], nan_ok=True)
    assert report.summary.score.mean == pytest.approx(4 / 9)
    # Image d has no predictions file and does not count.
    assert (list(report.gt), report.dropped) == (['a', 'b', 'c'], 1)
    assert (report.chain, report.source) == (CHAIN, {'config': 'small.py'})


def test_intervals_are_over_the_groups() -> None:
    one = evaluate_predictions(PREDICTIONS, CHAIN, GT, dict.fromkeys('abc', 'well')).summary
    each = evaluate_predictions(PREDICTIONS, CHAIN, GT).summary
    assert (one.groups, each.groups) == (1, 3)
    assert one.score == pytest.approx((4 / 9, 4 / 9, 4 / 9))
    assert (each.score.low, each.score.high) == pytest.approx((0, 1))


def test_without_ground_truth_nothing_is_scored() -> None:
    report = evaluate_predictions(PREDICTIONS, CHAIN)
    assert (report.gt, report.summary, report.errors) == (None, None, None)
    assert report.table['cell_type'].tolist() == ['astro', 'astro', 'none']
    assert report.table['n_pred'].tolist() == [1, 2, 0]


def test_annotations_of_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="predictions for image 'b'"):
        evaluate_predictions(PREDICTIONS, CHAIN, {'a': GT['a'], 'c': GT['c']})
    other = ImageAnnotations('b', (50, 60), (), np.zeros(0, dtype=np.int64))
    with pytest.raises(InputError, match='image b: 60x40 px in the predictions, 60x50 px in the annotations'):
        evaluate_predictions(PREDICTIONS, CHAIN, {**GT, 'b': other})


def test_predictions_without_images_are_refused() -> None:
    with pytest.raises(InputError, match='hold no image'):
        evaluate_predictions(PredictionSet(()), CHAIN)
