"""Each detector on drawn cells whose issues can be checked by hand."""

import numpy as np
import pytest

from sartorius.label_quality import DEFECTS, AnnotatedCell, AnnotatedImage, Issue, Rules
from sartorius.label_quality.cleaning import clean, summarise_cleaning
from sartorius.label_quality.defects import Detection, doubled_images, register_defect, safe_defects
from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

from .conftest import block, crop_of, image_of


def find(name: str, image: AnnotatedImage, rules: Rules | None = None) -> list[Issue]:
    return list(DEFECTS[name].find(image, rules or Rules()))


def the_only(name: str, image: AnnotatedImage, rules: Rules | None = None) -> Issue:
    (issue,) = find(name, image, rules)
    return issue


CLEAN = image_of([block(5, 5, 8, 6), block(13, 5, 8, 6), block(5, 25, 10, 10)])


@pytest.mark.parametrize('name', DEFECTS)
def test_clean_cells_have_no_defect(name):
    assert find(name, CLEAN) == []


@pytest.mark.parametrize('name', DEFECTS)
def test_an_image_without_cells_has_no_defect(name):
    assert find(name, image_of([])) == []


def test_a_hollow_cell_is_filled():
    issue = the_only('hollow', image_of([block(0, 0, 9, 9), crop_of('##### #...# #.#.# #####', 20, 30)]))
    assert issue.row == 1
    assert issue.after.crop.mask.all()
    assert (issue.area_before, issue.area_after) == (15, 20)
    assert issue.iou == 15 / 20
    assert issue.note == '5 px in holes'


def test_a_branch_left_hollow_by_a_convex_fill_is_said_to_be():
    cup = np.ones((24, 40), dtype=bool)
    cup[:16, 8:30] = False
    cup[:4, :8] = False
    broken = fill_as_convex(MaskCrop(cup, 5, 5))
    issue = the_only('hollow', image_of([broken]))
    assert issue.note.endswith('left by a convex fill')
    assert (issue.after.crop.mask == cup).all()


def test_a_filled_bay_is_cut():
    arch = np.ones((30, 60), dtype=bool)
    arch[6:, 6:54] = False
    arch[22:, :6] = False
    broken = fill_as_convex(MaskCrop(arch, 2, 3))
    issue = the_only('convex-filled', image_of([block(0, 50, 9, 9), broken]))
    assert issue.row == 1
    assert issue.note.startswith('straight run of 48 px')
    assert issue.area_after < issue.area_before == broken.area
    assert not (issue.after.crop.mask & ~broken.mask).any()
    assert find('convex-filled', image_of([broken]), Rules(min_run=49)) == []


def test_small_pieces_are_specks_and_large_ones_pieces():
    # 41 px, 14 px (34 %) and 1 px (2.4 %); the diagonal neighbour belongs to the first.
    rows = ['########...##'] * 5 + ['........#..##', '...........##', '.............', '#............']
    cell = crop_of(' '.join(rows))
    image = image_of([cell])
    speck = the_only('speck', image)
    assert speck.note == '1 of 1 px beside 41 px'
    assert speck.area_after == cell.area - 1
    pieces = the_only('pieces', image, Rules(piece_gap=1))
    assert pieces.note == 'pieces of 41, 14 px'
    assert pieces.after.crop.area == 41


def test_pieces_are_joined_over_a_narrow_gap():
    halves = crop_of(' '.join(['######...######'] * 8))
    joined = the_only('pieces', image_of([halves])).after.crop
    assert (joined.mask == np.ones((8, 15), dtype=bool)).all()
    apart = the_only('pieces', image_of([halves]), Rules(piece_gap=2)).after.crop
    assert apart.area == 48


def test_slivers_are_nowhere_wider_than_two_pixels():
    diagonal = MaskCrop(np.eye(20, dtype=bool) | np.eye(20, k=1, dtype=bool), 30, 30)
    image = image_of([block(0, 0, 2, 30), block(4, 0, 3, 30), diagonal])
    found = find('sliver', image)
    assert [(issue.row, issue.after) for issue in found] == [(0, None), (2, None)]
    assert found[0].iou == 0
    assert [issue.row for issue in find('sliver', image, Rules(sliver_width=3))] == [0, 1, 2]


def test_a_hollow_cell_is_no_sliver():
    assert find('sliver', image_of([crop_of('##### #...# #...# #...# #####')])) == []


def test_the_later_of_two_annotations_of_a_cell_goes():
    # 10x10 px and the same one column further: 90 shared of 110.
    image = image_of([block(0, 0, 10, 10), block(40, 0, 10, 10), block(1, 0, 10, 10)])
    issue = the_only('double', image)
    assert (issue.row, issue.after, issue.others) == (2, None, (0,))
    assert issue.note == 'IoU 0.82 with row 0'
    assert find('double', image, Rules(double_iou=0.82)) == []


def test_an_iou_at_the_limit_is_a_double():
    # 10x10 px and its left half: 50 of 100.
    assert the_only('double', image_of([block(0, 0, 10, 10), block(0, 0, 5, 10)])).row == 1


def test_of_three_annotations_the_first_stays_and_a_chain_is_no_double():
    three = image_of([block(0, 0, 10, 10), block(1, 0, 10, 10), block(0, 0, 10, 10)])
    assert [(issue.row, issue.others) for issue in find('double', three)] == [(1, (0,)), (2, (0,))]
    # Each is a double of the one before; the third is none of the first (6 shared of 14 columns) and stays.
    chain = image_of([block(0, 0, 10, 10), block(2, 0, 10, 10), block(4, 0, 10, 10)])
    assert [issue.row for issue in find('double', chain)] == [1]


def test_a_hollow_double_is_one():
    shell = np.ones((10, 10), dtype=bool)
    shell[2:8, 2:8] = False
    assert the_only('double', image_of([block(0, 0, 10, 10), MaskCrop(shell, 0, 0)])).row == 1


def test_images_annotated_twice_are_told():
    once = image_of([block(0, 0, 5, 5), block(10, 0, 5, 5), block(20, 0, 5, 5), block(0, 0, 5, 5)], name='once')
    twice = image_of([block(0, 0, 5, 5), block(10, 0, 5, 5), block(0, 0, 5, 5), block(10, 0, 5, 5)], name='twice')
    issues = [*find('double', once), *find('double', twice)]
    assert doubled_images([once, twice, CLEAN], issues, 0.6) == {'twice': (2, 4)}
    assert doubled_images([once, twice, CLEAN], issues, 0.5) == {'once': (1, 4), 'twice': (2, 4)}


def test_shared_pixels_are_left_to_the_smaller_cell():
    large, small = block(0, 0, 10, 10), block(8, 0, 6, 6)
    issue = the_only('overlapping', image_of([large, small]))
    assert (issue.row, issue.others) == (0, (1,))
    assert issue.area_after == 100 - 12
    assert issue.note == '12 px of 100'
    # Of two equally large ones the earlier keeps them.
    assert the_only('overlapping', image_of([block(0, 0, 4, 4), block(3, 0, 4, 4)])).row == 1


def test_a_cell_covered_by_smaller_ones_goes():
    issue = the_only('overlapping', image_of([block(0, 0, 4, 4), block(0, 0, 4, 2), block(0, 2, 4, 2)]))
    assert (issue.row, issue.after, issue.others) == (0, None, (1, 2))


def test_sizes_outside_the_range_of_the_class():
    rules = Rules(areas={'cort': (30, 100), 'astro': (0, 9)})
    image = image_of(
        [block(0, 0, 29, 1), block(0, 4, 30, 1), block(0, 10, 10, 10), block(20, 10, 101, 1)], size=(60, 200)
    )
    assert [issue.row for issue in find('size', image, rules)] == [0, 3]
    # A class without a range has none.
    assert find('size', image_of([block(0, 0, 1, 1)], 'shsy5y'), rules) == []


def test_rows_of_another_class_than_most_of_their_image():
    image = image_of([block(0, 0, 5, 5), block(9, 0, 5, 5), block(18, 0, 5, 5)], ['astro', 'cort', 'cort'])
    issue = the_only('wrong-class', image)
    assert (issue.row, issue.after.cell_type) == (0, 'cort')
    assert issue.after.crop is issue.before.crop
    assert issue.iou == 1.0
    assert issue.note == 'astro in an image of 2 cort'


def test_of_two_classes_alike_the_first_is_the_images():
    image = image_of([block(0, 0, 5, 5), block(9, 0, 5, 5)], ['astro', 'cort'])
    assert image.cell_type == 'astro'
    assert the_only('wrong-class', image).row == 1


def test_iou_of_crops_in_different_windows():
    before, after = (AnnotatedCell(0, block(x, 7, 4, 4), 'cort') for x in (5, 7))
    assert Issue('a', 'size', before, after, '').iou == 8 / 24


def test_a_new_defect_is_one_detector_and_one_registration():
    @register_defect('toy', 'touches the top or left border of the image', fix='drops the row')
    def detect_at_border(image, rules):
        for cell in image.cells:
            if min(cell.crop.window[:2]) <= 0:
                yield Detection(cell, None, 'at the border')

    try:
        cleaning = clean([image_of([block(0, 3, 5, 5), block(9, 9, 5, 5)])], ['toy'])
        assert [(issue.defect, issue.row, issue.note) for issue in cleaning.fixes] == [('toy', 0, 'at the border')]
        assert [cell.row for cell in cleaning.after[0].cells] == [1]
        assert '| toy' in summarise_cleaning(cleaning, Rules())
        assert 'toy' not in safe_defects()
        with pytest.raises(ValueError, match="there is a defect 'toy' already"):
            register_defect('toy', '', '')(detect_at_border)
    finally:
        del DEFECTS['toy']


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'min_run': 0}, 'min_run is 0'),
        ({'double_iou': 0.0}, 'double_iou is 0'),
        ({'min_likeness': 1.5}, 'between 0 and 1'),
        ({'areas': {'astro': (3, 2)}}, 'the smaller first'),
    ],
)
def test_senseless_rules_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Rules(**values)
