"""Images from disk for the screen."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.images.display import find_image, for_display, read_for_display, stretched
from sartorius.utils.errors import InputError


@pytest.mark.parametrize('name', ['cell.png', 'cell.tif', 'cell.TIF', 'cell.jpg'])
def test_images_are_found_whatever_their_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_image(tmp_path, 'cell') == tmp_path / name


def test_a_missing_image_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'image cell is not in .*\(looked for cell\.png, \.tif.*name the folder'):
        find_image(tmp_path, 'cell')


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='nowhere is not a folder'):
        find_image(tmp_path / 'nowhere', 'cell')


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
    with pytest.raises(InputError, match=r'a\.png cannot be read as an image'):
        read_for_display(tmp_path / 'a.png')


def test_a_flat_image_does_not_divide_by_zero() -> None:
    assert (stretched(np.full((4, 4), 30000, np.uint16)) == 0).all()


def test_few_bright_pixels_do_not_set_the_range() -> None:
    image = np.full((100, 100), 120, np.uint8)
    image[:50] = 130
    image[0, :10] = 255
    shown = stretched(image)
    assert shown[99, 0] == 0
    assert shown[1, 0] == 255


def test_floats_are_stretched() -> None:
    shown = for_display(np.linspace(0, 1, 1000).reshape(10, 100))
    assert (shown.min(), shown.max()) == (0, 255)
