"""COCO's average precision (AP) of boxes and of masks, without its limit on predictions per image.

Source: https://cocodataset.org/#detection-eval. COCO's own evaluation stops at 100 predictions per image, at which 300
perfect ones have an AP of .337. Unlike in the competition's score, classes count, and scores count by their order only.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.masks.coco_rle import CocoRLE, encode
from sartorius.masks.crop import MaskCrop
from sartorius.masks.paste import binarise
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError

PredictedMask = tuple[CocoRLE, int, float]
"""A predicted cell: mask, label, score."""

Cells = Mapping[str, Sequence[Mapping[str, Any]]]
"""Cells by image id, with the fields that pycocotools needs except ``id`` and ``image_id``."""


def score_boxes(
    gt: Mapping[str, ImageAnnotations],
    pred: Mapping[str, ImagePredictions],
) -> dict[str, float]:
    """Average precision of boxes, for a detector without masks. A ground-truth box is the bounding box of a mask.

    Args:
        gt: Ground truth by image id; the labels of a plain mapping are the competition's (:class:`GroundTruth`).
        pred: Predictions by image id, of which boxes, scores and labels count; images that are missing have none.
            Labels index into the classes of the ground truth.

    Returns:
        ``AP``: mean over the IoU thresholds .50, .55, ... .95 and over the classes that have ground
        truth; ``AP50`` and ``AP75``: that at one threshold; by class name the mean of that class over the thresholds.

    Raises:
        InputError: Predictions of images without annotations, or no ground-truth cell at all.
    """
    gt = GroundTruth.of(gt)
    gt_boxes = {
        image_id: [
            {**_with_box(crop.tight().window, label), 'iscrowd': crowd}
            for crop, label, crowd in _regions(image, gt.classes)
        ]
        for image_id, image in gt.items()
    }
    pred_boxes = {
        image_id: [
            {**_with_box(box, label), 'score': score}
            for box, label, score in zip(
                image.boxes.tolist(), image.labels.tolist(), image.scores.tolist(), strict=True
            )
        ]
        for image_id, image in pred.items()
    }
    return _average_precision('bbox', gt, gt_boxes, pred_boxes)


def encode_predictions(image: ImagePredictions) -> list[PredictedMask]:
    """Predictions of an image as :func:`score_masks` takes them: soft masks binarised at .5, or the crops if present.

    Far smaller than the predictions, so that a whole image set fits in memory.
    """
    crops = binarise(image.soft_masks, image.boxes, image.size) if image.crops is None else image.crops
    return [
        (encode(crop, image.size), int(label), float(score))
        for crop, label, score in zip(crops, image.labels, image.scores, strict=True)
    ]


def score_masks(
    gt: Mapping[str, ImageAnnotations],
    pred: Mapping[str, Sequence[PredictedMask]],
) -> dict[str, float]:
    """Average precision of masks.

    Args:
        gt: Ground truth by image id; the labels of a plain mapping are the competition's (:class:`GroundTruth`).
        pred: Predictions by image id (:func:`encode_predictions`); images that are missing have none. Labels index into
            the classes of the ground truth.

    Returns:
        As :func:`score_boxes`.

    Raises:
        InputError: Predictions of an image without annotations, or no ground-truth cell at all.
    """
    gt = GroundTruth.of(gt)
    gt_masks = {
        image_id: [
            {**_with_mask(encode(crop, image.size), label), 'iscrowd': crowd}
            for crop, label, crowd in _regions(image, gt.classes)
        ]
        for image_id, image in gt.items()
    }
    pred_masks = {
        image_id: [{**_with_mask(rle, label), 'score': score} for rle, label, score in cells]
        for image_id, cells in pred.items()
    }
    return _average_precision('segm', gt, gt_masks, pred_masks)


def _average_precision(kind: str, gt: GroundTruth, gt_cells: Cells, pred_cells: Cells) -> dict[str, float]:
    """Average precision by ``bbox`` or ``segm``."""
    unknown = sorted(set(pred_cells) - set(gt))
    if unknown:
        raise InputError(f'there are predictions for image {unknown[0]}, which the annotations do not have')
    if not any(map(len, gt.values())):
        raise InputError('no image has a ground-truth cell; there is nothing to score predictions against')
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_as_coco(gt, gt_cells), _as_coco(gt, pred_cells), kind)
        evaluation.params.maxDets = [max(map(len, pred_cells.values()), default=0)]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float('inf')]], ['all']
        evaluation.evaluate()
        evaluation.accumulate()
    # Thresholds, recalls, classes; -1 where a class has no ground truth.
    precision = evaluation.eval['precision'][:, :, :, 0, 0]
    present = np.flatnonzero((precision >= 0).all(axis=(0, 1))).tolist()
    by_threshold = precision[:, :, present].mean(axis=(1, 2))
    scores = {'AP': by_threshold.mean(), 'AP50': by_threshold[0], 'AP75': by_threshold[5]}
    scores |= {gt.classes[label]: precision[:, :, label].mean() for label in present}
    return {name: float(score) for name, score in scores.items()}


def _regions(image: ImageAnnotations, classes: Sequence[str]) -> Iterator[tuple[MaskCrop, int, int]]:
    """Mask, label and ``iscrowd`` of each cell, and of each crowd region once per class: it ignores them all."""
    for crop, label in zip(image.crops, image.labels.tolist(), strict=True):
        yield crop, label, 0
    for crop in image.crowd:
        for label in range(len(classes)):
            yield crop, label, 1


def _with_box(box: Sequence[float], label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {'category_id': label, 'bbox': [x1, y1, x2 - x1, y2 - y1], 'area': (x2 - x1) * (y2 - y1)}


def _with_mask(rle: CocoRLE, label: int) -> dict[str, Any]:
    return {'category_id': label, 'segmentation': rle, 'area': int(coco_mask.area(rle))}


def _as_coco(gt: GroundTruth, cells: Cells) -> COCO:
    coco = COCO()
    coco.dataset = {
        'images': [
            {'id': number, 'height': image.size[0], 'width': image.size[1]} for number, image in enumerate(gt.values())
        ],
        'categories': [{'id': label, 'name': name} for label, name in enumerate(gt.classes)],
        'annotations': list(_annotations(gt, cells)),
    }
    coco.createIndex()
    return coco


def _annotations(gt: Mapping[str, ImageAnnotations], cells: Cells) -> Iterator[dict[str, Any]]:
    # Ids start at 1: pycocotools takes a match with id 0 for no match.
    number = 0
    for index, image_id in enumerate(gt):
        for cell in cells.get(image_id, ()):
            number += 1
            yield {'iscrowd': 0, **cell, 'id': number, 'image_id': index}
