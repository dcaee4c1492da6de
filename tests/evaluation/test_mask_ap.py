"""Average precision of masks: by hand, and against boxes where masks are boxes."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.coco_ap import encode_predictions, score_boxes, score_masks
from sartorius.masks.crop import MaskCrop
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

SIZE = (100, 400)


def gt_of(name: str, count: int, label: int = 0) -> ImageAnnotations:
    """Squares of 8 px in rows of 30."""
    crops = tuple(
        MaskCrop(np.ones((8, 8), dtype=bool), 10 * (place % 30), 10 * (place // 30)) for place in range(count)
    )
    return ImageAnnotations(name, SIZE, crops, np.full(count, label))


def pred_of(gt: ImageAnnotations, scores: np.ndarray, shift: float = 0.0) -> ImagePredictions:
    """Boxes of the ground truth, moved to the right and filled."""
    boxes = np.array([crop.window for crop in gt.crops], np.float32).reshape(-1, 4) + [shift, 0, shift, 0]
    soft = np.ones((len(gt), 8, 8), np.float32)
    return ImagePredictions(gt.image_id, SIZE, boxes.astype(np.float32), scores, gt.labels, soft)


def test_three_hundred_perfect_cells_score_one() -> None:
    """COCO's limit of 100 would make it .337."""
    gt = gt_of('a', 300)
    pred = pred_of(gt, np.linspace(0.1, 0.9, 300, dtype=np.float32))
    assert score_masks({'a': gt}, {'a': encode_predictions(pred)})['AP'] == pytest.approx(1.0)


def test_by_hand() -> None:
    """Of two predictions the better scored one is a false positive: precision 1/2 up to recall 1/2, and 0 beyond.

    51 of the 101 recalls reach that far: AP50 is 51 / 101 / 2.
    """
    gt = gt_of('a', 2)
    pred = [
        (encode_predictions(pred_of(gt, np.array([0.5, 0.5], np.float32)))[0][0], 0, 0.5),
        (encode_predictions(pred_of(gt_of('a', 31), np.zeros(31, np.float32)))[30][0], 0, 0.9),
    ]
    assert score_masks({'a': gt}, {'a': pred})['AP50'] == pytest.approx(51 / 101 / 2)


def test_squares_score_as_their_boxes_do() -> None:
    rng = np.random.default_rng(0)
    gt = {'a': gt_of('a', 40), 'b': gt_of('b', 25, label=2)}
    pred = {
        name: pred_of(image, rng.random(len(image)).astype(np.float32), shift)
        for (name, image), shift in zip(gt.items(), (1.0, 2.0), strict=True)
    }
    boxes = score_boxes(gt, pred)
    masks = score_masks(gt, {name: encode_predictions(image) for name, image in pred.items()})
    assert 0 < masks['AP'] < 1
    for name in ('AP', 'AP50', 'AP75'):
        assert masks[name] == pytest.approx(boxes[name])


def test_without_predictions_ap_is_zero() -> None:
    assert score_masks({'a': gt_of('a', 2)}, {})['AP'] == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match='predictions for image b'):
        score_masks({'a': gt_of('a', 1)}, {'b': []})
    with pytest.raises(InputError, match='ground-truth cell'):
        score_masks({'a': gt_of('a', 0)}, {})
