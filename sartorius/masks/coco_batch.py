"""All COCO run-length codes of an image decoded in one pass.

:func:`sartorius.masks.coco_rle.decode` costs some 30 numpy calls a cell; here they are paid once for all cells.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.masks import coco_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.utils.errors import InputError


def decode_all(counts: Sequence[str], size: Size) -> list[MaskCrop]:
    """Tight crops of the codes of one image.

    Args:
        counts: The ``counts`` of one COCO code a cell.
        size: Image ``(height, width)``, the ``size`` of every code.

    Returns:
        One crop a cell, as :func:`sartorius.masks.coco_rle.decode` gives it.

    Raises:
        InputError: As there; the message begins with the number of the cell, counted from 0.
    """
    crops: list[MaskCrop | None] = [None] * len(counts)
    starts, ends, owner = _runs_inside_columns(counts, size)
    cells, first = np.unique(owner, return_index=True)
    if cells.size:
        for cell, crop in zip(cells.tolist(), _paint(starts, ends, first, size[0]), strict=True):
            crops[cell] = crop
    for number, code in enumerate(counts):
        if crops[number] is None:
            try:
                crops[number] = coco_rle.decode({'size': list(size), 'counts': code})
            except InputError as error:
                raise InputError(f'cell {number}: {error}') from None
    return crops


def _runs_inside_columns(
    counts: Sequence[str], size: Size
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Column-major starts, ends and cell number of the runs of all cells that can be painted together.

    Left out, for the slow way, are codes that are not sound, that hold no pixel, or of which a run goes on from the
    bottom of a column at the top of the next.
    """
    texts = [code if isinstance(code, str) and code.isascii() else '' for code in counts]
    codes = np.frombuffer(''.join(texts).encode('ascii'), dtype=np.uint8).astype(np.int64) - 48
    owner_of_code = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    if codes.size == 0:
        return codes, codes, owner_of_code
    # A number begins after the last character of the one before, and with every cell.
    is_last = (codes & 0x20) == 0
    is_first = np.concatenate([[True], is_last[:-1] | (owner_of_code[1:] != owner_of_code[:-1])])
    first = np.flatnonzero(is_first)
    lengths = np.diff(first, append=codes.size)
    place = np.arange(codes.size) - np.repeat(first, lengths)
    # Longer numbers than any image needs would overflow; their cells are refused below.
    values = np.add.reduceat((codes & 0x1F) << (5 * np.minimum(place, 11)), first)
    final = codes[first + lengths - 1]
    values -= ((final & 0x10) != 0) * (np.int64(1) << (5 * np.minimum(lengths, 11)))
    owner = owner_of_code[first]
    index = np.arange(owner.size) - _begins(owner)
    # From the third run on a code holds differences to the run before the last.
    for chain in (index % 2 == 1, (index % 2 == 0) & (index > 0)):
        values[chain] = _cumsum_by(values[chain], owner[chain])
    run_ends = _cumsum_by(values, owner)
    filled = np.flatnonzero((index % 2 == 1) & (values > 0))
    starts, ends = run_ends[filled] - values[filled], run_ends[filled]

    height, width = size
    unsound = np.zeros(len(texts), dtype=bool)
    unsound[owner_of_code[(codes < 0) | (codes > 63)]] = True
    unsound[owner[(lengths > 10) | (final & 0x20 != 0) | (values < 0)]] = True
    is_end_of_cell = np.append(owner[1:] != owner[:-1], True)
    unsound[owner[is_end_of_cell & (run_ends != height * width)]] = True
    unsound[owner[filled[starts // height != (ends - 1) // height]]] = True
    together = ~unsound[owner[filled]]
    return starts[together], ends[together], owner[filled][together]


def _paint(starts: NDArray[np.int64], ends: NDArray[np.int64], first: NDArray[np.int64], height: int) -> list[MaskCrop]:
    """Crops of cells from their runs, of which cell n's begin at ``first[n]``."""
    columns, tops = np.divmod(starts, height)
    bottoms = tops + (ends - starts)
    last = np.append(first[1:], starts.size) - 1
    lefts, rights = columns[first], columns[last] + 1
    upper, lower = np.minimum.reduceat(tops, first), np.maximum.reduceat(bottoms, first)
    heights, widths = lower - upper, rights - lefts
    bases = np.concatenate([[0], (heights * widths).cumsum()])
    # All crops lie one after the other, each column-major: +1 where a run starts, -1 where it ends.
    owner = np.repeat(np.arange(first.size), last + 1 - first)
    painted = bases[owner] + (columns - lefts[owner]) * heights[owner] + tops - upper[owner]
    steps = np.zeros(bases[-1] + 1, dtype=np.int8)
    steps[painted] = 1
    steps[painted + ends - starts] -= 1
    flat = steps.cumsum(dtype=np.int8).view(bool)
    places = np.stack([bases[:-1], bases[1:], widths, heights, lefts, upper], axis=1).tolist()
    return [MaskCrop(flat[start:end].reshape(w, h).T, x, y) for start, end, w, h, x, y in places]


def _cumsum_by(values: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Running sums that start anew with every owner; ``owner`` is sorted."""
    sums = values.cumsum()
    begins = _begins(owner)
    return sums - sums[begins] + values[begins]


def _begins(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first entry of each entry's owner; ``owner`` is sorted."""
    is_first = np.concatenate([[True], owner[1:] != owner[:-1]])[: owner.size]
    return np.maximum.accumulate(np.where(is_first, np.arange(owner.size), 0))
