"""The competition's code against hand-written cells, a slow version, bad strings and the real rows."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sartorius.masks.crop import MaskCrop
from sartorius.masks.kaggle_rle import decode, encode, parse_runs
from sartorius.utils.errors import InputError

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))


def encode_pixel_by_pixel(full: np.ndarray) -> str:
    """The rule itself: walk left to right, then top to bottom, counting from 1."""
    words, length = [], 0
    pixels = [*full.ravel().tolist(), False]
    for place, is_cell in enumerate(pixels, start=1):
        if is_cell:
            length += 1
        elif length:
            words += [str(place - length), str(length)]
            length = 0
    return ' '.join(words)


@pytest.mark.parametrize(
    ('rows', 'code'),
    [
        (['...', '...'], ''),  # no pixel
        (['#..', '...'], '1 1'),  # the first pixel counts as 1
        (['...', '#..'], '4 1'),  # row-major: the first pixel of the second row comes after the whole first row
        (['..#', '#..'], '3 2'),  # a run goes on over the right border
        (['###', '###'], '1 6'),  # all of it is one run
        (['#.#', '..#'], '1 1 3 1 6 1'),  # three runs
    ],
)
def test_hand_written_cells(rows, code):
    full = np.array([[pixel == '#' for pixel in row] for row in rows])
    assert encode(MaskCrop.from_full(full), full.shape) == code
    assert decode(code, full.shape).to_full(full.shape).tolist() == full.tolist()


@given(MASKS)
def test_encode_equals_the_slow_version_and_decode_undoes_it(full):
    code = encode(MaskCrop(full, 0, 0), full.shape)
    assert code == encode_pixel_by_pixel(full)
    crop = decode(code, full.shape)
    assert crop.to_full(full.shape).tolist() == full.tolist()
    assert crop.mask.shape == crop.tight().mask.shape


@given(MASKS, st.integers(-9, 9), st.integers(-9, 9), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_encode_leaves_out_what_lies_outside_the_image(mask, x, y, size):
    crop = MaskCrop(mask, x, y)
    assert encode(crop, size) == encode_pixel_by_pixel(crop.to_full(size))


def test_runs_that_touch_are_legal_and_one_cell():
    assert decode('1 2 3 1', (2, 4)).mask.tolist() == [[True, True, True]]


def test_parse_runs_counts_from_zero():
    assert parse_runs(' 1 2  8 1 ', (2, 4)).tolist() == [[0, 2], [7, 1]]
    assert parse_runs('', (2, 4)).shape == (0, 2)


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        ('1 2 3', 'odd number of values \\(3\\)'),  # a length is missing
        ('1 x', "'x'"),  # no number
        ('1.0 2', "'1.0'"),  # no whole number
        ('-1 x', "'x'"),  # the word that is no number is named, not the negative one
        ('1_0 2', "'1_0'"),  # int() would read it as 10
        ('+1 2', "'\\+1'"),  # int() would read it as 1
        ('\u0663 2', "'\u0663'"),  # int() would read the Arabic digit as 3
        ('1 99999999999999999999', "'99999999999999999999'"),  # more than 64 bits
        ('0 2', 'pair 1 is "0 2"'),  # starts count from 1
        ('1 1 3 0', 'pair 2 is "3 0"'),  # a run has at least one pixel
        ('-5 2', 'pair 1 is "-5 2"'),  # negative start
        ('1 1 8 2', 'pair 2 "8 2" runs past the image: 4x2 has 8 pixels'),  # the last pixel is 8
        ('9 1', 'pair 1 "9 1" runs past'),  # starts outside
        ('9223372036854775807 5', 'runs past the image'),  # start + length does not fit into 64 bits
        ('5 1 1 1', 'pair 2 "1 1" starts at pixel x=0 y=0'),  # unsorted
        ('1 6 6 2', 'pair 2 "6 2" starts at pixel x=1 y=1'),  # pixel 6 (second row, second column) stands twice
    ],
)
def test_bad_codes_are_refused_with_what_is_wrong(code, message):
    with pytest.raises(InputError, match=message):
        decode(code, (2, 4))


@pytest.mark.slow
def test_real_rows_come_back_as_the_same_strings(real_data):
    # A plain download of the competition has only the first file.
    paths = [path for name in ('train.csv', 'masks_without_images.csv') if (path := real_data / name).is_file()]
    rows = []
    for path in paths:
        with open(path, newline='') as file:
            rows += [(row['annotation'], (int(row['height']), int(row['width']))) for row in csv.DictReader(file)]
    assert len(rows) > 3000
    different = [code for code, size in rows if encode(decode(code, size), size) != code]
    assert different == []
