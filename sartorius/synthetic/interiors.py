"""What is seen inside flat cells: the nucleus, the granules around it, and fibres along the cell."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import InteriorSpec

_ZOOM = 2  # Lines are drawn enlarged, as OpenCV draws none that are thinner than a pixel.
_SUBPIXEL_BITS = 4
_NUCLEUS_EDGE = 0.45  # Steepness of a nucleus' outline: pixels in which the logistic profile falls by a factor e.


def interior(crop: MaskCrop, spec: InteriorSpec, rng: np.random.Generator) -> NDArray[np.float32]:
    """Optical thickness of the inside of one cell, in grey levels: float32 of the mask's shape.

    Args:
        crop: The cell's mask.
        spec: Of its type.
        rng: Random generator.
    """
    depth = cv2.distanceTransform(np.pad(crop.mask.view(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    centre, room = np.array([column, row], dtype=np.float64), float(depth[row, column])
    axis = _long_axis(crop.mask)
    layer = _fibres(crop, axis, spec, rng)
    length = rng.uniform(*spec.nucleus_length)
    if rng.random() < spec.nuclei:
        _add_nucleus(layer, centre, axis, (length, min(0.65 * length, 0.8 * room)), spec, rng)
    _add_granules(layer, centre, axis, length, spec, rng)
    return layer


def _long_axis(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Unit vector x, y along which a mask is longest."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    angle = 0.5 * np.arctan2(2 * moments['mu11'], moments['mu20'] - moments['mu02'])
    return np.array([np.cos(angle), np.sin(angle)])


def _fibres(
    crop: MaskCrop, axis: NDArray[np.float64], spec: InteriorSpec, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Thin lines about parallel to the long axis."""
    height, width = crop.mask.shape
    layer = np.zeros((_ZOOM * height, _ZOOM * width), dtype=np.uint8)
    number = int(rng.poisson(rng.uniform(*spec.fibres) * crop.area / 100))
    rows, columns = np.nonzero(crop.mask)
    chosen = rng.integers(len(rows), size=number)
    middles = np.column_stack([columns, rows])[chosen] + 0.5
    turns = rng.normal(0, 0.15, number)
    along = np.stack(
        [np.cos(turns) * axis[0] - np.sin(turns) * axis[1], np.sin(turns) * axis[0] + np.cos(turns) * axis[1]]
    )
    halves = along.T * (np.sqrt(crop.area) * rng.uniform(0.2, 0.9, number) / 2)[:, None]
    sag = np.column_stack([-along[1], along[0]]) * rng.normal(0, 1.2, (number, 1))
    lines = np.stack([middles - halves, middles + sag, middles + halves], axis=1)
    fixed = np.rint(lines * (_ZOOM << _SUBPIXEL_BITS)).astype(np.int32)
    for line, grey in zip(fixed, rng.integers(40, 256, number), strict=True):
        cv2.polylines(layer, [line], False, int(grey), 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    drawn = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
    return drawn * np.float32(rng.uniform(-0.3, 1) * spec.fibre_depth / 255)


def _add_nucleus(
    layer: NDArray[np.float32],
    centre: NDArray[np.float64],
    axis: NDArray[np.float64],
    half_axes: tuple[float, float],
    spec: InteriorSpec,
    rng: np.random.Generator,
) -> None:
    """Adds an elliptic nucleus with one to four nucleoli."""
    long, short = half_axes
    height, width = layer.shape
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(centre[1])
    columns = np.arange(width, dtype=np.float32)[None] - np.float32(centre[0])
    along = np.float32(axis[0]) * columns + np.float32(axis[1]) * rows
    across = np.float32(axis[0]) * rows - np.float32(axis[1]) * columns
    distance = (np.hypot(along / np.float32(long), across / np.float32(short)) - 1) * np.float32(short)
    peak = rng.uniform(*spec.nucleus_depth)
    layer += np.float32(peak) / (1 + np.exp(np.clip(distance / _NUCLEUS_EDGE, -30, 30)))
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.normal(0, 0.35, 2) * (long, short)
        spot = (along - np.float32(x)) ** 2 + (across - np.float32(y)) ** 2
        layer += np.float32(peak * rng.uniform(0.2, 0.8)) * np.exp(-spot / np.float32(2 * rng.uniform(0.6, 1.1) ** 2))


def _add_granules(
    layer: NDArray[np.float32],
    centre: NDArray[np.float64],
    axis: NDArray[np.float64],
    length: float,
    spec: InteriorSpec,
    rng: np.random.Generator,
) -> None:
    """Adds points that gather around the nucleus, along the cell more than across it."""
    number = int(rng.integers(spec.granules[0], spec.granules[1] + 1))
    along, across = rng.normal(0, 1.1 * length, number), rng.normal(0, 0.6 * length, number)
    columns = np.floor(centre[0] + axis[0] * along - axis[1] * across + 0.5).astype(int)
    rows = np.floor(centre[1] + axis[1] * along + axis[0] * across + 0.5).astype(int)
    inside = (columns >= 0) & (columns < layer.shape[1]) & (rows >= 0) & (rows < layer.shape[0])
    points = np.zeros_like(layer)
    depths = spec.granule_depth * rng.normal(0.4, 0.8, number)
    np.add.at(points, (rows[inside], columns[inside]), depths[inside])
    layer += points
