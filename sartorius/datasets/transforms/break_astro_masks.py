"""Breaks the masks of astrocytes while training."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.cells import cropped_masks_of
from sartorius.datasets.transforms.pasting import labels_of_names, training_set_of
from sartorius.masks.convex_fill import fill_as_convex
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class BreakAstroMasks(BaseTransform):
    """Breaks the masks of astrocytes as the annotation tool broke the competition's.

    Each cell's holes are filled, then its outline is filled as if it were convex: straight horizontal runs close bays,
    and branches that point up become hollow (:func:`sartorius.masks.convex_fill.fill_as_convex`). The
    post-processing step ``ConvexFill`` does the same to predictions. Boxes are unchanged, since the outline is.

    It belongs right after loading, before all flips, turns and rotations: the tool filled outlines from the top of the
    image as it was taken downwards, and whole ones. A flipped image is refused, and so is one whose size is no longer
    its file's; other rotations cannot be detected.

    Required keys: ``dataset``, which SartoriusDataset adds; ``img_shape`` and ``ori_shape``, if they are there, must
    agree. Modified keys: ``gt_masks``.

    Args:
        prob: Probability that all astrocytes of an image are broken.
        class_name: The class whose cells are broken.

    Raises:
        InputError: The image is not as it was loaded, or the data set has no class of this name.
    """

    def __init__(self, prob: float = 0.5, class_name: str = 'astro') -> None:
        self.prob = prob
        self.class_name = class_name

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        masks = cropped_masks_of(results)
        _check_as_loaded(results)
        (label,) = labels_of_names([self.class_name], training_set_of(results))
        if not self._draw():
            return results
        crops = masks.crops
        chosen = np.flatnonzero(results['gt_bboxes_labels'] == label)
        filled = masks[chosen].packed.filled().crops
        for index, crop in zip(chosen.tolist(), filled, strict=True):
            crops[index] = fill_as_convex(crop)
        return {**results, 'gt_masks': CroppedMasks(crops, masks.height, masks.width)}

    @cache_randomness
    def _draw(self) -> bool:
        """Whether to break this image's cells."""
        return bool(np.random.random() < self.prob)


def _check_as_loaded(results: dict[str, Any]) -> None:
    """Whether nothing in a sample says that its image was changed; a flip that was drawn not to happen counts too."""
    shape, original = (results.get(key) for key in ('img_shape', 'ori_shape'))
    if 'flip' in results or (shape is not None and original is not None and tuple(shape) != tuple(original)):
        raise InputError(
            'the image was flipped, turned, resized or cropped before its masks are broken; put BreakAstroMasks right '
            'after LoadCellAnnotations and FillMaskHoles'
        )
