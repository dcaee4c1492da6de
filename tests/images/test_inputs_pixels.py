"""Image files by how their pixels are kept: formats, depths, colours and compressions."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from input_cases import (
    BGR,
    BGRA,
    BIG,
    BITS,
    COLOUR,
    DEEP,
    FLOAT,
    GREY,
    JPEG_RGB,
    MOVIE,
    PAGES,
    PALETTE,
    RGB,
    RGBA,
    Array,
    Case,
    check,
    cv,
    lzw_pages,
    markdown,
    pil,
    tif,
)
from PIL import Image

from sartorius.images.axes import ReadOptions


def decoded(write: Callable[[Path], object], suffix: str) -> Array:
    """What Pillow reads of a lossy file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f'image{suffix}')
        write(path)
        image = np.asarray(Image.open(path))
    return image if image.ndim == 2 else image[..., ::-1]


def turned(image: Array, orientation: int) -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[274] = orientation
    return pil(image, exif=exif)


def bad_values(value: float, count: int) -> Callable[[Path], None]:
    image = FLOAT.copy()
    image.ravel()[:count] = value
    return tif(image)


ALPHA = 'its alpha channel is dropped'

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

CASES = [*PICTURES, *DEPTHS, *COMPRESSED]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.what)
def test_each_input_is_read_or_refused_in_one_sentence(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


if __name__ == '__main__':
    print(markdown(CASES))
