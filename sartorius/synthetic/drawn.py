"""Images whose cells and optics are drawn at random, of no cell line and no microscope in particular."""

from dataclasses import dataclass

import cv2
import numpy as np

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.bodies import Body, add_body, texture_of
from sartorius.synthetic.borders import CellMap
from sartorius.synthetic.cell_types import DebrisSpec, NeuriteSpec, OutlineSpec, Spread
from sartorius.synthetic.debris import add_dead_cells, add_debris
from sartorius.synthetic.image import SyntheticImage
from sartorius.synthetic.neurites import add_neurites
from sartorius.synthetic.optics import Optics, Phase, expose
from sartorius.synthetic.scene import MIN_AREA, place_cells
from sartorius.synthetic.shapes import CellShape, round_shape
from sartorius.synthetic.sheets import sheet_cells
from sartorius.synthetic.sisters import draw_family_shapes, split_families

_MAX_CELLS = 1_200  # An image of small cells has no more than the densest real ones, a full-size image taken.


@dataclass(frozen=True)
class Form:
    """Shape of a population's cells, as they lie on the ground.

    Attributes:
        outline: Form of the bodies.
        has_arms: Sheets, spindles and stars with arms in place of plain outlines.
        area: Mask area in pixels.
        flat: From 0, droplets, to 1, thin films.
        has_neurites: Whether thin processes outside the masks may be there.
    """

    outline: OutlineSpec
    has_arms: bool
    area: Spread
    flat: float
    has_neurites: bool


Range = tuple[float, float]


@dataclass(frozen=True)
class FormRanges:
    """What the form of an image's population is drawn from: ranges of evenly spread values, but for the area.

    Attributes:
        share: Share of all drawn images.
        corners: Least number of corners of a cell, and range of the greatest one.
        reach: Least reach of a corner, and range of the greatest one.
        sharpness: Sharpness of the corners, low and high, as it is.
        roughness: Range of the roughness.
        elongation: Range of the mean elongation.
        area: Range of the mean mask area in pixels, evenly spread on a logarithmic scale.
        flat: Range of the flatness.
        neurites: Probability of thin processes outside the masks.
        has_arms: As of :class:`Form`.
        cusped: As of :class:`sartorius.synthetic.cell_types.OutlineSpec`.
    """

    share: float
    corners: tuple[int, tuple[int, int]]
    reach: tuple[float, Range]
    sharpness: Range
    roughness: Range
    elongation: Range
    area: Range
    flat: Range
    neurites: float
    has_arms: bool = False
    cusped: bool = False

    def draw(self, rng: np.random.Generator) -> Form:
        """The form of one image's population."""
        (fewest, most), (shortest, longest) = self.corners, self.reach
        outline = OutlineSpec(
            corners=(fewest, int(rng.integers(*most, endpoint=True))),
            reach=(shortest, float(rng.uniform(*longest))),
            sharpness=self.sharpness,
            roughness=float(rng.uniform(*self.roughness)),
            elongation=self._draw_elongation(rng),
            cusped=self.cusped,
        )
        return Form(
            outline,
            self.has_arms,
            self._draw_area(rng),
            flat=float(rng.uniform(*self.flat)),
            has_neurites=bool(rng.random() < self.neurites),
        )

    def _draw_elongation(self, rng: np.random.Generator) -> Spread:
        mean = float(rng.uniform(*self.elongation))
        return Spread(mean, 0.1 + (mean - 1) * rng.uniform(0.2, 0.6), 1, 8)

    def _draw_area(self, rng: np.random.Generator) -> Spread:
        mean = float(np.exp(rng.uniform(*np.log(self.area))))
        return Spread(mean, mean * rng.uniform(0.15, 0.9), max(70.0, 0.25 * mean), 6 * mean)


# share, corners, reach, sharpness, roughness, elongation, area, flatness, neurites
_FORMS = {
    # Suspended and freshly plated cells, neurons' bodies.
    'round': FormRanges(
        0.13, (1, (1, 3)), (0.0, (0.02, 0.35)), (3, 14), (0.01, 0.08), (1.05, 1.5), (130, 1500), (0, 0.5), 0.4
    ),
    # Compact cells with blunt corners.
    'polygon': FormRanges(
        0.1, (3, (4, 7)), (0.0, (0.15, 0.5)), (2, 10), (0.04, 0.12), (1.1, 1.9), (140, 2500), (0.1, 0.9), 0.2
    ),
    # Long cells, thin towards both ends.
    'spindle': FormRanges(
        0.13, (2, (2, 2)), (0.1, (0.4, 1.3)), (5, 18), (0.03, 0.12), (1.8, 5), (150, 3000), (0.1, 0.9), 0.5
    ),
    # Small bodies with drawn-out corners that neurites leave from.
    'kite': FormRanges(
        0.15,
        (2, (3, 5)),
        (0.4, (1.2, 3.2)),
        (1.8, 5),
        (0.03, 0.1),
        (1.1, 2.2),
        (130, 1000),
        (0.1, 0.7),
        0.8,
        cusped=True,
    ),
    # Large flat cells with concave sides.
    'spread': FormRanges(
        0.084,
        (3, (4, 8)),
        (0.2, (0.5, 1.6)),
        (1.6, 5),
        (0.05, 0.15),
        (1.1, 2.5),
        (500, 5000),
        (0.4, 1),
        0.25,
        cusped=True,
    ),
    # The same with many small waves at the edge.
    'ruffled': FormRanges(
        0.056, (7, (8, 12)), (0.05, (0.15, 0.45)), (14, 30), (0.08, 0.2), (1.1, 2.5), (500, 5000), (0.4, 1), 0.25
    ),
    # Sheets, spindles and stars with arms.
    'branched': FormRanges(
        0.2, (3, (6, 6)), (0.3, (1.2, 1.2)), (4, 16), (0.06, 0.16), (1.5, 3.5), (300, 3500), (0.3, 1), 0.4, True
    ),
}
_SHEET = 'sheet'
_SHARES = {name: form.share for name, form in _FORMS.items()} | {_SHEET: 0.15}


def make_drawn_image(size: Size, rng: np.random.Generator) -> SyntheticImage:
    """Makes an image with cells of random shape, size, density and thickness, through random optics.

    Args:
        size: Image ``(height, width)``.
        rng: Random generator; the same state gives the same image.
    """
    phase = np.zeros(size, dtype=np.float32)
    name = str(rng.choice(tuple(_SHARES), p=tuple(_SHARES.values())))
    debris, amount = _draw_debris(rng)
    add_debris(phase, debris, amount, rng)
    crops = _add_sheet(phase, rng) if name == _SHEET else _add_scattered(phase, _FORMS[name].draw(rng), rng)
    add_dead_cells(phase, crops, debris, amount, rng)
    return SyntheticImage(expose(phase, Optics.draw(rng), rng), crops, name)


def _add_scattered(phase: Phase, form: Form, rng: np.random.Generator) -> tuple[MaskCrop, ...]:
    """Adds cells of a form that lie apart, in chains or in clumps."""
    size = phase.shape
    coverage = float(np.exp(rng.uniform(np.log(0.03), np.log(0.6))))
    room = size[0] * size[1]
    most = max(1, round(_MAX_CELLS * room / (520 * 704)))
    number = int(np.clip(rng.poisson(coverage * room / form.area.mean), 1, most))
    areas = np.asarray(form.area.draw(rng, number))
    sisters = float(rng.choice((0.0, rng.uniform(0, 0.7)), p=(0.5, 0.5)))
    shapes = draw_family_shapes(form.outline, form.has_arms, areas, sisters, rng)
    if rng.random() < 0.3:
        # Crowded long cells lie along each other.
        way, spread = rng.uniform(0, np.pi), rng.uniform(0.1, 0.5)
        shapes = [shape.turned_to(rng.normal(way, spread)) for shape in shapes]
    rounded = rng.random(len(shapes)) < _share_of_rounded(rng)
    shapes = [_let_go(shape, rng) if is_round else shape for shape, is_round in zip(shapes, rounded, strict=True)]
    overlap_rate = float(rng.choice((0.0, rng.uniform(0, 0.4))))
    placed = split_families(place_cells(shapes, size, float(rng.beta(0.8, 0.9)), overlap_rate, rng), rng)
    if form.has_neurites:
        add_neurites(phase, placed, _draw_neurites(rng), float(rng.beta(0.6, 1.5)), rng)
    # Rounded-up cells have no corners left; this tells them from the others after placing.
    bodies = [(cell.crop, cell.family, not len(cell.shape.tips) and cell.family is None) for cell in placed]
    _add_bodies(phase, bodies, form.flat, rng)
    return tuple(cell.crop for cell in placed)


def _add_sheet(phase: Phase, rng: np.random.Generator) -> tuple[MaskCrop, ...]:
    """Adds cells that touch all around."""
    area = float(np.exp(rng.uniform(np.log(130), np.log(3000))))
    coverage = float(rng.choice((1.0, rng.uniform(0.08, 0.95)), p=(0.25, 0.75)))
    gap = float(rng.choice((0.0, rng.uniform(0.5, 2.5)), p=(0.6, 0.4)))
    stretch = float(np.exp(rng.uniform(0, np.log(7))))
    crops = list(sheet_cells(phase.shape, area, coverage, stretch, gap, rng))
    rounded = rng.random(len(crops)) < _share_of_rounded(rng)
    for index in np.flatnonzero(rounded):
        crops[index] = _largest_circle(crops[index])
    _add_bodies(
        phase, [(crop, None, up) for crop, up in zip(crops, rounded, strict=True)], float(rng.uniform(0, 1)), rng
    )
    return tuple(crops)


def _add_bodies(
    phase: Phase, cells: list[tuple[MaskCrop, MaskCrop | None, bool]], flat: float, rng: np.random.Generator
) -> None:
    """Adds the bodies of one population, bottom to top: masks, those of their families, and whether rounded up."""
    body = Body.draw(flat, rng)
    rounded = body.rounded(rng)
    texture = texture_of(body, phase.shape, rng)
    granules = np.zeros_like(phase)
    margin = float(rng.uniform(0.6, 1.9))
    cell_map = CellMap.of([crop for crop, _, _ in cells], phase.shape)
    for crop, family, is_round in cells:
        add_body(phase, granules, texture, cell_map, crop, family, rounded if is_round else body, margin, rng)
    phase += cv2.GaussianBlur(granules, (0, 0), body.granule_size)


def _share_of_rounded(rng: np.random.Generator) -> float:
    """Cells that divide or are dying: none, a few, or many."""
    return float(rng.choice((0.0, rng.uniform(0, 0.12), rng.uniform(0.1, 0.6)), p=(0.45, 0.4, 0.15)))


def _let_go(shape: CellShape, rng: np.random.Generator) -> CellShape:
    """The cell rounded up: it covers a part of the ground that it covered."""
    area = max(shape.target_area * rng.uniform(0.3, 0.8), 80.0)
    return round_shape(shape, float(np.sqrt(area / np.pi)))


def _largest_circle(crop: MaskCrop) -> MaskCrop:
    """The largest circle inside a mask; of a sliver at the image's border, the mask."""
    depth = cv2.distanceTransform(np.pad(crop.mask.view(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
    circle = (rows - row) ** 2 + (columns - column) ** 2 <= max(float(depth.max()), 3.2) ** 2
    round_crop = MaskCrop(circle & crop.mask, crop.x, crop.y).tight()
    return round_crop if round_crop.area >= MIN_AREA else crop


def _draw_neurites(rng: np.random.Generator) -> NeuriteSpec:
    most = int(rng.integers(1, 12))
    length = float(np.exp(rng.uniform(np.log(18), np.log(70))))
    return NeuriteSpec(
        per_cell=(0, most),
        length=Spread(length, length, 8, 300),
        curl=float(rng.uniform(0.05, 0.16)),
        mesh=(0, int(rng.choice((0, 90, 900), p=(0.4, 0.4, 0.2)))),
        depth=float(np.exp(rng.uniform(np.log(0.12), np.log(0.9)))),
        beads=float(rng.uniform(0, 0.08)),
        width=int(rng.integers(1, 5)),
        linking=float(rng.uniform(0, 0.6)),
        broad=float(rng.uniform(0, 0.15)),
        necks=float(rng.choice((0.0, rng.uniform(0, 0.6)))),
    )


def _draw_debris(rng: np.random.Generator) -> tuple[DebrisSpec, float]:
    """Debris that is no cell, and its amount: none, some or much of it."""
    amount = float(rng.choice((0.0, rng.beta(0.8, 4), rng.beta(1.5, 1.5)), p=(0.2, 0.55, 0.25)))
    depth = float(np.exp(rng.uniform(np.log(0.3), np.log(2.2))))
    most_heaps = int(rng.choice((0, 20, 80), p=(0.5, 0.25, 0.25)))
    debris = DebrisSpec(
        specks=(0, 300),
        remains=(0, 250),
        clouds=(0, 16),
        heaps=(0, most_heaps),
        clinging=float(rng.uniform(0, 0.8)),
        depth=(0.6 * depth, depth),
    )
    return debris, amount
