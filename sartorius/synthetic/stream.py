"""An endless stream of synthetic images: image ``index`` of a seed is the same wherever it is drawn."""

from dataclasses import replace

import numpy as np

from sartorius.masks.crop import Size
from sartorius.synthetic.cell_types import LINE_SPECS, SPECS
from sartorius.synthetic.drawn import make_drawn_image
from sartorius.synthetic.image import SyntheticImage, make_image
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.writing import image_generator
from sartorius.utils.errors import InputError, did_you_mean

BREADTHS = ('types', 'lines', 'drawn')
"""What images show: the three types; eleven kinds, the eight lines among them; or a kind drawn for each image."""
DRAWN_SHARE = 0.5
"""Share of the ``drawn`` images that follow no type; the others are of the eleven, in a wider range of styles."""


def stream_image(seed: int, index: int, size: Size, breadth: str = 'drawn') -> SyntheticImage:
    """Image ``index`` of the stream of a seed.

    Args:
        seed: Of the stream.
        index: Number of the image, from 0.
        size: Image ``(height, width)``, each at least 32 pixels.
        breadth: One of :data:`BREADTHS`.

    Raises:
        InputError: An unknown breadth, or a size that is too small.
    """
    check_breadth(breadth)
    rng = image_generator(seed, 5, index)
    if breadth == 'drawn' and rng.random() < DRAWN_SHARE:
        return make_drawn_image(size, rng)
    only_types = breadth == 'types' or (breadth == 'drawn' and rng.random() < 0.75)
    kinds = SPECS if only_types else {**SPECS, **LINE_SPECS}
    name = sorted(kinds)[int(rng.integers(len(kinds)))]
    style = _wider(ImageStyle.draw(kinds[name], rng), rng) if breadth == 'drawn' else None
    return make_image(name, size, rng, style=style, spec=kinds[name])


def _wider(style: ImageStyle, rng: np.random.Generator) -> ImageStyle:
    """A style beyond what one laboratory's plates show."""
    return replace(
        style,
        contrast=style.contrast * float(rng.lognormal(0, 0.3)),
        focus=style.focus * float(rng.uniform(0.85, 1.5)),
        grain=style.grain * float(rng.uniform(0.5, 1.8)),
        cell_size=style.cell_size * float(rng.lognormal(0, 0.25)),
    )


def check_breadth(breadth: str) -> None:
    """Checks the name of a breadth.

    Raises:
        InputError: There is no such breadth.
    """
    if breadth not in BREADTHS:
        raise InputError(f'unknown breadth {breadth!r}{did_you_mean(str(breadth), BREADTHS)}')
