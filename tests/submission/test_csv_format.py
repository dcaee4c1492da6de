"""Submissions: what is written comes back, and each rule that is broken is named with its place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sartorius.masks.crop import MaskCrop
from sartorius.masks.kaggle_rle import encode
from sartorius.submission.csv_format import (
    Problem,
    SubmissionRow,
    find_problems,
    read_cells,
    read_submission,
    write_submission,
)
from sartorius.utils.errors import InputError

# Images of the hand-written cases: 4 pixels wide, 3 high. Pixel 6 of the code is x=1, y=1.
SIZE = (3, 4)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


@pytest.fixture
def write(tmp_path):
    """Writes lines of text to a CSV and returns its path."""

    def write_lines(*lines: str, header: str = 'id,predicted'):
        path = tmp_path / 'submission.csv'
        path.write_text('\n'.join([header, *lines]) + '\n', encoding='utf-8')
        return path

    return write_lines


def test_written_file(tmp_path):
    path = tmp_path / 'new folder' / 'submission.csv'
    cells = {'b': [bar(1, 2), bar(3, 1, row=1)], 'c': []}
    write_submission(path, cells, {'a': SIZE, 'b': SIZE, 'c': (9, 9)})
    # In the order of the sizes; images without cells have one row with an empty field.
    assert path.read_text() == 'id,predicted\na,\nb,2 2\nb,8 1\nc,\n'
    assert find_problems(path, {'a': SIZE, 'b': SIZE, 'c': (9, 9)}, required='abc') == []


def test_cells_without_a_pixel_in_the_image_are_left_out(tmp_path):
    path = tmp_path / 'submission.csv'
    outside = bar(50, 2)
    write_submission(path, {'a': [bar(0, 0), bar(0, 1)], 'b': [outside]}, {'a': SIZE, 'b': SIZE})
    assert path.read_text() == 'id,predicted\na,1 1\nb,\n'


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'submission.csv'
    path.write_text('old')
    with pytest.raises(InputError, match="'b'"):
        write_submission(path, {'b': []}, {'a': SIZE})
    with pytest.raises(AttributeError):
        write_submission(path, {'a': [bar(0, 1), None]}, {'a': SIZE})
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


IMAGE_IDS = st.text(st.characters(codec='utf-8', exclude_categories=['C']), min_size=1, max_size=4)
CROPS = st.builds(
    MaskCrop,
    arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=4), fill=st.just(True)),
    st.integers(0, 5),
    st.integers(0, 5),
)


@pytest.mark.slow
@given(st.dictionaries(IMAGE_IDS, st.lists(CROPS, max_size=3), min_size=1, max_size=3))
def test_cells_come_back(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp('submission') / 'submission.csv'
    sizes = dict.fromkeys(cells, (9, 9))
    write_submission(path, cells, sizes)
    codes = {image_id: [code for crop in crops if (code := encode(crop, (9, 9)))] for image_id, crops in cells.items()}
    found = {image_id: [encode(crop, (9, 9)) for crop in crops] for image_id, crops in read_cells(path, sizes).items()}
    assert found == codes


def test_rows_are_numbered_as_a_spreadsheet_does(write):
    path = write('a,1 2', '', 'b,')
    assert read_submission(path) == [SubmissionRow(2, 'a', '1 2'), SubmissionRow(4, 'b', '')]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / 'submission.csv'
    path.write_bytes(b'\xef\xbb\xbfid,predicted\r\na,1 2\r\n')
    assert read_submission(path) == [SubmissionRow(2, 'a', '1 2')]
    assert find_problems(path, SIZE) == []


@pytest.mark.parametrize(
    ('lines', 'problems'),
    [
        (['a,1 2', 'b,'], []),  # legal
        (['a,1 2', 'a,3 2'], []),  # cells that touch share no pixel
        (['a,1 2', 'b,1 2'], []),  # the same pixels of two images
        ([], ['row 1: there is no row below the header']),
        (['a,1 2,x'], ['row 2: 3 fields instead of 2']),
        (['a'], ['row 2: 1 fields instead of 2']),
        ([',1 2'], ['row 2: the image id is missing']),
        (['a.PNG,1 2'], ["row 2: 'a.PNG' is the name of a file; an id has no suffix"]),
        (['a,1 2 3'], ['row 2, image a: RLE has an odd number of values (3); it must be pairs of start and length']),
        (['a,1 x'], ["row 2, image a: RLE holds 'x', which is not a whole number below 10^18"]),
        (['a,0 2'], ['row 2, image a: RLE pair 1 is "0 2"; starts and lengths count from 1']),
        (['b,', 'a,1 1 12 2'], ['row 3, image a: RLE pair 2 "12 2" runs past the image: 4x3 has 12 pixels']),
        (
            ['a,6 1 2 1'],  # unsorted
            [
                'row 2, image a: RLE pair 2 "2 1" starts at pixel x=1 y=0, before the pair ahead of it "6 1" ends; '
                'runs must be sorted and share no pixel'
            ],
        ),
        (
            ['a,5 2 6 1'],  # pixel 6 stands twice in one cell
            [
                'row 2, image a: RLE pair 2 "6 1" starts at pixel x=1 y=1, before the pair ahead of it "5 2" ends; '
                'runs must be sorted and share no pixel'
            ],
        ),
        (['a,5 3', 'b,', 'a,2 1 6 2'], ['row 4, image a, pixel x=1 y=1: shared with the cell of row 2']),
        (
            ['a,1 1', 'a,5 1', 'a,1 1 5 1'],  # one cell on two others
            [
                'row 4, image a, pixel x=0 y=0: shared with the cell of row 2',
                'row 4, image a, pixel x=0 y=1: shared with the cell of row 3',
            ],
        ),
        (['a,1 2', 'a,1 2'], ['row 3, image a: the same cell as in row 2']),
        (['a,', 'a,'], ['row 3, image a: a second empty row after row 2']),
        (['a,1 2', 'a,'], ['row 3, image a: an empty row says that the image has no cells, but row 2 is a cell']),
        (
            ['a,1 2', 'b,7', 'a,2 1'],  # every problem is told, in the order of the rows
            [
                'row 3, image b: RLE has an odd number of values (1); it must be pairs of start and length',
                'row 4, image a, pixel x=1 y=0: shared with the cell of row 2',
            ],
        ),
    ],
)
def test_each_broken_rule_is_named_with_its_place(write, lines, problems):
    assert [str(problem) for problem in find_problems(write(*lines), SIZE)] == problems


@pytest.mark.parametrize('header', ['predicted,id', 'id,annotation', 'id', '', 'id,predicted,score', 'id, predicted'])
def test_another_header_is_a_problem(write, header):
    path = write('a,1 2', header=header)
    assert find_problems(path, SIZE) == [Problem(f'the header is "{header}", it must be "id,predicted"', row=1)]
    with pytest.raises(InputError, match='the header is'):
        read_submission(path)


def test_unknown_and_missing_images(write):
    path = write('a,1 2', 'x,')
    assert find_problems(path, {'a': SIZE, 'b': SIZE}, required=['a', 'b']) == [
        Problem('unknown image', 3, 'x'),
        Problem('no row; an image without cells needs one with an empty field', image_id='b'),
    ]
    assert find_problems(path, {'a': SIZE, 'x': SIZE}) == []


def test_each_image_is_checked_at_its_own_size(write):
    path = write('a,12 1', 'b,12 1')
    assert [problem.image_id for problem in find_problems(path, {'a': (3, 4), 'b': (2, 4)})] == ['b']


@given(st.lists(CROPS, max_size=5))
def test_shared_pixels_are_found_exactly(tmp_path_factory, crops):
    path = tmp_path_factory.mktemp('submission') / 'submission.csv'
    write_submission(path, {'a': crops}, {'a': (9, 9)})
    pixels = [
        set(map(tuple, np.argwhere(crop.to_full((9, 9))).tolist())) for crop in read_cells(path, {'a': (9, 9)})['a']
    ]
    shared = any(pixels[i] & pixels[j] for i in range(len(pixels)) for j in range(i))
    problems = find_problems(path, (9, 9))
    assert bool(problems) == shared
    for problem in problems:
        if problem.pixel is not None:
            x, y = problem.pixel
            other = int(problem.message.split()[-1])
            # Row 2 is the first cell.
            assert (y, x) in pixels[problem.row - 2] & pixels[other - 2]


@pytest.mark.parametrize(
    'content',
    [
        b'id,predicted\na,\xff\xfe',  # no UTF-8
        b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR',  # an image
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / 'submission.csv'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'submission\.csv: not a text file'):
        find_problems(path, SIZE)


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('x,1 2', "row 2: unknown image 'x'"),
        ('a,1 2 3', 'row 2, image a: RLE has an odd number'),
        ('a,1 2,3', '3 fields'),
    ],
)
def test_cells_of_an_illegal_file_are_refused(write, line, message):
    with pytest.raises(InputError, match=message):
        read_cells(write(line), {'a': SIZE})


def test_the_sample_of_the_competition_is_legal(real_data):
    sample = real_data / 'sample_submission.csv'
    assert find_problems(sample) == []
    assert [row.code for row in read_submission(sample)] == [''] * 3
