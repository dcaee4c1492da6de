"""One synthetic image with its masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE, CellTypeSpec, spec_of
from sartorius.synthetic.debris import add_dead_cells, add_debris
from sartorius.synthetic.neurites import add_neurites
from sartorius.synthetic.rendering import ImageStyle, add_bodies, to_grey
from sartorius.synthetic.scene import PlacedCell, place_cells
from sartorius.synthetic.sisters import draw_family_shapes, split_families
from sartorius.utils.errors import InputError

OVERLAP_RATE = 0.35
"""Share of the meeting cells that keep their whole mask; about as much of the real masks overlaps."""
MIN_SIDE = 32


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """A synthetic image and its cells.

    Attributes:
        image: uint8 ``(height, width)``.
        crops: Tight, connected masks inside the image, bottom to top: a later cell lies on top of an earlier one.
        cell_type: Its name.
    """

    image: NDArray[np.uint8]
    crops: tuple[MaskCrop, ...]
    cell_type: str

    @property
    def size(self) -> Size:
        """Image ``(height, width)``."""
        height, width = self.image.shape
        return height, width


def make_image(
    cell_type: str,
    size: Size,
    rng: np.random.Generator,
    density: float = 1.0,
    cells: int | None = None,
    overlap_rate: float = OVERLAP_RATE,
    style: ImageStyle | None = None,
    spec: CellTypeSpec | None = None,
) -> SyntheticImage:
    """Makes one phase-contrast image with known masks.

    Args:
        cell_type: One of :data:`sartorius.utils.classes.CELL_TYPES`, or the name of ``spec``.
        size: Image ``(height, width)``, each at least 32 pixels.
        rng: Random generator; the same state gives the same image.
        density: Factor on the number of cells for a given area; the number still varies between images.
        cells: Exact number of cells, in place of the random number. Where they would cover more than half of the
            image, they are scaled down.
        overlap_rate: Share of the meeting cells that keep their whole mask, so that masks overlap; 0 for none.
        style: Imaging conditions; random by default.
        spec: Numbers of another cell type than the three.

    Raises:
        InputError: An unknown cell type, a size, density, rate or number out of range, or no room for so many cells.
    """
    spec = spec or spec_of(cell_type)
    check_image_request(size, density, cells, overlap_rate)
    style = style or ImageStyle.draw(spec, rng)
    number = _draw_count(spec, size, density * style.crowding, rng) if cells is None else cells
    areas = np.maximum(spec.area.draw(rng, number) * style.cell_size, spec.area.low)
    # An exact number of cells allows no family that cannot be divided.
    sisters = spec.sisters if cells is None else 0.0
    shapes = draw_family_shapes(spec.outline, spec.has_arms, areas, sisters, rng)
    placed = split_families(place_cells(shapes, size, spec.clumping, overlap_rate, rng), rng)
    return render_cells(placed, cell_type, size, spec, style, rng)


def render_cells(
    cells: tuple[PlacedCell, ...],
    cell_type: str,
    size: Size,
    spec: CellTypeSpec,
    style: ImageStyle,
    rng: np.random.Generator,
) -> SyntheticImage:
    """Picture of placed cells, bottom to top, with the neurites and the debris of their type.

    Args:
        cells: Of one type.
        cell_type: Its name.
        size: Image ``(height, width)``.
        spec: What cells of this type look like.
        style: Imaging conditions.
        rng: Random generator.
    """
    thickness = np.zeros(size, dtype=np.float32)
    add_neurites(thickness, cells, spec.neurites, style.mesh, rng)
    add_bodies(thickness, cells, spec, style.margin, rng)
    add_debris(thickness, spec.debris, style.debris, rng)
    crops = tuple(cell.crop for cell in cells)
    add_dead_cells(thickness, crops, spec.debris, style.debris, rng)
    return SyntheticImage(to_grey(thickness, style, rng), crops, cell_type)


def check_image_request(
    size: Size, density: float = 1.0, cells: int | None = None, overlap_rate: float = OVERLAP_RATE
) -> None:
    """Checks the size, density, number of cells and overlap rate of an image.

    Raises:
        InputError: One is out of range.
    """
    if min(size) < MIN_SIDE:
        raise InputError(f'image size {size[1]}x{size[0]} is too small; each side must be at least {MIN_SIDE} pixels')
    if not 0 < density < np.inf:
        raise InputError(f'density is {density}; it must be a number above 0')
    if not 0 <= overlap_rate <= 1:
        raise InputError(f'overlap rate is {overlap_rate}; it must lie between 0 and 1')
    if cells is not None and cells < 0:
        raise InputError(f'number of cells is {cells}; it must not be negative')


def _draw_count(spec: CellTypeSpec, size: Size, factor: float, rng: np.random.Generator) -> int:
    """Number of cells at the type's density; at least one."""
    share = size[0] * size[1] / (FULL_SIZE[0] * FULL_SIZE[1])
    return max(1, int(rng.poisson(spec.count.mean * factor * share)))
