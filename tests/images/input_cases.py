"""Image files as users bring them: how each is written, and how what is read of it is held against the case.

``python tests/images/test_inputs_axes.py``, and so on, prints the inputs of a file of tests and what came out as a
Markdown table.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
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


def lzw_pages(path: Path) -> None:
    first, *others = (Image.fromarray(image) for image in MOVIE)
    first.save(path, save_all=True, append_images=others, compression='tiff_lzw')


JPEG_RGB = pil(RGB, quality=95)
PAGES = 'its 5 pages say no axis and are taken for frames in time; --axes says another'
COLOUR = 'it is a colour image; its grey levels are the luminance'


def outcome(case: Case, folder: Path) -> ImageStack | InputError:
    """What is read of the input, or why not."""
    path = folder / case.name
    case.write(path)
    with mock.patch.dict(os.environ, dict([case.environment] if case.environment else [])):
        try:
            return read_stack(path, case.options)
        except InputError as error:
            return error


def check(case: Case, folder: Path) -> None:
    """Asserts that the input is read as the case says, or refused in one sentence."""
    found = outcome(case, folder)
    if case.error:
        assert isinstance(found, InputError), found
        assert '\n' not in str(found)
        place = str(folder / case.name)
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


def markdown(cases: Sequence[Case]) -> str:
    """Table of the inputs and what came out of each."""
    lines = ['| input | what came out |', '| --- | --- |']
    for case in cases:
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
