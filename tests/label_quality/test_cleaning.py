"""What is asked for is fixed, in order, and nothing else."""

import numpy as np
import pytest

from sartorius.label_quality import DEFECTS, clean
from sartorius.label_quality.rules import Rules
from sartorius.label_quality.summary import summarise_cleaning
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

from .conftest import block, image_of


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
    assert {finding.defect for finding in cleaning.findings} == {
        'wrong-class',
        'hollow',
        'sliver',
        'double',
        'overlapping',
    }


@pytest.mark.parametrize('name', DEFECTS)
def test_one_kind_alone_is_mended(name):
    image = image_of([shell(0, 0), block(1, 0, 10, 10), block(30, 0, 1, 40)], ['cort', 'astro', 'cort'])
    cleaning = clean([image], [name])
    assert {finding.defect for finding in cleaning.fixes} <= {name}
    untouched = {label.row for label in image.labels} - {finding.row for finding in cleaning.fixes}
    left = {label.row: label for label in cleaning.after[0].labels}
    assert all(left[row] is image.labels[row] for row in untouched)


def test_later_defects_are_looked_for_in_what_earlier_mends_left():
    # The shell has 64 px; filled it is 100 px, of which 12 are shared with the block.
    image = image_of([shell(0, 0), block(8, 0, 6, 6)])
    before, after = clean([image]), clean([image], ['hollow'])
    remarks = {finding.defect: finding.remark for finding in after.findings}
    assert remarks['overlapping'] == '12 px of 100'
    assert {finding.defect: finding.remark for finding in before.findings}['overlapping'] == '12 px of 64'
    assert [finding.fixed for finding in after.findings] == [True, False]


def test_all_mends_together_leave_no_finding_of_their_kinds():
    image = image_of([shell(0, 0), block(1, 0, 10, 10), block(30, 0, 1, 40), block(50, 0, 9, 9), block(55, 5, 4, 9)])
    cleaning = clean([image], DEFECTS)
    assert [label.row for label in cleaning.after[0].labels] == [0, 3, 4]
    assert clean(cleaning.after, DEFECTS).findings == ()


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
