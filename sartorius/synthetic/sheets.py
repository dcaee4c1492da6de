"""Cells that touch all around: epithelial islands, and layers that cover the whole field."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.optics import smooth_noise
from sartorius.synthetic.scene import MIN_AREA, largest_piece


def sheet_cells(
    size: Size, area: float, coverage: float, stretch: float, gap: float, rng: np.random.Generator
) -> tuple[MaskCrop, ...]:
    """Cells without room between them, in islands.

    The cells are the regions nearest to each of a jittered grid of seeds, with wavy borders.

    Args:
        size: Image ``(height, width)``.
        area: Mean area of a cell in pixels.
        coverage: Share of the image that the islands cover; 1 for all of it.
        stretch: Length over width of the cells.
        gap: Width in pixels of the background between neighbours; 0 for none.
        rng: Random generator.

    Returns:
        Tight, connected masks that do not overlap.
    """
    spacing = float(np.sqrt(area))
    labels = _nearest_seeds(size, spacing, stretch, gap, rng)
    labels[~_islands(size, spacing, coverage, rng)] = 0
    cells = []
    for index, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        mask = largest_piece(labels[window] == index)
        if np.count_nonzero(mask) >= max(MIN_AREA, 0.1 * area):
            cells.append(MaskCrop(mask, window[1].start, window[0].start).tight())
    return tuple(cells)


def _islands(size: Size, spacing: float, coverage: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    if coverage >= 1:
        return np.ones(size, dtype=bool)
    height, width = size
    # Drawn small and enlarged: wide blurs are slow, and an island has no fine detail.
    shrink = max(1, round(spacing / 4))
    small = (-(-height // shrink), -(-width // shrink))
    field = smooth_noise(small, float(rng.uniform(1.5, 4)) * spacing / shrink, rng)
    field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC)
    return field > np.quantile(field, 1 - coverage)


def _nearest_seeds(
    size: Size, spacing: float, stretch: float, gap: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Number of the nearest seed of each pixel, from 1; 0 in the gaps."""
    height, width = size
    # In a turned and stretched frame the grid is even.
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    frame = np.diag([1 / np.sqrt(stretch), np.sqrt(stretch)]) @ turn
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for wave, amplitude in ((0.5 * spacing, 0.12 * spacing), (1.2, rng.uniform(0, 0.6))):
        columns += np.float32(amplitude) * smooth_noise(size, wave, rng)
        rows += np.float32(amplitude) * smooth_noise(size, wave, rng)
    pixels = np.column_stack([columns.ravel(), rows.ravel()]) @ frame.T
    low, high = pixels.min(axis=0) - spacing, pixels.max(axis=0) + spacing
    grid = np.stack(np.meshgrid(*(np.arange(a, b, spacing) for a, b in zip(low, high, strict=True))), axis=-1)
    seeds = grid.reshape(-1, 2) + rng.uniform(-0.42, 0.42, (grid.size // 2, 2)) * spacing
    distances, nearest = cKDTree(seeds).query(pixels, k=2)
    labels = nearest[:, 0].astype(np.int32) + 1
    labels[distances[:, 1] - distances[:, 0] < gap] = 0
    return labels.reshape(size)
