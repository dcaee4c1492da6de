"""Loads annotated cells as crops."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from sartorius.annotations.segmentation import compressed_counts
from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks.packed_rle import CodeError, decode_coco
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class LoadCellAnnotations(BaseTransform):
    """Loads labels, masks and their boxes as MMDetection's ``LoadAnnotations``, without its full-size bitmaps.

    Masks may have any form of :func:`sartorius.annotations.segmentation.compressed_counts`. Boxes are those of the
    masks, whatever an instance's ``bbox`` says. A cell without pixels is flagged to be ignored, so that it reaches no
    loss; :class:`sartorius.datasets.sartorius.SartoriusDataset` has none.

    Required keys: ``ori_shape``, ``instances`` (``bbox_label``, ``ignore_flag``, ``mask``). Added keys: ``gt_bboxes``
    (HorizontalBoxes), ``gt_bboxes_labels`` (int64), ``gt_ignore_flags`` (bool), ``gt_masks`` (:class:`CroppedMasks`).

    Raises:
        InputError: A mask that is malformed or of another size than the image; the message names the image and the
            cell, counted from 0.
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
    image = results.get('img_path', results.get('img_id'))
    counts = []
    for number, cell in enumerate(instances):
        try:
            counts.append(compressed_counts(cell['mask'], size))
        except InputError as error:
            raise InputError(f'image {image}, cell {number}: {error}') from None
    try:
        packed = decode_coco(counts, size)
    except CodeError as error:
        raise InputError(f'image {image}, {error}') from None
    return CroppedMasks.from_packed(packed, *size)
