"""Reading and writing the competition's training CSV."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, read_train_csv, write_train_csv
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

FIVE = 'id,annotation,width,height,cell_type'
NINE = FIVE + ',plate_time,sample_date,sample_id,elapsed_timedelta'


@pytest.fixture
def write(tmp_path):
    """Writes lines to a CSV and gives its path."""

    def write_lines(*lines: str):
        path = tmp_path / 'train.csv'
        path.write_text(''.join(line + '\n' for line in lines))
        return path

    return write_lines


def test_reads_images_in_file_order(write):
    # 4 wide, 3 high: pixels 6 and 7 are row 1, columns 1 and 2; pixel 12 is the last.
    table = read_train_csv(write(FIVE, 'b,6 2,4,3,astro', 'a,1 1,5,2,cort', 'b,12 1,4,3,astro'))
    assert list(table.images) == ['b', 'a']
    image = table.images['b']
    assert image.cells.size == (3, 4)
    assert image.cell_type == 'astro'
    assert image.cells.labels.tolist() == [CELL_TYPES.index('astro')] * 2
    assert [(crop.window, crop.area) for crop in image.cells.crops] == [((1, 1, 3, 2), 2), ((3, 2, 4, 3), 1)]
    assert image.lines == (2, 4)
    assert table.images['a'].lines == (3,)


def test_keeps_the_details_and_the_source(write):
    rows = ['a,1 1,4,3,cort,1h,2020-01-01,s_A1-1,0 days,', 'b,1 1,4,3,cort,2h,2020-01-01,s_A1-2,0 days,round 1']
    table = read_train_csv(write(NINE + ',source', *rows))
    assert table.images['b'].details == {
        'plate_time': '2h',
        'sample_date': '2020-01-01',
        'sample_id': 's_A1-2',
        'elapsed_timedelta': '0 days',
        'source': 'round 1',
    }
    assert [image.is_pseudo for image in table.images.values()] == [False, True]


def test_says_which_columns_it_did_not_read(write):
    table = read_train_csv(write('note,' + FIVE, 'good,a,1 1,4,3,cort'))
    assert table.ignored_columns == ('note',)
    assert table.columns == tuple(FIVE.split(','))


def test_rows_without_pixels_are_no_cells_but_keep_the_image(write):
    image = read_train_csv(write(FIVE, 'a,,4,3,cort', 'a,1 1,4,3,cort', 'a,,4,3,cort')).images['a']
    assert len(image.cells) == 1
    assert image.empty_lines == (2, 4)
    assert len(read_train_csv(write(FIVE, 'a,,4,3,cort')).images['a'].cells) == 0


def test_takes_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / 'train.csv'
    path.write_bytes(b'\xef\xbb\xbf' + f'{FIVE}\r\na,1 1,4,3,cort\r\n'.encode())
    assert read_train_csv(path).images['a'].lines == (2,)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ([], 'is empty; expected the columns id, annotation'),
        ([FIVE], 'holds no rows below its header'),
        (
            ['id,annotation,width,height', 'a,1 1,4,3'],
            'column cell_type is missing; found id, annotation',
        ),
        (['id,width', 'a,4'], 'columns annotation, height, cell_type are missing'),
        ([FIVE + ',id', 'a,1 1,4,3,cort,a'], 'the header has the column id twice'),
        ([FIVE, 'a,1 1,4,3'], 'line 2 has 4 fields, the header has 5'),
        ([FIVE, 'a,1 1,4,3,cort', 'a,1 1,4,3,cort,x'], 'line 3 has 6 fields'),
        ([FIVE, ',1 1,4,3,cort'], 'line 2 has an empty id'),
        ([FIVE, 'a,1 1,4.0,3,cort'], "line 2, image a: width is '4.0', not a whole number"),
        ([FIVE, 'a,1 1,4,0,cort'], "line 2, image a: height is '0', not a whole number above 0"),
        ([FIVE, 'a,1 1,4,-3,cort'], "line 2, image a: height is '-3'"),
        (
            [FIVE, 'a,1 1,4,3,cort', 'b,1 1,4,3,cord'],
            "line 3, image b: unknown cell_type 'cord'; did you mean 'cort'",
        ),
        ([FIVE, 'a,1 1,4,3,'], 'line 2, image a: cell_type is empty'),
        (
            [FIVE, 'a,1 1,4,3,cort', 'b,1 1,4,3,cort', 'a,1 1,5,3,cort'],
            "image a has width '4' in line 2 and '5' in line 4",
        ),
        ([FIVE, 'a,1 1,4,3,cort', 'a,2 1,4,3,astro'], "image a has cell_type 'cort' in line 2 and 'astro' in line 3"),
        ([FIVE, 'a,1 1,4,3,cort', 'a,1 1 5,4,3,cort'], 'line 3, image a: RLE has an odd number of values'),
        ([FIVE, 'a,12 2,4,3,cort'], 'line 2, image a: RLE pair 1 "12 2" runs past the image'),
        ([FIVE, 'a,3 2 4 1,4,3,cort'], 'line 2, image a: RLE pair 2 "4 1" starts at pixel x=3 y=0'),
        ([FIVE, 'a,0 2,4,3,cort'], 'line 2, image a: RLE pair 1'),
        ([FIVE, 'a,one 2,4,3,cort'], "line 2, image a: RLE holds 'one'"),
        ([FIVE, 'a,"1 1,4,3,cort'], 'is no CSV row'),
    ],
)
def test_names_what_is_wrong(write, lines, message):
    path = write(*lines)
    with pytest.raises(InputError) as error:
        read_train_csv(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f'{path}: ')


def test_names_a_file_that_is_missing_or_no_text(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        read_train_csv(tmp_path / 'train.csv')
    (tmp_path / 'image.csv').write_bytes(b'\x89PNG\r\n\x1a\n\xff\xfe')
    with pytest.raises(InputError, match='not a text file'):
        read_train_csv(tmp_path / 'image.csv')


@st.composite
def train_images(draw):
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    masks = draw(st.lists(npst.arrays(bool, (height, width)).filter(lambda mask: mask.any()), max_size=4))
    cell_type = draw(st.sampled_from(CELL_TYPES))
    image_id = draw(st.text('abc[]_-,"', min_size=1, max_size=6))
    labels = np.full(len(masks), CELL_TYPES.index(cell_type), dtype=np.int64)
    cells = ImageAnnotations(image_id, (height, width), tuple(map(MaskCrop.from_full, masks)), labels)
    return TrainImage(cells, cell_type, {'sample_id': draw(st.sampled_from(['', 'x_A1-1', 'a, b']))})


@given(st.lists(train_images(), min_size=1, max_size=4, unique_by=lambda image: image.cells.image_id))
def test_reading_undoes_writing(tmp_path_factory, images):
    path = tmp_path_factory.getbasetemp() / 'round_trip.csv'
    write_train_csv(path, images)
    read = read_train_csv(path).images
    assert list(read) == [image.cells.image_id for image in images]
    for before, after in zip(images, read.values(), strict=True):
        assert after.cell_type == before.cell_type
        assert after.details == before.details
        assert after.cells.size == before.cells.size
        size = before.cells.size
        full = [[crop.to_full(size).tolist() for crop in cells.crops] for cells in (before.cells, after.cells)]
        assert full[0] == full[1]


def test_writing_undoes_reading_to_the_byte(write, tmp_path):
    text = [NINE + ',source', 'a,1 1 6 2,4,3,cort,1h,2020-01-01,"s, A1",0 days,', 'b,,4,3,astro,1h,,,,pseudo']
    path = write(*text)
    write_train_csv(tmp_path / 'copy.csv', read_train_csv(path).images.values())
    assert (tmp_path / 'copy.csv').read_bytes() == path.read_bytes()


def test_refuses_to_write_an_image_twice_and_leaves_nothing(tmp_path, write):
    image = read_train_csv(write(FIVE, 'a,1 1,4,3,cort')).images['a']
    with pytest.raises(InputError, match='image a would be written twice'):
        write_train_csv(tmp_path / 'out' / 'copy.csv', [image, image])
    assert list((tmp_path / 'out').iterdir()) == []


@pytest.mark.parametrize(
    ('names', 'classes', 'labels'),
    [
        (['cort', 'cort'], ('shsy5y', 'astro', 'cort'), [2, 2]),
        (['type 10', 'Type 9'], ('Type 9', 'type 10'), [1, 0]),
        (['cortex', 'dendrite'], ('cortex', 'dendrite'), [0, 1]),  # like cort, but none of the competition's beside it
        (['neuron', 'cort'], ('cort', 'neuron'), [1, 0]),
    ],
)
def test_any_class_names(write, names, classes, labels):
    table = read_train_csv(write(FIVE, *(f'{place},1 1,4,3,{name}' for place, name in enumerate(names))))
    assert table.classes == classes
    assert [image.cells.labels.tolist() for image in table.images.values()] == [[label] for label in labels]


def test_refuses_an_image_of_two_classes():
    cells = ImageAnnotations('a', (2, 2), (MaskCrop(np.ones((1, 1), dtype=bool), 0, 0),) * 2, np.array([0, 2]))
    with pytest.raises(InputError, match="image a: its cells are not all of the class 'cort'"):
        TrainImage(cells, 'cort')


@pytest.mark.parametrize('name', ['train.csv', 'train_all_columns_sample.csv'])
def test_real_files_come_back_to_the_byte(real_data, tmp_path, name):
    write_train_csv(tmp_path / name, read_train_csv(real_data / name).images.values())
    assert (tmp_path / name).read_bytes() == (real_data / name).read_bytes()


@pytest.mark.slow
def test_all_real_codes_come_back(real_data):
    rows = 0
    for name in ('train.csv', 'masks_without_images.csv'):
        if not (real_data / name).is_file():
            pytest.skip(f'needs {name}')
        lines = (real_data / name).read_text().splitlines()
        for image in read_train_csv(real_data / name).images.values():
            for crop, line in zip(image.cells.crops, image.lines, strict=True):
                assert kaggle_rle.encode(crop, image.cells.size) == lines[line - 1].split(',')[1]
                rows += 1
    assert rows == 41073
