"""Masks with holes."""

from collections.abc import Iterator

import numpy as np

from sartorius.labels.defects.base import Defect, with_crop
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.holes import fill_holes


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        missing = solid.area - label.crop.area
        if not missing:
            continue
        holes = solid.mask & ~label.crop.mask
        by_fill = np.count_nonzero(holes & ~fill_as_convex(solid).mask)
        remark = f'{missing:,} px in holes' + (', left by a convex fill' if by_fill > missing / 2 else '')
        yield Finding(image.image_id, HOLLOW.name, label, with_crop(label, solid), remark)


HOLLOW = Defect('hollow', 'background enclosed by the cell', 'fills it', _find)
