"""Pastes an image's own mirrored cells."""

from collections.abc import Sequence
from typing import Any, ClassVar

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from sartorius.datasets.cropped_masks import FLIP_DIRECTIONS
from sartorius.datasets.transforms.cells import cropped_masks_of
from sartorius.datasets.transforms.pasting import (
    CellSource,
    PasteCanvas,
    commonest_label,
    labels_of_names,
    training_set_of,
)
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class FlipPaste(BaseTransform):
    """Pastes the cells of the mirrored image onto the image, each at its mirrored place, where no cell is.

    For images with few cells, whose number it nearly doubles. The idea is that of the competition's 11th place
    (TheoViel, FlipPaste), who took the mean of an image and its mirror image: this halves every cell's contrast and
    lets crossing cells shine through each other, which no image to be predicted does. Here cells keep their grey
    levels, and those that would cover a cell of the image are skipped.

    Required keys: ``dataset``, which SartoriusDataset adds. Modified keys: ``img``, ``gt_masks``, ``gt_bboxes``,
    ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        classes: Names of the classes whose images are changed, going by the class that most cells have; None for all.
        directions: Mirrorings to draw from: 'horizontal', 'vertical', 'diagonal'.
        rim: Width in pixels over which the paste fades out around a cell.
        match_background: Whether a cell is made brighter or darker by the difference between the background at its new
            place and that where it comes from.
        prob: Probability that an image of these classes is changed.
    """

    example: ClassVar[dict[str, Any]] = {'classes': None}

    def __init__(
        self,
        classes: Sequence[str] | None = ('cort',),
        directions: Sequence[str] = FLIP_DIRECTIONS,
        rim: int = 3,
        match_background: bool = True,
        prob: float = 0.5,
    ) -> None:
        unknown = [direction for direction in directions if direction not in FLIP_DIRECTIONS]
        if unknown:
            raise InputError(f'direction {unknown[0]!r} is not one of {FLIP_DIRECTIONS}')
        self.classes = classes
        self.directions = tuple(directions)
        self.rim = rim
        self.match_background = match_background
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        masks = cropped_masks_of(results)
        direction = self._draw_direction()
        if direction is None or not self._applies_to(results):
            return results
        flipped = {**results, 'img': mmcv.imflip(results['img'], direction), 'gt_masks': masks.flip(direction)}
        source = CellSource(flipped)
        canvas = PasteCanvas(results, self.rim, False, 0.0, self.match_background)
        for index in np.flatnonzero(source.usable).tolist():
            canvas.paste(*source.cut(index, self.rim))
        return canvas.finish()

    @cache_randomness
    def _draw_direction(self) -> str | None:
        if np.random.random() >= self.prob:
            return None
        return str(np.random.choice(self.directions))

    def _applies_to(self, results: dict[str, Any]) -> bool:
        if self.classes is None:
            return True
        return commonest_label(results) in labels_of_names(self.classes, training_set_of(results))
