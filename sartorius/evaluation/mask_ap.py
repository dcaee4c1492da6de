"""COCO's average precision of masks, with every found cell counted."""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks.coco_rle import CocoRLE, encode
from sartorius.masks.paste import binarise
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

FoundMask = tuple[CocoRLE, int, float]
"""A found cell: mask, label, score."""


def encode_found(image: ImagePredictions) -> list[FoundMask]:
    """The cells of an image as :func:`score_masks` takes them: soft masks cut at .5, or the crops where there are some.

    Far smaller than the predictions, so that a whole image set can be held.
    """
    crops = binarise(image.soft_masks, image.boxes, image.size) if image.crops is None else image.crops
    return [
        (encode(crop, image.size), int(label), float(score))
        for crop, label, score in zip(crops, image.labels, image.scores, strict=True)
    ]


def score_masks(
    truth: Mapping[str, ImageAnnotations],
    found: Mapping[str, Sequence[FoundMask]],
    classes: Sequence[str] = CELL_TYPES,
) -> dict[str, float]:
    """COCO's average precision of masks (https://cocodataset.org/#detection-eval).

    COCO's own stops at 100 cells an image, at which 300 perfect ones have an AP of .337; here none is left out.

    Args:
        truth: True cells by image id.
        found: Found cells by image id (:func:`encode_found`); images that are missing have none.
        classes: Class names in the order of the labels of both.

    Returns:
        ``AP``: mean over the IoU thresholds .50, .55, ... .95 and over the classes that have true cells; ``AP50`` and
        ``AP75``: that at one threshold.

    Raises:
        InputError: Cells of an image that has no truth, or no true cell at all.
    """
    unknown = sorted(set(found) - set(truth))
    if unknown:
        raise InputError(f'image {unknown[0]} was predicted, and has no annotations to score its cells against')
    if not any(map(len, truth.values())):
        raise InputError('no true cell in any image; masks cannot be scored')
    true = {
        image_id: [
            (encode(crop, image.size), int(label), None) for crop, label in zip(image.crops, image.labels, strict=True)
        ]
        for image_id, image in truth.items()
    }
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_as_coco(truth, true, classes), _as_coco(truth, found, classes), 'segm')
        evaluation.params.maxDets = [max(map(len, found.values()), default=0)]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float('inf')]], ['all']
        evaluation.evaluate()
        evaluation.accumulate()
    # (thresholds, recalls, classes); -1 where a class has no true cells.
    precision = evaluation.eval['precision'][:, :, :, 0, 0]
    by_threshold = precision[:, :, (precision >= 0).all(axis=(0, 1))].mean(axis=(1, 2))
    return {'AP': float(by_threshold.mean()), 'AP50': float(by_threshold[0]), 'AP75': float(by_threshold[5])}


def _as_coco(
    truth: Mapping[str, ImageAnnotations],
    cells: Mapping[str, Sequence[tuple[CocoRLE, int, float | None]]],
    classes: Sequence[str],
) -> COCO:
    coco = COCO()
    coco.dataset = {
        'images': [
            {'id': number, 'height': image.size[0], 'width': image.size[1]}
            for number, image in enumerate(truth.values())
        ],
        'categories': [{'id': label, 'name': name} for label, name in enumerate(classes)],
        'annotations': list(_annotations(truth, cells)),
    }
    coco.createIndex()
    return coco


def _annotations(
    image_ids: Iterable[str], cells: Mapping[str, Sequence[tuple[CocoRLE, int, float | None]]]
) -> Iterable[dict[str, Any]]:
    # Ids start at 1: to pycocotools, what is matched to the id 0 is not matched.
    number = 0
    for place, image_id in enumerate(image_ids):
        for rle, label, score in cells.get(image_id, ()):
            number += 1
            area = int(coco_mask.area(rle))
            annotation = {'id': number, 'image_id': place, 'category_id': label, 'segmentation': rle, 'area': area}
            yield annotation | {'iscrowd': 0} | ({} if score is None else {'score': score})
