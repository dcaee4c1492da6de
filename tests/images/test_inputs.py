"""Image files of every kind that users bring: what is read of each, or the sentence that says why not.

``python tests/images/test_inputs.py`` prints the inputs and what came out as a Markdown table.
"""

import os
import re
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sartorius.images.axes import ReadOptions
from sartorius.images.reading import read_stack
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError

Array = NDArray[np.generic]
RNG = np.random.default_rng(0)
H, W = 12, 16
GREY = RNG.integers(0, 256, (H, W), np.uint8)
DEEP = RNG.integers(0, 60_000, (H, W), np.uint16)
FLOAT = RNG.random((H, W)).astype(np.float32)
RGB = RNG.integers(0, 256, (H, W, 3), np.uint8)
RGBA = RNG.integers(0, 256, (H, W, 4), np.uint8)
BITS = GREY > 127
MOVIE = RNG.integers(0, 60_000, (5, H, W), np.uint16)
HYPER = RNG.integers(0, 60_000, (4, 3, 2, H, W), np.uint16)  # TZCYX
PALETTE = RNG.integers(0, 1 << 16, (3, 256), np.uint16)
BGR, BGRA = RGB[..., ::-1], RGBA[..., 2::-1]
BIG = np.tile(DEEP, (4, 4))


@dataclass(frozen=True)
class Case:
    """An input: how it is written, and the frames or the sentence that must come out."""

    name: str
    what: str
    write: Callable[[Path], object]
    frames: Array | None = None
    """``(T, H, W[, 3])``; a single frame may lack the T."""
    error: str = ''
    um: float | None = None
    source: str = ''
    seconds: float | None = None
    movie: bool = False
    notes: str = ''
    options: ReadOptions = ReadOptions()
    environment: tuple[str, str] | None = None


def pil(image: Array, mode: str | None = None, **options: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        picture = Image.fromarray(image)
        (picture.convert(mode) if mode else picture).save(path, **options)

    return write


def cv(image: Array) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())

    return write


def tif(image: Array, **options: object) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, image, **options)


def imagej(image: Array, resolution: tuple[float, float] = (1, 1), **metadata: object) -> Callable[[Path], None]:
    return tif(image, imagej=True, resolution=resolution, metadata=metadata)


def ome(image: Array, photometric: str = 'minisblack', **metadata: object) -> Callable[[Path], None]:
    return tif(image, ome=True, photometric=photometric, metadata=metadata)


def turned(image: Array, orientation: int) -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[274] = orientation
    return pil(image, exif=exif)


def cut(write: Callable[[Path], object], part: float) -> Callable[[Path], None]:
    def write_part(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    return write_part


def replaced(write: Callable[[Path], object], start: int, data: bytes) -> Callable[[Path], None]:
    def write_changed(path: Path) -> None:
        write(path)
        old = path.read_bytes()
        path.write_bytes(old[:start] + data + old[start + len(data) :])

    return write_changed


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def decoded(write: Callable[[Path], object], suffix: str) -> Array:
    """What Pillow reads of a lossy file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f'image{suffix}')
        write(path)
        image = np.asarray(Image.open(path))
    return image if image.ndim == 2 else image[..., ::-1]


def ome_xml(times: int, said: str = '', second_file: bool = False) -> str:
    """OME-XML of a movie of which this file has the first frame."""
    planes = '<TiffData IFD="0" FirstT="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
    if second_file:
        planes += planes.replace('FirstT="0"', 'FirstT="1"').replace('a.ome.tif">urn:uuid:a', 'b.ome.tif">urn:uuid:b')
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{W}" SizeY="{H}" '
        f'SizeC="1" SizeZ="1" SizeT="{times}" {said}><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels>'
        '</Image></OME>'
    )


def ome_of(times: int, said: str = '', second_file: bool = False) -> Callable[[Path], None]:
    return tif(DEEP, description=ome_xml(times, said, second_file), metadata=None)


def lzw_pages(path: Path) -> None:
    first, *others = (Image.fromarray(image) for image in MOVIE)
    first.save(path, save_all=True, append_images=others, compression='tiff_lzw')


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(BIG, subifds=1, tile=(16, 16), metadata={'axes': 'YX'})
        writer.write(BIG[::2, ::2], subfiletype=1, tile=(16, 16))


def two_series(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY)
        writer.write(MOVIE)


PIXELS = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="2" SizeY="2" SizeZ="1" SizeC="1" SizeT="{}"><TiffData/>'
    '</Pixels></Image></OME>'
)


def huge_tiff(path: Path) -> None:
    tifffile.imwrite(path, GREY, compression='zlib', metadata=None)
    with tifffile.TiffFile(path, mode='r+b') as file:
        for tag in ('ImageWidth', 'ImageLength', 'RowsPerStrip'):
            file.pages[0].tags[tag].overwrite(60_000)


def many_scans(path: Path) -> None:
    JPEG_RGB(path)
    path.write_bytes(path.read_bytes() + 100 * b'\xff\xda')


def zlib_bomb(path: Path) -> None:
    tifffile.imwrite(path, GREY, compression='zlib', metadata=None)
    bomb, start = zlib.compress(bytes(1 << 23)), path.stat().st_size
    with tifffile.TiffFile(path, mode='r+b') as file:
        file.pages[0].tags['StripOffsets'].overwrite(start)
        file.pages[0].tags['StripByteCounts'].overwrite(len(bomb))
    path.write_bytes(path.read_bytes() + bomb)


def circle(path: Path) -> None:
    tifffile.imwrite(path, MOVIE, metadata=None)
    with tifffile.TiffFile(path) as file:
        first, pointer = file.pages[0].offset, file.pages.next_page_offset
    data = bytearray(path.read_bytes())
    data[pointer : pointer + 4] = struct.pack('<I', first)
    path.write_bytes(data)


def many_tiles(path: Path) -> None:
    tifffile.imwrite(path, BIG, compression='zlib', tile=(16, 16), metadata=None)
    with tifffile.TiffFile(path, mode='r+b') as file:
        for tag in ('ImageWidth', 'ImageLength'):
            file.pages[0].tags[tag].overwrite(32_000)


def unknown_compression(path: Path) -> None:
    tifffile.imwrite(path, GREY, compression='zlib', metadata=None)
    with tifffile.TiffFile(path, mode='r+b') as file:
        file.pages[0].tags['Compression'].overwrite(34712)


def huge_png(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', 60_000, 60_000, 8, 0, 0, 0, 0))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b''))


def bad_values(value: float, count: int) -> Callable[[Path], None]:
    image = FLOAT.copy()
    image.ravel()[:count] = value
    return tif(image)


def listening(path: Path) -> None:
    """A socket, which binds to a short path only."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


TOO_LARGE = (
    r'says that it holds Y 60,000 x X 60,000 = 3,600,000,000 pixels; reading it would take [\d.]+ GiB of memory, more '
    'than the 1 GiB that one file may take; .* set SARTORIUS_MAX_FILE_GIB=14$'
)
BLANK = np.zeros((500, 500), np.uint8)
CUT = r'is truncated.*copy it again$'
JPEG_RGB = pil(RGB, quality=95)
ASKED_Z = r'has 5 planes in z, a model takes one; give --z max, --z mean or --z N, N from 0 to 4, or save one alone$'
PAGES = 'its 5 pages say no axis and are taken for frames in time; --axes says another'
COLOUR = 'it is a colour image; its grey levels are the luminance'
ALPHA = 'its alpha channel is dropped'
NAMES = {'Name': ['DAPI', 'Phase', 'GFP', 'RFP', 'Cy5']}
WITH_BF = {'Name': ['DAPI', 'Phase', 'GFP', 'RFP', 'Brightfield']}
LISTED = r'0 \(DAPI\), 1 \(Phase\), 2 \(GFP\), 3 \(RFP\), 4 \(Brightfield\)'

PICTURES = [
    Case('grey.png', 'PNG, grey, 8 bit', cv(GREY), GREY),
    Case('deep.png', 'PNG, grey, 16 bit', cv(DEEP), DEEP),
    Case('bits.png', 'PNG, 1 bit', pil(BITS), BITS * np.uint8(255)),
    Case('rgb.png', 'PNG, colour, 8 bit', pil(RGB), BGR, notes=COLOUR),
    Case('rgb16.png', 'PNG, colour, 16 bit', cv(np.dstack([DEEP, DEEP // 2, DEEP // 3])),
         np.dstack([DEEP, DEEP // 2, DEEP // 3]), notes=COLOUR),
    Case('rgba.png', 'PNG, colour with alpha', pil(RGBA), BGRA, notes=f'{ALPHA}|{COLOUR}'),
    Case('la.png', 'PNG, grey with alpha', pil(GREY, 'LA'), GREY, notes=ALPHA),
    Case('palette.png', 'PNG, palette', pil(RGB, 'P'), decoded(lambda path: Image.fromarray(RGB).convert('P').convert(
        'RGB').save(path), '.png'), notes=COLOUR),
    Case('turned.png', 'PNG, EXIF: a quarter turn', turned(GREY, 6), np.rot90(GREY, -1)),
    Case('dpi.png', 'PNG, 300 dpi', pil(GREY, dpi=(300, 300)), GREY),
    Case('UPPER.PNG', 'PNG, suffix in upper case', pil(GREY), GREY),
    Case('png.tif', 'PNG that is called .tif', lambda path: pil(GREY)(path.with_suffix('.png')) or os.replace(
        path.with_suffix('.png'), path), GREY),
    Case('mikroskop µ (1).png', 'PNG, spaces and letters beyond ASCII', pil(GREY), GREY),
    Case('grey.jpg', 'JPEG, grey', pil(GREY), decoded(pil(GREY), '.jpg')),
    Case('rgb.jpeg', 'JPEG, colour', JPEG_RGB, decoded(JPEG_RGB, '.jpg'), notes=COLOUR),
    Case('turned3.jpg', 'JPEG, EXIF: half a turn', turned(GREY, 3), np.rot90(decoded(pil(GREY), '.jpg'), 2)),
    Case('turned8.jpg', 'JPEG, EXIF: a quarter turn', turned(GREY, 8), np.rot90(decoded(pil(GREY), '.jpg'))),
    Case('mirrored.jpg', 'JPEG, EXIF: mirrored', turned(GREY, 2), decoded(pil(GREY), '.jpg')[:, ::-1]),
    Case('grey.bmp', 'BMP, grey', pil(GREY), GREY),
    Case('rgb.bmp', 'BMP, colour', pil(RGB), BGR, notes=COLOUR),
    Case('bits.bmp', 'BMP, 1 bit', pil(BITS), BITS * np.uint8(255)),
    Case('green.png', 'PNG, colour, --channel green', pil(RGB), RGB[..., 1], options=ReadOptions(channel='green')),
]  # fmt: skip

DEPTHS = [
    Case(f'{kind}.tif', f'TIFF, {kind}', tif(DEEP.astype(kind)), DEEP.astype(kind))
    for kind in ('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'float16', 'float32', 'float64')
] + [
    Case('complex.tif', 'TIFF, complex64', tif(DEEP.astype('c8')), error='has complex64 values; save it with whole'),
    Case('nan.tif', 'TIFF, float32 with NaN', bad_values(np.nan, 3), error='has 3 values that are NaN or infinite; r'),
    Case('inf.tif', 'TIFF, float32 with inf', bad_values(np.inf, 1), error='has 1 values that are NaN or infinite; r'),
    Case('miniswhite8.tif', 'TIFF, uint8, 0 is white', tif(GREY, photometric='miniswhite'), ~GREY),
    Case('miniswhite16.tif', 'TIFF, uint16, 0 is white', tif(DEEP, photometric='miniswhite'), ~DEEP),
    Case('bigendian.tif', 'TIFF, uint16, big-endian', tif(DEEP, byteorder='>'), DEEP),
    Case('big.btf', 'BigTIFF', tif(DEEP, bigtiff=True), DEEP),
    Case('tiles.tif', 'TIFF in tiles', tif(BIG, tile=(16, 16)), BIG),
    Case('strips.tif', 'TIFF in strips', tif(DEEP, rowsperstrip=3), DEEP),
    Case('rgb.tif', 'TIFF, colour', tif(RGB, photometric='rgb'), BGR, notes=COLOUR),
    Case('planar.tif', 'TIFF, colour, planar', tif(np.moveaxis(RGB, -1, 0), photometric='rgb', planarconfig='separate'),
         BGR, notes=COLOUR),
    Case('rgba.tif', 'TIFF, colour with alpha', tif(RGBA, photometric='rgb', extrasamples=['unassalpha']), BGRA,
         notes=f'{ALPHA}|{COLOUR}'),
    Case('la.tif', 'TIFF, grey with alpha', tif(RGBA[..., :2], photometric='minisblack', planarconfig='contig',
         extrasamples=['unassalpha']), RGBA[..., 0], notes=ALPHA),
    Case('palette.tif', 'TIFF, palette', tif(GREY, photometric='palette', colormap=PALETTE),
         (PALETTE >> 8).astype(np.uint8).T[GREY][..., ::-1], notes=COLOUR),
    Case('samples.tif', 'TIFF, 5 samples a pixel', tif(np.moveaxis(MOVIE, 0, -1), photometric='minisblack',
         planarconfig='contig'), error=r'has 5 channels; give --channel with one of 0, 1, 2, 3, 4, or save one alone$'),
    Case('samples.tif', 'TIFF, 5 samples a pixel, --channel 3', tif(np.moveaxis(MOVIE, 0, -1), photometric='minisblack',
         planarconfig='contig'), MOVIE[3], options=ReadOptions(channel='3')),
]  # fmt: skip

COMPRESSED = [
    Case('zlib.tif', 'TIFF, uint16, deflate with predictor', tif(DEEP, compression='zlib', predictor=True), DEEP),
    Case('lzma.tif', 'TIFF, uint8, LZMA', tif(GREY, compression='lzma'), GREY),
    Case('packbits.tif', 'TIFF, uint8, PackBits', pil(GREY, compression='packbits'), GREY),
    Case('lzw8.tif', 'TIFF, uint8, LZW', pil(GREY, compression='tiff_lzw'), GREY),
    Case('lzw16.tif', 'TIFF, uint16, LZW', cv(DEEP), DEEP),
    Case('lzwf.tif', 'TIFF, float32, LZW', pil(FLOAT, compression='tiff_lzw'), FLOAT),
    Case('lzw32.tif', 'TIFF, int32, LZW', pil(DEEP.astype(np.int32), compression='tiff_lzw'), DEEP.astype(np.int32)),
    Case('lzwrgb.tif', 'TIFF, colour, LZW', pil(RGB, compression='tiff_lzw'), BGR, notes=COLOUR),
    Case('lzwrgba.tif', 'TIFF, colour with alpha, LZW', pil(RGBA, compression='tiff_lzw'), BGRA,
         notes=f'{ALPHA}|{COLOUR}'),
    Case('lzwwhite.tif', 'TIFF, uint8, 0 is white, LZW', pil(GREY, compression='tiff_lzw', tiffinfo={262: 0}), GREY),
    Case('lzwpages.tif', 'TIFF, pages, LZW', lzw_pages, MOVIE, movie=True, notes=PAGES),
    Case('lzwpages.tif', 'TIFF, pages, LZW, --axes CYX --channel 3', lzw_pages, MOVIE[3],
         options=ReadOptions(axes='CYX', channel=3)),
    Case('fax.tif', 'TIFF, 1 bit, fax (group 4)', pil(BITS, compression='group4'), BITS * np.uint8(255)),
    Case('jpeg.tif', 'TIFF, colour, JPEG', pil(RGB, compression='jpeg'), decoded(pil(RGB, compression='jpeg'), '.tif'),
         notes=COLOUR),
    Case('zstd.tif', 'TIFF, uint16, Zstandard', pil(DEEP, compression='zstd'), DEEP),
]  # fmt: skip

AXES = [
    Case('pages.tif', 'TIFF, pages', tif(MOVIE, metadata=None), MOVIE, movie=True, notes=PAGES),
    Case('pages.tif', 'TIFF, pages, deflate', tif(MOVIE, compression='zlib', metadata=None), MOVIE, movie=True,
         notes=PAGES),
    Case('pages.tif', 'TIFF, pages, --axes ZYX', tif(MOVIE, metadata=None), error=ASKED_Z,
         options=ReadOptions(axes='ZYX')),
    Case('pages.tif', 'TIFF, pages, --axes ZYX --z max', tif(MOVIE, metadata=None), MOVIE.max(0),
         options=ReadOptions(axes='zyx', z='max')),
    Case('pages.tif', 'TIFF, pages, --axes CYX --channel 2', tif(MOVIE, compression='zlib', metadata=None), MOVIE[2],
         options=ReadOptions(axes='CYX', channel=2)),
    Case('pages.tif', 'TIFF, pages, --axes YX', tif(MOVIE), options=ReadOptions(axes='YX'),
         error=r'has the shape \(5, 12, 16\); --axes YX must have a letter of TZCYXS for each of its 3 numbers'),
    Case('qq.tif', 'TIFF, two axes that are not known', tif(HYPER[:, :, 0], photometric='minisblack'),
         error='has the axes Q 4 x Q 3 x Y 12 x X 16, of which Q, Q are not known; give --axes with a letter'),
    Case('qq.tif', 'TIFF, two axes that are not known, --axes TZYX --z 1',
         tif(HYPER[:, :, 0], photometric='minisblack'), HYPER[:, 1, 0], movie=True,
         options=ReadOptions(axes='TZYX', z=1)),
    Case('shaped.tif', 'TIFF of tifffile, TYX', tif(MOVIE, metadata={'axes': 'TYX'}), MOVIE, movie=True),
    Case('ij.tif', 'ImageJ, no unit', imagej(GREY), GREY),
    Case('ijt.tif', 'ImageJ, TYX, 2 px/µm, 2.5 s', imagej(MOVIE, (2, 2), axes='TYX', unit='um', finterval=2.5), MOVIE,
         movie=True, um=0.5, source='ImageJ', seconds=2.5),
    Case('ijfps.tif', 'ImageJ, TYX, 5 frames a second', imagej(MOVIE, axes='TYX', fps=5), MOVIE, movie=True,
         seconds=0.2),
    Case('ijz.tif', 'ImageJ, ZYX', imagej(MOVIE, axes='ZYX'), error=ASKED_Z),
    Case('ijz.tif', 'ImageJ, ZYX, --z 4', imagej(MOVIE, axes='ZYX'), MOVIE[4], options=ReadOptions(z='4')),
    Case('ijz.tif', 'ImageJ, ZYX, --z 5', imagej(MOVIE, axes='ZYX'), error=r'has no plane 5 in z; give --z max',
         options=ReadOptions(z=5)),
    Case('ijz.tif', 'ImageJ, ZYX, --z mean', imagej(MOVIE, axes='ZYX'),
         np.rint(MOVIE.astype(float).mean(0)).astype(np.uint16), options=ReadOptions(z='mean')),
    Case('ijc.tif', 'ImageJ, CYX, no names', imagej(MOVIE, axes='CYX'),
         error=r'has 5 channels; give --channel with one of 0, 1, 2, 3, 4, or save one alone$'),
    Case('ijc.tif', 'ImageJ, CYX, labels', imagej(MOVIE, axes='CYX', Labels=['DAPI', 'trans', 'a', 'b', 'c']), MOVIE[1],
         notes=r'channel 1 \(trans\) of 0 \(DAPI\), 1 \(trans\), 2 \(a\), 3 \(b\), 4 \(c\) is taken'),
    Case('ijtzc.tif', 'ImageJ, TZCYX, 1 min, --channel 1 --z max',
         imagej(HYPER, axes='TZCYX', finterval=1, tunit='min'), HYPER[:, :, 1].max(1), movie=True,
         seconds=60, options=ReadOptions(channel=1, z='max')),
    Case('ijrgb.tif', 'ImageJ, colour movie', imagej(np.stack([RGB, RGB // 2]), axes='TYXS'),
         np.stack([BGR, BGR // 2]), movie=True, notes=COLOUR),
    Case('ijlut.tif', 'ImageJ, lookup table', tif(GREY, imagej=True, colormap=PALETTE), GREY,
         notes='its lookup table of colours is not applied'),
    Case('t.ome.tif', 'OME-TIFF, TYX, .65 µm, 15 min', ome(MOVIE, axes='TYX', PhysicalSizeX=0.65, PhysicalSizeY=0.65,
         TimeIncrement=15, TimeIncrementUnit='min'), MOVIE, movie=True, um=0.65, source='OME', seconds=900),
    Case('z.ome.tif', 'OME-TIFF, ZYX', ome(MOVIE, axes='ZYX'), error=ASKED_Z),
    Case('c.ome.tif', 'OME-TIFF, CYX, one named Phase', ome(MOVIE, axes='CYX', Channel=NAMES), MOVIE[1],
         notes=r'channel 1 \(Phase\) of 0 \(DAPI\), .* is taken'),
    Case('c2.ome.tif', 'OME-TIFF, CYX, Phase and Brightfield', ome(MOVIE, axes='CYX', Channel=WITH_BF),
         error=rf'has 5 channels; give --channel with one of {LISTED}, or save'),
    Case('c2.ome.tif', 'OME-TIFF, CYX, --channel gfp', ome(MOVIE, axes='CYX', Channel=WITH_BF), MOVIE[2],
         options=ReadOptions(channel='gfp')),
    Case('c2.ome.tif', 'OME-TIFF, CYX, --channel YFP', ome(MOVIE, axes='CYX', Channel=WITH_BF),
         error=rf'has no channel YFP; give --channel with one of {LISTED}$', options=ReadOptions(channel='YFP')),
    Case('tzc.ome.tif', 'OME-TIFF, TZCYX, --channel 0 --z 1', ome(HYPER, axes='TZCYX'), HYPER[:, 1, 0], movie=True,
         options=ReadOptions(channel=0, z=1)),
    Case('rgb.ome.tif', 'OME-TIFF, colour', ome(RGB, 'rgb', axes='YXS'), BGR, notes=COLOUR),
    Case('one.ome.tif', 'OME-TIFF, T of 1', ome(MOVIE[:1], axes='TYX'), MOVIE[0]),
    Case('grey.tif', 'TIFF, one image, --channel 1', tif(GREY), options=ReadOptions(channel=1),
         error='has no channel 1 but a single one; leave --channel out$'),
    Case('grey.tif', 'TIFF, one image, --z 1', tif(GREY), options=ReadOptions(z=1),
         error='has no plane 1 in z but a single one; leave --z out$'),
    Case('grey.tif', 'TIFF, one image, --z max', tif(GREY), GREY, options=ReadOptions(z='max')),
    Case('two.tif', 'TIFF, two series', two_series, GREY, notes='the file has 2 images; the first, 12 x 16, is taken'),
    Case('pyramid.ome.tif', 'OME-TIFF, pyramid', pyramid, BIG, notes='the largest of 2 levels is taken'),
    Case('a.ome.tif', 'OME-TIFF, one file of a set of two', ome_of(2, 'PhysicalSizeX="0.5"', second_file=True), DEEP,
         um=0.5, source='OME', notes='its OME metadata describe other planes than it has'),
    Case('a.ome.tif', 'OME-TIFF, 1 of 3 planes', ome_of(3), error='lacks 2 of the 3 planes that its metadata describe'),
]  # fmt: skip


def sized(um: float | None, **said: object) -> dict[str, object]:
    return {'write': ome(DEEP, axes='YX', **said), 'frames': DEEP, 'um': um, 'source': 'OME' if um else ''}


SIZES = [
    Case('um.ome.tif', 'OME-TIFF, .5, no unit (µm)', **sized(0.5, PhysicalSizeX=0.5)),
    Case('nm.ome.tif', 'OME-TIFF, 650 nm', **sized(0.65, PhysicalSizeX=650, PhysicalSizeXUnit='nm', PhysicalSizeY=650,
         PhysicalSizeYUnit='nm')),
    Case('mm.ome.tif', 'OME-TIFF, .0013 mm', **sized(1.3, PhysicalSizeX=0.0013, PhysicalSizeXUnit='mm')),
    Case('pixel.ome.tif', 'OME-TIFF, 1 pixel', ome_of(1, 'PhysicalSizeX="1" PhysicalSizeXUnit="pixel"'), DEEP),
    Case('zero.ome.tif', 'OME-TIFF, 0 µm', ome_of(1, 'PhysicalSizeX="0"'), DEEP),
    Case('oblong.ome.tif', 'OME-TIFF, .4 x .9 µm', **sized(0.6, PhysicalSizeX=0.4, PhysicalSizeY=0.9),
         notes='its pixels are 0.4 x 0.9 µm, not square; 0.6 µm, of the same area, is taken'),
    Case('ijum.tif', 'ImageJ, 4 px/micron', imagej(GREY, (4, 4), unit='micron'), GREY, um=0.25, source='ImageJ'),
    Case('ijescape.tif', 'ImageJ, 4 px/\\u00B5m', imagej(GREY, (4, 4), unit='\\u00B5m'), GREY, um=0.25,
         source='ImageJ'),
    Case('ijmm.tif', 'ImageJ, 1000 px/mm', imagej(GREY, (1000, 1000), unit='mm'), GREY, um=1, source='ImageJ'),
    Case('ijinch.tif', 'ImageJ, 72 px/inch', imagej(GREY, (72, 72), unit='inch'), GREY),
    Case('ijpixel.tif', 'ImageJ, pixels', imagej(GREY, unit='pixel'), GREY),
    Case('ijoblong.tif', 'ImageJ, 2 x 8 px/µm', imagej(GREY, (2, 8), unit='um'), GREY, um=0.25, source='ImageJ',
         notes='its pixels are 0.5 x 0.125 µm, not square; 0.25 µm, of the same area, is taken'),
    Case('cm.tif', 'TIFF, 20,000 px/cm', tif(GREY, resolution=(20_000, 20_000), resolutionunit='CENTIMETER'), GREY,
         um=0.5, source='TIFF'),
    Case('cm72.tif', 'TIFF, 28 px/cm (72 dpi)', tif(GREY, resolution=(28, 28), resolutionunit='CENTIMETER'), GREY),
    Case('inch.tif', 'TIFF, 300 px/inch', tif(GREY, resolution=(300, 300), resolutionunit='INCH'), GREY),
]  # fmt: skip

DAMAGED = [
    Case('none.png', 'a file that is not there', lambda path: None, error='cannot be read: No such file or directory'),
    Case('link.png', 'a link to nowhere', lambda path: path.symlink_to('nowhere'), error='cannot be read: No such'),
    Case('empty.tif', 'an empty file', content(b''), error=r'is empty \(0 bytes\); copy it again'),
    Case('text.png', 'a text file', content(b'no image'), error='damaged or not a PNG, TIFF, JPEG or BMP; copy'),
    Case('page.jpg', 'a web page', content(b'<!DOCTYPE html>'), error='damaged or not a PNG, TIFF, JPEG or BMP; copy'),
    Case('folder.png', 'a folder', Path.mkdir, error='is a folder; name a file in it'),
    Case('pipe.png', 'a named pipe', os.mkfifo, error='is not a regular file but a pipe, socket or device'),
    Case('socket.png', 'a socket', listening, error='is not a regular file but a pipe, socket or device'),
    Case('cut.png', 'PNG, cut', cut(cv(GREY), 0.5), error=CUT),
    Case('cut.jpg', 'JPEG, cut', cut(JPEG_RGB, 0.8), error=CUT),
    Case('cut.bmp', 'BMP, cut', cut(pil(GREY), 0.9), error=CUT),
    Case('head.png', 'PNG, 10 %', cut(cv(GREY), 0.1), error=CUT),
    Case('cut.tif', 'TIFF, cut', cut(tif(DEEP), 0.9), error=CUT),
    Case('cutzlib.tif', 'TIFF, deflate, cut', cut(tif(DEEP, compression='zlib'), 0.9), error=CUT),
    Case('cuttiles.tif', 'TIFF in tiles, cut', cut(tif(BIG, tile=(16, 16)), 0.9), error=CUT),
    Case('cutlzw.tif', 'TIFF, LZW, cut', cut(cv(DEEP), 0.9), error=CUT),
    Case('cutpages.tif', 'TIFF, pages, cut', cut(lzw_pages, 0.5), error=CUT),
    Case('cutij.tif', 'ImageJ, movie, cut', cut(imagej(MOVIE, axes='TYX'), 0.5), error='lacks 4 of the 5 planes'),
    Case('cut.ome.tif', 'OME-TIFF, movie, cut in its metadata', cut(ome(MOVIE, axes='TYX'), 0.9), error=CUT),
    Case('circle.tif', 'TIFF, pages in a circle', circle, error=CUT),
    Case('tiles.tif', 'TIFF that declares 4,000,000 tiles', many_tiles,
         error=r'\(3,999,988 of the 4,000,000 tiles or strips of a page are missing\); copy it again$'),
    Case('pages.tif', 'TIFF of 50 pages of 20 pixels, 16 such pages allowed', tif(np.zeros((50, 4, 5), 'u1'),
         contiguous=False, metadata=None), environment=('SARTORIUS_MAX_FILE_GIB', '1e-3'),
         error='says that it holds 50 pages; reading .* set SARTORIUS_MAX_FILE_GIB=1$'),
    Case('planes.tif', 'OME-TIFF that describes 100,000,000 planes',
         tif(GREY, metadata=None, description=PIXELS.format(100_000_000)),
         error='says that it holds 100,000,000 planes; reading .* set SARTORIUS_MAX_FILE_GIB=6$'),
    Case('huge.png', 'PNG that declares 60,000 x 60,000', huge_png, error=TOO_LARGE),
    Case('huge.tif', 'TIFF that declares 60,000 x 60,000', huge_tiff, error=TOO_LARGE),
    Case('large.png', 'PNG that packs 250,000 pixels well, 107,374 bytes allowed', pil(BLANK),
         error='Y 500 x X 500 = 250,000 pixels; reading it would take 976.6 KiB of memory, more than the 104.9 KiB ',
         environment=('SARTORIUS_MAX_FILE_GIB', '1e-4')),
    Case('movie.tif', 'TIFF movie that packs 5 x 250,000 pixels well, 1,073,741 bytes allowed',
         tif(np.stack([BLANK] * 5), compression='zlib', metadata={'axes': 'TYX'}),
         error='T 5 x Y 500 x X 500 = 1,250,000 pixels; reading', environment=('SARTORIUS_MAX_FILE_GIB', '1e-3')),
    Case('small.tif', 'TIFF that is itself a part of what is not allowed', tif(GREY), GREY,
         environment=('SARTORIUS_MAX_FILE_GIB', '1e-7')),
    Case('limit.png', 'PNG, a limit that is no number', pil(GREY), error='SARTORIUS_MAX_FILE_GIB=1,5 in the environm',
         environment=('SARTORIUS_MAX_FILE_GIB', '1,5')),
    Case('scans.jpg', 'JPEG of 101 scans', many_scans,
         error='has 101 scans, a JPEG of a camera at most 100; save it as TIFF$'),
    Case('start.bmp', 'BMP, pixels that begin nowhere', replaced(pil(GREY), 10, bytes(4)),
         error='where its pixels begin'),
    Case('film.png', 'PNG, animated', pil(GREY, save_all=True, append_images=[Image.fromarray(255 - GREY)]),
         error='is an animation; save its frames as files of their own$'),
    Case('bomb.tif', 'TIFF, deflate, a strip that unpacks to a hundred times its size', zlib_bomb,
         error='is damaged .more than a strip or tile holds.', environment=('SARTORIUS_MAX_FILE_GIB', '1e-3')),
    Case('cells.nd2', 'Nikon, without bioio', content(b'\xda\xce\xbe\n'),
         error=r'needs further packages: pip install bioio bioio-nd2 \(or save it as OME-TIFF\)$'),
    Case('cells.czi', 'Zeiss, without bioio', content(b'ZISRAWFILE'), error='pip install bioio bioio-czi '),
    Case('cells.lif', 'Leica, without bioio', content(b'p\0\0\0'), error='pip install bioio bioio-lif '),
    Case('cells.ome.zarr', 'OME-Zarr, without bioio', Path.mkdir, error='pip install bioio bioio-ome-zarr '),
    Case('jp2.tif', 'TIFF, JPEG 2000, without imagecodecs', unknown_compression,
         error='is compressed by JPEG2000, which needs a further package: pip install imagecodecs$'),
    Case('cells.gif', 'GIF', pil(GREY), error='not a PNG, TIFF, JPEG or BMP'),
]  # fmt: skip

CASES = [*PICTURES, *DEPTHS, *COMPRESSED, *AXES, *SIZES, *DAMAGED]


def outcome(case: Case, folder: Path) -> ImageStack | InputError:
    path = folder / case.name
    case.write(path)
    with mock.patch.dict(os.environ, dict([case.environment] if case.environment else [])):
        try:
            return read_stack(path, case.options)
        except InputError as error:
            return error


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.what)
def test_each_input_is_read_or_refused_in_one_sentence(case: Case, tmp_path: Path) -> None:
    found = outcome(case, tmp_path)
    if case.error:
        assert isinstance(found, InputError), found
        assert '\n' not in str(found)
        place = str(tmp_path / case.name)
        assert str(found).startswith(('image ' + place, place + ': ', 'SARTORIUS_MAX_FILE_GIB='))
        assert re.search(case.error, str(found)), str(found)
        return
    assert isinstance(found, ImageStack), found
    expected = case.frames if case.movie else case.frames[np.newaxis]
    assert found.frames.dtype == expected.dtype
    np.testing.assert_array_equal(found.frames, expected)
    assert found.frames.flags.c_contiguous
    assert type(found.frames) is np.ndarray
    assert found.size == expected.shape[1:3]
    assert (found.is_movie, found.pixel_size_from, found.frame_interval_s) == (case.movie, case.source, case.seconds)
    assert found.pixel_size_um == (case.um and pytest.approx(case.um))
    assert re.fullmatch(case.notes.replace('|', r'\|') + '.*', '|'.join(found.notes)), found.notes
    assert bool(found.notes) == bool(case.notes)
    assert found.to_uint8().shape == expected.shape
    assert found.grey().shape == expected.shape[:3]


def markdown() -> str:
    lines = ['| input | what came out |', '| --- | --- |']
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            found = outcome(case, Path(name))
            if isinstance(found, InputError):
                text = 'refused: ' + str(found).replace(f'{name}/', '')
            else:
                text = f'{" x ".join(map(str, found.frames.shape))} {found.frames.dtype}'
                text += ', movie' * found.is_movie
                if found.pixel_size_um is not None:
                    text += f', {found.pixel_size_um:.4g} µm ({found.pixel_size_from})'
                if found.frame_interval_s is not None:
                    text += f', {found.frame_interval_s:g} s'
                text = '; '.join([text, *found.notes])
        lines.append(f'| {case.what} | {text} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(markdown())
