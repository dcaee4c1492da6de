"""Images of drawn cells and optics: what light does, which masks there are, and that a number stands for one image."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from sartorius.synthetic.drawn import make_drawn_image
from sartorius.synthetic.optics import Optics, expose, phase_contrast, sharpened
from sartorius.synthetic.sheets import sheet_cells
from sartorius.synthetic.stream import BREADTHS, stream_image

SIZE = (96, 128)
PLAIN = Optics(
    ring=0.8, halo=(2.0, 60.0), rim=0.0, negative=False, focus=0.4, defocus=0.0, tilt=(0.0, 0.0), sharpening=0.0,
    flattening=0.0, light=0.0, background=120.0, contrast=60.0, grain=0.0, grain_size=0.4,
)  # fmt: skip


def disc(phase: float, radius: int = 6) -> np.ndarray:
    """A round object in the middle of a wide field, where next to all of its light is bent."""
    rows, columns = np.ogrid[:201, :201]
    return np.float32(phase) * ((rows - 100) ** 2 + (columns - 100) ** 2 <= radius**2).astype(np.float32)


def test_an_empty_field_is_even():
    assert np.abs(phase_contrast(np.zeros(SIZE, np.float32), PLAIN)).max() < 1e-5
    assert (expose(np.zeros(SIZE, np.float32), PLAIN, np.random.default_rng(0)) == 120).all()


@pytest.mark.parametrize('phase', [0.1, 0.5, 1.0, 2.5])
def test_a_small_object_has_the_intensity_of_the_textbook(phase):
    """Light that is all bent: the amplitude is ``exp(i phase) - 1`` and that of the ring ``-i ring``."""
    intensity = phase_contrast(disc(phase), PLAIN)
    amplitude = np.exp(1j * phase) - 1 - 1j * PLAIN.ring
    assert intensity[100, 100] == pytest.approx(abs(amplitude) ** 2 / PLAIN.ring**2 - 1, abs=0.12)
    assert abs(intensity[5, 5]) < 0.02


def test_thin_is_dark_thick_is_bright_and_negative_contrast_is_the_reverse():
    assert phase_contrast(disc(0.3), PLAIN)[100, 100] < -0.4
    assert phase_contrast(disc(2.8), PLAIN)[100, 100] > 2
    assert phase_contrast(disc(0.3), replace(PLAIN, negative=True))[100, 100] > 0.4


def test_the_narrower_the_ring_the_wider_and_weaker_the_halo():
    near, wide = (phase_contrast(disc(0.4), replace(PLAIN, halo=(1.0, width)))[100, 109] for width in (4.0, 30.0))
    assert near > 0.1 > wide


@pytest.mark.parametrize('seed', range(24))
def test_masks_are_connected_tight_and_inside(seed):
    made = make_drawn_image(SIZE, np.random.default_rng(seed))
    assert made.image.shape == SIZE
    assert made.image.dtype == np.uint8
    assert made.image.std() > 0
    for crop in made.crops:
        x1, y1, x2, y2 = crop.window
        assert 0 <= x1 < x2 <= SIZE[1]
        assert 0 <= y1 < y2 <= SIZE[0]
        assert crop.area >= 30
        assert crop.tight().window == crop.window
        assert ndimage.label(crop.mask, np.ones((3, 3)))[1] == 1


def test_a_sheet_covers_the_field_and_gaps_part_its_cells():
    def covered(gap: float) -> np.ndarray:
        cells = sheet_cells(SIZE, 150, 1.0, 1.3, gap, np.random.default_rng(4))
        return sum(cell.to_full(SIZE).astype(int) for cell in cells)

    assert covered(0.0).max() == covered(2.0).max() == 1
    assert (covered(0.0) == 1).mean() > 0.97
    assert 0.5 < (covered(2.0) == 1).mean() < 0.9


def test_islands_cover_the_share_asked_for():
    cells = sheet_cells(SIZE, 80, 0.4, 1.0, 0.0, np.random.default_rng(0))
    assert sum(cell.area for cell in cells) / (SIZE[0] * SIZE[1]) == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize('breadth', BREADTHS)
def test_a_number_stands_for_one_image(breadth):
    first, again, other = (stream_image(3, index, SIZE, breadth) for index in (7, 7, 8))
    assert (first.image == again.image).all()
    assert [crop.window for crop in first.crops] == [crop.window for crop in again.crops]
    assert (first.image != other.image).any()


def test_sharpening_widens_the_step_of_an_edge_and_leaves_even_ground() -> None:
    step = np.zeros((20, 40), dtype=np.float32)
    step[:, 20:] = 10
    assert (sharpened(step, 0) == step).all()
    sharp = sharpened(step, 1)
    assert np.allclose(sharp[:, [2, 37]], step[:, [2, 37]], atol=1e-3)
    assert sharp[10, 19] < -2 and sharp[10, 20] > 12
