"""TIFF files of all kinds: plain, BigTIFF, OME, ImageJ; their axes, channel names and pixel sizes."""

import logging
import lzma
import math
import re
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

from sartorius.images.axes import ImageFileContent, Index, ReadOptions, read_frames
from sartorius.images.pixel_sizes import length_um, seconds, square_pixels
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError
from sartorius.utils.input_files import check_memory, check_regular, memory_limit

# Of TIFF and BigTIFF, in either byte order.
SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')

MAX_CM_PIXEL_UM = 20
"""Resolutions in cm of larger pixels are those of a printer or a screen (1,270 dpi or less), not of a microscope."""

PAGE_BYTES = 1 << 16
"""What a further page counts against the limit of memory: its tags take less, but tifffile takes long over many.

Of pages that take 8 KiB or more of the file there may be any number.
"""

PLANE_BYTES = 1 << 6
"""The same for a plane that OME metadata describe: an entry of several lists."""

# Compressions that tifffile needs imagecodecs for, and Pillow and OpenCV always have.
_COMMON = (COMPRESSION.LZW, COMPRESSION.JPEG)

# What unpacks a compression, and how many bytes it makes of one at most.
_UNPACKERS = {
    COMPRESSION.ADOBE_DEFLATE: (zlib.decompressobj, 1032),
    COMPRESSION.DEFLATE: (zlib.decompressobj, 1032),
    COMPRESSION.LZMA: (lzma.LZMADecompressor, 1 << 14),
}
# Writers may pad a strip or tile.
_PADDING = 1 << 16

# What is odd in a file is told as a note or an error, not by lines of a log.
logging.getLogger('tifffile').addHandler(logging.NullHandler())


def read_tiff(path: Path, options: ReadOptions) -> ImageStack:
    """Frames of a TIFF file; of several images in it the first, of a pyramid the largest level.

    Raises:
        InputError: The file is truncated or damaged, lacks planes, or is compressed in a way that nothing installed
            reads; or as :func:`~sartorius.images.axes.read_frames`.
    """
    with _opened(path) as (tif, complaints):
        content = _content(path, tif)
        if any('offset' in text or 'circular' in text for text in complaints):
            raise InputError(f'image {path} is truncated or damaged (a part of it is not where it says); copy it again')
        stack = read_frames(content, options)
    if complaints:
        stack = replace(stack, notes=(*stack.notes, f'tifffile warns: {_short(complaints[0])}'))
    return stack


def read_tiff_values(path: Path) -> NDArray[np.generic]:
    """The values of the first image of a TIFF file, of all its axes, as they are stored: of a palette the numbers.

    Raises:
        InputError: As :func:`read_tiff`.
    """
    with _opened(path) as (tif, _):
        series = tif.series[0]
        _check_complete(path, tif, series)
        return _decoded(path, tif, series, None).reshape(series.shape)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, list[str]]]:
    """A TIFF file that has an image, and what tifffile logs about it."""
    check_regular(path)
    try:
        # Of an OME-TIFF that is one of a set, only the file itself is read.
        with _complaints() as complaints, tifffile.TiffFile(path, _multifile=False) as tif:
            # Counting finds pages that go round in a circle, which reading them one by one does not.
            _check_pages(path, tif)
            if len(tif.pages) == 0 or not tif.series:
                raise InputError(f'image {path} is truncated, damaged or a TIFF without an image; copy it again')
            yield tif, complaints
    except InputError:
        raise
    # tifffile meets damage of any kind with errors of any kind: struct.error, KeyError, ZeroDivisionError, ...
    except Exception as error:
        reason = _short(str(error)) or type(error).__name__
        raise InputError(f'image {path} is truncated, damaged or not a TIFF ({reason}); copy it again') from None


def _check_pages(path: Path, tif: tifffile.TiffFile) -> None:
    """Refuses a file that has or describes too many pages, when no more is read of them than their places."""
    pages = len(tif.pages)
    check_memory(path, (pages - 1) * PAGE_BYTES, f'{pages:,} pages')
    images = _ome_images(tif) if tif.is_ome else []
    planes = sum(math.prod(int(pixels.get(f'Size{axis}', 1)) for axis in 'ZCT') for pixels in images)
    check_memory(path, planes * PLANE_BYTES, f'{planes:,} planes')


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile logs meanwhile, in this thread: a file that ends early is a line there and not an error."""
    texts: list[str] = []
    thread = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                texts.append(record.getMessage())

    collector = Collector(logging.WARNING)
    logger = logging.getLogger('tifffile')
    logger.addHandler(collector)
    try:
        yield texts
    finally:
        logger.removeHandler(collector)


def _short(text: str) -> str:
    return ' '.join(re.sub('[<>]', '', text).split())[:160]


def _content(path: Path, tif: tifffile.TiffFile) -> ImageFileContent:
    series = tif.series[0]
    page = series.keyframe
    notes: list[str] = []
    if len(tif.series) > 1:
        shape = ' x '.join(map(str, series.shape))
        notes.append(f'the file has {len(tif.series)} images; the first, {shape}, is taken')
    if len(series.levels) > 1:
        notes.append(f'the largest of {len(series.levels)} levels is taken')
    if tif.is_ome and series.kind != 'ome':
        notes.append('its OME metadata describe other planes than it has, such as a set of files; its own are read')
    _check_complete(path, tif, series)
    shape, axes, dtype = tuple(series.shape), series.axes, series.dtype
    palette = None
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        if tif.is_imagej:
            notes.append('its lookup table of colours is not applied')
        else:
            palette = (page.colormap.T >> 8).astype(np.uint8)
            shape, axes, dtype = (*shape, 3), axes + 'S', palette.dtype
    elif 'S' in axes and not _is_colour(page):
        axes = axes.replace('S', 'Q' if 'C' in axes else 'C')

    def load(index: Index) -> NDArray[np.generic]:
        if palette is not None:
            return palette[_load(path, tif, series, index[:-1])][..., index[-1]]
        return _load(path, tif, series, index)

    metadata = _ome(tif) if tif.is_ome else _imagej(tif, page) if tif.is_imagej else {}
    if not metadata.get('sizes_um'):
        metadata |= _lsm(tif) if tif.is_lsm else _resolution_in_cm(page)
    size, size_notes = square_pixels(metadata.get('sizes_um') or (None, None))
    return ImageFileContent(
        path=path,
        shape=shape,
        axes=axes,
        dtype=np.dtype(dtype),
        load=load,
        channels=metadata.get('channels', ()),
        pixel_size_um=size,
        pixel_size_from=metadata['from'] if size is not None else '',
        frame_interval_s=metadata.get('interval_s'),
        notes=(*notes, *size_notes),
    )


def _is_colour(page: tifffile.TiffPage) -> bool:
    """Whether samples are red, green and blue, or grey with alpha, and not channels of a microscope."""
    if page.samplesperpixel == 2:
        return bool(page.extrasamples) and page.extrasamples[0] in (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    return page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and page.samplesperpixel in (3, 4)


def _check_complete(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Refuses files that lack a part of what they describe; tifffile would fill it with zeros or stop anywhere."""
    pages = list(series)
    described = len(pages)
    if tif.is_imagej:
        described = int((tif.imagej_metadata or {}).get('images', described))
    missing = described - len(pages) + pages.count(None)
    if missing > 0:
        raise InputError(
            f'image {path} lacks {missing} of the {described} planes that its metadata describe; copy it again, or '
            'save the planes that it has as a new file'
        )
    parts = 1 if series.keyframe.is_contiguous else math.prod(series.keyframe.chunked)
    lacking = parts - min(len(page.dataoffsets) for page in pages)
    ends = [
        offset + count for page in pages for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    beyond = max(ends, default=0) - tif.filehandle.size
    if lacking > 0 or beyond > 0:
        part = (
            f'{lacking:,} of the {parts:,} tiles or strips of a page are'
            if lacking > 0
            else (f'at least {beyond:,} bytes at its end are')
        )
        raise InputError(f'image {path} is truncated or damaged ({part} missing); copy it again')


def _load(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, index: Index) -> NDArray[np.generic]:
    """``array[index]`` of the array of a series, of which no more is read than is needed where that is easy."""
    page = series.keyframe
    planes = series.shape[: len(series.shape) - len(page.shape)]
    if series.dataoffset is not None and series.transform is None:
        dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        mapped = np.memmap(path, dtype, 'r', series.dataoffset, tuple(series.shape))
        pixels = np.array(mapped[index], dtype=series.dtype)
    elif len(series.pages) == math.prod(planes) and any(isinstance(one, int) for one in index[: len(planes)]):
        numbers = np.arange(len(series.pages)).reshape(planes)[index[: len(planes)]]
        pixels = _decoded(path, tif, series, numbers.ravel().tolist())
        pixels = pixels.reshape(*numbers.shape, *page.shape)[(..., *index[len(planes) :])]
    else:
        pixels = _decoded(path, tif, series, None).reshape(series.shape)[index]
    if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in 'bu':
        pixels = ~pixels
    return pixels


def _decoded(
    path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, numbers: list[int] | None
) -> NDArray[np.generic]:
    """Pages of a series (all if None), with Pillow or OpenCV where tifffile lacks the decoder."""
    page = series.keyframe
    _check_decoding(path, tif, series, len(series) if numbers is None else len(numbers))
    try:
        # A data loader runs one process for each core.
        return tif.asarray(key=numbers, series=0, maxworkers=1)
    except (KeyError, ValueError, ImportError) as error:
        if not isinstance(error, ImportError) and 'imagecodecs' not in str(error):
            raise
    numbers = range(len(series)) if numbers is None else numbers
    if len(tif.pages) == len(series):
        for decode in (_by_pillow, _by_opencv):
            pages = decode(path, page, numbers)
            if pages and all(one.shape == page.shape and one.dtype == series.dtype for one in pages):
                return np.stack(pages)
    raise InputError(
        f'image {path} is compressed by {page.compression.name}, which needs a further package: pip install imagecodecs'
    )


def _check_decoding(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, count: int) -> None:
    """Refuses pages that would take too much memory to decode: all of them, or a strip or tile of one."""
    page, itemsize = series.keyframe, np.dtype(series.dtype).itemsize
    part = math.prod(page.chunks) * itemsize
    check_memory(path, count * page.size * itemsize + part, f'{count:,} pages of {page.size:,} values')
    if page.compression not in _UNPACKERS:
        return
    unpacker, factor = _UNPACKERS[page.compression]
    for one in series:
        for offset, packed in zip(one.dataoffsets, one.databytecounts, strict=False):
            # What tifffile unpacks without imagecodecs has no end but its own.
            if packed * factor > memory_limit():
                tif.filehandle.seek(offset)
                if len(unpacker().decompress(tif.filehandle.read(packed), part + _PADDING)) == part + _PADDING:
                    raise InputError(f'image {path} is damaged (more than a strip or tile holds); copy it again')


def _by_pillow(path: Path, page: tifffile.TiffPage, numbers: Sequence[int]) -> list[NDArray[np.generic]]:
    pages = []
    try:
        with (
            warnings.catch_warnings(action='ignore'),
            Image.open(path, formats=['TIFF']) as image,
        ):
            for number in numbers:
                image.seek(number)
                pixels = np.asarray(image)
                # Pillow turns these values over itself.
                inverted = page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype in (np.uint8, bool)
                pages.append(~pixels if inverted else pixels)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return []
    except OSError:
        if page.compression in _COMMON:
            raise
        return []
    return pages


def _by_opencv(path: Path, page: tifffile.TiffPage, numbers: Sequence[int]) -> list[NDArray[np.generic]]:
    """What Pillow lacks, such as colour of 16 bits, or images of 180 million pixels."""
    # Of other compressions it may give zeros. It also turns over the values of some depths where white is 0, applies
    # palettes, and multiplies colours by alpha.
    grey_or_colour = page.photometric in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
    known = page.compression in _COMMON
    if not known or not grey_or_colour or page.samplesperpixel not in (1, 3):
        return []
    level = cv2.setLogLevel(0)
    try:
        read, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return []
    finally:
        cv2.setLogLevel(level)
    if not read or len(pages) <= max(numbers):
        return []
    return [pages[number] if pages[number].ndim == 2 else pages[number][..., ::-1] for number in numbers]


def _ome(tif: tifffile.TiffFile) -> dict[str, Any]:
    """What OME-XML says of the first image (https://docs.openmicroscopy.org/ome-model/latest/)."""
    pixels = next(iter(_ome_images(tif)), None)
    if pixels is None:
        return {}
    said = pixels.attrib
    channels = [element.attrib for element in pixels if element.tag.endswith('}Channel')]
    sizes = [length_um(said.get(f'PhysicalSize{axis}'), said.get(f'PhysicalSize{axis}Unit', 'µm')) for axis in 'XY']
    return {
        'from': 'OME',
        'sizes_um': sizes if sizes[0] else None,
        'interval_s': seconds(said.get('TimeIncrement'), said.get('TimeIncrementUnit', 's')),
        'channels': tuple(one.get('Name') or one.get('ContrastMethod') or one.get('Fluor') or '' for one in channels),
    }


def _ome_images(tif: tifffile.TiffFile) -> list[ElementTree.Element]:
    """What OME-XML says of the pixels of each image."""
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except (ElementTree.ParseError, TypeError):
        return []
    return [element for element in root.iter() if element.tag.endswith('}Pixels')]


def _imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """What ImageJ writes: the unit in the description, pixels for each unit in the resolution tags."""
    said = tif.imagej_metadata or {}
    unit = str(said.get('unit', ''))
    sizes = [length_um(_per_pixel(page, axis), unit) for axis in 'XY']
    interval = seconds(said.get('finterval'), str(said.get('tunit', 's')))
    if interval is None and seconds(said.get('fps'), 's'):
        interval = 1 / float(said['fps'])
    labels = said.get('Labels')
    count = int(said.get('channels', 1) or 1)
    return {
        'from': 'ImageJ',
        'sizes_um': sizes if sizes[0] else None,
        'interval_s': interval,
        # Labels are those of planes, of which channels change first.
        'channels': tuple(map(str, labels[:count]))
        if isinstance(labels, (list, tuple)) and len(labels) >= count
        else (),
    }


def _lsm(tif: tifffile.TiffFile) -> dict[str, Any]:
    said = tif.lsm_metadata or {}
    sizes = [length_um(said.get(f'VoxelSize{axis}'), 'm') for axis in 'XY']
    colours = said.get('ChannelColors')
    names = colours.get('ColorNames') if isinstance(colours, dict) else None
    return {
        'from': 'LSM',
        'sizes_um': sizes if sizes[0] else None,
        'interval_s': seconds(said.get('TimeIntervall'), 's'),
        'channels': tuple(names or ()),
    }


def _resolution_in_cm(page: tifffile.TiffPage) -> dict[str, Any]:
    """Pixel size of the resolution tags; those in inches are of printers and screens and are not used."""
    unit = page.tags.get('ResolutionUnit')
    if unit is None or unit.value != tifffile.RESUNIT.CENTIMETER:
        return {}
    sizes = [length_um(_per_pixel(page, axis), 'cm') for axis in 'XY']
    return {'from': 'TIFF', 'sizes_um': sizes if sizes[0] and sizes[0] <= MAX_CM_PIXEL_UM else None}


def _per_pixel(page: tifffile.TiffPage, axis: str) -> float | None:
    tag = page.tags.get(f'{axis}Resolution')
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2 or 0 in tag.value:
        return None
    return tag.value[1] / tag.value[0]
