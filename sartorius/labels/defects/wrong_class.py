"""Rows of another class than the rest of their image: an image holds one cell type."""

from collections.abc import Iterator

from sartorius.labels.defects.base import Defect
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, Label, LabelledImage


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    own = image.cell_type
    for label in image.labels:
        if label.cell_type != own:
            count = sum(other.cell_type == own for other in image.labels)
            yield Finding(
                image.image_id,
                WRONG_CLASS.name,
                label,
                Label(label.row, label.crop, own),
                f'{label.cell_type} in an image of {count} {own}',
            )


WRONG_CLASS = Defect('wrong-class', 'another class than its image', "writes the image's class", _find)
