"""Instance masks for MMDetection that are stored as crops."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError

WARP_FLAGS = {'nearest': cv2.INTER_NEAREST, 'bilinear': cv2.INTER_LINEAR}
FLIP_DIRECTIONS = ('horizontal', 'vertical', 'diagonal')


class CroppedMasks(BaseInstanceMasks):
    """The binary masks of one image's cells.

    Every operation returns a new object; arrays may be shared with the old one and are never written to. Crops are kept
    tight and inside the image, so :meth:`get_bboxes` costs nothing. What an operation does to the pixels is what
    ``BitmapMasks`` does:

    - exactly: ``resize``, ``rescale``, ``flip``, ``pad``, ``crop``, ``expand``, ``translate`` by whole
      pixels, ``areas``, ``get_bboxes``, indexing;
    - up to pixels of the outline whose interpolated value lies within 0.08 of the threshold of 0.5: ``rotate``,
      ``shear``, ``translate`` by part of a pixel. OpenCV rounds coordinates to 1/32 pixel, and where the rounding
      falls depends on where the array begins;
    - up to rounding: ``crop_and_resize``.

    Only borders of 0 exist: a cell has no pixels outside its image.

    Args:
        crops: One crop a cell; cut to the image and made tight here.
        height: Image height in pixels.
        width: Image width in pixels.

    Attributes:
        packed: The cells, tight; a 0x0 crop at 0, 0 for a cell without pixels.
        height: Image height in pixels.
        width: Image width in pixels.
    """

    def __init__(self, crops: Sequence[MaskCrop], height: int, width: int) -> None:
        self._set(PackedMasks.from_crops(crops).clipped((height, width)).tight(), height, width)

    @classmethod
    def from_packed(cls, packed: PackedMasks, height: int, width: int) -> 'CroppedMasks':
        """Masks of cells that are taken as they are: tight and inside the image."""
        masks = cls.__new__(cls)
        masks._set(packed, height, width)
        return masks

    @classmethod
    def from_bitmaps(cls, bitmaps: NDArray[Any]) -> 'CroppedMasks':
        """Masks of an array of shape ``(N, height, width)``; whatever is not 0 belongs to the cell."""
        return cls([MaskCrop.from_full(bitmap) for bitmap in bitmaps], *bitmaps.shape[1:])

    def _set(self, packed: PackedMasks, height: int, width: int) -> None:
        windows = packed.windows
        empty = (windows[:, 2] <= windows[:, 0]) | (windows[:, 3] <= windows[:, 1])
        if empty.any():
            packed = PackedMasks(packed.pixels, np.where(empty[:, None], 0, windows))
        self.packed = packed
        self.height, self.width = int(height), int(width)

    @property
    def windows(self) -> NDArray[np.int64]:
        """int64 ``(N, 4)``: tight boxes ``x1, y1, x2, y2`` in pixels, half-open; all 0 for a cell without pixels."""
        return self.packed.windows

    @cached_property
    def cells(self) -> list[NDArray[np.bool_]]:
        """One bool array of shape ``(y2 - y1, x2 - x1)`` per cell; 0x0 for a cell without pixels."""
        return self.packed.cells

    @property
    def crops(self) -> list[MaskCrop]:
        """The cells as crops."""
        return self.packed.crops

    @property
    def masks(self) -> NDArray[np.uint8]:
        """Full-size bitmaps, for code that only knows ``BitmapMasks``; read-only, since they are a copy."""
        bitmaps = self.to_ndarray()
        bitmaps.flags.writeable = False
        return bitmaps

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: Any) -> 'CroppedMasks':
        """The cells at an int, a slice, or an int or bool array, list or tensor; an int gives the masks of one cell."""
        chosen = np.arange(len(self))[index.cpu().numpy() if isinstance(index, torch.Tensor) else index]
        chosen = np.atleast_1d(chosen)
        if np.array_equal(chosen, np.arange(len(self))):
            # All of them, as PackDetInputs asks for when no cell is to be ignored.
            return self
        return CroppedMasks.from_packed(self.packed.select(chosen), self.height, self.width)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Full-size uint8 bitmaps, one at a time, as iterating over ``BitmapMasks`` gives."""
        return (crop.to_full((self.height, self.width)).astype(np.uint8) for crop in self.crops)

    def __repr__(self) -> str:
        return f'CroppedMasks(num_masks={len(self)}, height={self.height}, width={self.width})'

    def __getstate__(self) -> tuple[PackedMasks, int, int]:
        # Not the arrays of single cells: hundreds of them take long through a data loader's pipe.
        return self.packed, self.height, self.width

    def __setstate__(self, state: tuple[PackedMasks, int, int]) -> None:
        self._set(*state)

    @property
    def areas(self) -> NDArray[np.int64]:
        """int64 ``(N,)``: pixels of each cell."""
        return self.packed.areas

    def get_bboxes(self, dst_type: str | type[BaseBoxes] = 'hbox') -> BaseBoxes:
        """Tight boxes of the cells; 0, 0, 0, 0 for a cell without pixels."""
        boxes = HorizontalBoxes(torch.from_numpy(self.windows.astype(np.float32)))
        return boxes.convert_to(dst_type)

    def to_ndarray(self) -> NDArray[np.uint8]:
        """uint8 bitmaps of shape ``(N, height, width)``. Full-size: N times the image."""
        bitmaps = np.zeros((len(self), self.height, self.width), dtype=np.uint8)
        for bitmap, cell, (x1, y1, x2, y2) in zip(bitmaps, self.cells, self.windows.tolist(), strict=True):
            bitmap[y1:y2, x1:x2] = cell
        return bitmaps

    def to_bitmap(self) -> BitmapMasks:
        """The same masks as MMDetection's full-size bitmaps."""
        return BitmapMasks(self.to_ndarray(), self.height, self.width)

    def to_tensor(self, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
        """Full-size bitmaps of shape ``(N, height, width)`` as a tensor."""
        return torch.from_numpy(self.to_ndarray()).to(dtype=dtype, device=device)

    @classmethod
    def cat(cls, masks: Sequence['CroppedMasks']) -> 'CroppedMasks':
        """All cells of several masks of one image size."""
        sizes = {(part.height, part.width) for part in masks}
        if len(sizes) != 1:
            raise InputError(f'masks of different or no image sizes cannot be joined: {sorted(sizes)}')
        pixels = np.concatenate([part.packed.pixels for part in masks])
        windows = np.concatenate([part.windows for part in masks])
        return cls.from_packed(PackedMasks(pixels, windows), *sizes.pop())

    def flip(self, flip_direction: str = 'horizontal') -> 'CroppedMasks':
        """Mirrors left to right ('horizontal'), top to bottom ('vertical'), or both ('diagonal')."""
        if flip_direction not in FLIP_DIRECTIONS:
            raise InputError(f'flip direction {flip_direction!r} is not one of {FLIP_DIRECTIONS}')
        size = self.height, self.width
        flipped = self.packed.flipped(size, flip_direction != 'vertical', flip_direction != 'horizontal')
        return CroppedMasks.from_packed(flipped, *size)

    def turn(self, quarters: int) -> 'CroppedMasks':
        """Turns the image by ``quarters`` times 90 degrees, counter-clockwise as ``numpy.rot90``; exact."""
        packed, height, width = self.packed, self.height, self.width
        for _ in range(quarters % 4):
            packed, height, width = packed.turned((height, width)), width, height
        return CroppedMasks.from_packed(packed, height, width)

    def rescale(self, scale: float | tuple[int, int], interpolation: str = 'nearest') -> 'CroppedMasks':
        """Resizes by a factor, or as large as fits into ``(long edge, short edge)``, as ``mmcv.imrescale``."""
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width), interpolation)

    def resize(self, out_shape: Size, interpolation: str = 'nearest') -> 'CroppedMasks':
        """Resizes the image to ``out_shape`` ``(height, width)``; the only interpolation is 'nearest'."""
        if interpolation != 'nearest':
            raise InputError(f"masks are resized with interpolation 'nearest', not {interpolation!r}")
        height, width = out_shape
        resized = self.packed.resized((self.height, self.width), (height, width))
        # Shrinking leaves out rows and columns, so that the rim of a crop may come out empty.
        shrunk = height < self.height or width < self.width
        return CroppedMasks.from_packed(resized.tight() if shrunk else resized, height, width)

    def pad(self, out_shape: Size, pad_val: int = 0) -> 'CroppedMasks':
        """Makes the image larger at the right and the bottom, to ``out_shape`` ``(height, width)``."""
        _check_border(pad_val)
        if out_shape[0] < self.height or out_shape[1] < self.width:
            raise InputError(f'masks of {self.height}x{self.width} pixels cannot be padded to {tuple(out_shape)}')
        return CroppedMasks.from_packed(self.packed, *out_shape)

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> 'CroppedMasks':
        """Places the image at ``(top, left)`` of a larger one."""
        return self._seen_through(-left, -top, (expanded_h, expanded_w))

    def crop(self, bbox: NDArray[Any]) -> 'CroppedMasks':
        """Cuts the image to ``x1, y1, x2, y2`` in whole pixels, half-open; cells outside are kept, without pixels."""
        x1, x2 = np.clip(bbox[0::2], 0, self.width).astype(int).tolist()
        y1, y2 = np.clip(bbox[1::2], 0, self.height).astype(int).tolist()
        return self._seen_through(x1, y1, (max(y2 - y1, 1), max(x2 - x1, 1)))

    def translate(
        self,
        out_shape: Size,
        offset: float | tuple[float, float],
        direction: str = 'horizontal',
        border_value: int = 0,
        interpolation: str = 'bilinear',
    ) -> 'CroppedMasks':
        """Moves the cells by ``offset`` pixels; with direction 'both', by an ``(x, y)`` pair or the same in x and y.

        As ``BitmapMasks`` does, the image is first cut or padded to ``out_shape`` ``(height, width)``, then moved.
        """
        _check_border(border_value)
        pair = tuple(offset) if isinstance(offset, (tuple, list)) else (offset, offset)
        moves = {'horizontal': (pair[0], 0), 'vertical': (0, pair[1]), 'both': pair}
        if direction not in moves:
            raise InputError(f'direction {direction!r} is not one of {tuple(moves)}')
        x, y = moves[direction]
        placed = self._seen_through(0, 0, out_shape)
        if float(x).is_integer() and float(y).is_integer():
            return placed._seen_through(-int(x), -int(y), out_shape)
        return placed._warp(np.array([[1, 0, x], [0, 1, y]], dtype=np.float64), out_shape, interpolation)

    def shear(
        self,
        out_shape: Size,
        magnitude: float,
        direction: str = 'horizontal',
        border_value: int = 0,
        interpolation: str = 'bilinear',
    ) -> 'CroppedMasks':
        """Moves row ('horizontal') or column ('vertical') number n by ``magnitude * n``, as ``mmcv.imshear``."""
        _check_border(border_value)
        matrices = {'horizontal': [[1, magnitude, 0], [0, 1, 0]], 'vertical': [[1, 0, 0], [magnitude, 1, 0]]}
        if direction not in matrices:
            raise InputError(f'direction {direction!r} is not one of {tuple(matrices)}')
        return self._warp(np.array(matrices[direction], dtype=np.float64), out_shape, interpolation)

    def rotate(
        self,
        out_shape: Size,
        angle: float,
        center: tuple[float, float] | None = None,
        scale: float = 1.0,
        border_value: int = 0,
        interpolation: str = 'bilinear',
    ) -> 'CroppedMasks':
        """Rotates by ``angle`` degrees about ``center`` ``(x, y)`` or the image's middle, as ``mmcv.imrotate``.

        Positive angles turn clockwise as seen on the screen.
        """
        _check_border(border_value)
        middle = center or ((self.width - 1) * 0.5, (self.height - 1) * 0.5)
        return self._warp(cv2.getRotationMatrix2D(middle, -angle, scale), out_shape, interpolation)

    def crop_and_resize(
        self,
        bboxes: NDArray[np.float32] | torch.Tensor,
        out_shape: Size,
        inds: NDArray[np.int64] | torch.Tensor,
        device: torch.device | str = 'cpu',
        interpolation: str = 'bilinear',
        binarize: bool = True,
    ) -> BitmapMasks:
        """Mask targets of RoIs: RoIAlign (aligned, mean of ``ceil(bin)`` samples an axis) on each one's own cell.

        ``BitmapMasks`` runs RoIAlign on one full-size bitmap a RoI; here only the pixels of the crops are looked at.
        Values differ by rounding (under 2e-4 in an image of 1333x800).

        Args:
            bboxes: ``(R, 4)``: ``x1, y1, x2, y2`` in pixels.
            out_shape: ``(height, width)`` of the RoI grid.
            inds: ``(R,)``: index of each RoI's cell.
            device: Not used; part of MMDetection's interface. The result is an array, and the CPU is fast enough.
            interpolation: Always bilinear, as in ``BitmapMasks``.
            binarize: Whether to return bool masks (value at least 0.5) rather than float values in [0, 1].

        Returns:
            Bitmaps of shape ``(R, *out_shape)``.
        """
        from sartorius.masks.kernels.roi_targets import mask_targets

        boxes = torch.as_tensor(bboxes).to('cpu', torch.float32).contiguous().numpy()
        cells = torch.as_tensor(inds).to('cpu', torch.int64).contiguous().numpy()
        if len(self) == 0:
            # As BitmapMasks: without cells there are no targets, whatever the boxes.
            boxes, cells = boxes[:0], cells[:0]
        elif len(cells) and not 0 <= cells.min() <= cells.max() < len(self):
            raise InputError(f'mask targets of cells {cells.min()} to {cells.max()} were asked for, of {len(self)}')
        targets = np.zeros((len(boxes), *out_shape), dtype=np.float32)
        packed = self.packed
        mask_targets(packed.pixels, packed.bases, packed.windows, self.height, self.width, boxes, cells, targets)
        return BitmapMasks(targets >= 0.5 if binarize else targets, *out_shape)

    def _seen_through(self, x: int, y: int, size: Size) -> 'CroppedMasks':
        """The masks in a window of ``size`` whose top left corner lies at ``(x, y)``, inside the image or not."""
        return CroppedMasks.from_packed(self.packed.moved(-x, -y).clipped(size).tight(), *size)

    def _warp(self, matrix: NDArray[np.float64], out_shape: Size, interpolation: str) -> 'CroppedMasks':
        """Moves pixel centres by a 2x3 matrix, which maps ``(x, y, 1)`` to the new ``(x, y)``."""
        if interpolation not in WARP_FLAGS:
            raise InputError(f'masks are interpolated {tuple(WARP_FLAGS)}, not {interpolation!r}')
        linear, shift = matrix[:, :2], matrix[:, 2]
        x1, y1, x2, y2 = self.windows.T
        # Bilinear values reach to less than one pixel beyond the outermost pixel centres.
        corners = np.stack([np.stack([x, y], axis=1) for x in (x1 - 1, x2) for y in (y1 - 1, y2)])
        moved = corners @ linear.T + shift
        limits = np.array([out_shape[1], out_shape[0]])
        starts = np.clip(np.floor(moved.min(axis=0)).astype(np.int64), 0, limits)
        ends = np.clip(np.ceil(moved.max(axis=0)).astype(np.int64) + 1, starts, limits)
        shifts = self.windows[:, :2] @ linear.T + shift - starts
        crops = []
        for cell, local_shift, (x, y), (width, height) in zip(
            self.cells, shifts, starts.tolist(), (ends - starts).tolist(), strict=True
        ):
            if cell.size == 0 or width == 0 or height == 0:
                crops.append(MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0))
                continue
            local = np.column_stack([linear, local_shift])
            pixels = np.ascontiguousarray(cell).view(np.uint8)
            warped = cv2.warpAffine(pixels, local, (width, height), flags=WARP_FLAGS[interpolation])
            crops.append(MaskCrop(warped.view(bool), x, y))
        return CroppedMasks(crops, *out_shape)


# MMDetection's visualizer and a few helpers ask isinstance(masks, BitmapMasks) before they call to_ndarray().
BitmapMasks.register(CroppedMasks)


def _check_border(value: int) -> None:
    if value != 0:
        raise InputError(f'a border value of {value} would give every cell pixels outside the image; use 0')
