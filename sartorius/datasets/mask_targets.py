"""Mask targets of RoIs, from crops."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from mmcv.ops import roi_align
from numpy.typing import NDArray

from sartorius.masks.crop import Size

if TYPE_CHECKING:
    from sartorius.datasets.cropped_masks import CroppedMasks

SMALLEST_TILE = 32


def roi_mask_targets(
    masks: 'CroppedMasks', boxes: torch.Tensor, inds: NDArray[np.int64], out_shape: Size
) -> torch.Tensor:
    """RoIAlign (aligned, average of ``ceil(bin)`` samples) of each RoI on the mask of its own cell.

    The same as MMDetection's ``BitmapMasks.crop_and_resize``, which runs RoIAlign on one full-size bitmap a RoI. Here
    it runs on tiles that hold a cell and a rim of one pixel, padded to a power of two. Boxes are moved by whole pixels,
    which float32 does exactly; the values differ by rounding inside the kernel (under 2e-4 in an image of 1333x800)
    and, for boxes that reach more than half a pixel beyond the image, at the image's last row and column.

    Args:
        masks: Cells of one image.
        boxes: float ``(R, 4)``: ``x1, y1, x2, y2`` in pixels; its device and dtype are used.
        inds: ``(R,)``: index of each RoI's cell.
        out_shape: ``(height, width)`` of the RoI grid.

    Returns:
        Tensor of shape ``(R, *out_shape)`` with values in [0, 1].
    """
    targets = boxes.new_zeros((len(boxes), *out_shape))
    used, tile_of_roi = np.unique(inds, return_inverse=True)
    windows = masks.windows[used]
    origins = np.maximum(windows[:, :2] - 1, 0)
    sides = (windows[:, 2:] + 1 - origins).max(axis=1, initial=1)
    exponents = np.ceil(np.log2(np.maximum(sides, SMALLEST_TILE))).astype(int)
    for exponent in np.unique(exponents).tolist():
        members = np.flatnonzero(exponents == exponent)
        rois = np.flatnonzero(exponents[tile_of_roi] == exponent)
        place = np.searchsorted(members, tile_of_roi[rois])
        tiles = _tiles(masks, used[members], origins[members], 2**exponent)
        shifts = np.tile(origins[tile_of_roi[rois]], 2)
        chosen = torch.from_numpy(rois).to(boxes.device)
        moved = boxes[chosen] - torch.from_numpy(shifts).to(boxes)
        numbered = torch.cat([torch.from_numpy(place).to(boxes)[:, None], moved], dim=1)
        pooled = roi_align(torch.from_numpy(tiles).to(boxes), numbered, out_shape, 1.0, 0, 'avg', True)
        targets[chosen] = pooled[:, 0]
    return targets


def _tiles(
    masks: 'CroppedMasks', indices: NDArray[np.int64], origins: NDArray[np.int64], side: int
) -> NDArray[np.uint8]:
    """uint8 ``(M, 1, side, side)``: the cells at some indices, each seen from its origin."""
    tiles = np.zeros((len(indices), 1, side, side), dtype=np.uint8)
    for (tile,), index, (x, y) in zip(tiles, indices.tolist(), origins.tolist(), strict=True):
        x1, y1, x2, y2 = masks.windows[index].tolist()
        tile[y1 - y : y2 - y, x1 - x : x2 - x] = masks.cells[index]
        # RoIAlign repeats an image's last row and column outwards; in a tile they are not the last.
        if y2 == masks.height:
            tile[y2 - y] = tile[y2 - y - 1]
        if x2 == masks.width:
            tile[:, x2 - x] = tile[:, x2 - x - 1]
    return tiles
