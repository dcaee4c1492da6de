"""Debris and dead cells, which belong to no mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import DebrisSpec, scaled_count
from sartorius.synthetic.rendering import Thickness, add_points

_POINT_BLURS = (0.4, 0.7, 1.1)


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
        return rng.uniform(0, 1, (scaled_count(bounds, amount, thickness.shape), 2)) * (width, height)

    specks = centres(spec.specks)
    clouds = [rng.normal(centre, rng.uniform(2.5, 6), (int(rng.integers(8, 40)), 2)) for centre in centres(spec.clouds)]
    depth = rng.uniform(*spec.depth)
    points = np.concatenate([specks, *clouds])
    depths = depth * np.concatenate([rng.uniform(0.2, 1, len(specks)), rng.normal(0.35, 0.5, sum(map(len, clouds)))])
    blurs = rng.integers(0, len(_POINT_BLURS), len(points))
    for number, blur in enumerate(_POINT_BLURS):
        add_points(thickness, points[blurs == number], depths[blurs == number], blur)


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
        anywhere = rng.uniform(0, 1, (scaled_count(bounds, amount, thickness.shape), 2)) * (width, height)
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
    add_points(thickness, spots, -depth * rng.uniform(0.3, 1.2, len(spots)), 0.6)


def _heap(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places ``(N, 2)`` of 2 to 40 touching vesicles around the origin, and their radii ``(N,)`` in pixels."""
    number = int(np.clip(rng.lognormal(2.1, 0.7), 2, 40))
    radius = rng.uniform(1.1, 3.0)
    axis = np.arange(-8, 9)  # 289 places, of which a heap takes the 40 nearest at most.
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
