"""Masks outside the range of sizes of their class."""

from collections.abc import Iterator

from sartorius.labels.defects.base import Defect
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.holes import fill_holes


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        if label.cell_type not in rules.areas:
            continue
        least, greatest = rules.areas[label.cell_type]
        if not least <= solid.area <= greatest:
            remark = f'{solid.area:,} px, {label.cell_type} has {least:,} to {greatest:,}'
            yield Finding(image.image_id, SIZE.name, label, None, remark)


SIZE = Defect('size', 'smaller or larger than cells of its class are', 'drops the row', _find)
