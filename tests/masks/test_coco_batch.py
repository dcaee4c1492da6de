"""The codes of an image decoded in one pass, against one at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.masks import coco_rle, kaggle_rle
from sartorius.masks.coco_batch import decode_all
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError


def assert_same(crops: list[MaskCrop], expected: list[MaskCrop]) -> None:
    assert len(crops) == len(expected)
    for crop, other in zip(crops, expected, strict=True):
        assert crop.window == other.window
        np.testing.assert_array_equal(crop.mask, other.mask)


def one_by_one(counts: list[str], size: tuple[int, int]) -> list[MaskCrop]:
    return [coco_rle.decode({'size': list(size), 'counts': code}) for code in counts]


def test_hand_written_codes():
    # 3x2 pixels, column-major: one pixel at the top left; the right column; nothing.
    counts = ['015', '33', '6']
    crops = decode_all(counts, (3, 2))
    assert [crop.window for crop in crops] == [(0, 0, 1, 1), (1, 0, 2, 3), (0, 0, 0, 0)]
    assert all(crop.mask.all() for crop in crops)


def test_no_cells():
    assert decode_all([], (3, 2)) == []


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_one_by_one(seed):
    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, size=2).tolist())
    counts = []
    for density in rng.choice([0, 0.02, 0.5, 0.98, 1], size=int(rng.integers(1, 8))):
        mask = rng.random(size) < density
        if rng.random() < 0.5:
            mask[: int(rng.integers(size[0]))] = False
        counts.append(coco_rle.encode(MaskCrop.from_full(mask), size)['counts'])
    assert_same(decode_all(counts, size), one_by_one(counts, size))


def test_real_cells(real_data):
    lines = (real_data / 'train.csv').read_text().splitlines()
    codes = [line.split(',')[1] for line in lines if line.startswith('5d066f4c3eef')]
    counts = [coco_rle.encode(kaggle_rle.decode(code, (520, 704)), (520, 704))['counts'] for code in codes]
    assert len(counts) == 547
    assert_same(decode_all(counts, (520, 704)), one_by_one(counts, (520, 704)))


@pytest.mark.parametrize(
    ('bad', 'message'),
    [
        (b'015', 'must be a str, not bytes'),
        ('', 'covers 0 pixels'),
        ('016', 'covers 7 pixels'),
        ('01U', 'ends? in the middle'),
        ('01 5', 'character'),
        ('01é', 'COCO RLE'),
    ],
)
def test_names_the_cell_of_a_bad_code(bad, message):
    with pytest.raises(InputError, match=f'^cell 1: .*{message}'):
        decode_all(['015', bad, '33'], (3, 2))
