"""The cells of one image file, as every export format takes them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class ExportedImage:
    """Post-processed cells of one image file: of a single frame, or of every frame of a movie.

    Cell ``k`` of a frame (in the order of its predictions, from 0) has the label ``k + 1`` in every format.

    Attributes:
        image_id: Path of the file below its root, without suffix, with ``/``.
        frames: Predictions of each frame, with ``crops`` that share no pixel; frames of a movie have the ids
            ``NAME#t0000``, ``NAME#t0001`` and so on.
        classes: Class names; the labels of the predictions index into them.
        is_movie: Whether the file has a time axis; exports then have one too, even for a single frame.
        pixel_size_um: Side of a pixel in micrometres; None if it is not known.
        frame_interval_s: Seconds between frames; None if it is not known.
        pixels: ``(T, H, W)`` grey levels of the file's own depth, for intensities; None if they are not at hand.
        file_name: Name of the image file with suffix, relative to its root; empty if it is not known.
        image_sha256: Of the image file; empty if it is not known.
    """

    image_id: str
    frames: tuple[ImagePredictions, ...]
    classes: tuple[str, ...]
    is_movie: bool = False
    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    pixels: NDArray[np.generic] | None = None
    file_name: str = ''
    image_sha256: str = ''

    def __post_init__(self) -> None:
        if not self.frames or (len(self.frames) > 1 and not self.is_movie):
            raise InputError(f'image {self.image_id}: {len(self.frames)} frames; only a movie has other than one')
        if any(frame.crops is None for frame in self.frames):
            raise InputError(f'image {self.image_id}: its cells are not post-processed yet, so they have no pixels')
        if any(frame.size != self.size for frame in self.frames):
            raise InputError(f'image {self.image_id}: its frames differ in size')
        if self.pixels is not None and self.pixels.shape != (len(self.frames), *self.size):
            raise InputError(f'image {self.image_id}: pixels of shape {self.pixels.shape}, not (T, H, W) of its frames')

    @property
    def size(self) -> Size:
        """``(height, width)`` in pixels."""
        return self.frames[0].size

    def cells(self, frame: int) -> list[tuple[int, MaskCrop]]:
        """Label and tight crop, within the image, of each cell of a frame that has a pixel."""
        crops = (crop.clipped(self.size).tight() for crop in self.frames[frame].crops)
        return [(label, crop) for label, crop in enumerate(crops, start=1) if crop.mask.size]

    def label_image(self, frame: int) -> NDArray[np.int32]:
        """A frame's labels: int32 ``(height, width)``, 0 where no cell is.

        Raises:
            InputError: Two cells share a pixel, so that no label image holds both.
        """
        masks = PackedMasks.from_crops(self.frames[frame].crops)
        labels = masks.to_labels(self.size)
        if masks.clipped(self.size).areas.sum() != np.count_nonzero(labels):
            raise InputError(f'image {self.frames[frame].image_id}: two of its cells share a pixel; post-process them')
        return labels

    def label_images(self) -> Iterator[NDArray[np.int32]]:
        """The label image of each frame, made one at a time."""
        return (self.label_image(frame) for frame in range(len(self.frames)))
