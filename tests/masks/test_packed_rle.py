"""Codes of all cells of an image read and written in one pass, against one at a time and pycocotools."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from sartorius.masks import coco_rle, kaggle_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.kernels import coding
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import decode_coco, decode_kaggle, encode_coco, encode_kaggle
from sartorius.utils.errors import InputError

BITMAPS = arrays(bool, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=8), fill=st.nothing())
CROPS = st.builds(
    MaskCrop,
    arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), fill=st.nothing()),
    st.integers(-4, 9),
    st.integers(-4, 9),
)


def decode_one_coco(code: str, size: Size) -> MaskCrop:
    return coco_rle.decode({'size': list(size), 'counts': code})


DECODERS = {'coco': (decode_coco, decode_one_coco), 'kaggle': (decode_kaggle, kaggle_rle.decode)}


def assert_same(packed: PackedMasks, crops: list[MaskCrop]) -> None:
    assert [crop.window for crop in packed.crops] == [crop.window for crop in crops]
    assert [cell.tolist() for cell in packed.cells] == [crop.mask.tolist() for crop in crops]


def assert_reads_as_one_at_a_time(codes: list, size: Size, name: str) -> None:
    """The same cells, or the same complaint about the first code that is refused."""
    decode_all, decode_one = DECODERS[name]
    crops = []
    for number, code in enumerate(codes):
        try:
            crops.append(decode_one(code, size))
        except InputError as error:
            with pytest.raises(InputError) as complaint:
                decode_all(codes, size)
            assert str(complaint.value) == f'cell {number}: {error}'
            return
    assert_same(decode_all(codes, size), crops)


def packed_of(full: np.ndarray) -> PackedMasks:
    """Tight crops of ``(N, height, width)`` bitmaps; 0x0 at 0, 0 for those without pixels, as decoders give."""
    return PackedMasks.from_crops([MaskCrop(bitmap, 0, 0) for bitmap in full]).tight()


def reference_counts(full: np.ndarray) -> list[str]:
    """pycocotools' own codes of ``(N, height, width)`` bitmaps."""
    return [rle['counts'].decode('ascii') for rle in coco_mask.encode(np.asfortranarray(full.transpose(1, 2, 0), 'u1'))]


@pytest.mark.parametrize(
    ('rows', 'coco', 'kaggle'),
    [
        (['...', '...'], '6', ''),  # no pixel
        (['#..', '...'], '015', '1 1'),  # the first pixel
        (['..#', '...'], '411', '3 1'),  # column-major and row-major count differently
        (['...', '..#'], '51', '6 1'),  # the last pixel: no background after it
        (['#..', '#..'], '024', '1 1 4 1'),  # a column
        (['###', '...'], '0110000', '1 3'),  # a row; from the fourth number on COCO's are differences
        (['..#', '#..'], '1120O', '3 2'),  # goes on over the right border; runs 1 1 2 1 1, O is -1
        (['.#.', '#..'], '123', '2 1 4 1'),  # goes on over the bottom border
        (['###', '###'], '06', '1 6'),  # all of it is one run
    ],
)
def test_hand_written_cells(rows, coco, kaggle):
    full = np.array([[[pixel == '#' for pixel in row] for row in rows]])
    size = full.shape[1:]
    assert reference_counts(full) == [coco]
    assert encode_coco(packed_of(full), size) == [coco]
    assert encode_kaggle(packed_of(full), size) == [kaggle]
    assert_same(decode_coco([coco], size), packed_of(full).crops)
    assert_same(decode_kaggle([kaggle], size), packed_of(full).crops)


@pytest.mark.parametrize('size', [(3, 2), (1, 1), (0, 4)])
def test_no_cells(size):
    nothing = PackedMasks.from_crops([])
    assert encode_coco(nothing, size) == encode_kaggle(nothing, size) == []
    assert len(decode_coco([], size)) == len(decode_kaggle([], size)) == 0


@settings(deadline=None)
@given(BITMAPS)
def test_codes_equal_the_references_and_decode_undoes_them(full):
    packed, size = packed_of(full), full.shape[1:]
    counts, codes = encode_coco(packed, size), encode_kaggle(packed, size)
    assert counts == reference_counts(full)
    assert codes == [kaggle_rle.encode(crop, size) for crop in packed.crops]
    assert_same(decode_coco(counts, size), packed.crops)
    assert_same(decode_kaggle(codes, size), packed.crops)


@settings(deadline=None)
@given(st.lists(CROPS, max_size=4), st.tuples(st.integers(1, 8), st.integers(1, 8)))
def test_codes_leave_out_what_lies_outside_the_image(crops, size):
    packed = PackedMasks.from_crops(crops)
    assert encode_coco(packed, size) == [coco_rle.encode(crop, size)['counts'] for crop in crops]
    assert encode_kaggle(packed, size) == [kaggle_rle.encode(crop, size) for crop in crops]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_runs_over_many_lines(seed):
    """Masks of few long runs, in either direction."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 30, 2))
    borders = np.sort(rng.integers(0, height * width + 1, (6, 2 * int(rng.integers(1, 4)))), axis=1)
    flat = (borders[:, :, None] <= np.arange(height * width)).sum(axis=1) % 2 == 1
    full = np.concatenate([flat.reshape(-1, height, width), flat.reshape(-1, width, height).transpose(0, 2, 1)])
    packed, size = packed_of(full), (height, width)
    counts, codes = encode_coco(packed, size), encode_kaggle(packed, size)
    assert counts == reference_counts(full)
    assert codes == [kaggle_rle.encode(crop, size) for crop in packed.crops]
    assert_same(decode_coco(counts, size), packed.crops)
    assert_same(decode_kaggle(codes, size), packed.crops)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=9))
def test_decode_coco_reads_runs_of_any_length(runs):
    size = (1, sum(runs))
    code = coco_mask.frPyObjects({'size': list(size), 'counts': runs}, *size)['counts'].decode('ascii')
    assert_reads_as_one_at_a_time([code], size, 'coco')


def test_cells_far_into_huge_images():
    corner = PackedMasks.from_crops([MaskCrop(np.ones((1, 1), dtype=bool), 59_999, 59_999)])
    assert encode_kaggle(corner, (60_000, 60_000)) == ['3600000000 1']
    assert encode_coco(corner, (60_000, 60_000)) == [coco_rle.encode(corner.crops[0], (60_000, 60_000))['counts']]
    assert_same(decode_kaggle(['3600000000 1'], (60_000, 60_000)), corner.crops)
    # 8 characters a number.
    first = 59_999 * 10**6 + 59_999
    assert encode_coco(corner, (10**6, 10**6)) == [coco_numbers(first, 1, 10**12 - first - 1)]
    assert_same(decode_coco(encode_coco(corner, (10**6, 10**6)), (10**6, 10**6)), corner.crops)


def coco_numbers(*values: int) -> str:
    """Numbers as the code writes them, whatever they are; not as differences."""
    text = ''
    for value in values:
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (b'015', 'must be a str, not bytes'),  # what pycocotools hands out
        (None, 'must be a str, not NoneType'),
        ('', 'covers 0 pixels'),
        ('016', 'covers 7 pixels, its size 2x3 has 6'),
        ('014', 'covers 5 pixels'),
        ('01U', 'middle of a number'),
        ('01 5', 'character that the code does not know'),
        ('01\n5', 'character that the code does not know'),
        ('01p5', 'character that the code does not know'),  # one past the last character of the code
        ('01/5', 'character that the code does not know'),  # one before the first
        ('01é', 'character that the code does not know'),
        ('1 1', 'character that the code does not know'),  # the competition's code
        (coco_numbers(7, -1), 'run of 7 pixels'),  # adds up, but no run is longer than the image
        (coco_numbers(3, -2, 5), 'run of -2 pixels'),  # adds up, but no run is negative
        (coco_numbers(1, 1, 1, -2, 4), 'run of -1 pixels'),  # the same by a difference
        (coco_numbers(0, 2**40), f'run of {2**40} pixels'),  # nothing of that size is made
        (coco_numbers(2**40), f'run of {2**40} pixels'),
        (coco_numbers(2**62), f'run of {2**62} pixels'),
        (coco_numbers(-(2**62)), f'run of -{2**62} pixels'),
    ],
)
@pytest.mark.parametrize('place', [0, 1, 2])
def test_bad_coco_codes_are_refused_with_their_cell(bad, message, place):
    codes = ['015', '33']
    codes.insert(place, bad)
    with pytest.raises(InputError, match=f'^cell {place}: COCO RLE .*{message}'):
        decode_coco(codes, (3, 2))
    assert_reads_as_one_at_a_time(codes, (3, 2), 'coco')


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (b'1 1', 'must be a str, not bytes'),
        (float('nan'), 'must be a str, not float'),  # what pandas makes of an empty field
        ('1 2 3', 'odd number of values \\(3\\)'),
        ('5', 'odd number of values \\(1\\)'),
        ('1 x', "'x'"),
        ('1.0 2', "'1.0'"),
        ('1_0 2', "'1_0'"),
        ('+1 2', "'\\+1'"),
        ('1,2', "'1,2'"),
        ('\u0663 2', "'\u0663'"),
        ('1 99999999999999999999', "'99999999999999999999'"),
        ('18446744073709551617 1', "'18446744073709551617'"),  # 1 in the lowest 64 bits
        ('1 999999999999', 'runs past the image'),  # nothing of that size is made
        ('0 2', 'pair 1 is "0 2"'),
        ('1 1 3 0', 'pair 2 is "3 0"'),
        ('-5 2', 'pair 1 is "-5 2"'),
        ('1 -2', 'pair 1 is "1 -2"'),
        ('1 1 8 2', 'pair 2 "8 2" runs past the image: 4x2 has 8 pixels'),
        ('9 1', 'pair 1 "9 1" runs past'),
        ('9223372036854775807 5', 'runs past the image'),
        ('1 9223372036854775807', 'runs past the image'),
        ('5 1 1 1', 'pair 2 "1 1" starts at pixel x=0 y=0'),
        ('1 6 6 2', 'pair 2 "6 2" starts at pixel x=1 y=1'),
        ('1 1 1 1', 'pair 2 "1 1" starts at pixel x=0 y=0'),
    ],
)
@pytest.mark.parametrize('place', [0, 1, 2])
def test_bad_competition_codes_are_refused_with_their_cell(bad, message, place):
    codes = ['1 1', '3 2 8 1']
    codes.insert(place, bad)
    with pytest.raises(InputError, match=f'^cell {place}: RLE .*{message}'):
        decode_kaggle(codes, (2, 4))
    assert_reads_as_one_at_a_time(codes, (2, 4), 'kaggle')


def test_of_several_bad_codes_the_first_is_named():
    with pytest.raises(InputError, match='^cell 1: '):
        decode_kaggle(['1 1', '9 1', '1 1', 'x'], (2, 4))
    with pytest.raises(InputError, match='^cell 2: '):
        decode_coco(['015', '33', '7', '9'], (3, 2))


@pytest.mark.parametrize(
    'code',
    [
        *('', ' ', '\t\n', '1 2  8 1', ' 1 2 8 1 ', '1\t2 8\n1', '1 2\r\n8 1', '1\x0b2\x0c8\x1c1'),
        '1 2 3 1',  # runs that touch
        '0000000000000000001 02',  # more digits than the fast decoder reads
        '1\u20032',  # white space outside ASCII
    ],
)
def test_unusual_but_sound_competition_codes(code):
    for codes in ([code], ['8 1', code, '1 8', code, '2 1']):
        assert_same(decode_kaggle(codes, (2, 4)), [kaggle_rle.decode(code, (2, 4)) for code in codes])


@pytest.mark.parametrize(
    'code',
    [
        '0060',  # runs without pixels
        '1001140',
        '0P6',  # 0, then 0 in one character too many, then 6
        '0PPPPPPPPPPPP06',  # more characters than the fast decoder reads
    ],
)
def test_unusual_but_sound_coco_codes(code):
    for codes in ([code], ['06', code, '6', code, '015']):
        assert_reads_as_one_at_a_time(codes, (3, 2), 'coco')


SOUND = {'coco': ['015', '33', '6', '06', '0110000', '1120O'], 'kaggle': ['1 1', '', '1 6', '2 1 4 1', '3 2']}


@settings(deadline=None)
@given(st.data(), st.sampled_from(['coco', 'kaggle']))
def test_any_text_is_read_or_refused_as_one_at_a_time(data, name):
    alphabet = {'coco': '/0123456OPQTUop', 'kaggle': '0123456789   -\tx\u0663'}[name]
    codes = data.draw(st.lists(st.sampled_from(SOUND[name]) | st.text(alphabet, max_size=12), max_size=5))
    assert_reads_as_one_at_a_time(codes, (2, 3), name)


@settings(deadline=None)
@given(st.data(), BITMAPS)
def test_damaged_codes_are_read_or_refused_as_one_at_a_time(data, full):
    """A character lost, doubled, changed, or two codes run together."""
    packed, size = packed_of(full), full.shape[1:]
    for name, codes in (('coco', encode_coco(packed, size)), ('kaggle', encode_kaggle(packed, size))):
        cell = data.draw(st.integers(0, len(codes) - 1))
        place = data.draw(st.integers(0, len(codes[cell])))
        put = data.draw(st.sampled_from(['', '0', '1', '9', 'P', 'o', ' ', codes[0]]))
        codes[cell] = codes[cell][:place] + put + codes[cell][place + data.draw(st.integers(0, 2)) :]
        assert_reads_as_one_at_a_time(codes, size, name)


def test_inputs_stay_as_they_are():
    full = np.random.default_rng(0).random((5, 7, 9)) < 0.5
    crops = [MaskCrop(bitmap[1:, 2:], 3, -2) for bitmap in full]
    packed = PackedMasks.from_crops(crops)
    pixels, windows = packed.pixels.copy(), packed.windows.copy()
    counts, codes = encode_coco(packed, (7, 9)), encode_kaggle(packed, (7, 9))
    assert np.array_equal(packed.pixels, pixels)
    assert np.array_equal(packed.windows, windows)
    pixels.flags.writeable = windows.flags.writeable = False
    unwritable = PackedMasks(pixels, windows)
    assert encode_coco(unwritable, (7, 9)) == counts
    assert encode_kaggle(unwritable, (7, 9)) == codes
    assert encode_coco(packed, np.array([7, 9])) == counts
    assert_same(decode_kaggle(tuple(codes), np.array([7, 9])), decode_coco(np.array(counts), (7, 9)).crops)


@pytest.fixture
def uncompiled(monkeypatch):
    """The loops as plain Python, where reading or writing beyond an array raises."""
    for name, loop in vars(coding).copy().items():
        if hasattr(loop, 'py_func'):
            monkeypatch.setattr(coding, name, loop.py_func)


def test_no_loop_leaves_its_arrays(uncompiled):
    rng = np.random.default_rng(0)
    for name, alphabet in (('coco', '0123OPQTUo'), ('kaggle', '0123456789    -')):
        texts = [''.join(rng.choice(list(alphabet), rng.integers(0, 12))) for _ in range(300)]
        for text in [*texts, 'o' * 40, '1' * 40, '9 ' * 20, *('1 ' * count for count in range(5))]:
            assert_reads_as_one_at_a_time([SOUND[name][0], text, text, SOUND[name][1]], (2, 3), name)
        # Nothing but runs of one pixel: the most runs that text can hold.
        assert_reads_as_one_at_a_time([SOUND[name][0]] * 9, (2, 3), name)
    for height, width in ((1, 1), (1, 6), (6, 1), (4, 5)):
        board = np.indices((height, width)).sum(axis=0) % 2 == 0
        full = np.stack([board, ~board, board | True, board & False])
        packed = packed_of(full)
        assert encode_coco(packed, (height, width)) == reference_counts(full)
        assert_same(decode_kaggle(encode_kaggle(packed, (height, width)), (height, width)), packed.crops)
    # Long numbers before and after the only run.
    half = 5 * 10**8
    middle = PackedMasks.from_crops([MaskCrop(np.ones((1, 1), dtype=bool), half, half)])
    first = half * 10**9 + half
    assert encode_coco(middle, (10**9, 10**9)) == [coco_numbers(first, 1, 10**18 - first - 1)]
    assert encode_kaggle(middle, (10**9, 10**9)) == [f'{first + 1} 1']


def test_real_rows_come_back_as_the_same_strings(real_data):
    codes_of: dict[tuple[str, Size], list[str]] = {}
    with open(real_data / 'train.csv', newline='') as file:
        for row in csv.DictReader(file):
            key = row['id'], (int(row['height']), int(row['width']))
            codes_of.setdefault(key, []).append(row['annotation'])
    for number, ((_, size), codes) in enumerate(codes_of.items()):
        packed = decode_kaggle(codes, size)
        assert encode_kaggle(packed, size) == codes
        counts = encode_coco(packed, size)
        again = decode_coco(counts, size)
        assert np.array_equal(again.windows, packed.windows)
        assert np.array_equal(again.pixels, packed.pixels)
        if number % 50 == 0:
            assert counts == [coco_rle.encode(kaggle_rle.decode(code, size), size)['counts'] for code in codes]
            assert_same(packed, [kaggle_rle.decode(code, size) for code in codes])
    assert sum(map(len, codes_of.values())) > 3000
