"""An endless stream of synthetic images: image ``index`` of a seed is the same wherever it is drawn."""

from sartorius.masks.crop import Size
from sartorius.synthetic.cell_types import LINE_SPECS, SPECS
from sartorius.synthetic.image import SyntheticImage, make_image
from sartorius.synthetic.writing import image_generator
from sartorius.utils.errors import InputError, did_you_mean

BREADTHS = ('types', 'lines', 'drawn')
"""What images show: the three types; eleven kinds, the eight lines among them; or a kind drawn for each image."""


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
    kinds = dict(SPECS) if breadth == 'types' else {**SPECS, **LINE_SPECS}
    rng = image_generator(seed, 3, index)
    name = sorted(kinds)[int(rng.integers(len(kinds)))]
    return make_image(name, size, rng, spec=kinds[name])


def check_breadth(breadth: str) -> None:
    """Checks the name of a breadth.

    Raises:
        InputError: There is no such breadth.
    """
    if breadth not in BREADTHS:
        raise InputError(f'unknown breadth {breadth!r}{did_you_mean(str(breadth), BREADTHS)}')
