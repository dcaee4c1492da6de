"""Masks too narrow to be cells."""

from collections.abc import Iterator

import cv2
import numpy as np

from sartorius.labels.defects.base import Defect
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.holes import fill_holes


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    # A square of this side fits nowhere into a sliver.
    side = rules.sliver_width + 1
    square = np.ones((side, side), dtype=np.uint8)
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        if not cv2.erode(np.pad(solid.mask, side).view(np.uint8), square).any():
            height, width = solid.tight().mask.shape
            yield Finding(image.image_id, SLIVER.name, label, None, f'{solid.area:,} px in {width}x{height} px')


SLIVER = Defect('sliver', 'nowhere wide enough for a cell', 'drops the row', _find)
