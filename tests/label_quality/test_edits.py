"""The log: what it says of each edit, and that undoing gives the file back to the byte."""

import csv
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.label_quality import DEFECTS, clean, read_label_table
from sartorius.label_quality.edits import COLUMNS, edited_text, edits_of, read_log, undo_edits, write_log
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

from .conftest import DRAWN, block


def shell(x: int, y: int) -> MaskCrop:
    mask = np.ones((10, 10), dtype=bool)
    mask[2:8, 2:8] = False
    return MaskCrop(mask, x, y)


def with_speck(crop: MaskCrop) -> MaskCrop:
    mask = np.pad(crop.mask, ((0, 0), (0, 3)))
    mask[0, -1] = True
    return MaskCrop(mask, crop.x, crop.y)


IMAGES = {
    'a': [
        (with_speck(shell(0, 0)), 'cort'),
        (block(1, 0, 10, 10), 'cort'),
        (block(30, 0, 9, 9), 'astro'),
        (block(30, 20, 1, 40), 'cort'),
    ],
    'b': [(block(0, 0, 1, 9), 'astro'), (block(5, 0, 1, 9), 'astro')],
    'c': [(None, 'cort')],
}


@pytest.fixture
def cleaned(write_csv, tmp_path):
    """Everything of IMAGES fixed: path of the source, of the cleaned CSV, and the edits as read from the log."""

    def make(fix=DRAWN, **form):
        source = write_csv(IMAGES, **form)
        table = read_label_table(source)
        edits = edits_of(table, clean(table.images, fix))
        path, log = tmp_path / 'clean.csv', tmp_path / 'log.csv'
        path.write_bytes(edited_text(table, edits).encode())
        write_log(log, edits)
        assert read_log(log) == tuple(replace(edit, iou=round(edit.iou, 4)) for edit in edits)
        return source, path, read_log(log)

    return make


def test_each_edit_is_a_line_with_areas_and_iou(cleaned, tmp_path):
    cleaned()
    with open(tmp_path / 'log.csv', newline='') as file:
        lines = file.read().splitlines()
    rows = list(csv.reader(lines))
    assert rows[0] == list(COLUMNS)
    assert [row[:6] for row in rows[1:]] == [
        ['a', '2', 'wrong-class', '81', '81', '1.0000'],
        ['a', '0', 'hollow', '65', '101', f'{65 / 101:.4f}'],
        ['a', '0', 'speck', '101', '100', f'{100 / 101:.4f}'],
        ['a', '3', 'sliver', '40', '0', '0.0000'],
        ['a', '1', 'double', '100', '0', '0.0000'],
        ['b', '4', 'sliver', '9', '0', '0.0000'],
        ['b', '5', 'sliver', '9', '0', '0.0000'],
    ]


def test_the_cleaned_csv_reads_as_the_fixed_cells(cleaned):
    _, path, _ = cleaned()
    table = read_label_table(path)
    assert [(image.image_id, len(image.cells)) for image in table.images] == [('a', 2), ('b', 0), ('c', 0)]
    assert [cell.cell_type for cell in table.images[0].cells] == ['cort', 'cort']
    # An image that lost all its cells keeps one row, without an annotation.
    assert table.rows[2].text == 'b,,80,60,astro\n'


@pytest.mark.parametrize('form', [{}, {'line_end': '\r\n', 'last': '\r\n'}, {'last': ''}, {'last': '\n\n\n'}])
def test_undoing_everything_gives_the_file_back_to_the_byte(cleaned, form):
    source, path, edits = cleaned(**form)
    text, left = undo_edits(path, edits, lambda edit: True)
    assert text.encode() == source.read_bytes() != path.read_bytes()
    assert left == []


@pytest.mark.parametrize('undone', ['wrong-class', 'hollow', 'speck', 'sliver', 'double'])
def test_undoing_some_is_as_if_they_had_never_been_made(cleaned, undone):
    # Without those that would be found in what the undone edits leave.
    fix = [name for name in DRAWN if name not in ('overlapping', 'size')]
    _, path, edits = cleaned(fix)
    text, left = undo_edits(path, edits, lambda edit: edit.defect == undone)
    source, other, direct = cleaned([name for name in fix if name != undone])
    assert text.encode() == other.read_bytes()
    # But for the notes, which tell what was seen then.
    assert [replace(edit, iou=round(edit.iou, 4), note='') for edit in left] == sorted(
        (replace(edit, note='') for edit in direct), key=lambda edit: edit.row
    )
    # The log of what is left undoes the rest.
    path.write_bytes(text.encode())
    assert undo_edits(path, left, lambda edit: True)[0].encode() == source.read_bytes()


def test_rows_added_since_and_rows_without_edits_may_have_changed(cleaned):
    source, path, edits = cleaned()
    path.write_text(path.read_text() + 'new,1 2,80,60,cort\n')
    text, _ = undo_edits(path, edits, lambda edit: True)
    assert text == source.read_text() + 'new,1 2,80,60,cort\n'


def test_a_last_row_without_a_line_end_is_put_back_as_a_row_of_its_own(write_csv, tmp_path):
    source = write_csv({'a': [(block(0, 0, 9, 9), 'cort'), (block(0, 0, 9, 9), 'cort')]}, last='')
    table = read_label_table(source)
    edits = edits_of(table, clean(table.images, ['double']))
    path = tmp_path / 'clean.csv'
    path.write_text(edited_text(table, edits) + 'new,1 2,80,60,cort\n')
    text, _ = undo_edits(path, edits, lambda edit: True)
    assert text == source.read_text() + '\nnew,1 2,80,60,cort\n'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda text: text.replace('a,1 10', 'a,1 9', 1),
            'row 0 of the original, image a, differs from its text',
        ),
        (lambda text: ''.join(text.splitlines(keepends=True)[:3]), 'fewer rows than its log'),
        (lambda text: ''.join(text.splitlines(keepends=True)[:1] + text.splitlines(keepends=True)[2:]), 'row 0'),
    ],
)
def test_a_csv_that_is_not_the_logs_is_refused(cleaned, change, message):
    _, path, edits = cleaned()
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        undo_edits(path, edits, lambda edit: True)


def test_a_file_that_is_no_log_is_refused(tmp_path, cleaned):
    source, _, _ = cleaned()
    with pytest.raises(InputError, match='not a log of edits'):
        read_log(source)
    log = tmp_path / 'log.csv'
    log.write_text(log.read_text().replace(',wrong-class,81,', ',wrong-class,many,'))
    with pytest.raises(InputError, match='line 2 is not an edit'):
        read_log(log)


@st.composite
def random_tables(draw):
    """Text of a CSV of two images with blobs that overlap, are hollow, torn, narrow, of either class."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    line_end = draw(st.sampled_from(['\n', '\r\n']))
    lines = ['id,annotation,width,height,cell_type,note']
    for _ in range(draw(st.integers(1, 12))):
        mask = np.zeros((20, 30), dtype=bool)
        for _ in range(rng.integers(1, 3)):
            y, x = rng.integers(0, 15), rng.integers(0, 22)
            mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = True
        if rng.random() < 0.4:
            mask &= rng.random(mask.shape) < 0.9
        code = kaggle_rle.encode(MaskCrop.from_full(mask), mask.shape)
        note = rng.choice(['', '"a, b"', 'é', '"say ""x"""', '"two' + line_end + 'lines"'])
        lines.append(f'{rng.choice(["p", "q"])},{code},30,20,{rng.choice(["astro", "cort"], p=[0.8, 0.2])},{note}')
        if rng.random() < 0.1:
            lines.append('')
    return line_end.join(lines) + draw(st.sampled_from(['', line_end, line_end * 3]))


@settings(max_examples=60)
@given(text=random_tables(), seed=st.integers(0, 99))
def test_undoing_in_any_two_steps_gives_any_file_back(tmp_path_factory, text, seed):
    folder = tmp_path_factory.mktemp('edits')
    source, path, log = (folder / name for name in ('source.csv', 'clean.csv', 'log.csv'))
    source.write_bytes(text.encode())
    table = read_label_table(source)
    chance = random.Random(seed)
    fix = [name for name in DEFECTS if chance.random() < 0.7]
    edits = edits_of(table, clean(table.images, fix))
    path.write_bytes(edited_text(table, edits).encode())
    read_label_table(path)
    write_log(log, edits)
    logged = read_log(log)
    first = {id(edit) for edit in logged if chance.random() < 0.5}
    halfway, left = undo_edits(path, logged, lambda edit: id(edit) in first)
    path.write_bytes(halfway.encode())
    read_label_table(path)
    assert undo_edits(path, left, lambda edit: True)[0].encode() == source.read_bytes()
