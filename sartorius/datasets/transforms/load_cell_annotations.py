"""Loads cells straight into crops."""

from typing import Any

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from pycocotools import mask as coco_mask

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks.coco_batch import decode_all
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class LoadCellAnnotations(LoadAnnotations):
    """MMDetection's ``LoadAnnotations`` with boxes, labels and masks, without its full-size bitmaps.

    Masks may be COCO RLE (``counts`` a str or a list of run lengths) or polygons. A cell without pixels or without a
    polygon of three points is flagged to be ignored, so that it reaches no loss.

    Required keys: ``ori_shape``, ``instances`` (``bbox``, ``bbox_label``, ``ignore_flag``, ``mask``). Added keys:
    ``gt_bboxes`` (HorizontalBoxes), ``gt_bboxes_labels`` (int64), ``gt_ignore_flags`` (bool), ``gt_masks``
    (:class:`CroppedMasks`).

    Raises:
        InputError: Counts that are bytes, which MMDetection skips without a word, or a code that does not fit the
            image; the message names the image and the cell, counted from 0.
    """

    def __init__(self) -> None:
        super().__init__(with_mask=True)

    def _load_masks(self, results: dict[str, Any]) -> None:
        size = tuple(results['ori_shape'])
        try:
            counts = [_counts(number, cell['mask'], size) for number, cell in enumerate(results.get('instances', []))]
            crops = decode_all(counts, size)
        except InputError as error:
            name = results.get('img_path', results.get('img_id'))
            raise InputError(f'image {name}, {error}') from None
        windows = np.array([crop.window for crop in crops], dtype=np.int64).reshape(-1, 4)
        masks = CroppedMasks.from_tight([crop.mask for crop in crops], windows, *size)
        results['gt_masks'] = masks
        results['gt_ignore_flags'] = results['gt_ignore_flags'] | (masks.areas == 0)


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
