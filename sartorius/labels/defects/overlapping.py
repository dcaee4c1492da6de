"""Cells that share pixels."""

from collections.abc import Iterator

import numpy as np

from sartorius.labels.defects.base import Defect, with_crop
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.iou import overlaps
from sartorius.masks.overlap import settle_overlaps


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    """Cells that cover pixels of a smaller one; of equally large ones the earlier keeps its pixels."""
    pairs = overlaps(image.crops, image.crops, image.size)
    # The smallest cell takes its pixels first.
    settled = settle_overlaps(image.crops, -pairs.areas.astype(np.float64), image.size)
    for index, label in enumerate(image.labels):
        own = slice(pairs.borders[index], pairs.borders[index + 1])
        others = [
            other
            for other, shared in zip(pairs.columns[own].tolist(), pairs.shared[own].tolist(), strict=True)
            if shared and (pairs.areas[other], other) < (pairs.areas[index], index)
        ]
        if not others:
            continue
        left = settled[index]
        yield Finding(
            image.image_id,
            OVERLAPPING.name,
            label,
            with_crop(label, left) if left.area else None,
            f'{label.crop.area - left.area:,} px of {label.crop.area:,}',
            others=tuple(image.labels[other].row for other in others),
        )


OVERLAPPING = Defect('overlapping', 'pixels of a smaller cell', 'leaves them to it', _find)
