"""Image files that are damaged, too large or of a kind that cannot be read: the sentence that says so."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from input_cases import BIG, DEEP, GREY, JPEG_RGB, MOVIE, Case, check, cv, imagej, lzw_pages, markdown, ome, pil, tif
from PIL import Image


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


@pytest.mark.parametrize('case', DAMAGED, ids=lambda case: case.what)
def test_each_input_is_read_or_refused_in_one_sentence(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


if __name__ == '__main__':
    print(markdown(DAMAGED))
