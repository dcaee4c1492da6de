"""The data report: its numbers on cells of known shape, what it shows of them, and data that lack something."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from sartorius.annotations.folds import assign_folds
from sartorius.label_quality import Rules, clean, read_label_table
from sartorius.label_quality.fold_balance import fold_balance
from sartorius.label_quality.statistics import (
    image_files,
    length_over_width,
    measure,
    outliers,
    solidity,
)
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.charts import Series, bin_shares, histogram_chart, log_ticks, point_chart, spaced_ticks
from sartorius.visualization.data_report_page import write_data_report
from sartorius.visualization.data_report_page_defects import clearest

from .html_page import HOSTILE, Page, check

SIZE = (60, 80)
ELL = np.ones((10, 10), dtype=bool)
ELL[:5, 5:] = False

Cell = tuple[str, MaskCrop | None, str]


def block(x: int, y: int, width: int, height: int) -> MaskCrop:
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def write_csv(path: Path, cells: Sequence[Cell], **columns: Sequence[str]) -> Path:
    """A training CSV of cells ``(image id, crop or None for an image without cells, class)`` and further columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['id', 'annotation', 'width', 'height', 'cell_type', *columns])
        for number, (image_id, crop, cell_type) in enumerate(cells):
            code = '' if crop is None else kaggle_rle.encode(crop, SIZE)
            writer.writerow(
                [image_id, code, SIZE[1], SIZE[0], cell_type, *(values[number] for values in columns.values())]
            )
    return path


def statistics(path: Path, fix: Sequence[str] = ()):
    table = read_label_table(path)
    cleaning = clean(table.images, fix)
    return table, cleaning, measure(table, cleaning, {})


def report(out: Path, path: Path, fix: Sequence[str] = (), **options: object) -> Page:
    table = read_label_table(path)
    return check(write_data_report(out, table, clean(table.images, fix), Rules(), **options))


def hollow(x: int, y: int) -> MaskCrop:
    """A square of 12 pixels with a hole of 4."""
    mask = np.ones((12, 12), dtype=bool)
    mask[4:8, 4:8] = False
    return MaskCrop(mask, x, y)


DIAMOND = np.add.outer(np.abs(np.arange(-10, 11)), np.abs(np.arange(-10, 11))) <= 10


@pytest.mark.parametrize(
    ('mask', 'ratio', 'filled'),
    [
        (np.ones((4, 20), dtype=bool), 5, 1),
        (np.ones((20, 4), dtype=bool), 5, 1),
        (np.ones((1, 1), dtype=bool), 1, 1),
        # A line has the width of its pixels.
        (np.ones((1, 9), dtype=bool), 9, 1),
        # Its hull lacks a triangle of 12.5 of the 100 pixels of the square, it lacks 25.
        (ELL, None, 75 / 87.5),
        # Room around the cell changes nothing.
        (np.pad(ELL, ((0, 3), (4, 2))), None, 75 / 87.5),
        # The corners of its pixels span an octagon: 21 x 21 without four triangles of legs of 10.
        (DIAMOND, 1, 221 / (441 - 4 * 50)),
    ],
)
def test_shapes(mask: np.ndarray, ratio: float | None, filled: float) -> None:
    assert solidity(mask) == pytest.approx(filled)
    if ratio is not None:
        assert length_over_width(mask) == pytest.approx(ratio)
        assert length_over_width(mask.T) == pytest.approx(ratio)


def test_a_diagonal_bar_is_as_long_as_a_straight_one() -> None:
    rows, columns = np.mgrid[:80, :80]
    along, across = (rows + columns) / np.sqrt(2), (rows - columns) / np.sqrt(2)
    bar = (np.abs(along - 56) < 30) & (np.abs(across) < 10)
    assert length_over_width(bar) == pytest.approx(3, rel=0.03)


def test_cells_and_images_are_measured(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / 'train.csv',
        [
            ('a', block(0, 0, 20, 4), 'astro'),
            ('b', None, 'cort'),
            ('a', block(10, 2, 20, 4), 'astro'),
            ('c', MaskCrop(ELL, 30, 30), 'shsy5y'),
        ],
    )
    _, _, data = statistics(path)
    assert data.classes == ('shsy5y', 'astro', 'cort')
    assert data.cells['area'].to_dict() == {0: 80, 2: 80, 3: 75}
    assert data.cells.loc[0, 'elongation'] == pytest.approx(5)
    assert data.cells.loc[3, 'solidity'] == pytest.approx(75 / 87.5)
    images = data.images.set_index('image_id')
    assert images['cells'].to_dict() == {'a': 2, 'b': 0, 'c': 1}
    # An image without cells has the class of its row.
    assert images['cell_type'].to_dict() == {'a': 'astro', 'b': 'cort', 'c': 'shsy5y'}
    # The two bars share 10 x 2 pixels.
    assert images.loc['a', 'covered'] == pytest.approx(140 / 4800)
    assert images.loc['a', 'shared'] == pytest.approx(20 / 140)
    assert images.loc['b', 'covered'] == 0
    assert np.isnan(images.loc['b', 'shared'])
    overlapping = data.issues[data.issues['defect'] == 'overlapping']
    assert overlapping[['id', 'row', 'image', 'area_before', 'area_after']].to_numpy().tolist() == [['a', 2, 0, 80, 60]]
    assert overlapping['iou'].tolist() == pytest.approx([0.75])


def test_outliers_stand_out_of_their_own_class() -> None:
    values = {'shsy5y': [50, 51, 52, 53, 54, 90], 'astro': [88, 89, 90, 91, 92], 'cort': [10, 10, 10, 200]}
    images = pd.DataFrame(
        [(f'{name}{n}', name, value) for name, own in values.items() for n, value in enumerate(own)],
        columns=['image_id', 'cell_type', 'grey'],
    )
    # 90 is usual for astro, and four images of cort are too few.
    unusual = outliers(images, 'grey')
    assert unusual['image_id'].tolist() == ['shsy5y5']
    # Deviations of 2.5, 1.5, .5, .5, 1.5 and 37.5 about 52.5 have the median 1.5.
    assert unusual['deviation'].iloc[0] == pytest.approx(0.6745 * 37.5 / 1.5)
    images['grey'] = 1000 + images['grey'] / 100
    assert outliers(images, 'grey').empty


def test_histogram_bins() -> None:
    edges = np.array([0.0, 1, 2, 4])
    assert bin_shares(np.array([0.5, 1, 1.5, 4, 9, -3, 2, 2]), edges).tolist() == [0.25, 0.25, 0.5]
    svg = histogram_chart([Series('a<b', 'k0', np.array([10.0, 10, 100]), ())], 'pixels', 'px', logarithmic=True)
    bars = re.findall(r'<rect class="column k0"[^>]*><title>a&lt;b, ([\d.,]+) to ([\d.,]+) px: ([\d.]+)%', svg)
    assert [share for *_, share in bars] == ['66.7', '33.3']
    assert bars[0][0] == '10'
    assert bars[1][1] == '100'
    assert 'median 10<' in svg


@pytest.mark.parametrize('values', [[], [3.0], [3.0, 3.0], [1.0, 1e6]])
def test_charts_stay_in_their_frame(values: list[float]) -> None:
    groups = [Series('a', 'k0', np.array(values), [str(value) for value in values])] if values else []
    for svg in (
        histogram_chart(groups, 'x'),
        histogram_chart(groups, 'x', logarithmic=True),
        point_chart([(group, group.values) for group in groups], 'x', 'x', 'y'),
        point_chart([(group, group.values) for group in groups], 'x', 'x', 'y', logarithmic_x=True),
    ):
        assert 'nan' not in svg
        width, height = (float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        assert all(0 <= float(x) <= width for x in re.findall(r' c?x="([-\d.]+)"', svg))
        assert all(0 <= float(y) <= height for y in re.findall(r' c?y="([-\d.]+)"', svg))


def test_ticks() -> None:
    assert log_ticks(30, 13000) == [30, 100, 300, 1000, 3000, 10000]
    assert log_ticks(1, 12) == [1, 2, 5, 10]
    assert spaced_ticks(127.1, 128.1) == [127.2, 127.4, 127.6, 127.8, 128.0]


def test_the_page_says_what_was_counted(tmp_path: Path) -> None:
    cells = [(f'<b>{n}', block(2, 2, 12, 12), 'cort') for n in range(6)]
    cells += [('<b>0', hollow(30, 30), 'cort'), ('<b>0', hollow(60, 5), 'cort'), ('d', block(9, 9, 40, 10), HOSTILE)]
    path = write_csv(tmp_path / 'train.csv', cells)
    folder = tmp_path / 'images'
    folder.mkdir()
    cv2.imwrite(str(folder / '<b>0.png'), np.full(SIZE, 100, dtype=np.uint8))
    cv2.imwrite(str(folder / 'other.png'), np.zeros((3, 3), dtype=np.uint8))
    page = report(tmp_path / 'out', path, images=folder)
    assert '9 annotated cells in 7 images of train.csv' in page.text
    assert '1 of the images were available' in page.text
    assert 'Images 7 1 of them available' in page.text
    assert 'Cells 9 1.3 per image' in page.text
    assert 'Cells with an issue 22.2% 2 cells' in page.text
    assert 'hollow background enclosed by the cell fills it 2 22.22% 2 25.00% 0' in page.text
    assert '<b>0' in page.text
    assert HOSTILE in page.text
    assert 'split image by image' in page.text
    # Both hollow cells are of the available image: the image, before and after.
    assert {'image around row 6', 'hollow, row 6: before', 'hollow, row 6: after'} <= set(page.values('aria-label'))
    assert 'Before, 128 px' in page.text
    assert 'After, 144 px' in page.text
    rows = list(csv.DictReader((tmp_path / 'out/issues.csv').read_text().splitlines()))
    assert [row['defect'] for row in rows] == ['hollow', 'hollow']
    assert rows[0] == {
        'id': '<b>0', 'row': '6', 'cell_type': 'cort', 'defect': 'hollow', 'fixed': 'False', 'area_before': '128',
        'area_after': '144', 'iou': f'{128 / 144:.4f}', 'note': '16 px in holes',
    }  # fmt: skip


def test_fixes_are_marked_and_images_shown_as_before_them(tmp_path: Path) -> None:
    path = write_csv(tmp_path / 'train.csv', [('a', hollow(5, 5), 'cort'), ('a', hollow(5, 5), 'cort')])
    page = report(tmp_path / 'out', path, fix=('hollow', 'double'), images=None)
    assert 'Cells 2 2.0 per image' in page.text
    assert 'Fixed 3 of the issues' in page.text
    assert 'Annotated twice as a whole, or nearly so: a (1 doubles in 2 cells).' in page.text
    # Without the image there is none to see, and the row that goes leaves nothing but the other cell.
    assert 'image around row 1' not in page.values('aria-label')
    assert 'After, row removed' in page.text
    assert 'No image is available' in page.text


def test_no_findings_and_one_class(tmp_path: Path) -> None:
    path = write_csv(tmp_path / 'train.csv', [('a', block(5, 5, 20, 20), 'cort'), ('b', None, 'cort')])
    page = report(tmp_path / 'out', path)
    assert 'Issues 0' in page.text
    assert 'Cells with an issue 0.0%' in page.text
    assert 'astro' not in page.text.split('Source')[0]
    assert 'The clearest' not in page.text
    assert 'No folds: 5 need as many groups. 2 images' in page.text
    assert (tmp_path / 'out/issues.csv').read_text().count('\n') == 1


def test_no_cells_at_all(tmp_path: Path) -> None:
    page = report(tmp_path / 'out', write_csv(tmp_path / 'train.csv', [('a', None, 'cort')]))
    assert '0 annotated cells in 1 images' in page.text


def test_the_number_of_examples_is_kept(tmp_path: Path) -> None:
    cells = [(f'i{n}', hollow(5, 5), 'cort') for n in range(4)]
    path = write_csv(tmp_path / 'train.csv', cells)
    for most in (0, 3):
        page = report(tmp_path / 'out', path, max_examples=most)
        assert len([label for label in page.values('aria-label') if label.endswith('before')]) == most
    with pytest.raises(InputError, match='max_examples is -1'):
        report(tmp_path / 'out', path, max_examples=-1)


def test_pictures_have_the_cell_its_neighbours_and_those_it_is_about(tmp_path: Path) -> None:
    twice = block(40, 30, 20, 20)
    cells = [hollow(5, 5), block(20, 5, 9, 9), twice, twice, block(2, 40, 12, 12), block(12, 40, 14, 14)]
    path = write_csv(tmp_path / 'train.csv', [('a', crop, 'cort') for crop in cells])
    text = write_data_report(
        tmp_path / 'out', (table := read_label_table(path)), clean(table.images), Rules(), None, max_examples=1
    ).read_text()
    drawn = {
        row: [len(re.findall(f'<path class="{kind}"', figure)) for kind in ('cell', 'near', 'other', 'cut', 'added')]
        for figure in re.findall('<figure.*?</figure>', text)
        for row in re.findall(r' row (\d+) ·', figure)
    }
    # The double is the clearest of the overlapping ones too, but it has been shown, and row 5 comes in its place. Views
    # are 56 pixels wide: those of rows 0 and 5 show all cells, that of row 3 begins at column 22, beyond rows 0 and 4.
    assert drawn == {'0': [2, 5, 0, 0, 1], '3': [1, 2, 1, 0, 0], '5': [2, 4, 1, 1, 0]}


def test_examples_are_of_all_classes_and_images_and_of_images_at_hand_first() -> None:
    columns = ['image', 'id', 'row', 'cell_type', 'area_before', 'area_after', 'iou']
    rows = [
        (0, 'a', 10, 'cort', 400, 400, 0.5),
        (0, 'a', 11, 'cort', 400, 400, 0.55),
        (1, 'b', 12, 'cort', 100, 100, 0.5),
        (2, 'c', 13, 'astro', 100, 100, 0.5),
        # The largest change of all, but its image is not available.
        (3, 'd', 14, 'cort', 900, 900, 0.1),
        # Less than half as clear as the best of its class.
        (4, 'e', 15, 'cort', 400, 400, 0.95),
        # Clear, but better shown as another defect.
        (5, 'f', 16, 'cort', 900, 0, 0.0),
    ]
    issues = pd.DataFrame(rows, columns=columns, index=range(100, 107))
    chosen = clearest(issues.drop(index=106), {'a', 'b', 'c', 'e'}, set(), 99)
    assert issues.loc[chosen, 'row'].tolist() == [10, 13, 12, 11, 15, 14]
    with_file = {'a', 'c', 'f'}
    assert issues.loc[clearest(issues, with_file, set(), 2), 'row'].tolist() == [16, 13]
    assert issues.loc[clearest(issues, with_file, {16}, 99), 'row'].tolist()[:4] == [10, 13, 11, 16]
    # Masks that are kept differ by their class alone; the larger cell comes first.
    same = issues.iloc[[2, 0]].assign(iou=1.0)
    assert clearest(same, set(), set(), 1) == [100]


def test_folds_are_those_of_the_preparation(tmp_path: Path) -> None:
    cells = [(f'i{n}', block(n, n, 10, 10), 'cort') for n in range(8)]
    samples = [f'cort[plate]_{"ABCDEF"[n % 6]}1-1_Vessel-2_Ph_1' for n in range(8)]
    table, _, data = statistics(write_csv(tmp_path / 'train.csv', cells, sample_id=samples))
    balance = fold_balance(table, data.images, None)
    groups = [f'cort[plate]_{"ABCDEF"[n % 6]}1' for n in range(8)]
    assert balance.images['group'].tolist() == groups
    assert balance.images['fold'].tolist() == assign_folds(groups, ['cort'] * 8, [1] * 8, 5, 0)
    assert '5 folds, seed 0, grouped by plate and well (6 groups)' in balance.origin


def test_pseudo_labelled_images_validate_nowhere(tmp_path: Path) -> None:
    cells = [(f'i{n}', block(n, n, 10, 10), 'cort') for n in range(7)]
    table, _, data = statistics(write_csv(tmp_path / 'train.csv', cells, source=['model', *[''] * 6]))
    assert fold_balance(table, data.images, None).images['image_id'].tolist() == [f'i{n}' for n in range(1, 7)]


def test_folds_of_a_file(tmp_path: Path) -> None:
    cells = [(f'i{n}', block(n, n, 10, 10), 'cort') for n in range(3)]
    table, _, data = statistics(write_csv(tmp_path / 'train.csv', cells))
    folds = tmp_path / 'folds.csv'
    folds.write_text('id,cell_type,group,fold\ni0,cort,g,1\ni1,cort,g,-1\nother,cort,h,0\n')
    balance = fold_balance(table, data.images, folds)
    assert balance.images[['image_id', 'group', 'fold']].to_numpy().tolist() == [['i0', 'g', 1]]
    assert '1 images are not in it' in balance.origin
    assert '1 images of it are not in train.csv' in balance.origin
    folds.write_text('id,group,fold\ni0,g,first\n')
    with pytest.raises(InputError, match=r"folds\.csv: row 0 below the header: fold is 'first'"):
        fold_balance(table, data.images, folds)
    folds.write_text('id,fold\ni0,1\n')
    with pytest.raises(InputError, match='column group is missing'):
        fold_balance(table, data.images, folds)
    with pytest.raises(InputError, match='no such file'):
        fold_balance(table, data.images, tmp_path / 'none.csv')


def test_grey_levels_are_those_of_the_files(tmp_path: Path) -> None:
    path = write_csv(tmp_path / 'train.csv', [(name, block(0, 0, 9, 9), 'cort') for name in 'abc'])
    levels = np.full(SIZE, 1000, dtype=np.uint16)
    levels[:30] = 3000
    cv2.imwrite(str(tmp_path / 'a.TIF'), levels)
    table = read_label_table(path)
    cleaning = clean(table.images)
    images = measure(table, cleaning, image_files(tmp_path, table.images)).images
    assert images.loc[0, ['grey', 'grey_std']].tolist() == [2000, 1000]
    assert images.loc[1:, 'grey'].isna().all()


def test_images_that_do_not_fit_leave_no_page(tmp_path: Path) -> None:
    path = write_csv(tmp_path / 'train.csv', [('a', block(0, 0, 9, 9), 'cort')])
    (tmp_path / 'images').mkdir()
    with pytest.raises(InputError, match='none is not a folder'):
        report(tmp_path / 'out', path, images=tmp_path / 'none')
    cv2.imwrite(str(tmp_path / 'images/a.png'), np.zeros((60, 81), dtype=np.uint8))
    with pytest.raises(InputError, match=r'a\.png is 81x60 px, its cells are for 80x60 px'):
        report(tmp_path / 'out', path, images=tmp_path / 'images')
    assert not (tmp_path / 'out').exists()
