"""Run-length codes of all cells of an image, read and written in one pass.

The same codes as those of :mod:`sartorius.masks.coco_rle` and :mod:`sartorius.masks.kaggle_rle`, which take one cell at
a time and say what is wrong with a code. Here is where COCO's column-major and the competition's row-major strings are
told apart, as there: by the function's name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.masks import coco_rle, kaggle_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError


class CodeError(InputError):
    """A code among several that cannot be decoded.

    Attributes:
        number: Which one, counted from 0.
        reason: What is wrong with it.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f'cell {number}: {reason}')
        self.number = number
        self.reason = reason


def decode_coco(counts: Sequence[str], size: Size) -> PackedMasks:
    """Tight crops of the compressed ``counts`` of COCO codes of one image.

    Args:
        counts: One str per cell.
        size: Image ``(height, width)``, the ``size`` of every code.

    Returns:
        The cells; one without pixels is a 0x0 crop at 0, 0.

    Raises:
        CodeError: As :func:`sartorius.masks.coco_rle.decode`, with the number of the cell.
    """
    from sartorius.masks.kernels import coding

    height, width = size
    return _decode(
        counts, size, coding.decode_coco, lambda code: coco_rle.decode({'size': [height, width], 'counts': code})
    )


def decode_kaggle(codes: Sequence[str], size: Size) -> PackedMasks:
    """Tight crops of competition codes of one image of ``(height, width)``.

    Raises:
        CodeError: As :func:`sartorius.masks.kaggle_rle.decode`, with the number of the cell.
    """
    from sartorius.masks.kernels import coding

    return _decode(codes, size, coding.decode_kaggle, lambda code: kaggle_rle.decode(code, size))


def encode_coco(masks: PackedMasks, size: Size) -> list[str]:
    """Compressed COCO ``counts`` of the parts of cells that lie inside an image of ``(height, width)``."""
    from sartorius.masks.kernels import coding

    inside = masks.clipped(size)
    return _split(*coding.encode_coco(inside.pixels, inside.windows, *size))


def encode_kaggle(masks: PackedMasks, size: Size) -> list[str]:
    """Competition codes of the parts of cells that lie inside an image of ``(height, width)``; '' for no pixels."""
    from sartorius.masks.kernels import coding

    inside = masks.clipped(size)
    return _split(*coding.encode_kaggle(inside.pixels, inside.windows, size[1]))


def _decode(
    codes: Sequence[str], size: Size, decode_all: Callable[..., Any], decode_one: Callable[[str], MaskCrop]
) -> PackedMasks:
    texts = codes
    if not all(type(code) is str for code in codes) or not ''.join(codes).isascii():
        # Characters that no valid code has are removed here and refused below.
        texts = [code if isinstance(code, str) and code.isascii() else '!' for code in codes]
    text = np.frombuffer(''.join(texts).encode('ascii'), dtype=np.uint8)
    ends = np.cumsum(list(map(len, texts)), dtype=np.int64)
    pixels, windows, sound = decode_all(text, ends, *size)
    masks = PackedMasks(pixels, windows)
    if sound.all():
        return masks
    crops = masks.crops
    for number in np.flatnonzero(~sound).tolist():
        try:
            crops[number] = decode_one(codes[number])
        except InputError as error:
            raise CodeError(number, str(error)) from None
    return PackedMasks.from_crops(crops)


def _split(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[str]:
    joined = text.tobytes().decode('ascii')
    borders = [0, *ends.tolist()]
    return [joined[start:stop] for start, stop in zip(borders, borders[1:], strict=False)]
