"""What the metadata of image files say: axes, channels, pixel sizes and intervals, and which planes are read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from input_cases import (
    BGR,
    BIG,
    COLOUR,
    DEEP,
    GREY,
    HYPER,
    MOVIE,
    PAGES,
    PALETTE,
    RGB,
    Case,
    H,
    W,
    check,
    imagej,
    markdown,
    ome,
    tif,
)

from sartorius.images.axes import ReadOptions


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


def pyramid(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(BIG, subifds=1, tile=(16, 16), metadata={'axes': 'YX'})
        writer.write(BIG[::2, ::2], subfiletype=1, tile=(16, 16))


def two_series(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY)
        writer.write(MOVIE)


ASKED_Z = r'has 5 planes in z, a model takes one; give --z max, --z mean or --z N, N from 0 to 4, or save one alone$'
NAMES = {'Name': ['DAPI', 'Phase', 'GFP', 'RFP', 'Cy5']}
WITH_BF = {'Name': ['DAPI', 'Phase', 'GFP', 'RFP', 'Brightfield']}
LISTED = r'0 \(DAPI\), 1 \(Phase\), 2 \(GFP\), 3 \(RFP\), 4 \(Brightfield\)'

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

CASES = [*AXES, *SIZES]


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.what)
def test_each_input_is_read_or_refused_in_one_sentence(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


if __name__ == '__main__':
    print(markdown(CASES))
