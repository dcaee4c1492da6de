"""Pasting of soft masks from the mask head's RoI grid into image pixels."""

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError


def paste_soft_mask(
    soft_mask: NDArray[np.float32], box: NDArray[np.float32], size: Size
) -> tuple[NDArray[np.float32], int, int]:
    """Probabilities of one cell on the image pixels that its box touches.

    The geometry is MMDetection's (``_do_paste_mask`` in ``fcn_mask_head.py``: ``grid_sample`` with
    ``align_corners=False`` and zeros around the grid): the centre of pixel column ``x`` lies at grid coordinate
    ``(x + .5 - x1) / (x2 - x1) * S - .5``, and points around the grid count as 0. MMDetection also gives the pixels
    within half a grid cell around the box a value; it is below .5 and left out here.

    Args:
        soft_mask: float32 ``(S, S)``: probabilities that span the box; row 0 is its top.
        box: ``x1, y1, x2, y2`` in pixels, half-open; may reach past the image.
        size: Image ``(height, width)``.

    Returns:
        float32 ``(h, w)`` probabilities, and the column and row of their top left pixel. ``(0, 0)`` of shape for a box
        that is not finite, has no width or height, or lies outside the image.
    """
    from sartorius.masks.kernels import paste_kernels

    box = np.asarray(box, dtype=np.float64)
    (window,) = box_windows(box[None], size)
    left, top, right, bottom = window.tolist()
    pasted = np.zeros((bottom - top, right - left), dtype=np.float32)
    if pasted.size:
        paste_kernels.paste(np.ascontiguousarray(soft_mask, dtype=np.float32), box, window, pasted.reshape(-1))
    return pasted, left, top


def binarise(
    soft_masks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    size: Size,
    thresholds: float | NDArray[np.floating] = 0.5,
) -> tuple[MaskCrop, ...]:
    """Binary masks in image pixels: where the pasted probability reaches the threshold.

    Args:
        soft_masks: float32 ``(N, S, S)``, as in :func:`paste_soft_mask`.
        boxes: float32 ``(N, 4)``.
        size: Image ``(height, width)``.
        thresholds: One for all cells, or ``(N,)``.

    Returns:
        One crop a cell; its window is the part of the box inside the image, and is empty for a degenerate box.

    Raises:
        InputError: The soft masks are not square, or not one per box.
    """
    from sartorius.masks.kernels import paste_kernels

    if soft_masks.shape != (len(boxes), *soft_masks.shape[1:2] * 2):
        raise InputError(f'{len(boxes)} boxes want soft masks of shape ({len(boxes)}, S, S), not {soft_masks.shape}')
    limits = np.ascontiguousarray(np.broadcast_to(np.asarray(thresholds, dtype=np.float32), len(boxes)))
    soft_masks, boxes = np.ascontiguousarray(soft_masks, dtype=np.float32), np.asarray(boxes, dtype=np.float64)
    windows = box_windows(boxes, size)
    return tuple(PackedMasks(paste_kernels.binarise(soft_masks, boxes, windows, limits), windows).crops)


def box_windows(boxes: NDArray[np.floating], size: Size) -> NDArray[np.int64]:
    """Pixels of an image that boxes touch.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2``.
        size: Image ``(height, width)``.

    Returns:
        int64 ``(N, 4)``: ``left, top, right, bottom``, half-open; 0, 0, 0, 0 for a box that is not finite, has no width
        or height, or lies outside the image.
    """
    limits = np.array([size[1], size[0]])
    # Clipped before the conversion to int, which a huge float would not survive.
    corners = np.where(np.isfinite(boxes), boxes, 0)
    first, last = np.floor(corners[:, :2]).clip(0, limits), np.ceil(corners[:, 2:]).clip(0, limits)
    usable = np.isfinite(boxes).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (first < last).all(axis=1)
    return np.where(usable[:, None], np.concatenate([first, last], axis=1), 0).astype(np.int64)
