"""Enlarged tiles: the right part of the image, the right cells in it, and a grid that leaves nothing out."""

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import PackDetInputs, RandomFlip
from mmengine.registry import init_default_scope

from sartorius.annotations.reading import load_annotations
from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.datasets.transforms.random_cell_crop import RandomCellCrop
from sartorius.datasets.transforms.random_rotation import RandomQuarterTurn
from sartorius.datasets.transforms.random_tile import RandomTile, tile_starts
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

PER_CELL = ('gt_masks', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags')


def sample_of(bitmaps: np.ndarray, image: np.ndarray | None = None) -> dict[str, Any]:
    """A loaded sample; without an image, one of noise."""
    size = bitmaps.shape[1:]
    if image is None:
        image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    masks = CroppedMasks.from_bitmaps(bitmaps)
    return {
        'img': image,
        'img_shape': size,
        'ori_shape': size,
        'gt_masks': masks,
        'gt_bboxes': masks.get_bboxes(),
        'gt_bboxes_labels': np.arange(len(masks)),
        'gt_ignore_flags': np.zeros(len(masks), dtype=bool),
    }


def ellipses(count: int, size: tuple[int, int] = (60, 80), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    bitmaps = np.zeros((count, *size), dtype=np.uint8)
    for bitmap in bitmaps:
        center = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        cv2.ellipse(bitmap, center, tuple(rng.integers(2, 9, 2).tolist()), 0, 0, 360, 1, -1)
    return bitmaps


def assert_legal(results: dict[str, Any]) -> None:
    """One entry a cell everywhere; boxes tight, inside the image and with a width and a height."""
    masks, boxes = results['gt_masks'], results['gt_bboxes']
    assert results['img'].shape[:2] == results['img_shape'] == (masks.height, masks.width)
    assert results['img'].dtype == np.uint8
    assert {len(results[key]) for key in PER_CELL} == {len(masks)}
    assert torch.equal(boxes.tensor, masks.get_bboxes().tensor)
    assert (boxes.widths > 0).all()
    assert (boxes.heights > 0).all()
    assert (masks.areas > 0).all()


def test_a_tile_that_a_person_can_check() -> None:
    """The 2x3 tile at row 1, column 2 of a 4x6 image, twice as large; cell 1 lies outside, cell 2 is cut."""
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, :, None].repeat(3, axis=2)
    bitmaps = np.zeros((3, 4, 6), dtype=np.uint8)
    bitmaps[0, 1, 3] = bitmaps[1, 3, :] = 1
    bitmaps[2, 0:2, 4:6] = 1
    tile = RandomTile((2, 3), (2, 2), min_area=1)
    tile._draw_corner = lambda margins: (1, 2)
    results = tile(sample_of(bitmaps, image))
    assert results['img_shape'] == (4, 6)
    assert results['scale_factor'] == (2, 2)
    assert results['ori_shape'] == (4, 6)
    # The corner's pixel keeps its value, and from there bilinear steps: 8, 9, 10 in x and 6 more a row.
    assert results['img'][0, 0].tolist() == [8, 8, 8]
    assert results['img'][3, 5].tolist() == [16, 16, 16]
    assert results['gt_bboxes_labels'].tolist() == [0, 2]
    assert results['gt_bboxes'].tensor.tolist() == [[2, 0, 4, 2], [4, 0, 6, 2]]
    assert results['gt_masks'].areas.tolist() == [4, 4]


@pytest.mark.parametrize('stride', [None, (20, 30)])
@pytest.mark.parametrize('factor', [0.4, 1.0, 2.0, 3.3])
def test_equals_cutting_and_resizing_full_size_arrays(stride, factor) -> None:
    np.random.seed(0)
    bitmaps = ellipses(12)
    tile = RandomTile((25, 33), (factor, factor), stride, min_visible=0, min_area=1)
    corners = []
    drawn = tile._draw_corner
    tile._draw_corner = lambda margins: corners.append(drawn(margins)) or corners[-1]
    sample = sample_of(bitmaps)
    for _ in range(20):
        results = tile(sample)
        assert_legal(results)
        y, x = corners[-1]
        width, height = int(33 * factor + 0.5), int(25 * factor + 0.5)
        part = (slice(y, y + 25), slice(x, x + 33))
        np.testing.assert_array_equal(results['img'], cv2.resize(sample['img'][part], (width, height)))
        expected = [cv2.resize(bitmap[part], (width, height), interpolation=cv2.INTER_NEAREST) for bitmap in bitmaps]
        kept = [number for number, bitmap in enumerate(expected) if bitmap.any()]
        assert results['gt_bboxes_labels'].tolist() == kept
        np.testing.assert_array_equal(results['gt_masks'].to_ndarray(), np.array(expected)[kept])


def test_cells_at_the_border_are_kept_and_dropped_as_by_the_crop() -> None:
    """Without enlargement, at one place, tile and crop are the same; each with its limits."""
    sample = sample_of(ellipses(30))
    for limits in ({'min_visible': 0.6}, {'min_area': 60}, {'min_visible': 0, 'min_area': 1}):
        for seed in range(10):
            results = []
            for transform in (RandomTile((25, 33), (1, 1), None, **limits), RandomCellCrop((25, 33), **limits)):
                np.random.seed(seed)
                results.append(transform(sample))
            for key in ('img', 'gt_bboxes_labels'):
                np.testing.assert_array_equal(results[0][key], results[1][key])
            assert results[0]['gt_masks'].windows.tolist() == results[1]['gt_masks'].windows.tolist()


@pytest.mark.parametrize(
    ('length', 'tile', 'stride', 'starts'),
    [
        (520, 208, 104, [0, 104, 208, 312]),  # the 6th place's rows
        (704, 281, 140, [0, 141, 282, 423]),  # and columns: three steps of 141, not four and one of 3
        (208, 208, 104, [0]),  # the tile is the image
        (209, 208, 104, [0, 1]),  # one pixel more needs another tile
        (300, 100, 1000, [0, 100, 200]),  # a stride larger than the tile would leave gaps
        (10, 4, 1, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_grid(length, tile, stride, starts) -> None:
    assert tile_starts(length, tile, stride).tolist() == starts


@given(st.integers(1, 400), st.integers(0, 2000), st.integers(1, 600))
def test_grid_covers_the_image(tile, margin, stride) -> None:
    starts = tile_starts(tile + margin, tile, stride)
    assert (starts[0], starts[-1]) == (0, margin)
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= tile).all()
    assert steps.size == 0 or steps.max() - steps.min() <= 1


def test_every_tile_of_the_grid_is_equally_likely() -> None:
    """16 tiles drawn 3,200 times: 200 each, give or take 4 standard deviations of 13.7."""
    np.random.seed(1)
    tile = RandomTile()
    counts = Counter(tile._draw_corner((520 - 208, 704 - 281)) for _ in range(3200))
    assert set(counts) == {(row, column) for row in (0, 104, 208, 312) for column in (0, 141, 282, 423)}
    assert max(abs(count - 200) for count in counts.values()) < 55


def test_tiles_at_any_place() -> None:
    np.random.seed(0)
    tile = RandomTile((2, 3), stride=None)
    corners = {tile._draw_corner((2, 4)) for _ in range(300)}
    assert corners == {(row, column) for row in range(3) for column in range(5)}


def test_factors_are_drawn_within_their_range_and_multiply_an_earlier_one() -> None:
    np.random.seed(0)
    sample = {**sample_of(ellipses(3)), 'scale_factor': (0.5, 2.0)}
    widths = []
    for _ in range(50):
        results = RandomTile((20, 40), (2, 3), stride=None)(sample)
        height, width = results['img_shape']
        assert results['scale_factor'] == (0.5 * width / 40, 2 * height / 20)
        assert abs(height * 2 - width) <= 1
        widths.append(width)
    assert 80 <= min(widths) < 90
    assert 110 < max(widths) <= 120


def test_with_log_scale_half_and_twice_a_size_are_equally_likely() -> None:
    np.random.seed(0)
    tile = RandomTile((20, 40), (1, 4), stride=None, log_scale=True)
    factors = np.array([tile._draw_scale() for _ in range(2000)])
    assert 1 <= factors.min() < 1.02 and 3.95 < factors.max() <= 4
    assert abs((factors < 2).mean() - 0.5) < 0.04


def test_an_image_smaller_than_the_tile_is_padded() -> None:
    sample = sample_of(ellipses(5, (20, 30)))
    results = RandomTile((40, 50), (2, 2), (20, 20), pad_value=77)(sample)
    assert_legal(results)
    assert results['img_shape'] == (80, 100)
    assert (results['img'][41:] == 77).all()
    assert (results['img'][:, 61:] == 77).all()
    assert results['gt_masks'].areas.tolist() == (4 * sample['gt_masks'].areas).tolist()


def test_draws_again_until_a_tile_holds_a_cell() -> None:
    bitmaps = np.zeros((1, 80, 80), dtype=np.uint8)
    bitmaps[0, :20, :20] = 1
    sample = sample_of(bitmaps)
    found = {}
    for attempts in (1, 100):
        np.random.seed(0)
        tile = RandomTile((20, 20), (1, 1), (20, 20), attempts=attempts)
        found[attempts] = sum(len(tile(sample)['gt_masks']) for _ in range(20))
    assert found[1] < 20
    assert found[100] == 20


def test_an_image_without_cells_is_legal() -> None:
    results = RandomTile((20, 30))(sample_of(np.zeros((0, 60, 80), dtype=np.uint8)))
    assert_legal(results)
    assert len(results['gt_masks']) == 0


def test_cells_without_pixels_never_stay() -> None:
    """One pixel of a cell, of which every second pixel is left out."""
    bitmaps = np.zeros((2, 8, 8), dtype=np.uint8)
    bitmaps[0, 1, 1] = bitmaps[1, :4, :4] = 1
    results = RandomTile((8, 8), (0.5, 0.5), stride=None, min_area=1)(sample_of(bitmaps))
    assert_legal(results)
    assert results['gt_bboxes_labels'].tolist() == [1]


def test_inputs_stay_as_they_were_and_the_seed_decides() -> None:
    sample = sample_of(ellipses(12))
    image, bitmaps = sample['img'].copy(), sample['gt_masks'].to_ndarray()
    images = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        images.append(RandomTile((20, 30), (1.5, 3))(sample)['img'])
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    np.testing.assert_array_equal(sample['img'], image)
    np.testing.assert_array_equal(sample['gt_masks'].to_ndarray(), bitmaps)
    assert len(sample['gt_bboxes']) == 12
    assert 'scale_factor' not in sample


def test_interpolations_differ() -> None:
    sample = sample_of(ellipses(2))
    images = [
        RandomTile((60, 80), (2, 2), interpolation=interpolation)(sample)['img']
        for interpolation in ('bilinear', 'bicubic')
    ]
    assert images[0].shape == images[1].shape == (120, 160, 3)
    assert (images[0] != images[1]).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_comes_is_legal(data) -> None:
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    cells = data.draw(
        st.lists(
            st.tuples(*(st.integers(-3, 42) for _ in range(2)), *(st.integers(0, 45) for _ in range(2))), max_size=6
        )
    )
    crops = [MaskCrop(np.ones((tall, wide), dtype=bool), x, y) for x, y, tall, wide in cells]
    masks = CroppedMasks(crops, height, width)
    sample = sample_of(np.zeros((0, height, width), dtype=np.uint8))
    sample |= {'gt_masks': masks, 'gt_bboxes': masks.get_bboxes()}
    sample |= {'gt_bboxes_labels': np.arange(len(masks)), 'gt_ignore_flags': np.zeros(len(masks), dtype=bool)}
    tile = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 50)))
    stride = data.draw(st.none() | st.tuples(st.integers(1, 60), st.integers(1, 60)))
    low = data.draw(st.floats(0.5, 3))
    np.random.seed(data.draw(st.integers(0, 1000)))
    transform = RandomTile(tile, (low, low + 1), stride, min_visible=data.draw(st.floats(0, 1)), min_area=1)
    assert_legal(transform(sample))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'tile_size': (0, 10)}, r'tile_size \(0, 10\)'),
        ({'stride': (10, 0)}, r'stride \(10, 0\)'),
        ({'scale_range': (3, 2)}, r'scale_range \(3, 2\)'),
        ({'scale_range': (0, 2)}, r'scale_range \(0, 2\)'),
        ({'interpolation': 'cubic'}, "'cubic' is not one of"),
    ],
)
def test_refuses(options, message) -> None:
    with pytest.raises(InputError, match=message):
        RandomTile(**options)


def test_real_images_with_turns_and_flips(real_data) -> None:
    """What the model gets: tiles of the right size, and cells that lie on what their masks show."""
    init_default_scope('mmdet')
    name, annotations = next(
        (name, cells)
        for name, cells in load_annotations(real_data / 'train.csv').items()
        if (real_data / 'train' / f'{name}.png').is_file()
    )
    np.random.seed(0)
    loaded = LoadCellImage()({'img_path': str(real_data / 'train' / f'{name}.png'), 'img_id': name})
    masks = CroppedMasks(annotations.crops, *annotations.size)
    loaded |= {'gt_masks': masks, 'gt_bboxes': masks.get_bboxes()}
    loaded |= {'gt_bboxes_labels': annotations.labels, 'gt_ignore_flags': np.zeros(len(masks), dtype=bool)}
    turns, flip, tile, pack = RandomQuarterTurn(), RandomFlip(0.5), RandomTile(), PackDetInputs(meta_keys=('img_id',))
    cells = 0
    for _ in range(20):
        results = tile(flip(turns(loaded)))
        assert_legal(results)
        assert 800 <= results['img_shape'][1] <= 1336
        sample = pack(results)['data_samples']
        assert sample.gt_instances.bboxes.tensor.isfinite().all()
        cells += len(sample.gt_instances)
    assert cells > 0
