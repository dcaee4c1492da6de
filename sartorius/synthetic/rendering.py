"""From optical thickness to a phase-contrast image."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.borders import CellMap
from sartorius.synthetic.cell_types import CellTypeSpec
from sartorius.synthetic.interiors import interior
from sartorius.synthetic.optics import BRIGHTEST, DARKEST, sharpened, smooth_noise
from sartorius.synthetic.scene import PlacedCell

BACKGROUND = 128.0
"""Grey level of the empty field: the instrument's software removes shading and centres its images here."""
RIM_WIDTH, RIM_GAIN = 1.0, 6.8
HALO_WIDTH, HALO_GAIN = 4.0, 0.8
"""Standard deviations in pixels of the two local means, and their weights."""
SHADING_WIDTH = 12.0
SHARPENING = 0.5, 2.0
BRIGHT_GAIN = 1.2
"""Rims are brighter than the lines beside them are dark."""

MARGIN, MARGIN_JITTER = (0.8, 2.2), 0.6
"""Range of an image's margin in pixels, and the standard deviation of a cell's own."""

_EDGE_SIGMA = 0.7  # Standard deviation of an edge's blur, relative to the edge's width.

Thickness = NDArray[np.float32]
"""Float array ``(height, width)``: optical thickness in grey levels; thick is dark in positive phase contrast."""


@dataclass(frozen=True)
class ImageStyle:
    """Imaging conditions; the images of one well share them.

    Attributes:
        contrast: Factor on all that is not grain.
        focus: Standard deviation of the blur, in pixels.
        tilt: How far off centre the light falls: x and y of the rims' shift in pixels.
        grain: Standard deviation of the noise, in grey levels.
        crowding: Factor on the number of cells.
        debris: Amount of debris between its minimum and maximum, in [0, 1].
        mesh: The same for neurites.
        cell_size: Factor on the cells' areas.
        sharpening: Share of the fine detail that the camera's software adds once more.
        margin: Pixels between a mask's outline and the edge of its body: people draw along the bright rim.
    """

    contrast: float
    focus: float
    tilt: tuple[float, float]
    grain: float
    crowding: float
    debris: float
    mesh: float
    cell_size: float
    sharpening: float
    margin: float

    @classmethod
    def draw(cls, spec: CellTypeSpec, rng: np.random.Generator) -> 'ImageStyle':
        """A random style, as they vary between the wells of the competition's plates."""
        # Of generators of their own: the cells of a seed stay where they were before these two were drawn.
        later = rng.spawn(1)[0]
        return cls(
            contrast=float(rng.lognormal(0.05, 0.2)),
            focus=float(rng.uniform(0.55, 0.75)),
            tilt=(float(rng.normal(0, 0.2)), float(rng.normal(0, 0.2))),
            grain=float(rng.uniform(0.4, 1.2)),
            crowding=float(spec.count.draw(rng)) / spec.count.mean,
            debris=float(rng.beta(1.2, 1.8)),
            mesh=float(rng.beta(1.5, 1.5)),
            cell_size=float(rng.lognormal(-(spec.area_between_images**2) / 2, spec.area_between_images)),
            margin=float(later.uniform(*MARGIN)),
            sharpening=float(later.uniform(*SHARPENING)),
        )


def add_bodies(
    thickness: Thickness, cells: tuple[PlacedCell, ...], spec: CellTypeSpec, margin: float, rng: np.random.Generator
) -> None:
    """Adds the cells' bodies, bottom to top, each inside its mask and about ``margin`` pixels from the outline."""
    size = thickness.shape
    texture = smooth_noise(size, 0.6, rng)
    # Cells of one image look alike.
    depths = rng.uniform(*spec.depth) * rng.lognormal(0, 0.25, len(cells)) * [cell.shape.depth for cell in cells]
    edges = rng.uniform(*spec.edge, len(cells))
    roughness = spec.grain * rng.uniform(0.03, 0.2) * rng.lognormal(0, 0.3, len(cells))
    margins = np.maximum(margin + rng.spawn(1)[0].normal(0, MARGIN_JITTER, len(cells)), 0)
    cell_map = CellMap.of([cell.crop for cell in cells], size)
    granules = np.zeros(size, dtype=np.float32)
    for cell, depth, edge, rough, inset in zip(cells, depths, edges, roughness, margins, strict=True):
        x1, y1, x2, y2 = cell.crop.window
        solid, window = cell_map.body(cell.crop, inset)
        relief = _relief(solid, window, cell.crop, edge, spec.dome) * cell_map.seams(cell.crop, cell.family, rng)
        mask = cell.crop.mask & (solid[window] > 0)
        body = depth * (relief + rough * texture[y1:y2, x1:x2])
        under = thickness[y1:y2, x1:x2]
        under[mask] = 0.4 * under[mask] + body[mask]
        if spec.interior is not None:
            under[mask] += interior(cell.crop, spec.interior, rng)[mask]
        _scatter_granules(granules, cell, depth, spec, rng)
    thickness += cv2.GaussianBlur(granules, (0, 0), 0.4)


def _relief(
    solid: NDArray[np.float32], window: tuple[slice, slice], crop: MaskCrop, edge: float, height: float
) -> NDArray[np.float32]:
    """Relative thickness of a cell: a steep edge of a given width without the mask's staircase, then its own low dome.

    Args:
        solid: The bodies there, its own and others: of :meth:`CellMap.body`.
        window: Where the cell lies in it.
        crop: The cell.
        edge: Width of the edge in pixels.
        height: Of the dome, relative to the edge's.
    """
    steep = cv2.GaussianBlur(solid, (0, 0), _EDGE_SIGMA * edge, borderType=cv2.BORDER_REPLICATE)[window]
    own = np.zeros_like(solid)
    own[window] = solid[window] * crop.mask
    dome = cv2.GaussianBlur(own, (0, 0), 3.0, borderType=cv2.BORDER_REPLICATE)[window]
    return np.maximum(2 * steep - 1, 0) + height * dome


def _scatter_granules(
    target: Thickness, cell: PlacedCell, depth: float, spec: CellTypeSpec, rng: np.random.Generator
) -> None:
    """Adds dark and bright points around a body's centre, where the nucleus and most organelles are."""
    crop = cell.crop
    number = int(rng.poisson(rng.uniform(*spec.granules) * crop.area / 100))
    spread = 0.4 * np.sqrt(cell.shape.target_area / np.pi)
    columns = np.floor(rng.normal(cell.x, spread, number)).astype(int)
    rows = np.floor(rng.normal(cell.y, spread, number)).astype(int)
    x1, y1, x2, y2 = crop.window
    near = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
    columns, rows = columns[near], rows[near]
    inside = crop.mask[rows - y1, columns - x1]
    # Organelles are as visible in flat cells as in thick ones.
    strength = spec.granule_depth * (0.5 + depth / (spec.depth[0] + spec.depth[1]))
    target[rows[inside], columns[inside]] += strength * rng.normal(0.2, 1, int(inside.sum()))


def add_points(thickness: Thickness, points: NDArray[np.float64], depths: NDArray[np.float64], blur: float) -> None:
    """Adds round points with Gaussian profiles; those outside the image are left out.

    Args:
        thickness: float ``(height, width)``, changed in place.
        points: ``(N, 2)``: x and y in pixels.
        depths: ``(N,)``: peaks, in the unit of the thickness.
        blur: Standard deviation of the profiles in pixels.
    """
    columns, rows = np.floor(points).astype(int).T
    inside = (columns >= 0) & (columns < thickness.shape[1]) & (rows >= 0) & (rows < thickness.shape[0])
    layer = np.zeros_like(thickness)
    np.add.at(layer, (rows[inside], columns[inside]), depths[inside] * 2 * np.pi * blur**2)
    thickness += cv2.GaussianBlur(layer, (0, 0), blur)


def to_grey(thickness: Thickness, style: ImageStyle, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image of a thickness map: dark bodies, bright halos, an even background with grain.

    In positive phase contrast a thing darkens its own place and, because the phase ring also catches light that the
    thing bent a little, brightens its surroundings: the image is the thickness less its local mean. Two widths of that
    mean make the narrow rim and the wider halo.
    """
    seen = cv2.GaussianBlur(thickness, (0, 0), style.focus)
    shift = np.array([[1, 0, style.tilt[0]], [0, 1, style.tilt[1]]])
    beside = cv2.warpAffine(seen, shift, seen.shape[::-1], borderMode=cv2.BORDER_REFLECT)
    rim = cv2.GaussianBlur(beside, (0, 0), RIM_WIDTH) - seen
    halo = cv2.GaussianBlur(seen, (0, 0), HALO_WIDTH) - seen
    rim[rim > 0] *= BRIGHT_GAIN
    signal = sharpened(style.contrast * (RIM_GAIN * rim + HALO_GAIN * halo), style.sharpening)
    noise = style.grain * smooth_noise(thickness.shape, 0.5, rng)
    grey = signal + noise
    # The instrument's software removes all slow changes, those of the halo included.
    grey += BACKGROUND - cv2.GaussianBlur(grey, (0, 0), SHADING_WIDTH)
    return np.clip(np.rint(grey), DARKEST, BRIGHTEST).astype(np.uint8)
