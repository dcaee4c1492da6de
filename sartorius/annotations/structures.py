"""The true cells of one image, in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageAnnotations:
    """The annotated cells of one image; they may overlap, as the competition's own do.

    Attributes:
        image_id: File name of the image without its suffix.
        size: Image ``(height, width)`` in pixels.
        crops: Binary masks, one a cell; may be empty.
        labels: int64 ``(N,)``: index into :data:`sartorius.utils.classes.CELL_TYPES`.
    """

    image_id: str
    size: Size
    crops: tuple[MaskCrop, ...]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.crops),):
            raise InputError(f'image {self.image_id}: {len(self.crops)} cells with labels of shape {self.labels.shape}')

    def __len__(self) -> int:
        return len(self.crops)
