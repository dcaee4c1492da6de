"""The image files among files, folders and globs that a user names."""

from pathlib import Path

import pytest

from sartorius.images.files import ImageFile, find_images
from sartorius.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        *('a.png', 'B.TIF', 'c.ome.tif', 'd.nd2', 'notes.txt', '.hidden.png', 'sub/a.png', 'sub/deep/e.jpg'),
        *('.cache/x.png', 'plate.zarr/0/0.png', 'a_masks.tif', 'a_overlay.png', 'a_seg.npy', 'a_cells.csv'),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def ids(images: list[ImageFile]) -> list[str]:
    return [image.image_id for image in images]


def test_a_folder_gives_its_images_by_their_path_below_it(root: Path) -> None:
    skipped: list[Path] = []
    found = find_images([root], recursive=False, skipped=skipped)
    assert found[1] == ImageFile(root / 'a.png', 'a')
    assert ids(found) == ['B', 'a', 'c.ome', 'd', 'plate']
    assert skipped == [root / 'a_masks.tif', root / 'a_overlay.png', root / 'a_seg.npy']
    assert ids(find_images([root], recursive=True)) == ['B', 'a', 'c.ome', 'd', 'plate', 'sub/a', 'sub/deep/e']


def test_files_have_their_stem_whatever_their_suffix_says(root: Path) -> None:
    assert find_images([root / 'sub/a.png', str(root / 'notes.txt')]) == [
        ImageFile(root / 'sub/a.png', 'a'),
        ImageFile(root / 'notes.txt', 'notes'),
    ]
    assert ids(find_images([root / 'plate.zarr'], recursive=True)) == ['plate']


def test_files_of_one_name_have_their_path_below_the_folder_that_they_share(root: Path) -> None:
    for folder in ('well/A1', 'well/A2'):
        (root / folder).mkdir(parents=True)
        (root / folder / 'img.tif').touch()
    given = [root / 'well/A1/img.tif', root / 'well/A2/../A2/img.tif']
    assert ids(find_images(given)) == ['A1/img', 'A2/img']
    assert ids(find_images([*given, root / 'B.TIF'])) == ['well/A1/img', 'well/A2/img', 'B']


def test_globs_match_images_and_folders(root: Path) -> None:
    assert ids(find_images([f'{root}/sub*'], recursive=True)) == ['sub/a', 'sub/deep/e']
    assert ids(find_images([f'{root}/*.[pT]*'])) == ['B', 'a']
    assert ids(find_images([f'{root}/**/e.*'])) == ['sub/deep/e']
    # Two files of one name in two folders.
    (root / 'other').mkdir()
    (root / 'other/a.png').touch()
    assert ids(find_images([f'{root}/*/a.png'])) == ['other/a', 'sub/a']
    (root / '[1].png').touch()
    assert ids(find_images([f'{root}/[1].png'])) == ['[1]']


def test_a_file_that_is_named_twice_is_one_image(root: Path) -> None:
    (root / 'link.png').symlink_to('a.png')
    assert ids(find_images([root / 'a.png', root / 'sub/../a.png', f'{root}/a.p*', root / 'link.png'])) == ['a']


def test_two_files_of_one_id_are_named(root: Path) -> None:
    message = (
        r'/a\.png and .*/sub/a\.png would be one image, a; rename one of them, or give the folder above both and -r'
    )
    with pytest.raises(InputError, match=message):
        find_images([root / 'a.png', root / 'sub'])
    (root / 'a.tif').touch()
    with pytest.raises(InputError, match=r'/a\.png and .*/a\.tif would be one image'):
        find_images([root])


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ('nowhere.png', r'nowhere\.png is not there; name an image file, a folder of images, or a glob in quotes$'),
        ('*.gif', r'\*\.gif matches no image file$'),
        ('.cache/none', 'none is not there'),
        (
            'empty',
            r'empty holds no image \(files ending in \.png, .*\.nd2.*\); with -r its subfolders are searched too$',
        ),
        ('a_masks.tif', 'no image but 1 masks or overlays'),
    ],
)
def test_what_gives_no_image_is_named(root: Path, given: str, message: str) -> None:
    (root / 'empty').mkdir()
    with pytest.raises(InputError, match=message):
        find_images([root / given])


def test_folders_behind_links_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / 'root').mkdir()
    (tmp_path / 'other/deep').mkdir(parents=True)
    (tmp_path / 'other/deep/b.tif').touch()
    (tmp_path / 'root/link').symlink_to(tmp_path / 'other')
    (tmp_path / 'other/deep/loop').symlink_to(tmp_path / 'root')
    assert ids(find_images([tmp_path / 'root'], recursive=True)) == ['link/deep/b']
