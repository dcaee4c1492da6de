"""Unannotated structures of an image: neurites, debris and dead cells."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE, DebrisSpec, NeuriteSpec
from sartorius.synthetic.rendering import Thickness
from sartorius.synthetic.scene import PlacedCell

_STEP = 4.0
_SUBPIXEL_BITS = 4
_ZOOM = 2  # Lines are drawn enlarged, as OpenCV draws none that are thinner than a pixel.
_FIXED_POINT = _ZOOM << _SUBPIXEL_BITS
_LINE_LEVELS = (0.2, 0.3, 0.45, 0.7, 1.0)
_LEVEL_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)


class _Part(NamedTuple):
    """Part of a process, between two shares of its length; strength and width are relative to the greatest."""

    start: float
    end: float
    strength: float
    width: float


# Processes of cells taper from the root to the end, others a little to both ends: a part is drawn over the one before.
_ROOTED_PARTS = (
    _Part(0, 1.0, 0.2, 0.1),
    _Part(0, 0.85, 0.35, 0.3),
    _Part(0, 0.65, 0.5, 0.5),
    _Part(0, 0.45, 0.7, 0.7),
    _Part(0, 0.25, 0.85, 0.85),
    _Part(0, 0.1, 1.0, 1.0),
)
_FREE_PARTS = (
    _Part(0, 1.0, 0.42, 0.05),
    _Part(0.04, 0.96, 0.4725, 0.15),
    _Part(0.08, 0.92, 0.525, 0.25),
    _Part(0.12, 0.88, 0.595, 0.35),
    _Part(0.16, 0.84, 0.6475, 0.425),
    _Part(0.2, 0.8, 0.7, 0.5),
)
_POINT_BLURS = (0.4, 0.7, 1.1)


def add_neurites(
    thickness: Thickness,
    cells: tuple[PlacedCell, ...],
    spec: NeuriteSpec,
    mesh: float,
    rng: np.random.Generator,
) -> None:
    """Adds the thin processes that leave the cells, and those that come from no visible cell.

    Args:
        thickness: float ``(height, width)``, changed in place; ``spec.depth`` is in its unit.
        cells: Of the image.
        spec: Numbers of the neurites.
        mesh: How many come from no visible cell, between their minimum and maximum, in [0, 1].
        rng: Random generator.
    """
    height, width = thickness.shape
    starts, directions, lengths = _roots(cells, spec, rng)
    own = len(starts)
    strangers = _share(spec.mesh, mesh, thickness.shape)
    starts = np.concatenate([starts, rng.uniform(0, 1, (strangers, 2)) * (width, height)])
    directions = np.concatenate([directions, rng.uniform(0, 2 * np.pi, strangers)])
    lengths = np.concatenate([lengths, 2.5 * np.asarray(spec.length.draw(rng, strangers))])
    paths = _wander(starts, directions, lengths, spec.curl, rng)
    levels = rng.choice(len(_LINE_LEVELS), len(paths), p=_LEVEL_SHARES)
    thick = rng.random(own) < spec.thick
    lines = np.zeros((_ZOOM * height, _ZOOM * width), dtype=np.uint8)
    for level, strength in enumerate(_LINE_LEVELS):
        thin = [paths[path] for path in np.flatnonzero((levels[:own] == level) & ~thick)]
        broad = [paths[path] for path in np.flatnonzero((levels[:own] == level) & thick)]
        free = [paths[own + path] for path in np.flatnonzero(levels[own:] == level)]
        for rooted_part, free_part in zip(_ROOTED_PARTS, _FREE_PARTS, strict=True):
            _draw_part(lines, thin, rooted_part, strength, spec.width)
            _draw_part(lines, broad, rooted_part, strength, 3 * spec.width)
            _draw_part(lines, free, free_part, strength, spec.width)
    thickness += cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA) * np.float32(spec.depth / 255)
    points = np.concatenate([np.zeros((0, 2)), *paths]) / _FIXED_POINT
    beads = points[rng.random(len(points)) < spec.beads]
    _add_points(thickness, beads, spec.depth * rng.uniform(0.3, 1.8, len(beads)), 0.8)


def _roots(
    cells: tuple[PlacedCell, ...], spec: NeuriteSpec, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts ``(N, 2)``, directions ``(N,)`` and lengths ``(N,)`` of the cells' own processes.

    They leave a cell from its corners first, then from anywhere; some run straight to a neighbour.
    """
    starts, directions = [np.zeros((0, 2))], [np.zeros(0)]
    for cell in cells:
        number = int(rng.integers(spec.per_cell[0], spec.per_cell[1] + 1))
        tips = cell.shape.tips[:number]
        starts.append(tips[:, :2] + (cell.x, cell.y))
        directions.append(tips[:, 2])
        angles = rng.uniform(0, 2 * np.pi, number - len(tips))
        reach = 0.7 * np.sqrt(cell.shape.target_area / np.pi)
        starts.append(np.column_stack([np.cos(angles), np.sin(angles)]) * reach + (cell.x, cell.y))
        directions.append(angles)
    roots, ways = np.concatenate(starts), np.concatenate(directions)
    lengths = np.asarray(spec.length.draw(rng, len(roots)))
    if len(cells) > 4:
        centres = np.array([(cell.x, cell.y) for cell in cells])
        _, nearest = cKDTree(centres).query(roots, k=5)
        links = np.flatnonzero(rng.random(len(roots)) < spec.linking)
        targets = centres[nearest[links, rng.integers(1, 5, len(links))]] - roots[links]
        ways[links] = np.arctan2(targets[:, 1], targets[:, 0])
        lengths[links] = np.hypot(targets[:, 0], targets[:, 1]).clip(spec.length.low, spec.length.high)
    return roots, ways, lengths


def _wander(
    starts: NDArray[np.float64],
    directions: NDArray[np.float64],
    lengths: NDArray[np.float64],
    curl: float,
    rng: np.random.Generator,
) -> list[NDArray[np.int32]]:
    """Random curves of given lengths, in fixed-point pixels for OpenCV."""
    steps = np.maximum(2, np.rint(lengths / _STEP)).astype(int)
    turns = rng.normal(0, curl, (len(starts), int(steps.max(initial=2))))
    angles = directions[:, None] + turns.cumsum(axis=1)
    moves = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * _STEP
    points = starts[:, None] + np.concatenate([np.zeros((len(starts), 1, 2)), moves.cumsum(axis=1)], axis=1)
    fixed = np.rint(points * _FIXED_POINT).astype(np.int32)
    return [path[: number + 1] for path, number in zip(fixed, steps, strict=True)]


def _draw_part(
    layer: NDArray[np.uint8], paths: list[NDArray[np.int32]], part: _Part, strength: float, width: int
) -> None:
    """Draws a part of each line, at a share of the greatest strength and width."""
    pieces = [path[round(part.start * len(path)) : 1 + round(part.end * (len(path) - 1))] for path in paths]
    grey, breadth = round(255 * part.strength * strength), max(1, round(part.width * width))
    cv2.polylines(layer, pieces, False, grey, breadth, cv2.LINE_AA, _SUBPIXEL_BITS)


def add_debris(thickness: Thickness, spec: DebrisSpec, amount: float, rng: np.random.Generator) -> None:
    """Adds specks and clouds of fragments, composed of round points.

    Args:
        thickness: float ``(height, width)``, changed in place; ``spec.depth`` is in its unit.
        spec: Numbers of the debris.
        amount: Between its minimum and maximum, in [0, 1].
        rng: Random generator.
    """
    height, width = thickness.shape

    def centres(bounds: tuple[int, int]) -> NDArray[np.float64]:
        return rng.uniform(0, 1, (_share(bounds, amount, thickness.shape), 2)) * (width, height)

    specks = centres(spec.specks)
    clusters = [
        rng.normal(centre, rng.uniform(2.5, 6), (int(rng.integers(8, 40)), 2)) for centre in centres(spec.clusters)
    ]
    depth = rng.uniform(*spec.depth)
    points = np.concatenate([specks, *clusters])
    depths = depth * np.concatenate([rng.uniform(0.2, 1, len(specks)), rng.normal(0.35, 0.5, sum(map(len, clusters)))])
    blurs = rng.integers(0, len(_POINT_BLURS), len(points))
    for number, blur in enumerate(_POINT_BLURS):
        _add_points(thickness, points[blurs == number], depths[blurs == number], blur)


def add_dead_cells(
    thickness: Thickness, cells: Sequence[MaskCrop], spec: DebrisSpec, amount: float, rng: np.random.Generator
) -> None:
    """Adds round remains of dead cells, and the heaps of vesicles into which dying ones fall.

    Args:
        thickness: float ``(height, width)``, changed in place; ``spec.depth`` is in its unit.
        cells: Masks of the image's cells.
        spec: Numbers of the debris.
        amount: Between the minimum and maximum of both, in [0, 1].
        rng: Random generator.
    """
    height, width = thickness.shape

    def places(bounds: tuple[int, int]) -> NDArray[np.float64]:
        anywhere = rng.uniform(0, 1, (_share(bounds, amount, thickness.shape), 2)) * (width, height)
        if not cells:
            return anywhere
        windows = np.array([cell.window for cell in cells])[rng.integers(len(cells), size=len(anywhere))]
        sides = windows[:, 2:] - windows[:, :2]
        on_cells = windows[:, :2] + rng.uniform(-0.2, 1.2, anywhere.shape) * sides
        return np.where(rng.random((len(anywhere), 1)) < spec.clinging, on_cells, anywhere)

    depth = rng.uniform(*spec.depth)
    _add_remains(thickness, places(spec.remains), depth, rng)
    for place in places(spec.heaps):
        centres, radii = _heap(rng)
        depths = depth * rng.uniform(0.25, 0.6) * rng.lognormal(0, 0.25, len(radii))
        _add_discs(thickness, centres + place, radii, depths, lens=rng.uniform(0.7, 1.3))


def _add_remains(thickness: Thickness, places: NDArray[np.float64], depth: float, rng: np.random.Generator) -> None:
    """Adds round remains of dead cells at places ``(N, 2)``: x, y; some with others that touch them."""
    radii = 1.2 + 3.6 * rng.beta(1.2, 2.5, len(places))
    company = rng.choice(4, len(places), p=(0.7, 0.17, 0.08, 0.05))
    beside = np.repeat(np.arange(len(places)), company)
    angles, others = rng.uniform(0, 2 * np.pi, len(beside)), 1.2 + 2.5 * rng.beta(1.2, 2.5, len(beside))
    distances = (radii[beside] + others)[:, None]
    neighbours = places[beside] + distances * np.column_stack([np.cos(angles), np.sin(angles)])
    places, radii = np.concatenate([places, neighbours]), np.concatenate([radii, others])
    _add_discs(thickness, places, radii, depth * rng.uniform(0.12, 0.5, len(places)))
    # A small round thing is a lens: it gathers light in a spot, most often beside its middle.
    lenses = rng.random(len(places)) < 0.6
    spots = places[lenses] + rng.normal(0, 0.35, (int(lenses.sum()), 2)) * radii[lenses, None]
    _add_points(thickness, spots, -depth * rng.uniform(0.3, 1.2, len(spots)), 0.6)


def _heap(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places ``(N, 2)`` of 2 to 40 touching vesicles around the origin, and their radii ``(N,)`` in pixels."""
    number = int(np.clip(rng.lognormal(2.1, 0.7), 2, 40))
    radius = rng.uniform(1.1, 3.0)
    axis = np.arange(-8, 9)
    rows, columns = np.meshgrid(axis, axis, indexing='ij')
    # They are packed like spheres of about one size: a hexagonal lattice, shaken.
    lattice = np.column_stack([(columns + rows / 2).ravel(), (rows * np.sqrt(0.75)).ravel()])
    places = 1.75 * radius * (lattice + rng.normal(0, 0.23, lattice.shape))
    stretch, angle = rng.uniform(1, 2), rng.uniform(0, np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    distance = np.hypot(places @ along / stretch, places @ across) + rng.normal(0, radius, len(places))
    return places[np.argsort(distance)[:number]], radius * rng.uniform(0.75, 1.25, number)


def _add_discs(
    thickness: Thickness,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    depths: NDArray[np.float64],
    lens: float = 0.0,
) -> None:
    """Adds flat round plates ``x, y`` of radii in pixels, with edges as steep as pixels allow.

    A small sphere is a lens as well: ``lens`` is what its middle lacks of the depth, for the light that it gathers.
    """
    height, width = thickness.shape
    for (x, y), radius, depth in zip(centres, radii, depths, strict=True):
        if not (-radius < x < width + radius and -radius < y < height + radius):
            continue
        top, left = max(0, int(y - radius) - 1), max(0, int(x - radius) - 1)
        window = np.s_[top : min(height, int(y + radius) + 3), left : min(width, int(x + radius) + 3)]
        rows, columns = np.ogrid[window]
        distance = np.hypot(rows + 0.5 - y, columns + 0.5 - x)
        profile = np.clip(radius - distance + 0.5, 0, 1) - lens * np.exp(-((distance / (0.6 * radius)) ** 2))
        thickness[window] += np.float32(depth) * profile


def _add_points(thickness: Thickness, points: NDArray[np.float64], depths: NDArray[np.float64], blur: float) -> None:
    """Adds round points with Gaussian profiles of a standard deviation in pixels and the given peak depths."""
    columns, rows = np.floor(points).astype(int).T
    inside = (columns >= 0) & (columns < thickness.shape[1]) & (rows >= 0) & (rows < thickness.shape[0])
    layer = np.zeros_like(thickness)
    np.add.at(layer, (rows[inside], columns[inside]), depths[inside] * 2 * np.pi * blur**2)
    thickness += cv2.GaussianBlur(layer, (0, 0), blur)


def _share(bounds: tuple[int, int], position: float, size: Size) -> int:
    """Number between two bounds for a full-size image, scaled to this image's size."""
    full = bounds[0] + position * (bounds[1] - bounds[0])
    return round(full * size[0] * size[1] / (FULL_SIZE[0] * FULL_SIZE[1]))
