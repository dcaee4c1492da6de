"""Image files as pixels: sizes, damaged files, stacks, grey levels for models and screens."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sartorius.images.reading import image_size, read_cell_image, read_for_display
from sartorius.utils.errors import InputError


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_size_is_height_and_width(tmp_path: Path, suffix: str, dtype: type) -> None:
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), np.arange(35, dtype=dtype).reshape(5, 7))
    assert image_size(path) == (5, 7)


def png(folder: Path) -> tuple[Path, bytes]:
    path = folder / 'image.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8))
    return path, path.read_bytes()


def test_a_png_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path, content = png(tmp_path)
    assert image_size(path) == (40, 60)
    for length in [*range(60), len(content) // 2, *range(len(content) - 13, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r'image\.png is (empty|truncated, damaged or not a PNG).*copy it again'):
            image_size(path)


def test_a_damaged_png_is_refused_and_bytes_after_its_end_are_not(tmp_path: Path) -> None:
    path, content = png(tmp_path)
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(InputError, match='is truncated, damaged or not a PNG'):
        image_size(path)
    path.write_bytes(content + b'\n')
    assert image_size(path) == (40, 60)


def test_a_png_of_sound_chunks_that_does_not_decode_is_refused(tmp_path: Path) -> None:
    path, content = png(tmp_path)
    # Signature and IHDR are 33 bytes; then comes the one IDAT, whose data are put upside down under a right check sum.
    length = int.from_bytes(content[33:37], 'big')
    data = b'IDAT' + content[41 : 41 + length][::-1]
    path.write_bytes(content[:37] + data + zlib.crc32(data).to_bytes(4, 'big') + content[45 + length :])
    Image.open(path).verify()
    with pytest.raises(InputError, match=r'image\.png is truncated, damaged'):
        image_size(path)


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'none.png', 'none.tif'])
def test_names_files_that_are_no_images(tmp_path: Path, name: str) -> None:
    if name.startswith('a'):
        (tmp_path / name).write_text('no image')
    with pytest.raises(InputError, match=f'{name} (is truncated, damaged or not|cannot be read: No such file)'):
        image_size(tmp_path / name)


@pytest.mark.parametrize('big', [False, True])
def test_a_stack_is_refused_everywhere(tmp_path: Path, big: bool) -> None:
    pages = [Image.fromarray(np.full((4, 6), level, np.uint8)) for level in (0, 50, 100)]
    pages[0].save(tmp_path / 'stack.tif', save_all=True, append_images=pages[1:], big_tiff=big)
    pages[0].save(tmp_path / 'one.tif', big_tiff=big)
    assert (tmp_path / 'stack.tif').read_bytes()[2] == (43 if big else 42)
    for read in (image_size, read_cell_image, read_for_display):
        with pytest.raises(InputError, match=r'stack\.tif is a stack of 3 images'):
            read(tmp_path / 'stack.tif')
    assert image_size(tmp_path / 'one.tif') == (4, 6)


def test_pictures_are_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((4, 6), np.uint8))
    exif = image.getexif()
    exif[274] = 6  # a quarter turn
    image.save(tmp_path / 'a.jpg', exif=exif)
    assert image_size(tmp_path / 'a.jpg') == read_for_display(tmp_path / 'a.jpg').shape == (6, 4)
    assert read_cell_image(tmp_path / 'a.jpg').shape == (6, 4, 3)


def test_8_bit_grey_comes_back_as_it_is(tmp_path: Path) -> None:
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    np.testing.assert_array_equal(read_for_display(tmp_path / 'a.png'), image)


def test_colour_becomes_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((5, 6, 3), 77, np.uint8))
    assert (read_for_display(tmp_path / 'a.png') == np.full((5, 6), 77)).all()


def test_12_bit_values_fill_the_grey_levels(tmp_path: Path) -> None:
    image = np.linspace(1000, 4095, 5000).reshape(50, 100).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.tif'), image)
    shown = read_for_display(tmp_path / 'a.tif')
    assert shown.dtype == np.uint8
    assert shown.min() == 0
    assert shown.max() == 255
    assert shown[25, 0] == pytest.approx(128, abs=2)


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(InputError, match=r'a\.png is truncated, damaged or not a PNG, TIFF, JPEG or BMP'):
        read_for_display(tmp_path / 'a.png')
