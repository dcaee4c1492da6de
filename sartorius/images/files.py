"""Size and soundness of image files."""

import struct
import zlib
from pathlib import Path

import cv2

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'


def image_size(path: str | Path) -> Size:
    """Size ``(height, width)`` in pixels of a sound image file.

    A PNG is not decoded, but the check sum of each of its chunks is compared (source:
    https://www.w3.org/TR/png/#5Chunk-layout), so that a download that stopped half-way shows now and not in the middle
    of training. Other formats are decoded.

    Raises:
        InputError: No such file, no image, or a PNG that is cut short or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such image')
    if path.suffix.lower() == '.png':
        return _png_size(path)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(f'{path}: not an image that can be read; get the file anew')
    return image.shape[0], image.shape[1]


def _png_size(path: Path) -> Size:
    content = path.read_bytes()
    if not content.startswith(PNG_SIGNATURE):
        raise InputError(f'{path}: not a PNG file; get the file anew')
    position = len(PNG_SIGNATURE)
    size: Size | None = None
    while True:
        header = content[position : position + 8]
        # Length and type, data, check sum.
        length = int.from_bytes(header[:4], 'big')
        end = position + 12 + length
        if len(header) < 8 or end > len(content):
            raise InputError(f'{path}: the PNG is cut short after {len(content)} bytes; get the file anew')
        if zlib.crc32(content[position + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], 'big'):
            raise InputError(f'{path}: the PNG is damaged at byte {position}; get the file anew')
        if size is None:
            if header[4:] != b'IHDR' or length < 8:
                raise InputError(f'{path}: the PNG does not begin with its size; get the file anew')
            width, height = struct.unpack_from('>II', content, position + 8)
            size = height, width
        if header[4:] == b'IEND':
            return size
        position = end
