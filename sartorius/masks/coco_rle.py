"""COCO's run-length code: a dict of ``size`` (height, width) and ``counts``, column-major, compressed to a str.

pycocotools hands out ``counts`` as bytes, which JSON cannot hold and which MMDetection's ``LoadAnnotations`` skips
without a word; here ``counts`` is always a str. The competition's own code is :mod:`sartorius.masks.kaggle_rle`.
"""

from typing import TypedDict

import numpy as np
from pycocotools import mask as coco_mask

from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError


class CocoRLE(TypedDict):
    """``size``: ``[height, width]``; ``counts``: compressed run lengths as a str."""

    size: list[int]
    counts: str


def encode(crop: MaskCrop, size: Size) -> CocoRLE:
    """COCO code of the part of a crop that lies inside an image of ``(height, width)``; no full-size array is made."""
    inside = crop.clipped(size)
    height = size[0]
    columns = inside.mask.T
    padded = np.zeros((columns.shape[0], columns.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = columns
    edges = np.diff(padded, axis=1)
    column, tops = np.nonzero(edges == 1)
    bottoms = np.nonzero(edges == -1)[1]
    offsets = (column + inside.x) * height + inside.y
    starts, ends = offsets + tops, offsets + bottoms
    joined = np.flatnonzero(starts[1:] == ends[:-1])
    starts, ends = np.delete(starts, joined + 1), np.delete(ends, joined)
    # Counts alternate: background, cell, background, ..., and add up to the number of pixels.
    borders = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [size[0] * size[1]]])
    counts = np.diff(borders)
    if starts.size and counts[-1] == 0:
        counts = counts[:-1]
    compressed = coco_mask.frPyObjects({'size': list(size), 'counts': counts.tolist()}, *size)
    return CocoRLE(size=[int(size[0]), int(size[1])], counts=compressed['counts'].decode('ascii'))


def decode(rle: CocoRLE) -> MaskCrop:
    """Tight crop of a COCO code.

    Raises:
        InputError: ``counts`` is not a str, or the code does not fit its size.
    """
    height, width = rle['size']
    runs = run_lengths(rle)
    if runs.size and (runs.min() < 0 or runs.max() > height * width):
        bad = next(int(run) for run in runs if run < 0 or run > height * width)
        raise InputError(f'COCO RLE has a run of {bad} pixels in an image of size {width}x{height}')
    if int(runs.sum()) != height * width:
        raise InputError(f'COCO RLE covers {int(runs.sum())} pixels, its size {width}x{height} has {height * width}')
    ends = runs.cumsum()
    starts, ends = ends[0:-1:2], ends[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if starts.size == 0:
        return MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
    left, right = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    # Only the columns that the cell touches are decoded.
    band = np.zeros((right - left) * height + 1, dtype=np.int8)
    band[starts - left * height] += 1
    band[ends - left * height] -= 1
    mask = band[:-1].cumsum(dtype=np.int8).reshape(right - left, height).T.astype(bool)
    return MaskCrop(mask, left, 0).tight()


def run_lengths(rle: CocoRLE) -> np.ndarray:
    """int64 run lengths (background, cell, background, ...) of a compressed code.

    The scheme is LEB128-like, 5 bits a character offset by 48; from the third run on each value is the difference to
    the run before the last (source: ``rleFrString`` in cocoapi's maskApi.c).

    Raises:
        InputError: ``counts`` is not a str, holds a character outside the code, or ends in the middle of a number.
    """
    counts = rle['counts']
    if not isinstance(counts, str):
        raise InputError(f'COCO RLE counts must be a str, not {type(counts).__name__}; decode bytes as ASCII')
    codes = np.frombuffer(counts.encode('ascii', 'replace'), dtype=np.uint8).astype(np.int64) - 48
    if not counts.isascii() or (codes.size and (codes.min() < 0 or codes.max() > 63)):
        raise InputError('COCO RLE counts hold a character that the code does not know')
    last = (codes & 0x20) == 0
    if codes.size and not last[-1]:
        raise InputError('COCO RLE counts end in the middle of a number')
    number = np.concatenate([[0], np.cumsum(last)[:-1]]) if codes.size else np.zeros(0, dtype=np.int64)
    first = np.searchsorted(number, np.arange(int(last.sum())))
    place = np.arange(codes.size) - first[number] if codes.size else number
    values = np.zeros(int(last.sum()), dtype=np.int64)
    np.add.at(values, number, (codes & 0x1F) << (5 * place))
    final = np.flatnonzero(last)
    negative = (codes[final] & 0x10) != 0
    values[negative] -= np.int64(1) << (5 * (place[final][negative] + 1))
    # Undo the differences: values 1, 3, 5, ... and 2, 4, 6, ... are two chains of running sums.
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values
