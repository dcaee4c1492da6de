"""Ground-truth cells of one image: decoded in memory, and as entries of a COCO file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.images.image_ids import image_id_of
from sartorius.masks.coco_rle import CocoRLE
from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageAnnotations:
    """The annotated cells of one image; they may overlap, as the competition's own do.

    Attributes:
        image_id: Of the image (:mod:`sartorius.images.image_ids`).
        size: Image ``(height, width)`` in pixels.
        crops: Binary masks, one per cell; may be empty.
        labels: int64 ``(N,)``: index into the data set's classes.
        crowd: Regions of cells that were not annotated one by one (COCO's ``iscrowd``): no cells, and what is predicted
            there does not count (:func:`sartorius.evaluation.matching.counted_predictions`).
    """

    image_id: str
    size: Size
    crops: tuple[MaskCrop, ...]
    labels: NDArray[np.int64]
    crowd: tuple[MaskCrop, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.crops),):
            raise InputError(f'image {self.image_id}: {len(self.crops)} cells with labels of shape {self.labels.shape}')

    def __len__(self) -> int:
        """Number of cells, crowd regions not counted."""
        return len(self.crops)


class GroundTruth(dict[str, ImageAnnotations]):
    """Annotations of an image set by image id, in file order, with their class names.

    Functions that take a plain mapping of annotations take its labels for the competition's (:meth:`of`).

    Attributes:
        classes: Class names that the labels of all images index into.
    """

    def __init__(self, images: Mapping[str, ImageAnnotations], classes: Sequence[str]) -> None:
        super().__init__(images)
        self.classes = tuple(classes)

    @classmethod
    def of(cls, images: Mapping[str, ImageAnnotations]) -> 'GroundTruth':
        """The same annotations; those of a plain mapping have the competition's classes."""
        return images if isinstance(images, cls) else cls(images, CELL_TYPES)

    def select(self, image_ids: Iterable[str]) -> 'GroundTruth':
        """The annotations of some images, in the given order."""
        return GroundTruth({image_id: self[image_id] for image_id in image_ids}, self.classes)


@dataclass(frozen=True, slots=True)
class CocoCell:
    """One annotation.

    Attributes:
        label: Index into the classes.
        segmentation: The mask.
        area: Its pixels.
        bbox: ``x, y, width, height`` in pixels, tight to the mask.
        iscrowd: Whether it is a region of cells that were not annotated one by one (COCO's ``iscrowd`` 1).
    """

    label: int
    segmentation: CocoRLE
    area: int
    bbox: tuple[int, int, int, int]
    iscrowd: bool = False


@dataclass(frozen=True)
class CocoImage:
    """One image with its annotations.

    Attributes:
        file_name: Path relative to the data root, with forward slashes.
        size: Image ``(height, width)`` in pixels.
        cells: Its annotations; may be empty.
        details: Further entries of the image in the JSON, such as ``cell_type`` and ``group``.
        own_id: Its id, where that is not its ``file_name`` without suffix (our own key ``image_id`` in the JSON).
    """

    file_name: str
    size: Size
    cells: Sequence[CocoCell] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    own_id: str | None = None

    @property
    def image_id(self) -> str:
        """Id of the image: its own, else that of its file."""
        return self.own_id or image_id_of(self.file_name)
