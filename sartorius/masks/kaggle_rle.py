"""The competition's run-length code: ``start length start length ...``, 1-based, row-major.

Rule: https://www.kaggle.com/competitions/sartorius-cell-instance-segmentation/overview/evaluation. (Its text once said
that pixels are numbered top to bottom, then left to right; the data are numbered left to right, then top to bottom.)
COCO's code is column-major: see :mod:`sartorius.masks.coco_rle`, and never hand a string from one to the other.
"""

import re

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError

# int() reads more than numbers of the code: '+5', '1_0', digits of other scripts.
_ALPHABET = re.compile(r'[-0-9\s]*')
_WHOLE_NUMBER = re.compile(r'-?[0-9]{1,18}')


def parse_runs(text: str, size: Size) -> NDArray[np.int64]:
    """Reads and checks a code.

    Args:
        text: Competition RLE. An empty string is a cell without pixels.
        size: Image ``(height, width)``.

    Returns:
        int64 array of shape ``(K, 2)``: 0-based flat start and length of each run, sorted.

    Raises:
        InputError: No str, a value that is no integer, an odd number of values, a start or length below 1, a run
            past the image, runs that are unsorted or share a pixel.
    """
    if not isinstance(text, str):
        raise InputError(f'RLE must be a str, not {type(text).__name__} ({text!r})')
    words = text.split()
    try:
        if not _ALPHABET.fullmatch(text):
            raise ValueError
        values = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError):
        bad = next(word for word in words if not _WHOLE_NUMBER.fullmatch(word))
        raise InputError(f'RLE holds {bad!r}, which is not a whole number below 10^18') from None
    if values.size % 2:
        raise InputError(f'RLE has an odd number of values ({values.size}); it must be pairs of start and length')
    starts, lengths = values[0::2], values[1::2]
    if values.size and values.min() < 1:
        pair = int(np.flatnonzero((starts < 1) | (lengths < 1))[0])
        raise InputError(f'RLE pair {pair + 1} is "{starts[pair]} {lengths[pair]}"; starts and lengths count from 1')
    pixels = size[0] * size[1]
    # Not starts + lengths > ...: the sum of two huge values would wrap around and pass.
    outside = np.flatnonzero((starts > pixels) | (lengths - 1 > pixels - starts))
    if outside.size:
        pair = int(outside[0])
        raise InputError(
            f'RLE pair {pair + 1} "{starts[pair]} {lengths[pair]}" runs past the image: '
            f'{size[1]}x{size[0]} has {pixels} pixels'
        )
    ends = starts + lengths - 1
    disordered = np.flatnonzero(starts[1:] <= ends[:-1])
    if disordered.size:
        pair = int(disordered[0]) + 1
        y, x = divmod(int(starts[pair]) - 1, size[1])
        raise InputError(
            f'RLE pair {pair + 1} "{starts[pair]} {lengths[pair]}" starts at pixel x={x} y={y}, before the pair ahead '
            f'of it "{starts[pair - 1]} {lengths[pair - 1]}" ends; runs must be sorted and share no pixel'
        )
    return np.stack([starts - 1, lengths], axis=1)


def decode(text: str, size: Size) -> MaskCrop:
    """Tight crop of a competition code in an image of ``(height, width)``.

    Raises:
        InputError: As :func:`parse_runs`.
    """
    starts, lengths = parse_runs(text, size).T
    if starts.size == 0:
        return MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
    width = size[1]
    ends = starts + lengths
    if ((ends - 1) // width != starts // width).any():
        starts, ends = _split_at_rows(starts, ends, width)
    rows, lefts = np.divmod(starts, width)
    rights = lefts + (ends - starts)
    top, left = int(rows[0]), int(lefts.min())
    # +1 where a run starts and -1 where it ends; the running sum along a row is the mask.
    steps = np.zeros((int(rows[-1]) - top + 1, int(rights.max()) - left + 1), dtype=np.int8)
    steps[rows - top, lefts - left] += 1
    np.subtract.at(steps, (rows - top, rights - left), 1)
    return MaskCrop(steps.cumsum(axis=1, dtype=np.int8)[:, :-1].astype(bool), left, top)


def encode(crop: MaskCrop, size: Size) -> str:
    """Competition code of the part of a crop that lies inside an image of ``(height, width)``."""
    inside = crop.clipped(size)
    width = size[1]
    mask = inside.mask
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    edges = np.diff(padded, axis=1)
    rows, lefts = np.nonzero(edges == 1)
    rights = np.nonzero(edges == -1)[1]
    offsets = (rows + inside.y) * width + inside.x
    starts, ends = offsets + lefts, offsets + rights
    # A run that reaches the right border continues at the left border of the next row.
    joined = np.flatnonzero(starts[1:] == ends[:-1])
    starts, ends = np.delete(starts, joined + 1), np.delete(ends, joined)
    values = np.stack([starts + 1, ends - starts], axis=1).ravel()
    return ' '.join(map(str, values.tolist()))


def _split_at_rows(
    starts: NDArray[np.int64], ends: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits runs that continue past the right border into one run per row."""
    first_row, last_row = starts // width, (ends - 1) // width
    counts = last_row - first_row + 1
    owner = np.repeat(np.arange(starts.size), counts)
    row = np.arange(owner.size) - np.repeat(counts.cumsum() - counts, counts) + first_row[owner]
    return np.maximum(starts[owner], row * width), np.minimum(ends[owner], (row + 1) * width)
