"""Unannotated structures of an image: neurites and debris."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sartorius.masks.crop import Size
from sartorius.synthetic.cell_types import FULL_SIZE, DebrisSpec, NeuriteSpec
from sartorius.synthetic.rendering import Thickness
from sartorius.synthetic.scene import PlacedCell

_STEP = 4.0
_SUBPIXEL_BITS = 4
_ZOOM = 2  # Lines are drawn enlarged, as OpenCV draws none that are thinner than a pixel.
_FIXED_POINT = _ZOOM << _SUBPIXEL_BITS
_LINE_LEVELS = (0.2, 0.3, 0.45, 0.7, 1.0)
_LEVEL_SHARES = (0.3, 0.25, 0.2, 0.15, 0.1)
_POINT_BLURS = (0.4, 0.7, 1.1)
# One of them; sharper points would show that a ring is made of points.
_RING_BLUR = 0.7
_CIRCLE = np.stack([np.cos(np.arange(20) * np.pi / 10), np.sin(np.arange(20) * np.pi / 10)], axis=1)


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
    lengths = np.concatenate([lengths, 1.5 * np.asarray(spec.length.draw(rng, strangers))])
    paths = _wander(starts, directions, lengths, spec.curl, rng)
    levels = rng.choice(len(_LINE_LEVELS), len(paths), p=_LEVEL_SHARES)
    lines = np.zeros((_ZOOM * height, _ZOOM * width), dtype=np.uint8)
    for level, strength in enumerate(_LINE_LEVELS):
        chosen = [path for path, at in zip(paths, levels, strict=True) if at == level]
        rooted = [path for path, at in zip(paths[:own], levels, strict=False) if at == level]
        # A process tapers: wide at its root, faint at its end.
        _draw_lines(lines, chosen, 0.6 * strength, 1)
        _draw_lines(lines, [path[: 1 + 2 * len(path) // 3] for path in chosen], strength, (spec.width + 1) // 2)
        _draw_lines(lines, [path[: 1 + len(path) // 3] for path in rooted], strength, spec.width)
    thickness += cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA) * np.float32(spec.depth / 255)
    points = np.concatenate([np.zeros((0, 2)), *paths]) / _FIXED_POINT
    beads = points[rng.random(len(points)) < spec.beads]
    _add_points(thickness, beads, 0.5 * spec.depth * rng.uniform(0.3, 1.2, len(beads)), 0.7)


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


def _draw_lines(layer: NDArray[np.uint8], paths: list[NDArray[np.int32]], strength: float, width: int) -> None:
    cv2.polylines(layer, paths, False, round(255 * strength), width, cv2.LINE_AA, _SUBPIXEL_BITS)


def add_debris(thickness: Thickness, spec: DebrisSpec, amount: float, rng: np.random.Generator) -> None:
    """Adds specks, ring-shaped bubbles and clusters of dead fragments, all of them composed of small round points.

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
    rings = [centre + rng.uniform(1.8, 3.6) * _CIRCLE for centre in centres(spec.rings)]
    clusters = [
        rng.normal(centre, rng.uniform(2.5, 6), (int(rng.integers(8, 40)), 2)) for centre in centres(spec.clusters)
    ]
    points = np.concatenate([specks, *rings, *clusters])
    depths = rng.uniform(*spec.depth) * np.concatenate(
        [
            rng.uniform(0.2, 1, len(specks)),
            np.repeat(rng.uniform(0.1, 0.25, len(rings)), len(_CIRCLE)),
            rng.normal(0.35, 0.5, sum(map(len, clusters))),
        ]
    )
    blurs = np.array(_POINT_BLURS)[rng.integers(0, len(_POINT_BLURS), len(points))]
    blurs[len(specks) : len(specks) + len(rings) * len(_CIRCLE)] = _RING_BLUR
    for blur in _POINT_BLURS:
        _add_points(thickness, points[blurs == blur], depths[blurs == blur], blur)


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
