"""One image file in memory, as every reader returns it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sartorius.images.grey_levels import luminance, stretch, to_uint8
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageStack:
    """Pixels and metadata of an image file: of a single frame, or of every frame of a movie.

    Attributes:
        path: The file.
        frames: ``(T, H, W)`` grey or ``(T, H, W, 3)`` colour (blue, green, red), of the file's own depth.
        is_movie: Whether the file has a time axis.
        pixel_size_um: Side of a pixel in micrometres; None if the file does not say.
        pixel_size_from: Where that was read, such as ``OME`` or ``ImageJ``; empty if it is not known.
        frame_interval_s: Seconds between frames; None if the file does not say.
        notes: Sentences on what was assumed or dropped, such as pages without axes that were taken for time.
    """

    path: Path
    frames: NDArray[np.generic]
    is_movie: bool = False
    pixel_size_um: float | None = None
    pixel_size_from: str = ''
    frame_interval_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Size:
        """``(height, width)`` in pixels."""
        height, width = self.frames.shape[1:3]
        return height, width

    @property
    def is_colour(self) -> bool:
        """Whether the frames are blue, green and red."""
        return self.frames.ndim == 4

    def to_uint8(self, levels: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """The frames as uint8 of the same shape, as models and pages take them.

        uint8 is kept; other values are stretched (:func:`~sartorius.images.grey_levels.stretch`), all frames by the
        same limits, so that a movie does not flicker.

        Args:
            levels: Values that become 0 and 255, instead of those that the frames themselves give; then uint8 is
                stretched too.

        Raises:
            InputError: The first level is not below the second.
        """
        if levels is None:
            return to_uint8(self.frames)
        if not levels[0] < levels[1]:
            raise InputError(f'levels {levels[0]}:{levels[1]} are not LOW:HIGH with LOW below HIGH')
        return stretch(self.frames, levels)

    def grey(self) -> NDArray[np.generic]:
        """Grey levels ``(T, H, W)`` of the file's own depth; the luminance of colour."""
        return luminance(self.frames) if self.is_colour else self.frames
