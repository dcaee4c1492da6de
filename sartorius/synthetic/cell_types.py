"""Numbers that describe cell types: three measured on the competition's training set, and eight invented ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sartorius.masks.crop import Size
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

FULL_SIZE: Size = (520, 704)
"""Image ``(height, width)`` of the competition; counts below are for this size."""


@dataclass(frozen=True)
class Spread:
    """A positive quantity: mean, standard deviation and range; drawn as a clipped log-normal."""

    mean: float
    std: float
    low: float
    high: float

    def draw(self, rng: np.random.Generator, count: int | None = None) -> np.ndarray | float:
        """One value, or an array of ``count`` values."""
        variance = np.log1p((self.std / self.mean) ** 2)
        values = rng.lognormal(np.log(self.mean) - variance / 2, np.sqrt(variance), count)
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True)
class OutlineSpec:
    """Random smooth polar curves; see :func:`sartorius.synthetic.shapes.polar_outlines`.

    Attributes:
        corners: Minimum and maximum number of corners, from which neurites start.
        reach: How far a corner protrudes, as a share of the body's radius: low and high.
        sharpness: Narrowness of a corner, low and high: the concentration of a von Mises bump, or the decay of a cusp
            per radian.
        roughness: Amplitude of random low harmonics, as a share of the radius.
        elongation: Length over width of the body.
        cusped: Whether the sides between corners are hollow and corners end in points; else corners are blunt bumps.
    """

    corners: tuple[int, int]
    reach: tuple[float, float]
    sharpness: tuple[float, float]
    roughness: float
    elongation: Spread
    cusped: bool = False


@dataclass(frozen=True)
class NeuriteSpec:
    """Thin lines that belong to no mask.

    Attributes:
        per_cell: Minimum and maximum number per cell.
        length: Pixels.
        curl: Standard deviation of the turn at each step of 4 px, in radians.
        mesh: Minimum and maximum number of lines per full-size image that come from no visible cell.
        depth: Optical thickness of the strongest, in grey levels.
        beads: Swellings per step of 4 px.
        width: Breadth at the root, in half pixels.
        linking: Share of the processes that run straight to a neighbour.
        broad: Share of the cells' processes that are three times as broad, as dendrites are.
        necks: Share that begin three times as broad and soon narrow, where the body runs out into them.
    """

    per_cell: tuple[int, int]
    length: Spread
    curl: float
    mesh: tuple[int, int]
    depth: float
    beads: float
    width: int
    linking: float
    broad: float
    necks: float


@dataclass(frozen=True)
class DebrisSpec:
    """Unlabelled dirt: minimum and maximum numbers per full-size image, and the optical thickness in grey levels.

    Attributes:
        specks: Small points.
        remains: Round remains of dead cells, some of them in company.
        clouds: Clouds of fragments.
        heaps: Heaps of touching vesicles.
        clinging: Share of remains and heaps that lie on cells or beside them.
        depth: Optical thickness: low and high.
    """

    specks: tuple[int, int]
    remains: tuple[int, int]
    clouds: tuple[int, int]
    heaps: tuple[int, int]
    clinging: float
    depth: tuple[float, float]


@dataclass(frozen=True)
class InteriorSpec:
    """What the inside of a type's cells shows; ranges are low and high, drawn for each cell.

    Attributes:
        nuclei: Share of the cells whose nucleus is seen.
        nucleus_length: Long half axis of the nucleus in pixels; less in narrow cells.
        nucleus_depth: Its optical thickness in grey levels.
        granules: Number of dark and bright points around the nucleus.
        granule_depth: Their optical thickness in grey levels.
        fibres: Fibres a 100 px of body, along the cell.
        fibre_depth: Their optical thickness in grey levels.
    """

    nuclei: float
    nucleus_length: tuple[float, float]
    nucleus_depth: tuple[float, float]
    granules: tuple[int, int]
    granule_depth: float
    fibres: tuple[float, float]
    fibre_depth: float


@dataclass(frozen=True)
class CellTypeSpec:
    """Everything that the generator knows about a cell type.

    Attributes:
        count: Cells a full-size image.
        area: Mask area in pixels, before neighbours cut it.
        area_between_images: Standard deviation of the log of an image's own mean area.
        outline: Form of the body.
        clumping: Share of the cells that are put against another cell.
        depth: Optical thickness of a body in grey levels: low and high.
        edge: Width of a body's edge in pixels: low and high.
        granules: Organelles a 100 px of body: low and high.
        granule_depth: Their optical thickness in grey levels.
        neurites: Thin processes outside the masks.
        debris: Dirt.
        has_arms: Whether the cells are sheets, spindles and stars with arms, as astrocytes are.
        interior: What is seen inside the cells, besides granules; None where they are too small or thick for it.
        grain: Factor on the irregular thickness of the bodies.
        dome: Thickness of a body's middle, relative to its edge's.
        sisters: Share of the cells that lie in one outline with sister cells.
    """

    count: Spread
    area: Spread
    area_between_images: float
    outline: OutlineSpec
    clumping: float
    depth: tuple[float, float]
    edge: tuple[float, float]
    granules: tuple[float, float]
    granule_depth: float
    neurites: NeuriteSpec
    debris: DebrisSpec
    has_arms: bool = False
    interior: InteriorSpec | None = None
    grain: float = 1.0
    dome: float = 1.2
    sisters: float = 0.0


SPECS: Mapping[str, CellTypeSpec] = {
    # Neuroblastoma: small, crowded, spindles, triangles and kites in chains and clumps, short neurites between them.
    'shsy5y': CellTypeSpec(
        count=Spread(337, 150, 49, 790),
        area=Spread(275, 150, 40, 1800),
        area_between_images=0.2,
        outline=OutlineSpec(
            corners=(2, 4),
            reach=(0.2, 1.6),
            sharpness=(1.8, 4.5),
            roughness=0.05,
            elongation=Spread(2.15, 1.0, 1, 8),
            cusped=True,
        ),
        clumping=0.45,
        depth=(3, 10),
        edge=(0.6, 1.1),
        granules=(1, 7),
        granule_depth=4.5,
        neurites=NeuriteSpec(
            per_cell=(2, 6),
            length=Spread(45, 35, 8, 200),
            curl=0.12,
            mesh=(20, 90),
            depth=13,
            beads=0.02,
            width=2,
            linking=0.6,
            broad=0.06,
            necks=0.5,
        ),
        debris=DebrisSpec(specks=(20, 80), remains=(8, 40), clouds=(0, 8), heaps=(2, 60), clinging=0.7, depth=(35, 75)),
        interior=InteriorSpec(
            nuclei=0.5,
            nucleus_length=(4, 6),
            nucleus_depth=(1, 5),
            granules=(0, 10),
            granule_depth=7,
            fibres=(0.2, 3),
            fibre_depth=6,
        ),
        grain=0.6,
        sisters=0.4,
    ),
    # Astrocytes: large, flat, irregular, of low contrast, with processes that the masks follow part of the way.
    'astro': CellTypeSpec(
        count=Spread(80, 64, 5, 594),
        area=Spread(1130, 1060, 60, 12000),
        area_between_images=0.3,
        outline=OutlineSpec(
            corners=(3, 6),
            reach=(0.2, 1.4),
            sharpness=(1.6, 4.5),
            roughness=0.1,
            elongation=Spread(3.0, 1.5, 1, 9),
            cusped=True,
        ),
        clumping=0.45,
        depth=(2, 20),
        edge=(0.8, 1.2),
        granules=(0, 1.5),
        granule_depth=6,
        neurites=NeuriteSpec(
            per_cell=(0, 2),
            length=Spread(45, 30, 10, 160),
            curl=0.08,
            mesh=(0, 12),
            depth=10,
            beads=0.02,
            width=3,
            linking=0.2,
            broad=0.1,
            necks=0.3,
        ),
        debris=DebrisSpec(specks=(15, 90), remains=(2, 16), clouds=(0, 3), heaps=(0, 6), clinging=0.3, depth=(30, 75)),
        has_arms=True,
        interior=InteriorSpec(
            nuclei=0.8,
            nucleus_length=(6, 11),
            nucleus_depth=(3, 12),
            granules=(4, 30),
            granule_depth=9,
            fibres=(0.2, 3),
            fibre_depth=7,
        ),
        grain=0.6,
        sisters=0.2,
    ),
    # Cortical neurons: small, round, apart from each other, a bright halo, in a mesh of fine neurites and much debris.
    'cort': CellTypeSpec(
        count=Spread(33.7, 16.5, 4, 108),
        area=Spread(254, 145, 90, 2000),
        area_between_images=0.2,
        outline=OutlineSpec(
            corners=(2, 5),
            reach=(0.0, 0.6),
            sharpness=(2.5, 6),
            roughness=0.05,
            elongation=Spread(1.3, 0.3, 1, 3),
            cusped=True,
        ),
        clumping=0.25,
        depth=(3, 9),
        edge=(0.6, 1.1),
        granules=(3, 9),
        granule_depth=9,
        neurites=NeuriteSpec(
            per_cell=(8, 36),
            length=Spread(40, 40, 8, 300),
            curl=0.13,
            mesh=(150, 900),
            depth=12,
            beads=0.03,
            width=2,
            linking=0.15,
            broad=0.08,
            necks=0.05,
        ),
        debris=DebrisSpec(
            specks=(60, 300), remains=(80, 300), clouds=(2, 14), heaps=(2, 20), clinging=0.15, depth=(50, 90)
        ),
        interior=InteriorSpec(
            nuclei=0.7,
            nucleus_length=(4, 8),
            nucleus_depth=(2, 10),
            granules=(0, 8),
            granule_depth=8,
            fibres=(0, 1),
            fibre_depth=5,
        ),
        dome=3.0,
        sisters=0.05,
    ),
}


_SHSY5Y, _ASTRO, _CORT = SPECS['shsy5y'], SPECS['astro'], SPECS['cort']
# A cortical neuron's body without its mesh of neurites and most of its debris.
_ROUND = replace(
    _CORT,
    neurites=replace(_CORT.neurites, per_cell=(0, 2), mesh=(0, 40)),
    debris=replace(_CORT.debris, specks=(20, 80), remains=(4, 30), clouds=(0, 6), heaps=(0, 10)),
)

LINE_SPECS: Mapping[str, CellTypeSpec] = {
    # Flat and spread out, with processes.
    'A172': replace(_ASTRO, count=Spread(110, 50, 40, 250), area=Spread(900, 600, 80, 6000)),
    # Round to polygonal, in dense islands.
    'BT474': replace(
        _ROUND, count=Spread(180, 80, 60, 400), area=Spread(500, 220, 80, 2500), clumping=0.9, sisters=0.5
    ),
    # Small, round and by far the most crowded.
    'BV2': replace(_ROUND, count=Spread(450, 200, 150, 1200), area=Spread(140, 60, 40, 600), clumping=0.35),
    # Large and flat, with little structure at the edge.
    'Huh7': replace(
        _ASTRO,
        count=Spread(80, 30, 40, 200),
        area=Spread(1500, 800, 200, 8000),
        outline=replace(_ASTRO.outline, corners=(3, 5), reach=(0.1, 0.5), elongation=Spread(1.5, 0.4, 1, 3)),
        has_arms=False,
        depth=(10, 30),
    ),
    # Small, polygonal, in clumps.
    'MCF7': replace(
        _SHSY5Y,
        count=Spread(350, 150, 100, 800),
        outline=replace(_SHSY5Y.outline, reach=(0.1, 0.4), elongation=Spread(1.3, 0.3, 1, 3)),
        clumping=0.8,
    ),
    # As the competition's type of that name.
    'SHSY5Y': _SHSY5Y,
    # Round, apart from each other, with a strong halo.
    'SkBr3': replace(_ROUND, count=Spread(200, 90, 60, 500), area=Spread(300, 120, 80, 1500), clumping=0.15),
    # Large spindles without processes outside the mask.
    'SKOV3': replace(
        _SHSY5Y,
        count=Spread(90, 40, 40, 220),
        area=Spread(1100, 500, 200, 5000),
        outline=replace(_SHSY5Y.outline, elongation=Spread(2.5, 0.9, 1, 6)),
        neurites=replace(_SHSY5Y.neurites, per_cell=(0, 1), mesh=(0, 10)),
    ),
}
"""Eight invented cell types under the names of LIVECell's lines: variations of the three types above.

Their numbers were not measured on LIVECell; each only follows what the line is known for (flat or round, apart or in
clumps, how crowded). They serve to pre-train and to test without LIVECell's images.
"""


def spec_of(cell_type: str) -> CellTypeSpec:
    """The numbers of a cell type.

    Raises:
        InputError: There is no such type.
    """
    if cell_type not in SPECS:
        raise InputError(f'unknown cell type {cell_type!r}; choose from {", ".join(CELL_TYPES)}')
    return SPECS[cell_type]


def scaled_count(bounds: tuple[int, int], position: float, size: Size) -> int:
    """How many of a thing an image shows: between two bounds for a full-size image, scaled to the image's area.

    Args:
        bounds: Minimum and maximum for a full-size image.
        position: Between them, in [0, 1].
        size: Image ``(height, width)``.
    """
    full = bounds[0] + position * (bounds[1] - bounds[0])
    return round(full * size[0] * size[1] / (FULL_SIZE[0] * FULL_SIZE[1]))
