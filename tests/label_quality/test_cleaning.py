"""What is asked for is fixed, in order, and nothing else."""

import numpy as np
import pytest

from sartorius.label_quality import DEFECTS, clean
from sartorius.label_quality.cleaning import summarise_cleaning
from sartorius.label_quality.defects import Rules
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

from .conftest import DRAWN, block, image_of


def shell(x: int, y: int) -> MaskCrop:
    """A hollow square of 10x10 px."""
    mask = np.ones((10, 10), dtype=bool)
    mask[2:8, 2:8] = False
    return MaskCrop(mask, x, y)


def test_nothing_is_changed_that_was_not_asked_for():
    image = image_of([shell(0, 0), block(1, 0, 10, 10), block(30, 0, 1, 40)], ['cort', 'astro', 'cort'])
    cleaning = clean([image])
    assert cleaning.after[0] is image
    assert cleaning.fixes == ()
    assert {issue.defect for issue in cleaning.issues} >= {
        'wrong-class',
        'hollow',
        'sliver',
        'double',
        'overlapping',
    }


@pytest.mark.parametrize('name', DEFECTS)
def test_one_kind_alone_is_fixed(name):
    image = image_of([shell(0, 0), block(1, 0, 10, 10), block(30, 0, 1, 40)], ['cort', 'astro', 'cort'])
    cleaning = clean([image], [name])
    assert {issue.defect for issue in cleaning.fixes} <= {name}
    untouched = {cell.row for cell in image.cells} - {issue.row for issue in cleaning.fixes}
    left = {cell.row: cell for cell in cleaning.after[0].cells}
    assert all(left[row] is image.cells[row] for row in untouched)


def test_later_defects_are_detected_in_what_earlier_fixes_left():
    # The shell has 64 px; filled it is 100 px, of which 12 are shared with the block.
    image = image_of([shell(0, 0), block(8, 0, 6, 6)])
    before, after = clean([image]), clean([image], ['hollow'])
    notes = {issue.defect: issue.note for issue in after.issues}
    assert notes['overlapping'] == '12 px of 100'
    assert {issue.defect: issue.note for issue in before.issues}['overlapping'] == '12 px of 64'
    assert {issue.defect for issue in after.fixes} == {'hollow'}


def test_all_fixes_together_leave_no_issue_of_their_kinds():
    image = image_of([shell(0, 0), block(1, 0, 10, 10), block(30, 0, 1, 40), block(50, 0, 9, 9), block(55, 5, 4, 9)])
    cleaning = clean([image], DRAWN)
    assert [cell.row for cell in cleaning.after[0].cells] == [0, 3, 4]
    assert {issue.defect for issue in clean(cleaning.after).issues}.isdisjoint(DRAWN)


@pytest.mark.parametrize(('names', 'found'), [(('cort', 'astro'), 3), (('alive', 'dead'), 0)])
def test_wrong_classes_in_every_image_are_found_unless_classes_may_mix(names, found):
    """An image of the competition shows one class, even if a cell of a wrong one is in each."""
    own, other = names
    crops = [block(20 * place, 0, 9, 9) for place in range(3)]
    images = [image_of(crops, [own, own, other], name=name) for name in 'abc']
    assert sum(issue.defect == 'wrong-class' for issue in clean(images).issues) == found


def test_unknown_defects_are_refused():
    with pytest.raises(InputError, match="did you mean 'hollow'"):
        clean([], ['holow'])


def test_the_summary_counts_by_class():
    images = [
        image_of([shell(0, 0), block(20, 0, 9, 9), block(20, 0, 9, 9)], 'astro', name='one'),
        image_of([shell(0, 0)], 'cort', name='two', first_row=3),
    ]
    lines = summarise_cleaning(clean(images, ['hollow', 'double']), Rules()).splitlines()
    rows = {
        line.split('|')[1].strip(): [cell.strip() for cell in line.split('|')[2:6]] for line in lines if '|' in line
    }
    assert rows['defect'] == ['astro (3)', 'cort (1)', 'all', 'fixed']
    assert rows['hollow'] == ['1', '1', '2', '2']
    assert rows['double'] == ['1', '0', '1', '1']
    assert rows['sliver'] == ['0', '0', '0', '-']
    assert lines[-4:] == [
        '- images annotated twice: 1 (one: 1 of 3 rows)',
        '- rows: 4',
        '- rows changed: 2',
        '- rows dropped: 1',
    ]
