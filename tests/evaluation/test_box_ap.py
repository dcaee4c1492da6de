"""Average precision of boxes on cases worked out by hand."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.coco_ap import score_boxes
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

SIZE = (400, 400)


def gt(boxes: list[tuple[int, int, int, int]], label: int = 0) -> ImageAnnotations:
    """Full boxes, each in a crop with an empty rim."""
    crops = tuple(
        MaskCrop(np.pad(np.ones((y2 - y1, x2 - x1), dtype=bool), 2), x1 - 2, y1 - 2) for x1, y1, x2, y2 in boxes
    )
    return ImageAnnotations('a', SIZE, crops, np.full(len(boxes), label))


def pred(boxes: list[tuple[float, ...]], scores: list[float], label: int = 0) -> ImagePredictions:
    count = len(boxes)
    return ImagePredictions(
        image_id='a',
        size=SIZE,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.full(count, label, np.int64),
        soft_masks=np.zeros((count, 0, 0), np.float32),
    )


def grid(count: int) -> list[tuple[int, int, int, int]]:
    """Boxes of 10x10 px, 20 px apart."""
    return [(20 * (n % 20), 20 * (n // 20), 20 * (n % 20) + 10, 20 * (n // 20) + 10) for n in range(count)]


@pytest.mark.parametrize('count', [1, 300])
def test_perfect_boxes_have_an_ap_of_1_however_many(count: int) -> None:
    """At COCO's 100 boxes an image 300 would have .337."""
    boxes = grid(count)
    scores = score_boxes({'a': gt(boxes)}, {'a': pred(boxes, np.linspace(0.9, 0.1, count).tolist())})
    assert scores == pytest.approx({'AP': 1, 'AP50': 1, 'AP75': 1, 'shsy5y': 1})


def test_a_box_of_iou_08_counts_at_seven_of_ten_thresholds() -> None:
    scores = score_boxes({'a': gt([(0, 0, 10, 10)])}, {'a': pred([(0, 0, 10, 8)], [0.5])})
    assert scores == pytest.approx({'AP': 0.7, 'AP50': 1, 'AP75': 1, 'shsy5y': 0.7})


def test_a_surer_wrong_box_halves_the_precision() -> None:
    boxes = [(0, 0, 10, 10)]
    wrong = [(100, 100, 110, 110)]
    better = score_boxes({'a': gt(boxes)}, {'a': pred(boxes + wrong, [0.9, 0.5])})
    worse = score_boxes({'a': gt(boxes)}, {'a': pred(boxes + wrong, [0.5, 0.9])})
    assert (better['AP'], worse['AP']) == pytest.approx((1, 0.5))


def test_the_mean_is_over_the_classes_that_have_cells() -> None:
    """Of the two cells of an image of class 0 and an image of class 2, the latter's is called class 1."""
    boxes = [(0, 0, 10, 10)]
    true = {'a': gt(boxes), 'b': gt(boxes, label=2)}
    scores = score_boxes(true, {'a': pred(boxes, [0.9]), 'b': pred(boxes, [0.9], label=1)})
    assert scores == pytest.approx({'AP': 0.5, 'AP50': 0.5, 'AP75': 0.5, 'shsy5y': 1, 'cort': 0})


@pytest.mark.parametrize('given', [{}, {'a': pred([], [])}], ids=['no image', 'no box'])
def test_no_predictions(given: dict[str, ImagePredictions]) -> None:
    assert score_boxes({'a': gt([(0, 0, 10, 10)])}, given)['AP'] == 0


def test_missing_ground_truth_is_refused() -> None:
    with pytest.raises(InputError, match='predictions for image b, which the annotations do not have'):
        score_boxes({'a': gt([(0, 0, 10, 10)])}, {'b': pred([], [])})
    with pytest.raises(InputError, match='no image has a ground-truth cell'):
        score_boxes({'a': gt([])}, {'a': pred([], [])})
