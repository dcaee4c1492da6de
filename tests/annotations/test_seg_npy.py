"""Cellpose's _seg.npy, read without running code from it."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.annotations.seg_npy import read_seg_npy
from sartorius.utils.errors import InputError

LABELS = np.array([[0, 1, 1], [7, 0, 300]])


def cellpose_content(masks):
    """As cellpose.io.masks_flows_to_seg and the GUI save it."""
    return {
        'outlines': masks.astype(np.uint16),
        'masks': masks,
        'chan_choose': [0, 0],
        'ismanual': np.zeros(3, bool),
        'filename': '/data/a.tif',
        'flows': [np.zeros((1, 2, 3, 3), np.uint8), None, [], np.array([None, 'x'], dtype=object)],
        'diameter': np.float64(30.5),
        'manual_changes': [['2026-01-01T00:00:00', 'added mask', [1, 2]]],
        'model_path': Path('/models/cyto3'),
        'colors': {1: (1, 2, 3)},
    }


def save_with(path, content, protocol):
    """What np.save writes, with any protocol of pickle."""
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(file, {'descr': '|O', 'fortran_order': False, 'shape': ()})
        pickle.dump(np.array(content, dtype=object), file, protocol)


@pytest.mark.parametrize('dtype', ['u1', '<u2', '>u2', '<u4', '<i8'])
@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_masks_come_back(tmp_path, dtype, protocol):
    masks = LABELS.astype(dtype) if np.dtype(dtype).itemsize > 1 else (LABELS % 256).astype(dtype)
    for array in (masks, np.asfortranarray(masks)):
        save_with(tmp_path / 'a_seg.npy', cellpose_content(array), protocol)
        found = read_seg_npy(tmp_path / 'a_seg.npy')
        assert found.dtype == array.dtype and np.array_equal(found, array)


def test_what_numpy_itself_saves(tmp_path):
    np.save(tmp_path / 'a_seg.npy', cellpose_content(LABELS), allow_pickle=True)
    assert np.array_equal(read_seg_npy(tmp_path / 'a_seg.npy'), LABELS)


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    'call', [(os.system, 'touch {}'), (eval, "open('{}', 'w')"), (__import__, 'subprocess'), (open, '{}', 'w')]
)
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, call):
    mark = tmp_path / 'mark'
    call = [part.format(mark) if isinstance(part, str) else part for part in call]
    for content in ({'masks': LABELS, 'filename': Attack(*call)}, Attack(*call)):
        np.save(tmp_path / 'a_seg.npy', np.array(content, dtype=object), allow_pickle=True)
        with pytest.raises(InputError, match='could run code'):
            read_seg_npy(tmp_path / 'a_seg.npy')
    assert not mark.exists()


def test_arrays_cannot_smuggle_addresses_as_objects(tmp_path):
    """NumPy's own __setstate__ takes bytes for an array of objects if the pickle says that its type has no objects."""
    array = np.array([None], dtype=object)
    state = list(array.__reduce__()[2])
    state[4] = b'\x41' * 8

    class Crafted:
        def __reduce__(self):
            return (*array.__reduce__()[:2], tuple(state))

    save_with(tmp_path / 'a_seg.npy', {'masks': Crafted()}, 3)
    with pytest.raises(InputError, match='no masks'):
        read_seg_npy(tmp_path / 'a_seg.npy')


@pytest.mark.parametrize(
    ('array', 'message'),
    [(LABELS, 'a label image is a TIFF or PNG'), (np.array({'a': 1}, dtype=object), 'no masks'), (None, 'damaged')],
)
def test_other_files_are_refused(tmp_path, array, message):
    path = tmp_path / 'a_seg.npy'
    if array is None:
        path.write_bytes(b'not numpy at all')
    else:
        np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_seg_npy(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp('seg') / 'a_seg.npy'
    np.save(path, cellpose_content(LABELS), allow_pickle=True)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(place, len(content)))])
    with suppress(InputError):
        read_seg_npy(path)
