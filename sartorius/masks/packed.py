"""Binary masks of all cells of an image in one array, processed by compiled loops."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """Binary masks of one image's cells: their crops, concatenated.

    Attributes:
        pixels: bool ``(P,)``: the crops one after the other, each row-major. Never modified: operations share it.
        windows: int64 ``(N, 4)``: ``x1, y1, x2, y2`` of each crop in pixels of the image, half-open. A crop need not
            be tight and may reach past the image.
    """

    pixels: NDArray[np.bool_]
    windows: NDArray[np.int64]

    def __post_init__(self) -> None:
        # The compiled loops check nothing: with arrays that do not match they would read beyond the pixels.
        pixels, windows = self.pixels, self.windows
        if pixels.ndim != 1 or pixels.dtype != np.bool_:
            raise InputError(f'pixels of packed cells are a 1-D bool array, not {pixels.ndim}-D {pixels.dtype}')
        if windows.ndim != 2 or windows.shape[1] != 4 or windows.dtype.kind not in 'iu':
            raise InputError(f'windows of packed cells are integers (N, 4), not {windows.dtype} {windows.shape}')
        object.__setattr__(self, 'pixels', np.ascontiguousarray(pixels))
        object.__setattr__(self, 'windows', np.ascontiguousarray(windows, dtype=np.int64))
        heights, widths = self.heights, self.widths
        if (heights < 0).any() or (widths < 0).any():
            cell = int(np.flatnonzero((heights < 0) | (widths < 0))[0])
            raise InputError(f'window {cell} of packed cells ends before it begins: {windows[cell].tolist()}')
        if pixels.size != (heights * widths).sum():
            raise InputError(f'windows of packed cells hold {(heights * widths).sum()} pixels, given are {pixels.size}')

    @classmethod
    def from_crops(cls, crops: Sequence[MaskCrop]) -> 'PackedMasks':
        """The cells of some crops."""
        pixels = np.concatenate([np.zeros(0, dtype=bool), *(crop.mask.ravel() for crop in crops)])
        return cls(pixels, np.array([crop.window for crop in crops], dtype=np.int64).reshape(-1, 4))

    @classmethod
    def from_labels(cls, labels: NDArray[Any]) -> 'PackedMasks':
        """The cells of a label image: cell n - 1 of the result is where ``labels`` is n, and 0 is background.

        Args:
            labels: Integers, none negative, ``(height, width)``; none above 65,535 and the number of pixels.

        Raises:
            InputError: Another array.
        """
        if labels.ndim != 2 or labels.dtype.kind not in 'iu':
            raise InputError(f'label images are 2-D arrays of integers, not {labels.ndim}-D {labels.dtype}')
        if labels.size and labels.min() < 0:
            raise InputError(f'label images have no negative labels, here is {labels.min()}')
        if labels.size and labels.max() > max(labels.size, 65535):
            raise InputError(f'a label image of {labels.size} pixels has the label {labels.max()}; number from 1 on')
        from scipy import ndimage

        windows = [
            (place[1].start, place[0].start, place[1].stop, place[0].stop) if place else (0, 0, 0, 0)
            for place in (ndimage.find_objects(labels) if labels.size else [])
        ]
        cells = [(labels[y1:y2, x1:x2] == number).ravel() for number, (x1, y1, x2, y2) in enumerate(windows, start=1)]
        pixels = np.concatenate([np.zeros(0, dtype=bool), *cells])
        return cls(pixels, np.array(windows, dtype=np.int64).reshape(-1, 4))

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def heights(self) -> NDArray[np.int64]:
        """int64 ``(N,)``: rows of each crop."""
        return self.windows[:, 3] - self.windows[:, 1]

    @property
    def widths(self) -> NDArray[np.int64]:
        """int64 ``(N,)``: columns of each crop."""
        return self.windows[:, 2] - self.windows[:, 0]

    @property
    def bases(self) -> NDArray[np.int64]:
        """int64 ``(N + 1,)``: start of each cell's pixels, and the end of the last cell's."""
        return np.concatenate([[0], (self.heights * self.widths).cumsum()])

    @property
    def areas(self) -> NDArray[np.int64]:
        """int64 ``(N,)``: pixels set of each cell."""
        from sartorius.masks.kernels import geometry

        return geometry.areas(self.pixels, self.windows)

    @property
    def cells(self) -> list[NDArray[np.bool_]]:
        """One bool array ``(h, w)`` per cell; views of :attr:`pixels`."""
        bases = self.bases.tolist()
        parts = zip(bases[:-1], bases[1:], self.heights.tolist(), self.widths.tolist(), strict=True)
        return [self.pixels[start:stop].reshape(height, width) for start, stop, height, width in parts]

    @property
    def crops(self) -> list[MaskCrop]:
        """The cells as crops; views of :attr:`pixels`."""
        corners = self.windows[:, :2].tolist()
        return [MaskCrop(cell, x, y) for cell, (x, y) in zip(self.cells, corners, strict=True)]

    def select(self, chosen: NDArray[np.int64]) -> 'PackedMasks':
        """The cells at some indices, in that order."""
        return self._gather(self.bases[:-1][chosen], self.widths[chosen], 1, self.windows[chosen])

    def tight(self) -> 'PackedMasks':
        """The same cells without empty border rows and columns; 0x0 crops at 0, 0 for cells without pixels."""
        from sartorius.masks.kernels import geometry

        windows = geometry.tight_windows(self.pixels, self.windows)
        return self if np.array_equal(windows, self.windows) else self._cut(windows)

    def clipped(self, size: Size) -> 'PackedMasks':
        """The parts inside an image of ``(height, width)``; a crop outside becomes one without pixels."""
        height, width = size
        windows = self.windows.clip(0, [width, height, width, height])
        outside = (windows[:, 0] >= windows[:, 2]) | (windows[:, 1] >= windows[:, 3])
        windows[outside] = 0
        return self if np.array_equal(windows, self.windows) else self._cut(windows)

    def moved(self, x: int, y: int) -> 'PackedMasks':
        """Every cell ``x`` pixels to the right and ``y`` pixels down."""
        return PackedMasks(self.pixels, self.windows + np.array([x, y, x, y]))

    def flipped(self, size: Size, horizontal: bool, vertical: bool) -> 'PackedMasks':
        """The cells of a mirrored image of ``(height, width)``: left to right, top to bottom, or both."""
        x1, y1, x2, y2 = self.windows.T
        bases, row_steps = self.bases[:-1], self.widths
        column_step = 1
        if horizontal:
            bases, column_step = bases + np.maximum(self.widths - 1, 0), -1
            x1, x2 = size[1] - x2, size[1] - x1
        if vertical:
            bases, row_steps = bases + np.maximum(self.heights - 1, 0) * self.widths, -row_steps
            y1, y2 = size[0] - y2, size[0] - y1
        return self._gather(bases, row_steps, column_step, np.stack([x1, y1, x2, y2], axis=1))

    def turned(self, size: Size) -> 'PackedMasks':
        """The cells of an image of ``(height, width)`` turned by 90 degrees counter-clockwise, as ``numpy.rot90``."""
        x1, y1, x2, y2 = self.windows.T
        windows = np.stack([y1, size[1] - x2, y2, size[1] - x1], axis=1)
        # The first new row is the last old column, read from top to bottom.
        return self._gather(self.bases[:-1] + np.maximum(self.widths - 1, 0), -1, self.widths, windows)

    def resized(self, old: Size, new: Size) -> 'PackedMasks':
        """The cells of an image resized from ``old`` to ``new`` ``(height, width)`` by nearest neighbour, as OpenCV's.

        A crop may get empty border rows or columns where the image shrinks.

        Args:
            old: Size of the image; the crops must lie inside.
            new: Size after.
        """
        from sartorius.masks.kernels import geometry

        if min(*old, *new) < 1:
            raise InputError(f'an image of size {old[1]}x{old[0]} cannot be resized to {new[1]}x{new[0]}')
        source_x, source_y = _nearest_sources(old[1], new[1]), _nearest_sources(old[0], new[0])
        # New position of a cell's rows and columns: the first output pixel that reads from each or from beyond.
        columns = np.searchsorted(source_x, self.windows[:, 0::2])
        rows = np.searchsorted(source_y, self.windows[:, 1::2])
        windows = np.stack([columns[:, 0], rows[:, 0], columns[:, 1], rows[:, 1]], axis=1)
        return PackedMasks(geometry.resize(self.pixels, self.windows, windows, source_x, source_y), windows)

    def filled(self) -> 'PackedMasks':
        """The same cells without holes, as :func:`sartorius.masks.pieces.fill_holes` fills them."""
        from sartorius.masks.kernels import geometry

        return PackedMasks(geometry.fill_holes(self.pixels, self.windows), self.windows)

    def to_labels(self, size: Size) -> NDArray[np.int32]:
        """Label image of ``(height, width)``: n + 1 where cell n is, 0 elsewhere; later cells over earlier ones."""
        from sartorius.masks.kernels import geometry

        labels = np.zeros(size, dtype=np.int32)
        inside = self.clipped(size)
        geometry.paint(inside.pixels, inside.windows, labels)
        return labels

    def _cut(self, windows: NDArray[np.int64]) -> 'PackedMasks':
        """The parts of the crops in smaller windows."""
        steps = windows[:, :2] - self.windows[:, :2]
        return self._gather(self.bases[:-1] + steps[:, 1] * self.widths + steps[:, 0], self.widths, 1, windows)

    def _gather(
        self,
        bases: NDArray[np.int64],
        row_steps: NDArray[np.int64] | int,
        column_steps: NDArray[np.int64] | int,
        windows: NDArray[np.int64],
    ) -> 'PackedMasks':
        """Cells of other windows; see :func:`sartorius.masks.kernels.geometry.gather`."""
        from sartorius.masks.kernels import geometry

        # Copies: broadcast views are read-only, and numba compiles once more for every mix of such arrays.
        steps = [np.full(len(windows), step, dtype=np.int64) for step in (bases, row_steps, column_steps)]
        heights, widths = windows[:, 3] - windows[:, 1], windows[:, 2] - windows[:, 0]
        return PackedMasks(geometry.gather(self.pixels, *steps, heights, widths), windows)


def _nearest_sources(old: int, new: int) -> NDArray[np.int64]:
    """Index of the old pixel that each new pixel is read from; computed by OpenCV, so that the rounding is its own."""
    import cv2

    indices = np.arange(old, dtype=np.int32)[None]
    return cv2.resize(indices, (new, 1), interpolation=cv2.INTER_NEAREST)[0].astype(np.int64)
