"""Sizes of image files, and files that are not whole."""

import cv2
import numpy as np
import pytest

from sartorius.images.files import image_size
from sartorius.utils.errors import InputError


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_size_is_height_and_width(tmp_path, suffix, dtype):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), np.arange(35, dtype=dtype).reshape(5, 7))
    assert image_size(path) == (5, 7)


def png(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8))
    return path, path.read_bytes()


def test_a_png_cut_anywhere_is_refused(tmp_path):
    path, content = png(tmp_path)
    assert image_size(path) == (40, 60)
    for length in [*range(0, 60), len(content) // 2, *range(len(content) - 13, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r'image\.png: .*get the file anew'):
            image_size(path)


def test_a_damaged_png_is_refused_and_bytes_after_its_end_are_not(tmp_path):
    path, content = png(tmp_path)
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(InputError, match='the PNG is damaged'):
        image_size(path)
    path.write_bytes(content + b'\n')
    assert image_size(path) == (40, 60)


def test_names_files_that_are_no_images(tmp_path):
    for name, message in [('a.png', 'not a PNG file'), ('a.tif', 'not an image that can be read')]:
        (tmp_path / name).write_text('no image')
        with pytest.raises(InputError, match=message):
            image_size(tmp_path / name)
    with pytest.raises(InputError, match='no such image'):
        image_size(tmp_path / 'b.png')
