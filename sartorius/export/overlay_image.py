"""Cells drawn on their image: ``NAME_overlay.png``."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from sartorius.export.structures import ExportedImage
from sartorius.images.grey_levels import stretch, stretch_limits
from sartorius.visualization.overlay import draw_cells

FRAME_MS = 200
"""How long a frame of a movie is shown."""


def write_overlay(path: Path, image: ExportedImage) -> None:
    """Writes the image with its cells filled lightly and outlined; cells that touch differ in colour.

    Deeper images are stretched, all frames of a movie by the same limits. A movie is an animated PNG, which browsers
    play and of which other programs show the first frame; Pillow holds all of its frames in memory.
    """
    first, *others = _pictures(image)
    options = {'save_all': True, 'append_images': others, 'duration': FRAME_MS} if others else {}
    first.save(path, format='PNG', **options)


def _pictures(image: ExportedImage) -> Iterator[Image.Image]:
    limits = None if image.pixels.dtype == 'uint8' else stretch_limits(image.pixels)
    for frame, pixels in enumerate(image.pixels):
        grey = pixels if limits is None else stretch(pixels, limits)
        yield Image.fromarray(draw_cells(grey, image.frames[frame].crops))
