"""Synthetic images: their masks, their statistics, what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from sartorius.masks.crop import MaskCrop
from sartorius.synthetic import make_image
from sartorius.synthetic.cell_types import FULL_SIZE, SPECS
from sartorius.synthetic.image import _draw_count
from sartorius.synthetic.rendering import ImageStyle, add_bodies
from sartorius.synthetic.scene import MIN_AREA, place_cells
from sartorius.synthetic.shapes import draw_shapes
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SMALL = (192, 256)
# What the competition's training set has: mean cells an image, mean area in pixels (the table in docs/synthetic.md).
REAL_COUNT = {'shsy5y': 337.3, 'astro': 80.3, 'cort': 33.7}
REAL_AREA = {'shsy5y': 224.5, 'astro': 906, 'cort': 240}
REAL_IMAGES = {'shsy5y': 155, 'astro': 131, 'cort': 320}


def coverage(crops, size):
    """How many masks hold each pixel."""
    counts = np.zeros(size, dtype=int)
    for crop in crops:
        counts += crop.to_full(size)
    return counts


@pytest.fixture(scope='module')
def full_images():
    """Six full-size images of each type."""
    return {
        cell_type: [make_image(cell_type, FULL_SIZE, np.random.default_rng([1, seed])) for seed in range(6)]
        for cell_type in CELL_TYPES
    }


def test_all_cell_types_have_numbers():
    assert set(SPECS) == set(CELL_TYPES)


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_same_generator_state_gives_the_same_image_and_another_gives_another(cell_type):
    first, again, other = (make_image(cell_type, SMALL, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert (first.image == again.image).all()
    assert len(first.crops) == len(again.crops)
    for one, two in zip(first.crops, again.crops, strict=True):
        assert one.window == two.window
        assert (one.mask == two.mask).all()
    assert (first.image != other.image).any()


@pytest.mark.parametrize(('cell_type', 'cells'), [('shsy5y', 0), ('cort', 1), ('astro', 40), ('shsy5y', 250)])
def test_an_exact_number_of_cells_is_made(cell_type, cells):
    made = make_image(cell_type, SMALL, np.random.default_rng(0), cells=cells)
    assert len(made.crops) == cells
    assert made.image.shape == made.size == SMALL
    assert made.image.dtype == np.uint8


def test_density_multiplies_the_number_of_cells():
    counts = [
        np.mean([_draw_count(SPECS['shsy5y'], SMALL, factor, np.random.default_rng(seed)) for seed in range(50)])
        for factor in (1.0, 3.0)
    ]
    assert counts[1] == pytest.approx(3 * counts[0], rel=0.05)


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_masks_are_tight_connected_and_inside(cell_type):
    for crop in make_image(cell_type, SMALL, np.random.default_rng(1), density=1.5).crops:
        assert isinstance(crop, MaskCrop)
        assert crop.area >= MIN_AREA
        assert crop.tight().window == crop.window == crop.clipped(SMALL).window
        assert ndimage.label(crop.mask)[1] == 1
        assert (ndimage.binary_fill_holes(crop.mask) == crop.mask).all()


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_no_pixel_belongs_to_two_cells_at_overlap_rate_0(cell_type):
    made = make_image(cell_type, SMALL, np.random.default_rng(2), density=2, overlap_rate=0)
    assert coverage(made.crops, SMALL).max() == 1


@pytest.mark.slow
def test_masks_overlap_a_little_by_default_and_more_at_a_higher_rate(full_images):
    def shared(images):
        counts = [coverage(made.crops, made.size) for made in images]
        return sum((count > 1).sum() for count in counts) / sum((count > 0).sum() for count in counts)

    assert 0.005 < shared(full_images['shsy5y']) < 0.04  # the real masks: 0.02
    always = [make_image('shsy5y', FULL_SIZE, np.random.default_rng([1, 0]), overlap_rate=1.0)]
    assert shared(always) > shared(full_images['shsy5y'])


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_number_of_cells_follows_the_table(cell_type):
    spec = SPECS[cell_type]
    counts = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        counts.append(_draw_count(spec, FULL_SIZE, ImageStyle.draw(spec, rng).crowding, rng))
    assert np.mean(counts) == pytest.approx(REAL_COUNT[cell_type], rel=0.1)
    assert np.std(counts) > 0.3 * np.mean(counts)


def test_areas_follow_the_table(full_images):
    areas = {
        cell_type: np.array([crop.area for made in images for crop in made.crops])
        for cell_type, images in full_images.items()
    }
    for cell_type, real in REAL_AREA.items():
        assert areas[cell_type].mean() == pytest.approx(real, rel=0.25), cell_type
        # A heavy tail: the standard deviation of the real areas is 0.6 (shsy5y, cort) and 0.94 (astro) of the mean.
        assert areas[cell_type].std() > 0.4 * real, cell_type
    assert areas['astro'].std() > 0.7 * areas['astro'].mean()


def test_grey_levels_follow_the_table(full_images):
    variances = {cell_type: np.mean([made.image.var() for made in images]) for cell_type, images in full_images.items()}
    for images in full_images.values():
        assert all(made.image.mean() == pytest.approx(128, abs=1) for made in images)
    total = sum(REAL_IMAGES.values())
    overall = np.sqrt(sum(variances[name] * number / total for name, number in REAL_IMAGES.items()))
    assert overall == pytest.approx(13.7, rel=0.25)
    assert variances['astro'] < variances['shsy5y']
    assert variances['astro'] < variances['cort']


def test_images_differ_in_contrast_and_grain(full_images):
    deviations = [made.image.std() for made in full_images['shsy5y']]
    assert max(deviations) > 1.2 * min(deviations)


def test_outlines_follow_the_bright_rim_of_dark_bodies(full_images):
    """On the real images the grey level is lowest 3 px inside an outline and highest on it."""
    for cell_type, images in full_images.items():
        for made in images[:2]:
            cells = coverage(made.crops, made.size) > 0
            depth = ndimage.distance_transform_edt(cells) - ndimage.distance_transform_edt(~cells)
            assert made.image[(depth > 2) & (depth < 5)].mean() < 125, cell_type
            assert made.image[np.abs(depth) <= 1.5].mean() > 129, cell_type


@pytest.mark.parametrize('cell_type', CELL_TYPES)
def test_bodies_are_drawn_inside_their_masks(cell_type):
    rng = np.random.default_rng(5)
    spec = replace(SPECS[cell_type], granules=(0, 0), interior=None)
    shapes = draw_shapes(spec.outline, spec.has_arms, np.full(40, 150.0), rng)
    cells = place_cells(shapes, SMALL, 0.8, 0.5, rng)
    thickness = np.zeros(SMALL, dtype=np.float32)
    add_bodies(thickness, cells, spec, 0.0, rng)
    masks = coverage([cell.crop for cell in cells], SMALL) > 0
    assert not thickness[~masks].any()
    for cell in cells:
        assert (thickness[ndimage.binary_erosion(cell.crop.to_full(SMALL), iterations=3)] > 0).all()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'cell_type': 'hela'}, "unknown cell type 'hela'; choose from shsy5y, astro, cort"),
        ({'size': (520, 16)}, 'image size 16x520 is too small'),
        ({'density': 0}, 'density is 0; it must be a number above 0'),
        ({'density': float('nan')}, 'density is nan'),
        ({'overlap_rate': 1.5}, 'overlap rate is 1.5'),
        ({'cells': -1}, 'number of cells is -1'),
        ({'cells': 5000}, 'an image of 256x192 has no room for 5000 cells; ask for fewer'),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        make_image(**{'cell_type': 'cort', 'size': SMALL, 'rng': np.random.default_rng(0), **arguments})
