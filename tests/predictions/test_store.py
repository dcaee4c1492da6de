"""The predictions file: written, read back exactly, and refused where it is not whole."""

import json
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.provenance import ModelSource
from sartorius.predictions.store import (
    NotPredictionsError,
    load_predictions,
    quantise,
    read_header,
    save_predictions,
)
from sartorius.utils.errors import InputError, UsageError

SOURCE = ModelSource(config='mrcnn_r50.py', versions={'torch': '2.0'}, other={'folds': [0, 1]})


def make_image(image_id: str, cells: int, seed: int = 0, grid: int = 4) -> ImagePredictions:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 50, (cells, 2))
    return ImagePredictions(
        image_id=image_id,
        size=(60, 80),
        boxes=np.concatenate([corners, corners + rng.uniform(1, 9, (cells, 2))], axis=1).astype(np.float32),
        scores=rng.random(cells, dtype=np.float32),
        labels=rng.integers(0, 3, cells),
        soft_masks=quantise(rng.random((cells, grid, grid), dtype=np.float32)),
    )


def make_set(grid: int = 4) -> PredictionSet:
    images = (make_image('b', 3, 1, grid), make_image('a', 0, 2, grid), make_image('c', 2, 3, grid))
    return PredictionSet(images=images, source=SOURCE)


def assert_equal(first: PredictionSet, second: PredictionSet) -> None:
    assert first.classes == second.classes
    assert first.source == second.source
    assert first.image_ids == second.image_ids
    for one, other in zip(first.images, second.images, strict=True):
        assert one.size == other.size
        for name in ('boxes', 'scores', 'labels', 'soft_masks'):
            ours, theirs = getattr(one, name), getattr(other, name)
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            np.testing.assert_array_equal(ours, theirs)


def test_a_file_gives_back_what_was_written(tmp_path):
    saved = make_set()
    save_predictions(tmp_path / 'p.npz', saved)
    assert_equal(load_predictions(tmp_path / 'p.npz'), saved)


def test_writing_what_was_read_gives_the_same_arrays(tmp_path):
    raw = make_set()
    rough = PredictionSet(
        images=tuple(
            ImagePredictions(i.image_id, i.size, i.boxes, i.scores, i.labels, np.sqrt(i.soft_masks)) for i in raw.images
        )
    )
    save_predictions(tmp_path / 'first.npz', rough)
    first = load_predictions(tmp_path / 'first.npz')
    save_predictions(tmp_path / 'second.npz', first)
    assert_equal(load_predictions(tmp_path / 'second.npz'), first)
    for one, other in zip(rough.images, first.images, strict=True):
        np.testing.assert_array_equal(quantise(one.soft_masks), other.soft_masks)
        assert len(one) == 0 or np.abs(one.soft_masks - other.soft_masks).max() <= 0.5 / 255 + 1e-6


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(0, 4), max_size=5), grid=st.integers(1, 6), seed=st.integers(0, 1000))
def test_any_set_comes_back(tmp_path_factory, counts, grid, seed):
    saved = PredictionSet(images=tuple(make_image(f'i{n}', count, seed + n, grid) for n, count in enumerate(counts)))
    path = tmp_path_factory.mktemp('store') / 'p.npz'
    save_predictions(path, saved)
    if not saved.images:
        assert load_predictions(path).images == ()
    assert_equal(load_predictions(path), saved)


def test_every_byte_value_survives_quantising_twice():
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    np.testing.assert_array_equal(quantise(values), values)
    np.testing.assert_array_equal(quantise(np.array([0.0, 0.001, 0.499, 1.0])), values[[0, 0, 127, 255]])


def test_the_same_predictions_give_the_same_bytes(tmp_path, monkeypatch):
    """Whenever they are written: archives usually carry the time."""
    save_predictions(tmp_path / 'one.npz', make_set())
    monkeypatch.setattr(time, 'time', lambda: 1.0)
    monkeypatch.setattr(time, 'localtime', lambda *_: time.gmtime(86400.0 * 365 * 20))
    save_predictions(tmp_path / 'two.npz', make_set())
    save_predictions(tmp_path / 'again.npz', load_predictions(tmp_path / 'one.npz'))
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'two.npz').read_bytes()
    assert (tmp_path / 'one.npz').read_bytes() == (tmp_path / 'again.npz').read_bytes()


def test_plain_numpy_can_read_it(tmp_path):
    save_predictions(tmp_path / 'p.npz', make_set())
    with np.load(tmp_path / 'p.npz', allow_pickle=False) as arrays:
        assert arrays['soft_masks'].dtype == np.uint8 and arrays['soft_masks'].shape == (5, 4, 4)
        assert json.loads(arrays['header'].tobytes())['images'][0] == {'id': 'b', 'height': 60, 'width': 80, 'cells': 3}


def test_the_header_tells_all_but_the_arrays(tmp_path):
    save_predictions(tmp_path / 'p.npz', make_set())
    header = read_header(tmp_path / 'p.npz')
    assert header.image_ids == ('b', 'a', 'c') and header.counts == (3, 0, 2) and header.sizes == ((60, 80),) * 3
    assert header.classes == ('shsy5y', 'astro', 'cort') and header.grid == 4
    assert header.source == SOURCE and not header.is_fused


def test_an_empty_image_takes_the_grid_of_the_others(tmp_path):
    images = (ImagePredictions.empty('a', (5, 6), grid=28), make_image('b', 2, grid=4))
    save_predictions(tmp_path / 'p.npz', PredictionSet(images=images))
    assert load_predictions(tmp_path / 'p.npz').images[0].soft_masks.shape == (0, 4, 4)


def test_two_grids_in_one_set_are_refused(tmp_path):
    with pytest.raises(InputError, match=r'grids of \[4, 6\]'):
        images = (make_image('a', 1, grid=4), make_image('b', 1, grid=6))
        save_predictions(tmp_path / 'p.npz', PredictionSet(images=images))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('boxes', np.nan, 'image a: a box'),
        ('boxes', 1e30, r'image a: a box has an edge at 1e\+30, more than 16,777,216 pixels'),
        ('scores', np.nan, 'image a: a score'),
        ('scores', 1.5, 'image a: a score'),
        ('soft_masks', np.nan, 'image a: a soft mask'),
        ('soft_masks', -0.1, 'image a: a soft mask'),
    ],
)
def test_values_out_of_range_are_not_written(tmp_path, name, value, message):
    image = make_image('a', 2)
    getattr(image, name).flat[0] = value
    with pytest.raises(InputError, match=message):
        save_predictions(tmp_path / 'p.npz', PredictionSet(images=(image,)))
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match=r'p\.json: .* name it p\.npz'):
        save_predictions(tmp_path / 'p.json', make_set())


def test_binary_masks_stay_behind(tmp_path):
    image = make_image('a', 1)
    crop = MaskCrop(np.ones((2, 2), dtype=bool), 0, 0)
    with_crops = ImagePredictions('a', image.size, image.boxes, image.scores, image.labels, image.soft_masks, (crop,))
    save_predictions(tmp_path / 'p.npz', PredictionSet(images=(with_crops,)))
    assert load_predictions(tmp_path / 'p.npz').images[0].crops is None


def load_or_refuse(path, saved: PredictionSet) -> bool:
    """Whether a damaged file still gives the very same predictions; anything but that or a clear refusal fails."""
    try:
        assert_equal(load_predictions(path), saved)
    except InputError as error:
        assert f'{path.name}: ' in str(error) and 'tools/test.py' in str(error)
        return False
    return True


@pytest.mark.slow
def test_no_damage_goes_unseen(tmp_path):
    saved = PredictionSet(images=(make_image('a', 1, grid=2),))
    path, damaged = tmp_path / 'p.npz', tmp_path / 'damaged.npz'
    save_predictions(path, saved)
    content = path.read_bytes()
    for place in range(len(content)):
        damaged.write_bytes(content[:place])
        assert not load_or_refuse(damaged, saved)
    same = 0
    for place in range(len(content)):
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :])
        same += load_or_refuse(damaged, saved)
    # Time stamps, file attributes and second copies of lengths say nothing about the arrays; all else does.
    assert same < len(content) / 3


@pytest.mark.parametrize('content', [b'', b'id,predicted\n', b'PK\x03\x04'])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / 'p.npz'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'p\.npz: truncated, damaged or no predictions file'):
        load_predictions(path)


def test_another_archive_is_no_predictions_file(tmp_path):
    path = tmp_path / 'p.npz'
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(NotPredictionsError, match='not a predictions file'):
        load_predictions(path)
    np.savez(path, header=np.frombuffer(b'{"schema": "other", "version": 1}', dtype=np.uint8))
    with pytest.raises(NotPredictionsError, match='not a predictions file'):
        read_header(path)
    np.savez(path, header=np.array([object()], dtype=object))
    with pytest.raises(InputError):
        read_header(path)


def rewrite_header(path, **changes):
    """Changes the header of a sound file, checksums included."""
    with np.load(path) as arrays:
        content = dict(arrays)
    header = json.loads(content['header'].tobytes()) | changes
    content['header'] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez_compressed(path, **content)


def test_another_schema_version_is_refused(tmp_path):
    path = tmp_path / 'p.npz'
    save_predictions(path, make_set())
    rewrite_header(path, version=2)
    with pytest.raises(InputError, match='schema version 2, this release reads version 1'):
        load_predictions(path)


@pytest.mark.parametrize(
    'changes',
    [
        {'grid': 5},
        {'images': []},
        {'images': [{'id': 'a'}]},
        {'images': 3},
        {'classes': ['only']},
        {'classes': None},
    ],
)
def test_a_header_that_contradicts_the_arrays_is_refused(tmp_path, changes):
    path = tmp_path / 'p.npz'
    save_predictions(path, make_set())
    rewrite_header(path, **changes)
    with pytest.raises(InputError, match=r'p\.npz: '):
        load_predictions(path)


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        # 1 and 2 cells: each of these has the sum of the arrays, or would have it as another type.
        (('images', 0, 'cells'), -1, r'images, item 1: cells is -1, expected a whole number'),
        (('images', 0, 'cells'), 1.7, r'cells is 1\.7, expected a whole number'),
        (('images', 0, 'cells'), '1', "cells is '1', expected a whole number"),
        (('images', 0, 'cells'), True, 'cells is True, expected a whole number'),
        (('images', 0, 'height'), 0, 'x0 pixels is no size of an image'),
        (('images', 0, 'height'), -5, 'height is -5, expected a whole number'),
        (('images', 0, 'height'), 20.0, r'height is 20\.0, expected a whole number'),
        (('images', 0, 'height'), 10**9, 'x1000000000 pixels are more than the 268,435,456 that an image may have'),
        (('images', 0, 'id'), 7, 'id is 7, expected text'),
        (('images', 0, 'id'), 'b', 'image b stands twice'),
        (('grid',), 4.0, r'grid is 4\.0, expected a whole number'),
        (('grid',), 10**9, 'truncated, damaged or no predictions file'),
        (('classes',), 'abc', "classes is 'abc', expected a list"),
        (('classes',), ['cort', 'cort', 'astro'], "'cort' is no class of a prediction set"),
        (('classes',), ['cort', '\x1b[2J', 'astro'], r"'\\x1b\[2J' is no class of a prediction set"),
        (('version',), True, 'version is True, expected a whole number'),
    ],
)
def test_a_header_is_read_to_the_letter_or_refused(tmp_path, place, value, message):
    path = tmp_path / 'p.npz'
    save_predictions(path, PredictionSet(images=(make_image('a', 1), make_image('b', 2))))
    with np.load(path) as arrays:
        header = json.loads(arrays['header'].tobytes())
    entry = header
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    if place[-1] == 'cells' and value == -1:
        header['images'][1]['cells'] = 4
    rewrite_header(path, **header)
    with pytest.raises(InputError, match=rf'p\.npz: .*{message}'):
        load_predictions(path)


def test_a_missing_array_is_refused(tmp_path):
    path, cut = tmp_path / 'p.npz', tmp_path / 'cut.npz'
    save_predictions(path, make_set())
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(cut, 'w') as part:
        for name in whole.namelist():
            if name != 'scores.npy':
                part.writestr(name, whole.read(name))
    with pytest.raises(InputError, match=r'cut\.npz: truncated, damaged'):
        load_predictions(cut)


def test_image_ids_of_folders_and_frames_come_back(tmp_path):
    saved = PredictionSet((make_image('A1/img', 1), make_image('A2/img', 2), make_image('A2/movie#t0003', 0)))
    save_predictions(tmp_path / 'p.npz', saved)
    assert load_predictions(tmp_path / 'p.npz').image_ids == ('A1/img', 'A2/img', 'A2/movie#t0003')


@pytest.mark.parametrize('image_id', ['', '/etc/a', '../a', 'a\n'])
def test_image_ids_by_which_no_file_can_be_written_are_refused(tmp_path, image_id):
    with pytest.raises(InputError, match='is no image id'):
        PredictionSet((make_image(image_id, 0),))
    path = tmp_path / 'p.npz'
    save_predictions(path, PredictionSet((make_image('harmless', 1),)))
    rewrite_header(path, images=[{'id': image_id, 'height': 60, 'width': 80, 'cells': 1}])
    for read in (read_header, load_predictions):
        with pytest.raises(InputError, match='is no image id') as error:
            read(path)
        assert repr(image_id) in str(error.value) and str(error.value).startswith(f'{path}: ')
