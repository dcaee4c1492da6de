"""Makes hollow cells solid."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.cells import cropped_masks_of


@TRANSFORMS.register_module()
class FillMaskHoles(BaseTransform):
    """Fills what each cell's mask encloses; boxes stay as they are.

    Modified keys: ``gt_masks``. See :func:`sartorius.masks.pieces.fill_holes`.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        masks = cropped_masks_of(results)
        results['gt_masks'] = CroppedMasks.from_packed(masks.packed.filled(), masks.height, masks.width)
        return results
