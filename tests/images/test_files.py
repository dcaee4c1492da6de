"""Which files are images, whatever their suffix and behind links."""

from pathlib import Path

import pytest

from sartorius.images.files import find_image, images_below, images_in
from sartorius.utils.errors import InputError


@pytest.mark.parametrize('name', ['cell.png', 'cell.tif', 'cell.TIF', 'cell.jpg', 'cell.Png'])
def test_images_are_found_whatever_their_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / 'cell.txt').touch()
    (tmp_path / '._cell.png').touch()
    assert find_image(tmp_path, 'cell') == tmp_path / name
    assert images_in(tmp_path) == {'cell': tmp_path / name}


def test_a_missing_image_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'image cell is not in .*\(looked for cell\.png, \.tif.*name the folder'):
        find_image(tmp_path, 'cell')


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='nowhere is not a folder'):
        find_image(tmp_path / 'nowhere', 'cell')
    assert images_in(tmp_path / 'nowhere') == {}


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ('a.png', 'cell.png', 'cell.TIF'):
        (tmp_path / name).touch()
    assert find_image(tmp_path, 'a') == tmp_path / 'a.png'
    for look in (images_in, lambda folder: find_image(folder, 'cell')):
        with pytest.raises(InputError, match=r'cell\.TIF and cell\.png would be one image, cell; keep one'):
            look(tmp_path)


def test_folders_behind_links_are_walked_once(tmp_path: Path) -> None:
    root, other = tmp_path / 'root', tmp_path / 'other' / 'deep'
    root.mkdir()
    other.mkdir(parents=True)
    (root / 'a.tif').touch()
    (other / 'b.tif').touch()
    (root / 'link').symlink_to(other.parent)
    (other / 'loop').symlink_to(root)
    assert images_below(root) == {'a': [root / 'a.tif'], 'b': [root / 'link/deep/b.tif']}
