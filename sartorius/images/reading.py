"""The one reader of image files: PNG, JPEG, BMP, TIFF of all kinds, and other vendors' files through bioio."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin

from sartorius.images import tiff
from sartorius.images.axes import ImageFileContent, ReadOptions, read_frames
from sartorius.images.grey_levels import three_channels
from sartorius.images.size_limit import check_pixels
from sartorius.images.structures import ImageStack
from sartorius.images.vendors import is_vendor_file, read_vendor_file
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError
from sartorius.utils.input_files import open_input, read_bytes

# Opened by their classes: Image.open refuses images of 180 million pixels, whatever is allowed here.
_PICTURES: dict[bytes, type[ImageFile.ImageFile]] = {
    b'\x89PNG\r\n\x1a\n': PngImagePlugin.PngImageFile,
    b'\xff\xd8\xff': JpegImagePlugin.JpegImageFile,
    b'BM': BmpImagePlugin.BmpImageFile,
}
MAX_SCANS = 100
"""Scans of a JPEG that are read; progressive ones have about ten."""

_SCAN = b'\xff\xda'
# Where a BMP says where its pixels begin.
_BMP_START = slice(10, 14)
# Bytes that fill the last row of a BMP, which some writers leave out.
_BMP_ROW_END = 3
# Where a PNG has its bits of a value.
_PNG_DEPTH = 24
# OpenCV turns pictures as their EXIF says unless it is asked for them unchanged.
_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR


def read_stack(path: str | Path, options: ReadOptions | None = None) -> ImageStack:
    """Pixels and metadata of an image file.

    The kind of a file is told by its content, not by its suffix. Every time is a frame; of several channels or planes
    in z the options say which one is taken. Pictures are turned as their EXIF says.

    Raises:
        InputError: The file is missing, unreadable, truncated, damaged, too large, no image, or not a regular file; it
            needs a package that is not installed; or as :func:`~sartorius.images.axes.read_frames`.
    """
    path, options = Path(path), options or ReadOptions()
    try:
        return _read(path, options)
    except MemoryError:
        raise InputError(f'image {path} does not fit in the free memory; close other programs or save a part') from None


def _read(path: Path, options: ReadOptions) -> ImageStack:
    if is_vendor_file(path):
        return read_vendor_file(path, options)
    start = _first_bytes(path)
    if start.startswith(tiff.SIGNATURES):
        return tiff.read_tiff(path, options)
    if start.startswith(tuple(_PICTURES)):
        return _read_picture(path, options)
    raise InputError(
        f'image {path} is truncated, damaged or not a PNG, TIFF, JPEG or BMP; copy it again, or save it as TIFF'
    )


def image_size(path: str | Path) -> Size:
    """Size ``(height, width)`` in pixels of an image file that can be read, turned as its EXIF says.

    The file is decoded, so that a download that stopped half-way shows now and not in the middle of training.

    Raises:
        InputError: As :func:`read_single`.
    """
    return read_single(path).size


def read_single(path: str | Path) -> ImageStack:
    """An image file of a single frame.

    Raises:
        InputError: As :func:`read_stack`; or the file is a movie of several frames.
    """
    image = read_stack(path)
    if len(image.frames) != 1:
        raise InputError(f'image {path} is a stack of {len(image.frames)} images; save each to a file of its own')
    return image


def read_cell_image(path: str | Path) -> NDArray[np.uint8]:
    """Image file as models take it: uint8 ``(height, width, 3)``.

    Grey images get three equal channels, colour images keep theirs (blue, green, red), alpha is dropped. 8-bit values
    are kept, others are stretched (:func:`~sartorius.images.grey_levels.stretch`): OpenCV would divide 16-bit values by
    256, which leaves 16 grey levels of a 12-bit image.

    Raises:
        InputError: As :func:`read_single`.
    """
    return three_channels(read_single(path).to_uint8()[0])


def read_for_display(path: str | Path, frame: int | None = None) -> NDArray[np.uint8]:
    """Image file as grey levels for a screen: uint8 ``(height, width)``, stretched as for models; colour's luminance.

    Args:
        path: The file.
        frame: Which frame of a movie, counted from 0.

    Raises:
        InputError: As :func:`read_single`; or the movie has no such frame.
    """
    image = read_single(path) if frame is None else read_stack(path)
    if frame is not None and frame >= len(image.frames):
        raise InputError(f'image {path} has {len(image.frames)} frames, none with the number {frame} (counted from 0)')
    return ImageStack(image.path, image.grey()).to_uint8()[frame or 0]


def read_grey(path: str | Path) -> NDArray[np.generic]:
    """Grey levels of an image file: ``(height, width)`` of the file's own depth.

    Raises:
        InputError: As :func:`read_single`.
    """
    return read_single(path).grey()[0]


def _first_bytes(path: Path) -> bytes:
    """The start of a regular file."""
    try:
        with open_input(path) as file:
            start = file.read(16)
    except InputError as error:
        raise InputError(f'image {error}') from None
    except OSError as error:
        raise InputError(f'image {path} cannot be read: {error.strerror}; check its name and permissions') from None
    if not start:
        raise InputError(f'image {path} is empty (0 bytes); copy it again')
    return start


def open_picture(path: Path, data: bytes) -> ImageFile.ImageFile:
    """A PNG, JPEG or BMP whose pixels are not decoded yet, and are not too many.

    Args:
        path: The file, for messages.
        data: Its bytes.

    Raises:
        InputError: It is none, is damaged, or would take too much memory.
    """
    opener = next((one for signature, one in _PICTURES.items() if data.startswith(signature)), None)
    if opener is None:
        raise InputError(f'image {path} is truncated, damaged or not a PNG, JPEG or BMP; copy it again')
    try:
        with warnings.catch_warnings(action='ignore'):
            picture = opener(io.BytesIO(data))
    # Damaged files raise nearly anything in Pillow.
    except Exception as error:
        raise _damaged(path, opener.format, error) from None
    width, height = picture.size
    bands = 3 if picture.mode == 'P' else len(picture.getbands())
    deep = opener is PngImagePlugin.PngImageFile and data[_PNG_DEPTH] > 8
    check_pixels(path, {'Y': height, 'X': width}, bands * (2 if deep else 1))
    # OpenCV reads animations otherwise than they are shown.
    if opener is PngImagePlugin.PngImageFile and b'acTL' in data[: data.find(b'IDAT')]:
        raise InputError(f'image {path} is an animation; save its frames as files of their own')
    if opener is BmpImagePlugin.BmpImageFile:
        _check_bmp(path, picture, data)
    # Each scan of a progressive JPEG goes through all of the image.
    if opener is JpegImagePlugin.JpegImageFile and (scans := data.count(_SCAN)) > MAX_SCANS:
        raise InputError(f'image {path} has {scans:,} scans, a JPEG of a camera at most {MAX_SCANS}; save it as TIFF')
    return picture


def _check_bmp(path: Path, picture: ImageFile.ImageFile, data: bytes) -> None:
    """Refuses a BMP that has fewer pixels than it says, or says another place of them than Pillow finds."""
    tile = picture.tile[0]
    if tile.codec_name == 'raw' and tile.offset + tile.args[1] * picture.height > len(data) + _BMP_ROW_END:
        raise _damaged(path, 'BMP', 'the file ends early')
    if int.from_bytes(data[_BMP_START], 'little') != tile.offset:
        raise _damaged(path, 'BMP', 'it does not say where its pixels begin')


def _read_picture(path: Path, options: ReadOptions) -> ImageStack:
    """A PNG, JPEG or BMP: Pillow checks it, OpenCV decodes it."""
    data = read_bytes(path)
    with open_picture(path, data) as picture:
        format_name = picture.format
        grey = picture.mode in ('1', 'L', 'LA', 'I;16')
        alpha = 'A' in picture.mode or 'transparency' in picture.info
    check_whole(path, data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error as error:
        raise InputError(f'image {path} is not decoded by OpenCV ({error.err}); save it as TIFF') from None
    if image is None:
        raise _damaged(path, format_name, 'it does not decode')
    if image.ndim == 3:
        # OpenCV makes grey with alpha three equal channels.
        image = image[..., 0] if grey else image[..., ::-1]
    content = ImageFileContent(
        path=path,
        shape=image.shape,
        axes='YX' if image.ndim == 2 else 'YXS',
        dtype=image.dtype,
        load=image.__getitem__,
        notes=('its alpha channel is dropped',) if alpha else (),
    )
    return read_frames(content, options)


def check_whole(path: Path, data: bytes) -> None:
    """Refuses a PNG of wrong check sums and a JPEG or BMP that ends early, which OpenCV fills with grey."""
    with open_picture(path, data) as picture:
        try:
            if isinstance(picture, PngImagePlugin.PngImageFile):
                picture.verify()
            else:
                if isinstance(picture, JpegImagePlugin.JpegImageFile):
                    # At an eighth of its size, which is quick.
                    picture.draft(picture.mode, (1, 1))
                picture.load()
        except Exception as error:
            raise _damaged(path, picture.format, error) from None


def _damaged(path: Path, format_name: str | None, reason: object) -> InputError:
    return InputError(f'image {path} is truncated, damaged or not a {format_name} ({reason}); copy it again')
