"""Mirrored cells of an image on the image itself."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.flip_paste import FlipPaste
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

DATASET = SimpleNamespace(metainfo={'classes': ('shsy5y', 'astro', 'cort')})


def make_sample(*corners: tuple[int, int], label: int = 2) -> dict[str, Any]:
    """A 8x12 image of ground 100 with cells of 2x2 pixels, no two pixels of which are alike."""
    image = np.full((8, 12), 100, dtype=np.uint8)
    for number, (x, y) in enumerate(corners):
        image[y : y + 2, x : x + 2] = np.array([[1, 2], [3, 4]]) + 10 * number
    masks = CroppedMasks([MaskCrop(np.ones((2, 2), dtype=bool), x, y) for x, y in corners], 8, 12)
    return {
        'img': np.repeat(image[:, :, None], 3, axis=2),
        'img_shape': (8, 12),
        'gt_masks': masks,
        'gt_bboxes': masks.get_bboxes(),
        'gt_bboxes_labels': np.full(len(masks), label),
        'gt_ignore_flags': np.zeros(len(masks), dtype=bool),
        'dataset': lambda: DATASET,
    }


@pytest.mark.parametrize(
    ('direction', 'window', 'pixels'),
    [
        ('horizontal', [9, 1, 11, 3], [[2, 1], [4, 3]]),
        ('vertical', [1, 5, 3, 7], [[3, 4], [1, 2]]),
        ('diagonal', [9, 5, 11, 7], [[4, 3], [2, 1]]),
    ],
)
def test_a_cell_is_pasted_at_its_mirrored_place(direction, window, pixels):
    sample = make_sample((1, 1))
    before = sample['img'].copy()
    results = FlipPaste(directions=[direction], rim=0, prob=1)(sample)
    assert results['gt_bboxes'].tensor.tolist() == [[1, 1, 3, 3], window]
    assert results['gt_masks'].areas.tolist() == [4, 4]
    assert results['gt_bboxes_labels'].tolist() == [2, 2]
    assert results['gt_ignore_flags'].tolist() == [False, False]
    assert results['img'].dtype == np.uint8
    x1, y1, x2, y2 = window
    assert results['img'][y1:y2, x1:x2, 0].tolist() == pixels
    # Nothing else has changed, and nothing in the sample that came in.
    rest = results['img'].copy()
    rest[y1:y2, x1:x2] = 100
    np.testing.assert_array_equal(rest, before)
    np.testing.assert_array_equal(sample['img'], before)
    assert len(sample['gt_masks']) == 1


def test_cells_that_would_cover_others_are_left_out():
    # The first lies across the axis, the second and the third are each other's mirror images but for a row.
    sample = make_sample((5, 0), (1, 4), (9, 5), (3, 2))
    results = FlipPaste(directions=['horizontal'], rim=3, prob=1)(sample)
    assert results['gt_masks'].windows[4:].tolist() == [[7, 2, 9, 4]]
    for x1, y1, x2, y2 in sample['gt_masks'].windows.tolist():
        np.testing.assert_array_equal(results['img'][y1:y2, x1:x2], sample['img'][y1:y2, x1:x2])


def test_cells_at_the_border_and_ignored_ones():
    sample = make_sample((0, 0), (3, 6))
    assert len(FlipPaste(directions=['horizontal'], prob=1)(sample)['gt_masks']) == 4
    sample['gt_ignore_flags'] = np.array([False, True])
    results = FlipPaste(directions=['horizontal'], prob=1)(sample)
    assert results['gt_masks'].windows.tolist() == [[0, 0, 2, 2], [3, 6, 5, 8], [10, 0, 12, 2]]
    assert results['gt_ignore_flags'].tolist() == [False, True, False]


def test_classes():
    astro, cort = make_sample((1, 1), label=1), make_sample((1, 1))
    assert FlipPaste(prob=1)(astro) is astro
    assert len(FlipPaste(prob=1)(cort)['gt_masks']) == 2
    assert len(FlipPaste(classes=('astro', 'shsy5y'), prob=1)(astro)['gt_masks']) == 2
    del astro['dataset']
    assert len(FlipPaste(classes=None, prob=1)(astro)['gt_masks']) == 2
    with pytest.raises(InputError, match='put the transform into the pipeline of a SartoriusDataset'):
        FlipPaste(prob=1)(astro)
    with pytest.raises(InputError, match="class 'neuron' is not one of shsy5y, astro, cort"):
        FlipPaste(classes=['neuron'], prob=1)(cort)
    with pytest.raises(InputError, match="direction 'upside down' is not one of"):
        FlipPaste(directions=['upside down'])


def test_probability_and_directions():
    np.random.seed(0)
    transform = FlipPaste(prob=0.3)
    drawn = [transform._draw_direction() for _ in range(300)]
    assert set(drawn) == {None, 'horizontal', 'vertical', 'diagonal'}
    assert 60 < sum(direction is not None for direction in drawn) < 120


@pytest.mark.parametrize('classes', [None, ('cort',)])
def test_an_image_without_cells(classes):
    results = FlipPaste(classes=classes, prob=1)(make_sample())
    assert len(results['gt_masks']) == 0
    assert (results['img'] == 100).all()


def test_a_cell_that_covers_the_image():
    sample = make_sample((1, 1))
    masks = CroppedMasks([MaskCrop(np.ones((8, 12), dtype=bool), 0, 0)], 8, 12)
    results = FlipPaste(prob=1)({**sample, 'gt_masks': masks})
    assert results['gt_masks'].areas.tolist() == [96]
    np.testing.assert_array_equal(results['img'], sample['img'])
