"""One image file in memory, as every reader returns it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import Size


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
