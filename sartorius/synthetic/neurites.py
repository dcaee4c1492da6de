"""Thin processes of cells, which belong to no mask."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sartorius.synthetic.cell_types import NeuriteSpec, scaled_count
from sartorius.synthetic.rendering import Thickness, add_points
from sartorius.synthetic.scene import PlacedCell

_STEP = 4.0
_ROOT_DEPTH = 4.0  # Pixels from a cell's edge inwards to where a process begins.
_AHEAD = 0.5  # Cosine of the greatest turn with which a process runs to a neighbour.
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
# A body that runs out into a process narrows at once.
_NECK_PARTS = (
    _Part(0, 1.0, 0.2, 0.04),
    _Part(0, 0.85, 0.35, 0.1),
    _Part(0, 0.6, 0.55, 0.2),
    _Part(0, 0.4, 0.75, 0.35),
    _Part(0, 0.25, 0.9, 0.6),
    _Part(0, 0.12, 1.0, 1.0),
)
_FREE_PARTS = (
    _Part(0, 1.0, 0.42, 0.05),
    _Part(0.04, 0.96, 0.4725, 0.15),
    _Part(0.08, 0.92, 0.525, 0.25),
    _Part(0.12, 0.88, 0.595, 0.35),
    _Part(0.16, 0.84, 0.6475, 0.425),
    _Part(0.2, 0.8, 0.7, 0.5),
)


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
    strangers = scaled_count(spec.mesh, mesh, thickness.shape)
    starts = np.concatenate([starts, rng.uniform(0, 1, (strangers, 2)) * (width, height)])
    directions = np.concatenate([directions, rng.uniform(0, 2 * np.pi, strangers)])
    lengths = np.concatenate([lengths, 2.5 * np.asarray(spec.length.draw(rng, strangers))])
    paths = _wander(starts, directions, lengths, spec.curl, rng)
    levels = rng.choice(len(_LINE_LEVELS), len(paths), p=_LEVEL_SHARES)
    kinds = rng.choice(3, own, p=(1 - spec.broad - spec.necks, spec.broad, spec.necks))
    lines = np.zeros((_ZOOM * height, _ZOOM * width), dtype=np.uint8)
    for level, strength in enumerate(_LINE_LEVELS):
        thin, broad, necked = (
            [paths[path] for path in np.flatnonzero((levels[:own] == level) & (kinds == kind))] for kind in range(3)
        )
        free = [paths[own + path] for path in np.flatnonzero(levels[own:] == level)]
        for rooted_part, neck_part, free_part in zip(_ROOTED_PARTS, _NECK_PARTS, _FREE_PARTS, strict=True):
            _draw_part(lines, thin, rooted_part, strength, spec.width)
            _draw_part(lines, broad, rooted_part, strength, 3 * spec.width)
            _draw_part(lines, necked, neck_part, max(strength, 0.45), 2 * spec.width)
            _draw_part(lines, free, free_part, strength, spec.width)
    thickness += cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA) * np.float32(spec.depth / 255)
    points = np.concatenate([np.zeros((0, 2)), *paths]) / _FIXED_POINT
    beads = points[rng.random(len(points)) < spec.beads]
    add_points(thickness, beads, spec.depth * rng.uniform(0.3, 1.8, len(beads)), 0.8)


def _roots(
    cells: tuple[PlacedCell, ...], spec: NeuriteSpec, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts ``(N, 2)``, directions ``(N,)`` and lengths ``(N,)`` of the cells' own processes.

    They leave a cell from its corners first, then from anywhere; some run straight to a neighbour that lies ahead.
    """
    starts, directions = [np.zeros((0, 2))], [np.zeros(0)]
    for cell in cells:
        number = int(rng.integers(spec.per_cell[0], spec.per_cell[1] + 1))
        tips = cell.shape.tips[:number]
        starts.append(tips[:, :2] + (cell.x, cell.y))
        directions.append(tips[:, 2])
        angles = rng.uniform(0, 2 * np.pi, number - len(tips))
        starts.append(_edge_points(cell, angles))
        directions.append(angles)
    roots, ways = np.concatenate(starts), np.concatenate(directions)
    lengths = np.asarray(spec.length.draw(rng, len(roots)))
    if len(cells) > 4:
        centres = np.array([(cell.x, cell.y) for cell in cells])
        _, nearest = cKDTree(centres).query(roots, k=5)
        targets = centres[nearest[:, 1:]] - roots[:, None]
        angles = np.arctan2(targets[..., 1], targets[..., 0])
        ahead = np.cos(angles - ways[:, None])
        best = ahead.argmax(axis=1)
        links = np.flatnonzero((rng.random(len(roots)) < spec.linking) & (ahead.max(axis=1) > _AHEAD))
        ways[links] = angles[links, best[links]]
        lengths[links] = np.hypot(*targets[links, best[links]].T).clip(spec.length.low, spec.length.high)
    # They begin inside the body, which runs out into them.
    roots -= _ROOT_DEPTH * np.column_stack([np.cos(ways), np.sin(ways)])
    return roots, ways, lengths + _ROOT_DEPTH


def _edge_points(cell: PlacedCell, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points x, y at a cell's edge at given angles from its centre; the centre where it has no mask that way."""
    crop = cell.crop
    reach = np.hypot(*crop.mask.shape)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None] * np.arange(1, reach)[:, None]
    columns, rows = np.floor(rays + (cell.x - crop.x, cell.y - crop.y)).astype(int).transpose(2, 0, 1)
    height, width = crop.mask.shape
    near = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    inside = near & crop.mask[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    farthest = (inside * np.arange(1, reach)).max(axis=1, initial=0)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1) * farthest[:, None] + (cell.x, cell.y)


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
