"""COCO's code against pycocotools, which defines it, and against bad codes."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from sartorius.masks import kaggle_rle
from sartorius.masks.coco_rle import decode, encode, run_lengths
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))


def reference_encode(full: np.ndarray) -> dict:
    """pycocotools' own code of a full-size mask, with a str."""
    rle = coco_mask.encode(np.asfortranarray(full.astype(np.uint8)))
    return {'size': list(rle['size']), 'counts': rle['counts'].decode('ascii')}


@pytest.mark.parametrize(
    ('rows', 'runs'),
    [
        (['..', '..'], [4]),  # background only
        (['#.', '..'], [0, 1, 3]),  # starts with a cell: the first background run has no pixel
        (['.#', '..'], [2, 1, 1]),  # column-major: the second column comes after the whole first one
        (['.#', '#.'], [1, 2, 1]),  # a run goes on over the bottom border
        (['##', '##'], [0, 4]),  # no background at the end
    ],
)
def test_hand_written_cells(rows, runs):
    full = np.array([[pixel == '#' for pixel in row] for row in rows])
    code = encode(MaskCrop.from_full(full), full.shape)
    assert run_lengths(code).tolist() == runs
    assert decode(code).to_full(full.shape).tolist() == full.tolist()


@given(MASKS)
def test_encode_equals_pycocotools_and_decode_undoes_it(full):
    code = encode(MaskCrop(full, 0, 0), full.shape)
    assert code == reference_encode(full)
    crop = decode(code)
    assert crop.to_full(full.shape).tolist() == full.tolist()
    assert crop.mask.shape == crop.tight().mask.shape


@given(MASKS, st.integers(-9, 9), st.integers(-9, 9), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_encode_leaves_out_what_lies_outside_the_image(mask, x, y, size):
    crop = MaskCrop(mask, x, y)
    assert encode(crop, size) == reference_encode(crop.to_full(size))


@given(st.lists(st.integers(0, 300_000), max_size=9))
def test_run_lengths_reads_what_pycocotools_writes(runs):
    size = [1, sum(runs)]
    code = coco_mask.frPyObjects({'size': size, 'counts': runs}, *size)['counts'].decode('ascii')
    assert run_lengths({'size': size, 'counts': code}).tolist() == runs


def counts_of(*runs: int) -> str:
    """Code of run lengths below 16, among the first three, which stand as they are: one character each."""
    return ''.join(chr(48 + (run & 0x1F)) for run in runs)


@pytest.mark.parametrize(
    ('counts', 'message'),
    [
        (b'04', 'must be a str, not bytes'),  # what pycocotools hands out
        ('0 4', 'character that the code does not know'),  # a space
        ('0é4', 'character that the code does not know'),  # not ASCII
        ('0d', 'middle of a number'),  # 'd' says that more characters follow
        (counts_of(1, 2), 'covers 3 pixels, its size 2x2 has 4'),  # too short
        (counts_of(5, -1), 'run of 5 pixels'),  # adds up, but no run is longer than the image
        (counts_of(3, -2, 3), 'run of -2 pixels'),  # adds up, but no run is negative
        ('', 'covers 0 pixels'),  # nothing
    ],
)
def test_bad_codes_are_refused(counts, message):
    with pytest.raises(InputError, match=message):
        decode({'size': [2, 2], 'counts': counts})


@pytest.mark.slow
def test_real_rows_survive_the_way_to_coco_and_back(real_data):
    with open(real_data / 'train.csv', newline='') as file:
        rows = [(row['annotation'], (int(row['height']), int(row['width']))) for row in csv.DictReader(file)]
    different = [
        text
        for text, size in rows
        if kaggle_rle.encode(decode(encode(kaggle_rle.decode(text, size), size)), size) != text
    ]
    assert different == []
