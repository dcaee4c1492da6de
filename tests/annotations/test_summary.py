"""Tables of the summary."""

from sartorius.annotations.summary import class_table, fold_table, note
from sartorius.utils.classes import CELL_TYPES


def rows_of(table):
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]


def test_class_table():
    header, _, astro, cort, everything = rows_of(
        class_table([('cort', [10, 30]), ('astro', [5]), ('cort', [])], CELL_TYPES)
    )
    assert header[:3] == ['class', 'images', 'cells']
    assert astro == ['astro', '1', '1', '1.0 (0.0; 1-1)', '5.0 (0.0; 5-5)']
    assert cort == ['cort', '2', '2', '1.0 (1.0; 0-2)', '20.0 (10.0; 10-30)']
    assert everything == ['all', '3', '3', '1.0 (0.8; 0-2)', '15.0 (10.8; 5-30)']


def test_class_table_without_cells():
    assert rows_of(class_table([('cort', [])], CELL_TYPES))[2:] == [['cort', '1', '0', '0.0 (0.0; 0-0)', '-']]


def test_fold_table():
    table = rows_of(fold_table([1, 0, 1], ['a', 'b', 'a'], ['cort', 'shsy5y', 'cort'], [4, 9, 6]))
    assert table[0] == ['fold', 'groups', 'images', 'cells', 'shsy5y: images / cells', 'cort: images / cells']
    assert table[2:] == [['0', '1', '1', '9', '1 / 9', '0 / 0'], ['1', '1', '2', '10', '0 / 0', '2 / 10']]


def test_notes_name_the_first_few():
    assert note('holes', 1234) == '- holes: 1,234'
    assert note('lines', [3, 4]) == '- lines: 2 (3, 4)'
    assert note('lines', ['a', 'b', 'c', 'd']) == '- lines: 4 (a, b, c, ...)'
