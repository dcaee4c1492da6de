"""Masks of astrocytes broken while training: by hand, as in post-processing, and on the annotated ones."""

import csv
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mmdet.datasets.transforms import RandomFlip
from mmdet.registry import TRANSFORMS

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.break_astro_masks import BreakAstroMasks
from sartorius.datasets.transforms.fill_mask_holes import FillMaskHoles
from sartorius.datasets.transforms.random_cell_crop import RandomCellCrop
from sartorius.datasets.transforms.random_rotation import RandomQuarterTurn
from sartorius.masks import kaggle_rle
from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop
from sartorius.masks.pieces import fill_holes
from sartorius.postprocess import steps
from sartorius.predictions.structures import ImagePredictions
from sartorius.synthetic import make_image
from sartorius.utils.errors import InputError

DATASET = SimpleNamespace(metainfo={'classes': ('shsy5y', 'astro', 'cort')})
SHSY5Y, ASTRO, CORT = range(3)
SIZE = (40, 60)

# The scan from the top follows the two outer edges, and fills the bay down to its last row.
ARCH = '####### ####### ##...## ##...## ##...##'
BROKEN_ARCH = '####### ####### ####### ####### ##...##'
# It starts in the left branch; of the right one the outline alone is drawn.
CUP = '###....### ###....### ###....### ###....### ########## ########## ##########'
BROKEN_CUP = '###....### ###....#.# ###....#.# ###....#.# ########## ########## ##########'
RING = '##### #...# #...# #####'


def crop_of(text: str, x: int = 5, y: int = 7) -> MaskCrop:
    return MaskCrop(np.array([[pixel == '#' for pixel in row] for row in text.split()]), x, y)


def make_sample(crops: list[MaskCrop], labels: list[int], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """A sample as LoadCellImage and LoadCellAnnotations leave it."""
    masks = CroppedMasks(crops, *size)
    return {
        'img': np.zeros((*size, 3), dtype=np.uint8),
        'img_shape': size,
        'ori_shape': size,
        'gt_masks': masks,
        'gt_bboxes': masks.get_bboxes(),
        'gt_bboxes_labels': np.array(labels, dtype=np.int64),
        'gt_ignore_flags': np.zeros(len(masks), dtype=bool),
        'dataset': lambda: DATASET,
    }


def assert_same_cells(masks: CroppedMasks, crops: list[MaskCrop]) -> None:
    expected = CroppedMasks(crops, masks.height, masks.width)
    np.testing.assert_array_equal(masks.windows, expected.windows)
    np.testing.assert_array_equal(masks.packed.pixels, expected.packed.pixels)


@pytest.mark.parametrize(
    ('cell', 'broken'),
    [(ARCH, BROKEN_ARCH), (CUP, BROKEN_CUP), (RING, '##### ##### ##### #####'), ('### ### ###', '### ### ###')],
)
def test_by_hand(cell, broken):
    results = BreakAstroMasks(prob=1)(make_sample([crop_of(cell)], [ASTRO]))
    assert_same_cells(results['gt_masks'], [crop_of(broken)])


def test_other_classes_keep_their_masks():
    cells = [crop_of(ARCH), crop_of(ARCH, 20), crop_of(CUP, 30), crop_of(RING, 45)]
    sample = make_sample(cells, [SHSY5Y, ASTRO, CORT, SHSY5Y])
    assert_same_cells(
        BreakAstroMasks(prob=1)(sample)['gt_masks'], [cells[0], crop_of(BROKEN_ARCH, 20), cells[2], cells[3]]
    )
    other = BreakAstroMasks(prob=1, class_name='cort')(sample)
    assert_same_cells(other['gt_masks'], [cells[0], cells[1], crop_of(BROKEN_CUP, 30), cells[3]])


def test_nothing_but_the_masks_changes_and_nothing_is_written_into():
    sample = make_sample([crop_of(ARCH), crop_of(CUP, 30)], [ASTRO, CORT])
    results = BreakAstroMasks(prob=1)(sample)
    assert_same_cells(sample['gt_masks'], [crop_of(ARCH), crop_of(CUP, 30)])
    assert results.keys() == sample.keys()
    assert all(results[key] is sample[key] for key in sample.keys() - {'gt_masks'})


def test_samples_without_astrocytes_and_masks_without_pixels():
    assert len(BreakAstroMasks(prob=1)(make_sample([], []))['gt_masks']) == 0
    empty = MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)
    results = BreakAstroMasks(prob=1)(make_sample([empty, crop_of(ARCH)], [ASTRO, ASTRO]))
    assert_same_cells(results['gt_masks'], [empty, crop_of(BROKEN_ARCH)])


def test_how_often():
    sample = make_sample([crop_of(ARCH)], [ASTRO])
    assert BreakAstroMasks(prob=0)(sample) is sample
    np.random.seed(0)
    broken = [BreakAstroMasks(prob=0.3)(sample) is not sample for _ in range(400)]
    assert 85 < sum(broken) < 155
    np.random.seed(0)
    assert [BreakAstroMasks(prob=0.3)(sample) is not sample for _ in range(400)] == broken


@pytest.fixture(scope='module')
def made() -> tuple[MaskCrop, ...]:
    return make_image('astro', (200, 300), np.random.default_rng(0), cells=60).crops


def test_boxes_stay_those_of_the_masks(made):
    results = BreakAstroMasks(prob=1)(make_sample(list(made), [ASTRO] * len(made), (200, 300)))
    changed = results['gt_masks'].areas != [crop.area for crop in made]
    assert changed.sum() > 10
    np.testing.assert_array_equal(results['gt_masks'].windows, results['gt_bboxes'].numpy())


def test_is_what_the_post_processing_step_does(made):
    labels = np.arange(len(made)) % 3
    windows = np.array([crop.window for crop in made], dtype=np.float32)
    found = ImagePredictions(
        image_id='a',
        size=(200, 300),
        boxes=windows,
        scores=np.full(len(made), 0.5, dtype=np.float32),
        labels=labels,
        soft_masks=np.zeros((len(made), 0, 0), dtype=np.float32),
        crops=made,
    )
    broken = steps.ConvexFill(dict(shsy5y=0, astro=1, cort=0))(steps.FillHoles()(found))
    sample = FillMaskHoles()(make_sample(list(made), labels.tolist(), (200, 300)))
    assert_same_cells(BreakAstroMasks(prob=1)(sample)['gt_masks'], list(broken.crops))


def test_is_registered():
    assert isinstance(TRANSFORMS.build(dict(type='BreakAstroMasks', prob=0.2)), BreakAstroMasks)


@pytest.mark.parametrize(
    'change',
    [RandomFlip(prob=1.0), RandomFlip(prob=0.0), RandomQuarterTurn((1,)), RandomCellCrop((30, 30), min_visible=0)],
)
@pytest.mark.parametrize('prob', [0, 1])
def test_refuses_images_that_were_changed_before(change, prob):
    sample = change(make_sample([crop_of(ARCH)], [ASTRO]))
    with pytest.raises(InputError, match='put BreakAstroMasks right after LoadCellAnnotations and FillMaskHoles'):
        BreakAstroMasks(prob=prob)(sample)


def test_refuses_what_it_cannot_work_on():
    sample = make_sample([crop_of(ARCH)], [ASTRO])
    with pytest.raises(InputError, match="class 'astrocyte' is not one of shsy5y, astro, cort"):
        BreakAstroMasks(class_name='astrocyte')(sample)
    del sample['dataset']
    with pytest.raises(InputError, match='put the transform into the pipeline of a SartoriusDataset'):
        BreakAstroMasks()(sample)
    sample['gt_masks'] = sample['gt_masks'].to_bitmap()
    with pytest.raises(InputError, match='LoadCellAnnotations'):
        BreakAstroMasks()(sample)


def test_annotated_astrocytes(real_data):
    """Their holes filled and their outlines filled again; boxes stay, all of them."""
    with (real_data / 'train.csv').open(newline='') as file:
        codes = [row['annotation'] for row in csv.DictReader(file) if row['cell_type'] == 'astro']
    crops = [kaggle_rle.decode(code, (520, 704)).tight() for code in codes]
    results = BreakAstroMasks(prob=1)(make_sample(crops, [ASTRO] * len(crops), (520, 704)))
    assert_same_cells(results['gt_masks'], [fill_as_convex(crop) for crop in fill_holes(crops)])
    np.testing.assert_array_equal(results['gt_masks'].windows, results['gt_bboxes'].numpy())
