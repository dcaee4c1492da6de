"""Image ids: from file names, of frames, refused where they lead elsewhere, and matched where roots differ."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartorius.images.image_ids import (
    check_image_id,
    describe_matches,
    frame_id,
    image_id_of,
    match_image_ids,
    path_below,
    split_frame,
)
from sartorius.utils.errors import InputError, shown


@pytest.mark.parametrize(
    ('file_name', 'image_id'),
    [
        ('a.png', 'a'),
        ('A1/img.tif', 'A1/img'),
        ('./A1//img.tif', 'A1/img'),
        # A dot of a folder is no suffix, and the last of a file is the only one.
        ('plate.1/img', 'plate.1/img'),
        ('plate.1/img.ome.tif', 'plate.1/img.ome'),
        ('A1\\img.png', 'A1/img'),
        # No id leads out of its folder.
        ('/data/A1/img.png', 'data/A1/img'),
        ('C:\\data\\img.PNG', 'data/img'),
        ('../A1/img.png', 'A1/img'),
        ('A1/../../A2/img.png', 'A2/img'),
        ('', ''),
        ('/', ''),
        ('..', ''),
        ('A1/..', ''),
    ],
)
def test_id_of_a_file_name(file_name: str, image_id: str) -> None:
    assert image_id_of(file_name) == image_id


@given(st.text(st.sampled_from('ab./\\:# C'), max_size=12))
def test_every_id_of_a_file_name_is_one_to_write_files_by(file_name: str) -> None:
    image_id = image_id_of(file_name)
    if image_id:
        assert check_image_id(image_id) == image_id
        assert image_id_of(f'{image_id}.png') == image_id


@pytest.mark.parametrize('image_id', ['a', 'A1/img', '1f74af6edf18', 'nan', 'a b', 'ä', '...', 'a..b/c', 'm#t0003'])
def test_sound_ids(image_id: str) -> None:
    assert check_image_id(image_id) == image_id


@pytest.mark.parametrize('name', ['a.png', 'b/a.png', 'b/../a.png', '/data/plate/b/a.png', 'C:/a.png'])
def test_files_below_a_root(name: str) -> None:
    assert path_below('/data/plate', name) == Path('/data/plate', name)


@pytest.mark.parametrize('name', ['../a.png', 'b/../../a.png', '/etc/passwd', '/data/plate2/a.png', '/data/plate/../a'])
def test_files_that_lead_out_of_a_root_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"the image file '{name}' lies outside /data/plate; name"):
        path_below('/data/plate', name)


@pytest.mark.parametrize(
    'image_id',
    [
        '',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        '../a',
        'a/../b',
        './a',
        'a\\b',
        'C:/a',
        'c:',
        'a\nb',
        'a\0',
        '\x7f',
        '\ud800',
        'a' * 256,
        'ä' * 128,
        'a/' * 500 + 'a',
    ],
)
def test_ids_that_name_no_file_below_a_root(image_id: str) -> None:
    with pytest.raises(InputError, match='is no image id; it must be') as error:
        check_image_id(image_id)
    assert shown(image_id) in str(error.value)


def test_frames() -> None:
    assert frame_id('A1/movie', 3) == 'A1/movie#t0003'
    assert frame_id('movie', 12_345) == 'movie#t12345'
    assert split_frame('A1/movie#t0003') == ('A1/movie', 3)
    assert split_frame('movie#t12345') == ('movie', 12_345)
    for whole in ('movie', 'movie#t3', '#t0003', 'movie#t0003/img'):
        assert split_frame(whole) == (whole, None)


@pytest.mark.parametrize(
    ('ids', 'known', 'expected'),
    [
        (['a', 'x'], ['a', 'b'], {'a': 'a'}),
        # A bare stem, and a root one folder higher or lower.
        (['img'], ['A1/img', 'A1/other'], {'img': 'A1/img'}),
        (['A1/img', 'A2/img'], ['plate/A1/img', 'plate/A2/img'], {'A1/img': 'plate/A1/img', 'A2/img': 'plate/A2/img'}),
        (['train/a', 'test/b'], ['a', 'b'], {'train/a': 'a', 'test/b': 'b'}),
        # The longest end, whole names only.
        (['plate/A1/img'], ['A1/img', 'img'], {'plate/A1/img': 'A1/img'}),
        (['AA1/img', 'img2'], ['A1/img', 'g2'], {}),
        # Whoever is equal has it.
        (['img', 'A1/img'], ['img'], {'img': 'img'}),
        (['img', 'A1/img'], ['A1/img'], {'A1/img': 'A1/img'}),
    ],
)
def test_matching(ids: list[str], known: list[str], expected: dict[str, str]) -> None:
    assert match_image_ids(ids, known) == expected
    assert match_image_ids(ids, dict.fromkeys(known)) == expected


def test_what_is_not_sure_is_refused() -> None:
    with pytest.raises(InputError, match='image img may be A1/img or A2/img; write its folder'):
        match_image_ids(['img', 'A1/img'], ['A1/img', 'A2/img'])
    with pytest.raises(InputError, match='images A1/img and A2/img may both be img'):
        match_image_ids(['A1/img', 'A2/img'], ['img'])


def test_what_is_said() -> None:
    assert describe_matches({'a': 'a'}) == ''
    said = describe_matches({'a': 'a', 'img': 'A1/img'})
    assert said == '1 of 2 images are known by the end of their path: img is A1/img'
