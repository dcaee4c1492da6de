"""How thick cells are: lamella, dome, nucleus, nucleoli and granules, as the phase that they add to the light."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.borders import CellMap
from sartorius.synthetic.optics import Phase, smooth_noise
from sartorius.synthetic.rendering import MARGIN_JITTER

Range = tuple[float, float]

_UNDERNEATH = 0.4  # What lies under a cell is seen through it, weaker.


@dataclass(frozen=True)
class Body:
    """What the bodies of a population have in common; every range is low and high, drawn for each cell.

    Attributes:
        lamella: Phase of the thin seam, in radians.
        dome: Phase that the middle adds to it.
        roundness: Exponent of the dome's profile: 0.5 a sphere, 1 a cone-like rise, larger a small hump.
        edge: Width of the outline's slope in pixels.
        nucleus: Phase that the nucleus adds; may be negative.
        nucleoli: Minimum and maximum number.
        granules: Organelles a 100 px of body.
        granule_phase: Their standard deviation of phase.
        granule_size: Standard deviation of their profile in pixels.
        texture: Amplitude of the irregular thickness, as a share of the body's own.
        texture_size: Its correlation length in pixels.
        fibres: How many times longer than wide its grains are: fibres that span flat cells.
    """

    lamella: Range
    dome: Range
    roundness: Range
    edge: Range
    nucleus: Range
    nucleoli: tuple[int, int]
    granules: Range
    granule_phase: float
    granule_size: float
    texture: Range
    texture_size: float
    fibres: float

    @classmethod
    def draw(cls, flat: float, rng: np.random.Generator) -> 'Body':
        """A random body.

        Args:
            flat: From 0, cells that rise from the ground like droplets, to 1, cells spread as thin as films.
            rng: Random generator.
        """
        thick = float(np.exp(rng.uniform(np.log(0.25), np.log(1.6))))
        lamella = thick * rng.uniform(0.05, 0.5) * (0.4 + 0.6 * flat)
        dome = thick * (1.2 - flat)
        return cls(
            lamella=(0.6 * lamella, 1.6 * lamella),
            dome=(0.5 * dome, 1.4 * dome),
            roundness=(0.5, 0.8) if flat < 0.3 else (0.7, 2.0),
            edge=(0.4, float(rng.uniform(0.6, 1.6))),
            nucleus=_around(rng.uniform(-0.15, 0.45) * thick, rng),
            nucleoli=(0, int(rng.integers(0, 5))),
            granules=(0.0, float(rng.uniform(0.5, 14))),
            granule_phase=float(thick * np.exp(rng.uniform(np.log(0.08), np.log(0.7)))),
            granule_size=float(rng.uniform(0.3, 0.9)),
            texture=(0.0, float(rng.uniform(0.05, 0.4))),
            texture_size=float(rng.uniform(0.5, 2.5)),
            fibres=float(rng.choice((1.0, rng.uniform(2, 8)), p=(0.65, 0.35))),
        )

    def rounded(self, rng: np.random.Generator) -> 'Body':
        """The same cells when they divide or let go of the ground: round, thick and bright-edged."""
        height = float(np.exp(rng.uniform(np.log(0.8), np.log(5.0))))
        return replace(
            self,
            lamella=(0.05, 0.3),
            dome=(0.6 * height, 1.3 * height),
            roundness=(0.45, 0.7),
            edge=(0.5, 0.9),
            texture=(0.0, 0.08),
        )


def _around(middle: float, rng: np.random.Generator) -> Range:
    spread = 0.5 * abs(middle) * rng.uniform(0.3, 1)
    return float(middle - spread), float(middle + spread)


def add_body(
    phase: Phase,
    granules: Phase,
    texture: Phase,
    cell_map: CellMap,
    crop: MaskCrop,
    family: MaskCrop | None,
    body: Body,
    margin: float,
    rng: np.random.Generator,
) -> None:
    """Adds one cell's body inside its mask.

    Args:
        phase: Changed in place; what is there already lies under the cell.
        granules: Layer of points, changed in place; the caller blurs and adds it.
        texture: Noise of unit variance, of the image's size.
        cell_map: Of all cells of the image.
        crop: The cell's mask inside the image.
        family: The mask of the cell and its sisters together, where it has such.
        body: Of its population.
        margin: Pixels from the background to the body, about.
        rng: Random generator.
    """
    x1, y1, x2, y2 = crop.window
    inset, edge = max(0.0, margin + rng.normal(0, MARGIN_JITTER)), rng.uniform(*body.edge)
    solid, window = cell_map.body(crop, inset)
    inside = crop.mask & (solid[window] > 0)
    own_body = np.zeros(solid.shape, dtype=np.uint8)
    own_body[window] = inside
    depth = cv2.distanceTransform(own_body, cv2.DIST_L2, 3)
    radius = max(float(depth.max()), 1.0)
    # The dome is the cell's own; the edge is that of all cells together, with seams between them.
    slope = cv2.GaussianBlur(solid, (0, 0), edge, borderType=cv2.BORDER_REPLICATE)
    slope[window] *= cell_map.seams(crop, family, rng)
    # A cone of distances has a crease along the middle that no cell has.
    smooth = cv2.GaussianBlur(depth / radius, (0, 0), max(0.6, 0.15 * radius), borderType=cv2.BORDER_REPLICATE)
    rise = np.maximum(1 - (1 - np.minimum(smooth, 1)) ** 2, 0) ** np.float32(rng.uniform(*body.roundness))
    height = rng.uniform(*body.lamella) * np.maximum(2 * slope - 1, 0) + rng.uniform(*body.dome) * rise * slope
    own = height[window] * (1 + rng.uniform(*body.texture) * texture[y1:y2, x1:x2])
    row, column = np.unravel_index(int(depth[window].argmax()), inside.shape)
    _add_nucleus(own, (float(column), float(row)), radius, body, rng)
    _scatter_granules(granules, crop, (float(column), float(row)), radius, body, rng)
    under = phase[y1:y2, x1:x2]
    under[inside] = _UNDERNEATH * under[inside] + own[inside]


def texture_of(body: Body, size: Size, rng: np.random.Generator) -> Phase:
    """Noise for :func:`add_body`: one field for all cells of a population."""
    if body.fibres <= 1:
        return smooth_noise(size, body.texture_size, rng)
    # Noise that is drawn shorter along one way and stretched: on a square that covers the image at any angle.
    side = int(np.ceil(np.hypot(*size)))
    grain = smooth_noise((side, max(2, round(side / body.fibres))), body.texture_size, rng)
    stretched = cv2.resize(grain, (side, side), interpolation=cv2.INTER_CUBIC)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(0, 180)), 1.0)
    turn[:, 2] -= (side - size[1]) / 2, (side - size[0]) / 2
    return cv2.warpAffine(stretched, turn, size[::-1], borderMode=cv2.BORDER_REFLECT)


def _add_nucleus(
    own: NDArray[np.float32], centre: tuple[float, float], radius: float, body: Body, rng: np.random.Generator
) -> None:
    """Adds an elliptic nucleus with nucleoli around a centre ``x, y``, in a body of a given inner radius."""
    height, width = own.shape
    long, short = radius * rng.uniform(0.45, 0.85), radius * rng.uniform(0.35, 0.65)
    angle = rng.uniform(0, np.pi)
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(centre[1])
    columns = np.arange(width, dtype=np.float32)[None] - np.float32(centre[0])
    along = (np.cos(angle) * columns + np.sin(angle) * rows) / np.float32(long)
    across = (np.cos(angle) * rows - np.sin(angle) * columns) / np.float32(short)
    own += np.float32(rng.uniform(*body.nucleus)) / (1 + np.exp(6 * (np.hypot(along, across) - 1)))
    for _ in range(int(rng.integers(body.nucleoli[0], body.nucleoli[1] + 1))):
        x, y = rng.normal(0, 0.35 * short, 2)
        size = max(0.7, short * rng.uniform(0.1, 0.22))
        spot = np.exp(-((columns - np.float32(x)) ** 2 + (rows - np.float32(y)) ** 2) / np.float32(2 * size**2))
        own += np.float32(rng.uniform(0.5, 2.0) * (abs(body.nucleus[1]) + 0.1)) * spot


def _scatter_granules(
    layer: Phase,
    crop: MaskCrop,
    centre: tuple[float, float],
    radius: float,
    body: Body,
    rng: np.random.Generator,
) -> None:
    """Adds dark and bright points around the nucleus, where most organelles are."""
    number = int(rng.poisson(rng.uniform(*body.granules) * min(crop.area, 12 * radius**2) / 100))
    if number == 0:
        return
    places = rng.normal(centre, radius * rng.uniform(0.5, 1.2), (number, 2))
    columns, rows = np.floor(places).astype(int).T
    height, width = crop.mask.shape
    near = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns[near], rows[near]
    inside = crop.mask[rows, columns]
    columns, rows = columns[inside] + crop.x, rows[inside] + crop.y
    # A point keeps its phase at the peak whatever the width that it is blurred to.
    peak = 2 * np.pi * body.granule_size**2
    np.add.at(layer, (rows, columns), peak * body.granule_phase * rng.normal(0.3, 0.7, len(rows)))
