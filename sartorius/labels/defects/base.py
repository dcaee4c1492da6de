"""What every defect has."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, Label, LabelledImage
from sartorius.masks.crop import MaskCrop

Find = Callable[[LabelledImage, Rules], Iterator[Finding]]


@dataclass(frozen=True)
class Defect:
    """A kind of defect.

    Attributes:
        name: As it is written in commands and logs.
        meaning: What is wrong, in a few words.
        mend: What mending does, in a few words.
        find: The findings of an image, one a cell at most.
    """

    name: str
    meaning: str
    mend: str
    find: Find


def with_crop(label: Label, crop: MaskCrop) -> Label:
    """The same cell with another mask."""
    return Label(label.row, crop, label.cell_type)
