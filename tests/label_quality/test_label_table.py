"""The CSV as text: read with all cells, and every byte kept."""

import pytest

from sartorius.label_quality import read_label_table
from sartorius.label_quality.table import decode_row, row_text
from sartorius.utils.errors import InputError

HEADER = 'id,annotation,width,height,cell_type'


def write(tmp_path, text: str):
    path = tmp_path / 'train.csv'
    path.write_bytes(text.encode())
    return path


def joined(table) -> str:
    return table.header.text + ''.join(row.text for row in table.rows) + table.tail


def test_cells_know_their_row(tmp_path):
    table = read_label_table(write(tmp_path, f'{HEADER}\na,1 2 11 2,10,4,cort\nb,,10,4,cort\na,5 1,10,4,astro\n'))
    first, second = table.images
    assert (first.image_id, first.size, second.image_id, second.cells) == ('a', (4, 10), 'b', ())
    assert [(cell.row, cell.crop.area, cell.cell_type) for cell in first.cells] == [
        (0, 4, 'cort'),
        (2, 1, 'astro'),
    ]
    assert (first.cells[0].crop.x, first.cells[0].crop.y) == (0, 0)


@pytest.mark.parametrize(
    'text',
    [
        f'{HEADER}\na,1 2,10,4,cort\n',
        f'{HEADER}\r\na,1 2,10,4,cort\r\n',
        f'{HEADER}\na,1 2,10,4,cort',
        f'\ufeff{HEADER}\na,1 2,10,4,cort\n',
        '\ufeff"id",annotation,width,height,cell_type\na,1 2,10,4,cort\n',
        f'\n{HEADER}\n\n\na,1 2,10,4,cort\r\n\nb,1 2,10,4,cort\n\n\n',
        f'{HEADER},note\n"a","1 2","10","4","cort","two\nlines, and ""quotes"""\nb,1 2,10,4,cort,\n',
    ],
)
def test_every_byte_is_kept(tmp_path, text):
    path = write(tmp_path, text)
    table = read_label_table(path)
    assert joined(table).encode() == path.read_bytes()
    assert table.rows[0].fields[:2] == ('a', '1 2')


def test_a_row_is_rewritten_between_its_line_ends(tmp_path):
    path = write(tmp_path, f'{HEADER},note\n\na,1 2,10,4,cort,"x, y"\r\nb,1 2,10,4,cort,\n')
    table = read_label_table(path)
    assert row_text(table.rows[0], table.columns, '3 4', 'astro') == '\na,3 4,10,4,astro,"x, y"\r\n'
    assert decode_row(table.rows[1], table.columns).area == 2


def test_pseudo_labels_of_different_folds_are_images_of_their_own(tmp_path):
    rows = 'a,1 2,10,4,cort,pseudo round 1,0\na,1 3,10,4,cort,pseudo round 1,1\na,1 4,10,4,cort,,\n'
    table = read_label_table(write(tmp_path, f'{HEADER},source,fold\n{rows}'))
    assert [[cell.row for cell in image.cells] for image in table.images] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is empty'),
        ('\n\n', 'is empty'),
        (f'{HEADER}\n', 'no rows below its header'),
        ('id,annotation,width,height\na,1 2,10,4\n', 'column cell_type is missing'),
        (f'{HEADER}\na,1 2,10,4,cort\na,1 2,10\n', 'row 1 below the header has 3 fields, the header 5'),
        (f'{HEADER}\na,1 2,10,4,cort\nb,1 2,10,x,cort\n', "row 1 below the header, image b: height is 'x'"),
        (f'{HEADER}\nb,1 2,10,4,cort\na,1 2,10,4,cord\n', "unknown cell_type 'cord'; did you mean 'cort'"),
        (f'{HEADER}\na,1 2,10,4,cort\na,1 2,11,4,cort\n', 'row 1 .* another width or height than row 0'),
        (
            f'{HEADER}\nb,1 2,10,4,cort\na,1 2,10,4,cort\na,1 2 2 2,10,4,cort\n',
            'row 2 below the header, image a: RLE pair 2',
        ),
    ],
)
def test_bad_files_are_refused_with_their_row(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_label_table(write(tmp_path, text))


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match='no such file'):
        read_label_table(tmp_path / 'none.csv')
    path = tmp_path / 'image.csv'
    path.write_bytes(b'\x89PNG\xff\xfe')
    with pytest.raises(InputError, match='not a text file'):
        read_label_table(path)
