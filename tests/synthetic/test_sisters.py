"""Families of sister cells: how many, and how they share an outline."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.cell_types import SPECS
from sartorius.synthetic.image import SyntheticImage, make_image
from sartorius.synthetic.scene import MIN_AREA, PlacedCell
from sartorius.synthetic.shapes import CellShape
from sartorius.synthetic.sisters import draw_families, split_families


def outline(mask: np.ndarray, cells: int, tips: list[tuple[float, float, float]] = ()) -> PlacedCell:
    """A family at x 20, y 30 of an image, its centre in the middle of its window."""
    height, width = mask.shape
    shape = CellShape((), np.array(tips).reshape(-1, 3), 1.0, float(mask.sum()), cells)
    return PlacedCell(MaskCrop(mask, 20, 30), shape, 20 + (width - 1) / 2, 30 + (height - 1) / 2)


@given(count=st.integers(1, 300), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_every_cell_is_of_one_family(count: int, share: float, seed: int) -> None:
    families = draw_families(count, share, np.random.default_rng(seed))
    assert families.sum() == count and 1 <= families.min() <= families.max() <= 4
    if share in (0, 1):
        # The last family may be what is left over.
        assert (families[:-1] > 1).all() if share else (families == 1).all()


@pytest.mark.parametrize('share', [0.1, 0.4, 0.8])
def test_the_share_is_of_cells(share: float) -> None:
    families = draw_families(100_000, share, np.random.default_rng(0))
    assert families[families > 1].sum() / 100_000 == pytest.approx(share, abs=0.01)


def test_a_long_outline_is_cut_across_and_each_sister_keeps_its_corner() -> None:
    """By hand: 8x40 px make two of about 8x20, with the corner of its own end each."""
    family = outline(np.ones((8, 40), dtype=bool), 2, [(-19, 0, np.pi), (19, 0, 0.0)])
    left, right = sorted(split_families([family], np.random.default_rng(0)), key=lambda cell: cell.x)
    assert left.crop.area + right.crop.area == 320 and 120 <= left.crop.area <= 200
    assert left.crop.window[2] == right.crop.window[0] and left.crop.window[:2] == (20, 30)
    assert (left.shape.cells, left.shape.target_area) == (1, left.crop.area)
    for cell, (x, y, direction) in ((left, (20.5, 33.5, np.pi)), (right, (58.5, 33.5, 0))):
        assert cell.family is family.crop
        ((along, down, way),) = cell.shape.tips
        assert (cell.x + along, cell.y + down, way) == pytest.approx((x, y, direction))


@given(seed=st.integers(0, 10**6), number=st.integers(1, 4))
def test_sisters_share_the_outline_among_them(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:30, :40]
    mask = ((rows - 15) / rng.uniform(4, 15)) ** 2 + ((columns - 20) / rng.uniform(4, 20)) ** 2 < 1
    mask |= rng.random(mask.shape) < 0.1
    family = outline(mask, number)
    cells = split_families([family], rng)
    assert len(cells) in (1, number)
    total = sum(cell.crop.to_full((80, 80)).astype(int) for cell in cells)
    assert np.array_equal(total, family.crop.to_full((80, 80)).astype(int))
    assert len(cells) == 1 or min(cell.crop.area for cell in cells) >= MIN_AREA


def test_an_outline_too_small_for_its_family_is_one_cell() -> None:
    family = outline(np.ones((7, 8), dtype=bool), 2)
    assert split_families([family], np.random.default_rng(0)) == (family,)


def test_sisters_of_an_image_touch() -> None:
    spec = replace(SPECS['shsy5y'], sisters=1.0)
    sisters, strangers = (
        _share_at_borders(make_image('shsy5y', (256, 256), np.random.default_rng(3), spec=replace(spec, sisters=share)))
        for share in (1.0, 0.0)
    )
    assert sisters > 1.5 * strangers


def _share_at_borders(image: SyntheticImage) -> float:
    """Share of the cells' pixels that have a pixel of another cell on their right."""
    labels = np.zeros(image.size, dtype=int)
    for number, crop in enumerate(image.crops, start=1):
        labels[crop.to_full(image.size).astype(bool)] = number
    here, there = labels[:, :-1], labels[:, 1:]
    return np.count_nonzero((here != there) & (here > 0) & (there > 0)) / np.count_nonzero(labels)
