"""The cells of one label file, as every reader of such files returns them."""

from collections import Counter
from dataclasses import dataclass, field

from sartorius.masks.crop import MaskCrop


@dataclass(frozen=True, eq=False)
class LabelledCells:
    """The cells of one label file.

    Attributes:
        crops: Their masks, none without pixels; they may overlap where the file's own shapes do.
        classes: Class of each cell as the file names it; empty text where it names none.
        counts: What was noticed: sentences, and how many cells or shapes each is about.
    """

    crops: tuple[MaskCrop, ...]
    classes: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
