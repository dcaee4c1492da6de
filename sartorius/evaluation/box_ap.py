"""Average precision of boxes, for a detector that finds no masks."""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sartorius.annotations.structures import ImageAnnotations
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError


def score_boxes(
    truth: Mapping[str, ImageAnnotations],
    found: Mapping[str, ImagePredictions],
    classes: Sequence[str] = CELL_TYPES,
) -> dict[str, float]:
    """COCO's average precision of boxes (https://cocodataset.org/#detection-eval), with every found box counted.

    COCO's own stops at 100 boxes an image, at which 300 perfect ones have an AP of .337. A true box is that of a cell's
    mask. Classes count here, as they do not in the competition's score, and scores count only by their order.

    Args:
        truth: True cells by image id.
        found: Found cells by image id, of which boxes, scores and labels count; images that are missing have none.
        classes: Class names in the order of the labels of both.

    Returns:
        ``AP``: mean over the IoU thresholds .50, .55, ... .95 and over the classes that have true cells; ``AP50`` and
        ``AP75``: that at one threshold; and by the name of each of these classes its mean over the thresholds.

    Raises:
        InputError: Predictions of images that have no truth, or no true cell at all.
    """
    for image_id in found:
        if image_id not in truth:
            raise InputError(f'image {image_id} was predicted, and has no annotations to score its boxes against')
    if not any(map(len, truth.values())):
        raise InputError('no true cell in any image; boxes cannot be scored')
    true_boxes = {
        image_id: (np.array([crop.tight().window for crop in image.crops]).reshape(-1, 4), image.labels)
        for image_id, image in truth.items()
    }
    found_boxes = {image_id: (image.boxes, image.labels, image.scores) for image_id, image in found.items()}
    ids = list(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_as_coco(ids, true_boxes, classes), _as_coco(ids, found_boxes, classes), 'bbox')
        evaluation.params.maxDets = [max((len(image) for image in found.values()), default=0)]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float('inf')]], ['all']
        evaluation.evaluate()
        evaluation.accumulate()
    # Thresholds, recalls, classes; -1 where a class has no true cells.
    precision = evaluation.eval['precision'][:, :, :, 0, 0]
    present = [label for label in range(len(classes)) if (precision[:, :, label] >= 0).all()]
    by_threshold = precision[:, :, present].mean(axis=(1, 2))
    scores = {'AP': by_threshold.mean(), 'AP50': by_threshold[0], 'AP75': by_threshold[5]}
    scores |= {classes[label]: precision[:, :, label].mean() for label in present}
    return {name: float(score) for name, score in scores.items()}


def _as_coco(image_ids: Sequence[str], boxes: Mapping[str, tuple[NDArray[Any], ...]], classes: Sequence[str]) -> COCO:
    """Boxes, labels and, if there are any, scores by image id as pycocotools takes them."""
    coco = COCO()
    coco.dataset = {
        'images': [{'id': number} for number in range(len(image_ids))],
        'categories': [{'id': label, 'name': name} for label, name in enumerate(classes)],
        'annotations': list(_annotations(image_ids, boxes)),
    }
    coco.createIndex()
    return coco


def _annotations(image_ids: Sequence[str], boxes: Mapping[str, tuple[NDArray[Any], ...]]) -> Iterable[dict[str, Any]]:
    # Ids start at 1: to pycocotools, what is matched to the id 0 is not matched.
    number = 0
    for place, image_id in enumerate(image_ids):
        for (x1, y1, x2, y2), label, *score in zip(*(array.tolist() for array in boxes.get(image_id, ())), strict=True):
            number += 1
            width, height = x2 - x1, y2 - y1
            annotation = {'id': number, 'image_id': place, 'category_id': label, 'bbox': [x1, y1, width, height]}
            yield annotation | {'area': width * height, 'iscrowd': 0} | ({'score': score[0]} if score else {})
