"""The table of cells, against hand counts and scikit-image."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from sartorius.export.cell_table import COLUMNS, count_neighbours, measure_cells, merge_tables, write_table
from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError
from sartorius.visualization.outlines import touching_pairs

from .readers import drawn, exported

ROWS = """
    aaaa......
    a..a.bb..c
    aaaa.bb...
    ..........
    ........bb
"""


def test_a_row_by_hand() -> None:
    crops, size = drawn(ROWS)
    pixels = np.zeros((1, *size), np.uint16)
    pixels[0, :3, :2] = 300
    table = measure_cells(exported([crops], size, pixel_size_um=0.5, pixels=pixels)).set_index('label')
    assert table['area_px'].tolist() == [10, 6, 1]
    assert table['area_um2'].tolist() == [2.5, 1.5, 0.25]
    assert table.loc[1, ['centroid_x', 'centroid_y']].tolist() == [2.0, 1.5]
    assert table.loc[2, ['bbox_x', 'bbox_y', 'bbox_width', 'bbox_height']].tolist() == [5, 1, 5, 4]
    assert table['border'].tolist() == [1, 1, 1]
    assert table['holes'].tolist() == [1, 0, 0]
    assert table['pieces'].tolist() == [1, 2, 1]
    # Between a and b is a single pixel; between b and c there are two.
    assert table['neighbours'].tolist() == [1, 1, 0]
    assert table['class'].tolist() == ['round', 'long', 'round']
    assert table['intensity_mean'].tolist() == [150, 0, 0]
    # Variances of the ring's columns and rows, and of a pixel's own width.
    assert table.loc[1, 'length_over_width'] == pytest.approx(((1.45 + 1 / 12) / (0.8 + 1 / 12)) ** 0.5)
    assert table.loc[1, 'solidity'] == 10 / 12
    assert np.isnan(table.loc[3, 'circularity'])


def test_the_formulas_are_those_of_scikit_image() -> None:
    labels = np.zeros((30, 40), np.int32)
    labels[3:20, 5:12] = 1
    labels[10:14, 12:33] = 1
    crop = MaskCrop.from_full(labels > 0)
    row = measure_cells(exported([[crop]], labels.shape, pixel_size_um=2.0)).iloc[0]
    (region,) = regionprops(labels)
    assert row['perimeter'] == region.perimeter
    assert row['axis_major'] == region.axis_major_length
    assert row['axis_minor'] == region.axis_minor_length
    assert row['orientation_deg'] == np.degrees(region.orientation)
    assert row['eccentricity'] == region.eccentricity
    assert row['feret_max'] == region.feret_diameter_max
    assert row['equivalent_diameter_um'] == 2 * region.equivalent_diameter_area
    assert (row['centroid_y'], row['centroid_x']) == tuple(value + 0.5 for value in region.centroid)


def test_what_is_not_known_is_empty(tmp_path: Path) -> None:
    crops, size = drawn(ROWS)
    write_table(tmp_path / 'cells.csv', exported([crops], size))
    table = pd.read_csv(tmp_path / 'cells.csv')
    empty = [name for name in COLUMNS if table[name].isna().all()]
    assert empty == [name for name in COLUMNS if name.endswith(('_um', '_um2')) or name.startswith('intensity')]


def test_tables_of_images_are_merged(tmp_path: Path) -> None:
    crops, size = drawn(ROWS)
    write_table(tmp_path / 'a.csv', exported([crops, crops[:1]], size))
    write_table(tmp_path / 'b.csv', exported([[]], size))
    write_table(tmp_path / 'c.csv', exported([crops], size, image_id='b, "2"'))
    assert (tmp_path / 'b.csv').read_text() == ','.join(COLUMNS) + '\n'
    merge_tables(tmp_path / 'all.csv', [tmp_path / f'{name}.csv' for name in 'abc'])
    merged = pd.read_csv(tmp_path / 'all.csv')
    assert merged['image'].tolist() == ['plate/A1'] * 4 + ['b, "2"'] * 3
    assert merged['frame'].tolist() == [0, 0, 0, 1, 0, 0, 0]
    (tmp_path / 'd.csv').write_text('image,score\n')
    with pytest.raises(InputError, match=r"d\.csv: starts with 'image,score"):
        merge_tables(tmp_path / 'all.csv', [tmp_path / 'd.csv'])


@given(arrays(np.int32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 5)), st.integers(1, 3))
def test_neighbours_are_those_of_the_slow_search(labels: np.ndarray, gap: int) -> None:
    pairs = touching_pairs(PackedMasks.from_labels(labels).crops, gap)
    expected = np.bincount(pairs.ravel(), minlength=int(labels.max()))
    assert count_neighbours(labels, gap).tolist() == expected.tolist()
