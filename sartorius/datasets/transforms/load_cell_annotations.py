"""Loads cells straight into crops."""

from typing import Any

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from pycocotools import mask as coco_mask

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks import coco_rle
from sartorius.masks.crop import MaskCrop, Size
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
            image; the message names the image and the cell.
    """

    def __init__(self) -> None:
        super().__init__(with_mask=True)

    def _load_masks(self, results: dict[str, Any]) -> None:
        size = tuple(results['ori_shape'])
        instances = results.get('instances', [])
        crops = []
        for number, instance in enumerate(instances):
            try:
                crops.append(_decode(instance['mask'], size))
            except InputError as error:
                raise InputError(f'{_name(results)}, cell {number}: {error}') from None
        masks = CroppedMasks(crops, *size)
        results['gt_masks'] = masks
        results['gt_ignore_flags'] = results['gt_ignore_flags'] | (masks.windows[:, 2] == 0)


def _decode(mask: dict[str, Any] | list[list[float]], size: Size) -> MaskCrop:
    if isinstance(mask, list):
        polygons = [polygon for polygon in mask if len(polygon) >= 6 and len(polygon) % 2 == 0]
        if not polygons:
            return MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
        return _decode_compressed(coco_mask.merge(coco_mask.frPyObjects(polygons, *size)))
    if tuple(mask['size']) != size:
        height, width = mask['size']
        raise InputError(f'the mask is of an image of {width}x{height} pixels, the image has {size[1]}x{size[0]}')
    if isinstance(mask['counts'], list):
        return _decode_compressed(coco_mask.frPyObjects(mask, *size))
    return coco_rle.decode(mask)


def _decode_compressed(rle: dict[str, Any]) -> MaskCrop:
    return coco_rle.decode({'size': rle['size'], 'counts': rle['counts'].decode('ascii')})


def _name(results: dict[str, Any]) -> str:
    return f'image {results.get("img_path", results.get("img_id", "without a name"))}'
