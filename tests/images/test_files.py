"""Which files are images, whatever their suffix and behind links."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sartorius.images.files import find_frame, find_image, find_images, find_known_images, images_below, images_in
from sartorius.utils.errors import InputError
from sartorius.utils.files import files_below


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


def test_ids_with_folders(tmp_path: Path) -> None:
    for name in ('A1/img.tif', 'A2/img.TIF', 'A2/img.txt', 'img.png', 'A1/movie.tif'):
        path = tmp_path / 'plate' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    plate = tmp_path / 'plate'
    assert find_image(plate, 'A1/img') == plate / 'A1/img.tif'
    assert find_image(plate, 'A2/img') == plate / 'A2/img.TIF'
    assert find_image(plate, 'img') == plate / 'img.png'
    # The folder may be one of those that the id names; another one, and a folder too many, are not the image's.
    assert find_image(plate / 'A1', 'A1/img') == plate / 'A1/img.tif'
    assert find_image(plate / 'A2', 'plate/A2/img') == plate / 'A2/img.TIF'
    for folder, image_id in [(plate / 'A1', 'A2/img'), (plate, 'A3/img'), (plate, 'A1/other')]:
        with pytest.raises(InputError, match=f'image {image_id} is not in'):
            find_image(folder, image_id)
    assert find_known_images(plate, ['A1/img', 'none', 'A3/img']) == {'A1/img': plate / 'A1/img.tif'}
    # A frame is in its movie, unless a file has its name.
    assert find_frame(plate, 'A1/movie#t0003') == (plate / 'A1/movie.tif', 3)
    assert find_frame(plate, 'A1/img') == (plate / 'A1/img.tif', None)
    (plate / 'A1/movie#t0003.png').touch()
    assert find_frame(plate, 'A1/movie#t0003') == (plate / 'A1/movie#t0003.png', None)
    with pytest.raises(InputError, match='image A1/none is not in'):
        find_frame(plate, 'A1/none#t0003')
    (plate / 'A1/img.png').touch()
    with pytest.raises(InputError, match=r'img\.png and img\.tif would be one image'):
        find_image(plate, 'A1/img')


def test_no_id_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / 'a.png').touch()
    (tmp_path / 'in').mkdir()
    for image_id in ('../a', str(tmp_path / 'a')):
        with pytest.raises(InputError, match='is no image id'):
            find_image(tmp_path / 'in', image_id)


@pytest.mark.parametrize('backwards', [False, True])
def test_of_two_links_the_first_counts_in_whatever_order_the_disk_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    (tmp_path / 'store').mkdir()
    (tmp_path / 'store' / 'x.png').touch()
    for name in ('b', 'a'):
        (tmp_path / 'root' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'root' / name).symlink_to(tmp_path / 'store')
    walk = os.walk

    def other_walk(*arguments: object, **options: object) -> Iterator[tuple[str, list[str], list[str]]]:
        for here, folders, names in walk(*arguments, **options):
            folders.sort(reverse=backwards)
            yield here, folders, names

    monkeypatch.setattr(os, 'walk', other_walk)
    assert files_below(tmp_path / 'root') == [tmp_path / 'root' / 'a' / 'x.png']
    found = find_images([str(tmp_path / 'root')], recursive=True)
    assert [image.path for image in found] == [tmp_path / 'root' / 'a' / 'x.png']
