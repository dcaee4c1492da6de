"""Loads cells straight into crops."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from pycocotools import mask as coco_mask

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks.crop import Size
from sartorius.masks.packed_rle import decode_coco
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class LoadCellAnnotations(BaseTransform):
    """Loads labels, masks and their boxes as MMDetection's ``LoadAnnotations``, without its full-size bitmaps.

    Masks may be COCO RLE (``counts`` a str or a list of run lengths) or polygons. Boxes are those of the masks: where
    an instance's ``bbox`` is another, the mask is believed. A cell without pixels or without a polygon of three points
    is flagged to be ignored, so that it reaches no loss.

    Required keys: ``ori_shape``, ``instances`` (``bbox_label``, ``ignore_flag``, ``mask``). Added keys: ``gt_bboxes``
    (HorizontalBoxes), ``gt_bboxes_labels`` (int64), ``gt_ignore_flags`` (bool), ``gt_masks`` (:class:`CroppedMasks`).

    Raises:
        InputError: Counts that are bytes, which MMDetection skips without a word, or a code that does not fit the
            image; the message names the image and the cell, counted from 0.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        instances = results.get('instances', [])
        masks = _load_masks(results, instances)
        results['gt_masks'] = masks
        results['gt_bboxes'] = masks.get_bboxes()
        results['gt_bboxes_labels'] = np.array([cell['bbox_label'] for cell in instances], dtype=np.int64)
        flags = np.array([cell['ignore_flag'] for cell in instances], dtype=bool)
        results['gt_ignore_flags'] = flags | (masks.areas == 0)
        return results


def _load_masks(results: dict[str, Any], instances: list[dict[str, Any]]) -> CroppedMasks:
    size = tuple(results['ori_shape'])
    try:
        packed = decode_coco([_counts(number, cell['mask'], size) for number, cell in enumerate(instances)], size)
    except InputError as error:
        raise InputError(f'image {results.get("img_path", results.get("img_id"))}, {error}') from None
    return CroppedMasks.from_packed(packed, *size)


def _counts(number: int, mask: dict[str, Any] | list[list[float]], size: Size) -> str:
    """Compressed COCO counts of any form of mask."""
    if isinstance(mask, list):
        polygons = [polygon for polygon in mask if len(polygon) >= 6 and len(polygon) % 2 == 0]
        if not polygons:
            return _as_text(coco_mask.frPyObjects({'size': list(size), 'counts': [size[0] * size[1]]}, *size))
        return _as_text(coco_mask.merge(coco_mask.frPyObjects(polygons, *size)))
    if tuple(mask['size']) != size:
        height, width = mask['size']
        raise InputError(f'cell {number}: mask of an image of {width}x{height} pixels, not {size[1]}x{size[0]}')
    if isinstance(mask['counts'], list):
        return _as_text(coco_mask.frPyObjects(mask, *size))
    return mask['counts']


def _as_text(rle: dict[str, Any]) -> str:
    return rle['counts'].decode('ascii')
