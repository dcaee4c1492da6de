"""Outlines along pixel edges, and colours of neighbours."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sartorius.annotations.reading import load_annotations
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.outlines import neighbour_colors, outlines, svg_path, touching_pairs

SIZE = (24, 24)
MASKS = arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)))


def crop(rows: list[str], x: int = 0, y: int = 0) -> MaskCrop:
    """Crop of lines in which '#' is set."""
    return MaskCrop(np.array([[letter == '#' for letter in row] for row in rows]), x, y)


def corners_of(path: str) -> list[list[tuple[int, int]]]:
    """Corners of each polygon of a path, read as a browser reads it."""
    polygons, x, y, start = [], 0, 0, (0, 0)
    for command, numbers in re.findall(r'([MmhvzZ])([-0-9 ]*)', path):
        values = [int(number) for number in re.findall(r'-?\d+', numbers)]
        if command == 'M':
            x, y = values
        elif command == 'm':
            x, y = x + values[0], y + values[1]
        elif command == 'h':
            x += values[0]
        elif command == 'v':
            y += values[0]
        if command in 'Mm':
            start = (x, y)
            polygons.append([])
        if command == 'z':
            x, y = start
        else:
            polygons[-1].append((x, y))
    return polygons


def filled(polygons: list[list[tuple[int, int]]]) -> np.ndarray:
    """Even-odd filling of polygons along rows and columns: each upright side flips what is right of it."""
    full = np.zeros(SIZE, dtype=bool)
    for polygon in polygons:
        for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            assert x1 == x2 or y1 == y2
            if x1 == x2:
                full[min(y1, y2) : max(y1, y2), x1:] ^= True
    return full


def test_the_outline_of_one_pixel_is_its_square() -> None:
    (polygon,) = outlines(crop(['#'], x=3, y=5))
    assert {tuple(point) for point in polygon.tolist()} == {(3, 5), (4, 5), (4, 6), (3, 6)}
    assert svg_path(crop(['#'], x=3, y=5)) == 'M3 5v1h1v-1z'


def test_long_sides_are_one_step() -> None:
    assert svg_path(crop(['####', '####', '####'])) == 'M0 0v3h4v-3z'


def test_a_cell_without_pixels_has_no_outline() -> None:
    assert outlines(MaskCrop(np.zeros((0, 0), dtype=bool), 1, 1)) == []
    assert svg_path(crop(['..', '..'])) == ''


def test_parts_and_holes_stay_in_one_path_with_one_capital_letter() -> None:
    path = svg_path(crop(['###.#', '#.#..', '###..']))
    assert re.findall('[A-Z]', path) == ['M']
    assert path.count('z') == 3


@given(mask=MASKS, x=st.integers(0, 16), y=st.integers(0, 16))
@settings(deadline=None)
def test_filling_the_outlines_gives_back_the_mask(mask: np.ndarray, x: int, y: int) -> None:
    cell = MaskCrop(mask, x, y)
    full = cell.to_full(SIZE)
    np.testing.assert_array_equal(filled([[tuple(point) for point in polygon] for polygon in outlines(cell)]), full)
    np.testing.assert_array_equal(filled(corners_of(svg_path(cell))), full)


def test_real_cells_come_back_from_their_outlines(real_data) -> None:
    image = next(iter(load_annotations(real_data / 'train.csv').values()))
    for cell in image.crops:
        area = 0
        for polygon in corners_of(svg_path(cell)):
            points = np.array(polygon, dtype=np.int64)
            after = np.roll(points, -1, axis=0)
            # Shoelace formula; holes run the other way round and count against the cell.
            area += int((points[:, 0] * after[:, 1] - points[:, 1] * after[:, 0]).sum())
        assert abs(area) == 2 * cell.area


@pytest.mark.parametrize(
    ('x', 'y', 'gap', 'touch'),
    [
        (2, 0, 1, True),  # side by side
        (3, 0, 1, False),  # one column between
        (3, 0, 2, True),
        (2, 2, 1, True),  # corner to corner
        (3, 3, 2, True),
        (4, 0, 2, False),
        (0, -3, 2, True),  # above
        (0, -4, 2, False),
        (1, 1, 1, True),  # overlapping
    ],
)
def test_touching_pairs_of_two_squares(x: int, y: int, gap: int, touch: bool) -> None:
    squares = [crop(['##', '##'], 8, 8), crop(['##', '##'], 8 + x, 8 + y)]
    assert touching_pairs(squares, gap).tolist() == ([[0, 1]] if touch else [])


@given(
    cells=st.lists(st.builds(MaskCrop, MASKS, st.integers(0, 16), st.integers(0, 16)), max_size=6),
    gap=st.integers(1, 3),
)
@settings(deadline=None)
def test_touching_pairs_are_those_of_the_slow_way(cells: list[MaskCrop], gap: int) -> None:
    expected = []
    pixels = [np.argwhere(cell.to_full(SIZE)) for cell in cells]
    for first in range(len(cells)):
        for second in range(first + 1, len(cells)):
            apart = np.abs(pixels[first][:, None] - pixels[second][None]).max(axis=2)
            if apart.size and apart.min() <= gap:
                expected.append([first, second])
    assert touching_pairs(cells, gap).tolist() == expected


@given(cells=st.lists(st.builds(MaskCrop, MASKS, st.integers(0, 16), st.integers(0, 16)), max_size=8))
@settings(deadline=None)
def test_cells_that_touch_differ_in_colour(cells: list[MaskCrop]) -> None:
    colors = neighbour_colors(cells, 8)
    assert all(0 <= color < 8 for color in colors)
    assert all(colors[first] != colors[second] for first, second in touching_pairs(cells).tolist())


def test_more_neighbours_than_colours_share_evenly() -> None:
    colors = neighbour_colors([crop(['##', '##'])] * 6, 3)
    assert sorted(colors.tolist()) == [0, 0, 1, 1, 2, 2]


def test_cells_apart_use_all_colours() -> None:
    row = [crop(['##', '##'], 10 * place, 0) for place in range(4)]
    assert sorted(neighbour_colors(row, 4).tolist()) == [0, 1, 2, 3]
