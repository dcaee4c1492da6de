"""TIFF files of all kinds: plain, BigTIFF, OME, ImageJ; their axes, channel names and pixel sizes."""

import logging
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sartorius.images.axes import ImageFileContent, Index, ReadOptions, read_frames
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError

# Of TIFF and BigTIFF, in either byte order.
SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')

MAX_CM_PIXEL_UM = 20
"""Resolutions in cm of larger pixels are those of a printer or a screen (1,270 dpi or less), not of a microscope."""

_MICROMETRES = {
    'µm': 1, 'um': 1, 'micron': 1, 'microns': 1, 'micrometer': 1, 'micrometre': 1,
    'nm': 1e-3, 'nanometer': 1e-3, 'mm': 1e3, 'cm': 1e4, 'm': 1e6, 'å': 1e-4, 'pm': 1e-6,
}  # fmt: skip
_SECONDS = {
    's': 1, 'sec': 1, 'second': 1, 'seconds': 1, 'ms': 1e-3, 'msec': 1e-3, 'µs': 1e-6, 'us': 1e-6, 'ns': 1e-9,
    'min': 60, 'minute': 60, 'minutes': 60, 'h': 3600, 'hr': 3600, 'hour': 3600, 'hours': 3600, 'd': 86400,
}  # fmt: skip

# What is odd in a file is told as a note or an error, not by lines of a log.
logging.getLogger('tifffile').addHandler(logging.NullHandler())


def read_tiff(path: Path, options: ReadOptions) -> ImageStack:
    """Frames of a TIFF file; of several images in it the first, of a pyramid the largest level.

    Raises:
        InputError: The file is damaged, or compressed in a way that nothing installed reads; or as
            :func:`~sartorius.images.axes.read_frames`.
    """
    try:
        # Several processes read training images; each file in one thread.
        with tifffile.TiffFile(path, _multifile=False) as tif:
            if not tif.series or not tif.pages:
                raise InputError(f'image {path} is truncated, damaged or a TIFF without an image; copy it again')
            return read_frames(_content(path, tif), options)
    except (InputError, MemoryError):
        raise
    # tifffile meets damage of any kind with errors of any kind: struct.error, KeyError, ZeroDivisionError, ...
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise InputError(f'image {path} is truncated, damaged or not a TIFF ({reason}); copy it again') from None


def _content(path: Path, tif: tifffile.TiffFile) -> ImageFileContent:
    series = tif.series[0]
    page = series.keyframe
    notes: list[str] = []
    if len(tif.series) > 1:
        notes.append(f'the file has {len(tif.series)} images; the first, {_shape_text(series.shape)}, is taken')
    if len(series.levels) > 1:
        notes.append(f'the largest of {len(series.levels)} levels is taken')
    _check_complete(path, tif, series)
    shape, axes, dtype = tuple(series.shape), series.axes, series.dtype
    palette = None
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
        if tif.is_imagej:
            notes.append('its lookup table of colours is not applied')
        else:
            palette = (page.colormap.T >> 8).astype(np.uint8)
            shape, axes, dtype = (*shape, 3), axes + 'S', palette.dtype
    elif 'S' in axes and not _is_colour(page):
        axes = axes.replace('S', 'Q' if 'C' in axes else 'C')

    def load(index: Index) -> NDArray[np.generic]:
        pixels = _decoded(path, tif, series)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in 'bu':
            pixels = ~pixels
        if palette is not None:
            pixels = palette[pixels]
        return pixels[index]

    metadata = _ome(tif) if tif.is_ome else _imagej(tif, page) if tif.is_imagej else {}
    if not metadata.get('sizes_um'):
        metadata |= _lsm(tif) if tif.is_lsm else _resolution_in_cm(page)
    size, size_notes = square_pixels(metadata.get('sizes_um') or [None, None])
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
    colours = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    return page.photometric in colours and page.samplesperpixel >= 3


def _check_complete(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Refuses files that lack a part of what they describe; tifffile would fill it with zeros or stop anywhere."""
    missing = sum(page is None for page in series)
    if missing:
        raise InputError(
            f'image {path} lacks {missing} of the {len(series)} planes that its metadata describe; save what is there '
            'as a new file'
        )
    end = tif.filehandle.size
    for page in series:
        if not page.dataoffsets:
            raise InputError(f'image {path} is truncated or damaged (a page has no pixels); copy it again')
        beyond = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)) - end
        if beyond > 0:
            raise InputError(
                f'image {path} is truncated: at least {beyond:,} bytes are missing at its end; copy it again'
            )
    if series.is_truncated or len(series.pages) == 1 < len(series):
        beyond = series.keyframe.dataoffsets[0] + series.nbytes - end
        if beyond > 0:
            raise InputError(f'image {path} is truncated: {beyond:,} bytes are missing at its end; copy it again')


def _decoded(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> NDArray[np.generic]:
    """All pixels of a series, with OpenCV or Pillow where tifffile lacks the decoder."""
    try:
        return series.asarray(maxworkers=1)
    except (KeyError, ValueError) as error:
        if 'imagecodecs' not in str(error):
            raise
    page = series.keyframe
    if len(tif.pages) == len(series):
        for decode in (_by_opencv, _by_pillow):
            pages = decode(path, len(series))
            if pages and all(one.shape == page.shape and one.dtype == series.dtype for one in pages):
                return np.stack(pages).reshape(series.shape)
    raise InputError(
        f'image {path} is compressed as {page.compression.name}, which needs a further package: pip install imagecodecs'
    )


def _by_opencv(path: Path, count: int) -> list[NDArray[np.generic]]:
    with suppress(cv2.error):
        read, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
        if read and len(pages) == count:
            swap = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
            return [page if page.ndim == 2 else cv2.cvtColor(page, swap[page.shape[2]]) for page in pages]
    return []


def _by_pillow(path: Path, count: int) -> list[NDArray[np.generic]]:
    pages = []
    with suppress(OSError, ValueError), Image.open(path) as image:
        for number in range(count):
            image.seek(number)
            pages.append(np.asarray(image))
    return pages if len(pages) == count else []


def _ome(tif: tifffile.TiffFile) -> dict[str, Any]:
    """What OME-XML says of the first image (https://docs.openmicroscopy.org/ome-model/latest/)."""
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except (ElementTree.ParseError, TypeError):
        return {}
    pixels = next((element for element in root.iter() if element.tag.endswith('}Pixels')), None)
    if pixels is None:
        return {}
    said = pixels.attrib
    channels = [element.attrib for element in pixels if element.tag.endswith('}Channel')]
    sizes = [length_um(said.get(f'PhysicalSize{axis}'), said.get(f'PhysicalSize{axis}Unit', 'µm')) for axis in 'XY']
    return {
        'from': 'OME',
        'sizes_um': sizes if sizes[0] else None,
        'interval_s': _seconds(said.get('TimeIncrement'), said.get('TimeIncrementUnit', 's')),
        'channels': tuple(one.get('Name') or one.get('ContrastMethod') or one.get('Fluor') or '' for one in channels),
    }


def _imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """What ImageJ writes: the unit in the description, pixels for each unit in the resolution tags."""
    said = tif.imagej_metadata or {}
    unit = str(said.get('unit', ''))
    sizes = [length_um(_per_pixel(page, axis), unit) for axis in 'XY']
    interval = _seconds(said.get('finterval'), str(said.get('tunit', 's')))
    if interval is None and _positive(said.get('fps')):
        interval = 1 / float(said['fps'])
    labels = said.get('Labels')
    count = int(said.get('channels', 1) or 1)
    return {
        'from': 'ImageJ',
        'sizes_um': sizes if sizes[0] and unit.casefold() not in ('inch', 'inches') else None,
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
        'interval_s': _positive(said.get('TimeIntervall')),
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


def length_um(value: object, unit: str) -> float | None:
    """A length in micrometres; None if it is no number above 0, or its unit is not one of length."""
    number = _positive(value)
    # Both signs for micro, and ImageJ's spelling of one.
    factor = _MICROMETRES.get(re.sub(r'\\u00b5|μ', 'µ', unit.strip().casefold().replace('µ', 'μ')))
    return None if number is None or factor is None else number * factor


def _seconds(value: object, unit: str) -> float | None:
    number, factor = _positive(value), _SECONDS.get(unit.strip().casefold().replace('μ', 'µ'))
    return None if number is None or factor is None else number * factor


def _positive(value: object) -> float | None:
    with suppress(TypeError, ValueError):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    return None


def square_pixels(sizes_um: Sequence[float | None]) -> tuple[float | None, tuple[str, ...]]:
    """Side of pixels of a width and a height: of a square of the same area, with a note, where they differ."""
    x, y = map(_positive, sizes_um)
    if x is None:
        return None, ()
    if y is None or abs(x - y) <= 0.01 * x:
        return x, ()
    side = math.sqrt(x * y)
    return side, (f'its pixels are {x:.4g} x {y:.4g} µm, not square; {side:.4g} µm, of the same area, is taken',)


def _shape_text(shape: tuple[int, ...]) -> str:
    return ' x '.join(map(str, shape))
