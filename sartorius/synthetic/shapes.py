"""Outlines of cells, and their crops."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import OutlineSpec

OUTLINE_POINTS = 40
ARM_POINTS = 12
_SUBPIXEL_BITS = 4
_ANGLES = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)

Polygon = NDArray[np.float64]
"""Float array of shape ``(K, 2)``: x, y in pixels."""


@dataclass(frozen=True, eq=False)
class CellShape:
    """A cell before it is placed.

    Attributes:
        polygons: Filled parts, whose union is the cell; their common origin is the cell's centre.
        tips: float array ``(K, 3)``: x, y and direction in radians of the places that neurites leave from.
        depth: Optical thickness relative to the type's own; flat cells have little.
        target_area: Pixels that the mask shall have before neighbours cut it.
        cells: Number of sister cells in this outline; see :mod:`sartorius.synthetic.sisters`.
    """

    polygons: tuple[Polygon, ...]
    tips: NDArray[np.float64]
    depth: float
    target_area: float
    cells: int = 1

    def scaled(self, factor: float) -> 'CellShape':
        """The same shape at another size; the target area is scaled too."""
        tips = self.tips.copy()
        tips[:, :2] *= factor
        polygons = tuple(polygon * factor for polygon in self.polygons)
        return replace(self, polygons=polygons, tips=tips, target_area=self.target_area * factor**2)

    def turned_to(self, angle: float) -> 'CellShape':
        """The same shape turned so that its long axis has an angle in radians."""
        points = np.concatenate(self.polygons)
        axes = np.linalg.eigh(np.cov(points.T))[1]
        turn = angle - np.arctan2(axes[1, 1], axes[0, 1])
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        tips = np.column_stack([self.tips[:, :2] @ matrix, self.tips[:, 2] + turn])
        return replace(self, polygons=tuple(polygon @ matrix for polygon in self.polygons), tips=tips)

    def crop(self, x: float, y: float) -> MaskCrop:
        """The cell's mask with its centre at ``x, y`` of the image."""
        return rasterise(self.polygons, x, y)


def rasterise(polygons: tuple[Polygon, ...], x: float, y: float) -> MaskCrop:
    """Crop of the union of filled polygons without holes, moved by ``x, y``; pixels on an outline belong to it."""
    corners = np.concatenate(polygons)
    left, top = np.floor(corners.min(axis=0) + (x, y)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0) + (x, y)).astype(int) + 2
    canvas = np.zeros((bottom - top, right - left), dtype=np.uint8)
    for polygon in polygons:
        points = np.rint((polygon + (x - left, y - top)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(canvas, [points], 1, shift=_SUBPIXEL_BITS)
    if len(polygons) > 1:
        # Arms that cross enclose a piece of background; the corner, which is outside, floods all the rest.
        cv2.floodFill(canvas, None, (0, 0), 2)
        canvas = (canvas != 2).view(np.uint8)
    return MaskCrop(canvas.view(bool), int(left), int(top))


def round_shape(shape: CellShape, radius: float) -> CellShape:
    """A rounded-up cell of a radius in pixels, with the optical thickness of another."""
    # Pixels on the outline belong to the cell: half a pixel more all around.
    circle = (radius - 0.5) * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
    return CellShape((circle,), np.zeros((0, 3)), shape.depth, np.pi * radius**2)


def draw_shapes(
    outline: OutlineSpec, has_arms: bool, areas: NDArray[np.float64], rng: np.random.Generator
) -> list[CellShape]:
    """Random shapes, one per area in pixels: plain outlines, or sheets, spindles and stars with arms."""
    outlines, tips = polar_outlines(outline, areas, rng)
    shapes = [CellShape((curve,), tip, 1.0, area) for curve, tip, area in zip(outlines, tips, areas, strict=True)]
    if has_arms:
        return [_astrocyte(shape, rng) for shape in shapes]
    return shapes


def polar_outlines(
    spec: OutlineSpec, areas: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Closed smooth curves around the origin: a rough circle with corners, stretched and bent.

    Args:
        spec: Form.
        areas: float ``(N,)``: pixels that each curve shall fill when rasterised.
        rng: Random generator.

    Returns:
        Curves, float ``(N, OUTLINE_POINTS, 2)``, and of each cell the corners ``(K, 3)``: x, y, direction.
    """
    count = len(areas)
    most = spec.corners[1]
    used = np.arange(most) < rng.integers(spec.corners[0], most + 1, (count, 1))
    # Corners are spread about evenly around the body, so that they do not merge into one.
    spacing = 2 * np.pi / used.sum(axis=1, keepdims=True)
    directions = (np.arange(most) + rng.uniform(-0.15, 0.15, (count, most))) * spacing
    reach = rng.uniform(*spec.reach, (count, most)) * used
    sharpness = rng.uniform(*spec.sharpness, (count, most))
    away = _ANGLES - directions[..., None]
    if spec.cusped:
        # Sides sag between corners, as a membrane does that is held at them.
        away = np.abs((away + np.pi) % (2 * np.pi) - np.pi)
        bumps = np.exp(-sharpness[..., None] * away)
    else:
        bumps = np.exp(sharpness[..., None] * (np.cos(away) - 1))
    radii = 1 + (reach[..., None] * bumps).sum(axis=1)
    for harmonic in (2, 3, 5):
        amplitude = rng.normal(0, spec.roughness / np.sqrt(harmonic), (count, 1))
        radii += amplitude * np.cos(harmonic * _ANGLES + rng.uniform(0, 2 * np.pi, (count, 1)))
    radii = np.maximum(radii, 0.35)
    curves = np.stack([radii * np.cos(_ANGLES), radii * np.sin(_ANGLES)], axis=-1)
    curves[..., 0] *= spec.elongation.draw(rng, count)[:, None]
    half_length = np.abs(curves[..., 0]).max(axis=1, keepdims=True)
    curves[..., 1] += rng.normal(0, 0.12, (count, 1)) * curves[..., 0] ** 2 / half_length
    curves = _turned(curves, rng.uniform(0, 2 * np.pi, count))
    curves *= _scale_to_area(curves, areas)[:, None, None]
    # The corner of a curve is its point nearest to the corner's direction.
    nearest = np.rint(directions / (2 * np.pi) * OUTLINE_POINTS).astype(int) % OUTLINE_POINTS
    tips = []
    for curve, indices, exists in zip(curves, nearest, used, strict=True):
        points = curve[indices[exists]]
        tips.append(np.column_stack([points, np.arctan2(points[:, 1], points[:, 0])]))
    return curves, tips


def _turned(curves: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = curves[..., 0], curves[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _scale_to_area(curves: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor that makes the rasterised curve fill its area.

    A polygon filled with every pixel that its outline touches has about area + perimeter / 2 pixels (after Pick's
    theorem), so the factor solves a quadratic.
    """
    following = np.roll(curves, -1, axis=1)
    area = np.abs((curves[..., 0] * following[..., 1] - following[..., 0] * curves[..., 1]).sum(axis=1)) / 2
    half_perimeter = np.linalg.norm(following - curves, axis=-1).sum(axis=1) / 2
    return (np.sqrt(half_perimeter**2 + 4 * area * areas) - half_perimeter) / (2 * area)


def _astrocyte(body: CellShape, rng: np.random.Generator) -> CellShape:
    """A flat sheet, a flat strip with torn ends, a spindle, or a small body with long arms that may fork."""
    kind = rng.choice(('sheet', 'strip', 'spindle', 'star'), p=(0.2, 0.25, 0.3, 0.25))
    if kind == 'strip':
        body = body.scaled(np.sqrt(rng.uniform(0.8, 1.6)))
        polygons, tips = _strip(body, rng)
        return CellShape(polygons, tips, rng.uniform(0.15, 0.5), body.target_area)
    if kind == 'sheet':
        sheet = body.scaled(np.sqrt(rng.uniform(1.2, 1.8)))
        return CellShape(sheet.polygons, sheet.tips, rng.uniform(0.15, 0.4), sheet.target_area)
    # Sheets are larger than the mean, so the others are smaller.
    body = body.scaled(np.sqrt(0.67))
    build = _spindle if kind == 'spindle' else _star
    polygons, tips = build(body, rng)
    return CellShape(polygons, tips, rng.uniform(0.5, 1.1), body.target_area)


def _spindle(body: CellShape, rng: np.random.Generator) -> tuple[tuple[Polygon, ...], NDArray[np.float64]]:
    """One long ribbon, broad where the nucleus lies."""
    broadest = np.sqrt(body.target_area) * rng.uniform(0.3, 0.6)
    nucleus = rng.uniform(0.3, 0.7)
    along = np.linspace(0, 1, 2 * ARM_POINTS)
    bulge = np.exp(-(((along - nucleus) / rng.uniform(0.12, 0.22)) ** 2))
    widths = np.maximum(broadest * bulge, 3.5) * np.minimum(1, 0.2 + 3.5 * along * (1 - along))
    length = min(body.target_area / (widths.mean() + 1), 260.0)
    lines, angles = _centre_lines(
        np.zeros((1, 2)), rng.uniform(0, 2 * np.pi, 1), np.array([length]), 2 * ARM_POINTS, rng
    )
    lines -= lines[:, round(nucleus * (2 * ARM_POINTS - 1))][:, None]
    tips = np.array([(*lines[0, 0], angles[0, 0] + np.pi), (*lines[0, -1], angles[0, -1])])
    return tuple(_ribbons(lines, angles, widths[None])), tips


def _strip(body: CellShape, rng: np.random.Generator) -> tuple[tuple[Polygon, ...], NDArray[np.float64]]:
    """A flat cell stretched between its ends, which are broad and torn into points."""
    waist = np.sqrt(body.target_area) * rng.uniform(0.25, 0.5)
    along = np.linspace(-1, 1, 2 * ARM_POINTS)
    nucleus = rng.uniform(-0.5, 0.5)
    widths = waist * (1 + rng.uniform(0, 0.8) * along**2 + rng.uniform(-0.5, 0.5) * along)
    widths += waist * rng.uniform(0, 0.5) * np.exp(-(((along - nucleus) / 0.3) ** 2))
    length = min(0.85 * body.target_area / (widths.mean() + 1), 220.0)
    lines, angles = _centre_lines(
        np.zeros((1, 2)), rng.uniform(0, 2 * np.pi, 1), np.array([length]), 2 * ARM_POINTS, rng
    )
    lines -= lines[:, ARM_POINTS][:, None]
    polygons = [*_ribbons(lines, angles, widths[None])]
    tips = []
    for end, outwards in ((0, np.pi), (-1, 0.0)):
        number = int(rng.integers(1, 5))
        middle, direction, breadth = lines[0, end], angles[0, end] + outwards, widths[end]
        across = np.array([-np.sin(direction), np.cos(direction)])
        forwards = np.array([np.cos(direction), np.sin(direction)])
        # Each point is a triangle whose foot lies inside the strip.
        offsets = (np.arange(number) + 0.5) / number - 0.5 + rng.normal(0, 0.08, number)
        for offset in offsets * breadth:
            foot = 0.5 * breadth / number + 1
            tip = middle + across * 1.2 * offset + forwards * breadth * rng.uniform(0.2, 1.0)
            base = middle + across * offset - 2 * forwards
            polygons.append(np.stack([base - across * foot, tip, base + across * foot]))
            tips.append((*tip, direction))
    return tuple(polygons), np.array(tips)


def _star(body: CellShape, rng: np.random.Generator) -> tuple[tuple[Polygon, ...], NDArray[np.float64]]:
    """A small body, and tapered arms of which some fork."""
    small = body.scaled(np.sqrt(rng.uniform(0.25, 0.5)))
    count = int(rng.integers(3, 7))
    widths = (body.target_area / 900) ** 0.25 * rng.uniform(3.0, 5.5, count)
    # The arms share the rest of the area; their roots lie inside the body.
    share = (body.target_area - small.target_area) / count
    root = 0.5 * np.sqrt(small.target_area / np.pi)
    lengths = np.minimum(share / (0.85 * widths + 1) * rng.uniform(0.6, 1.4, count) + root, 180.0)
    directions = rng.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.25, count)
    lines, angles = _centre_lines(np.zeros((count, 2)), directions, lengths, ARM_POINTS, rng)
    forked = np.flatnonzero(rng.random(count) < 0.4)
    at = ARM_POINTS // 2
    side = rng.choice((-1, 1), forked.size) * rng.uniform(0.5, 1.0, forked.size)
    twigs = _centre_lines(lines[forked, at], angles[forked, at] + side, 0.45 * lengths[forked], ARM_POINTS, rng)
    lines, angles = np.concatenate([lines, twigs[0]]), np.concatenate([angles, twigs[1]])
    widths = np.concatenate([widths, 0.7 * widths[forked]])[:, None] * np.linspace(1, 0.5, ARM_POINTS)
    # Many an arm ends in a foot that holds on to the ground.
    widths[:, -3:-1] *= np.where(rng.random((len(widths), 1)) < 0.4, rng.uniform(1.5, 3.0, (len(widths), 1)), 1.0)
    return (*small.polygons, *_ribbons(lines, angles, widths)), np.column_stack([lines[:, -1], angles[:, -1]])


def _centre_lines(
    roots: NDArray[np.float64],
    directions: NDArray[np.float64],
    lengths: NDArray[np.float64],
    points: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points ``(N, points, 2)`` and directions ``(N, points)`` along random curves of the given lengths."""
    turns = rng.normal(0, 0.05, (len(lengths), 1)) + rng.normal(0, 0.07, (len(lengths), points))
    angles = directions[:, None] + turns.cumsum(axis=1)
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * (lengths / (points - 1))[:, None, None]
    steps[:, 0] = 0
    return roots[:, None] + steps.cumsum(axis=1), angles


def _ribbons(
    lines: NDArray[np.float64], angles: NDArray[np.float64], widths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Polygons ``(N, 2 * points, 2)`` of the given widths ``(N, points)`` along centre lines."""
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=-1) * widths[..., None] / 2
    return np.concatenate([lines + across, (lines - across)[:, ::-1]], axis=1)
