"""CroppedMasks against MMDetection's BitmapMasks, the slow and obvious version of the same interface."""

import pickle
import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

# Bilinear values move by at most 1/32 an axis when OpenCV rounds a coordinate the other way.
THRESHOLD_MARGIN = 0.08


def draw_bitmaps(seed: int) -> np.ndarray:
    """Up to 6 masks of up to 60x60 pixels: blobs that may touch the border, single pixels, noise, empty, full."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(2, 60, size=2).tolist()
    bitmaps = np.zeros((int(rng.integers(0, 7)), height, width), dtype=np.uint8)
    for bitmap in bitmaps:
        kind = rng.choice(['blob', 'blob', 'blob', 'pixel', 'noise', 'empty', 'full'])
        center = (int(rng.integers(width)), int(rng.integers(height)))
        if kind == 'blob':
            axes = tuple(rng.integers(1, 20, size=2).tolist())
            cv2.ellipse(bitmap, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        elif kind == 'pixel':
            bitmap[center[1], center[0]] = 1
        elif kind == 'noise':
            bitmap[:] = rng.random(bitmap.shape) < 0.2
        elif kind == 'full':
            bitmap[:] = 1
    return bitmaps


bitmap_stacks = st.integers(0, 2**32 - 1).map(draw_bitmaps)


def pair(bitmaps: np.ndarray) -> tuple[CroppedMasks, BitmapMasks]:
    return CroppedMasks.from_bitmaps(bitmaps), BitmapMasks(bitmaps, *bitmaps.shape[1:])


def assert_sound(masks: CroppedMasks) -> None:
    """Crops are tight, lie inside the image and have the shapes of their windows."""
    assert masks.windows.shape == (len(masks), 4)
    for cell, (x1, y1, x2, y2) in zip(masks.cells, masks.windows.tolist(), strict=True):
        assert cell.dtype == bool
        assert cell.shape == (y2 - y1, x2 - x1)
        assert 0 <= x1 <= x2 <= masks.width
        assert 0 <= y1 <= y2 <= masks.height
        assert cell.size == 0 or (cell[0].any() and cell[-1].any() and cell[:, 0].any() and cell[:, -1].any())


def assert_equal(cropped: CroppedMasks, bitmaps: BitmapMasks) -> None:
    assert_sound(cropped)
    assert (cropped.height, cropped.width) == (bitmaps.height, bitmaps.width)
    np.testing.assert_array_equal(cropped.to_ndarray(), bitmaps.to_ndarray())


def assert_equal_up_to_threshold(cropped: CroppedMasks, expected: list[np.ndarray]) -> None:
    """Differs from float interpolated bitmaps, cut at 0.5, only where their value is close to 0.5."""
    assert_sound(cropped)
    for ours, values in zip(cropped, expected, strict=True):
        assert ours.shape == values.shape
        wrong = ours.astype(bool) != (values >= 0.5)
        assert (np.abs(values[wrong] - 0.5) <= THRESHOLD_MARGIN).all()


def test_holds_each_cell_as_its_tight_crop():
    loose = MaskCrop(np.array([[0, 0, 0], [0, 1, 0]], dtype=bool), x=2, y=3)
    sticking_out = MaskCrop(np.ones((4, 4), dtype=bool), x=-2, y=-1)
    outside = MaskCrop(np.ones((2, 2), dtype=bool), x=50, y=3)
    masks = CroppedMasks([loose, sticking_out, outside], height=6, width=8)
    assert masks.windows.tolist() == [[3, 4, 4, 5], [0, 0, 2, 3], [0, 0, 0, 0]]
    assert [cell.shape for cell in masks.cells] == [(1, 1), (3, 2), (0, 0)]
    assert masks.areas.tolist() == [1, 6, 0]
    assert [crop.window for crop in masks.crops] == [(3, 4, 4, 5), (0, 0, 2, 3), (0, 0, 0, 0)]


@settings(deadline=None)
@given(bitmap_stacks)
def test_bitmaps_come_back(bitmaps):
    cropped, peer = pair(bitmaps)
    assert_equal(cropped, peer)
    assert_equal(cropped, cropped.to_bitmap())
    assert cropped.to_ndarray().dtype == np.uint8
    assert torch.equal(cropped.to_tensor(torch.float32, 'cpu'), peer.to_tensor(torch.float32, 'cpu'))
    assert cropped.areas.tolist() == peer.areas.tolist()
    assert len(list(cropped)) == len(peer)
    for ours, theirs in zip(cropped, peer, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None)
@given(bitmap_stacks)
def test_boxes_are_those_of_the_bitmaps(bitmaps):
    cropped, peer = pair(bitmaps)
    boxes = cropped.get_bboxes()
    assert isinstance(boxes, HorizontalBoxes)
    assert boxes.tensor.dtype == torch.float32
    assert torch.equal(boxes.tensor, peer.get_bboxes('hbox').tensor)
    assert torch.equal(cropped.get_bboxes(HorizontalBoxes).tensor, boxes.tensor)
    # What MMDetection's own RandomCrop and helpers call on any masks.
    assert torch.equal(HorizontalBoxes.from_instance_masks(cropped).tensor, boxes.tensor)


@settings(deadline=None)
@given(bitmap_stacks, st.integers(1, 130), st.integers(1, 130))
def test_resize_is_exact(bitmaps, height, width):
    cropped, peer = pair(bitmaps)
    assert_equal(cropped.resize((height, width)), peer.resize((height, width)))


@settings(deadline=None)
@given(bitmap_stacks, st.one_of(st.floats(0.3, 4), st.tuples(st.integers(20, 150), st.integers(20, 150))))
def test_rescale_is_exact(bitmaps, scale):
    cropped, peer = pair(bitmaps)
    assert_equal(cropped.rescale(scale), peer.rescale(scale))


@settings(deadline=None)
@given(bitmap_stacks, st.sampled_from(['horizontal', 'vertical', 'diagonal']))
def test_flip_is_exact_and_its_own_inverse(bitmaps, direction):
    cropped, peer = pair(bitmaps)
    flipped = cropped.flip(direction)
    assert_equal(flipped, peer.flip(direction))
    assert_equal(flipped.flip(direction), peer)


@settings(deadline=None)
@given(bitmap_stacks, st.integers(-5, 5))
def test_turn_is_numpys_rot90(bitmaps, quarters):
    turned = CroppedMasks.from_bitmaps(bitmaps).turn(quarters)
    expected = np.rot90(bitmaps, quarters, axes=(1, 2))
    assert_equal(turned, BitmapMasks(expected, *expected.shape[1:]))


@settings(deadline=None)
@given(bitmap_stacks, st.integers(0, 40), st.integers(0, 40))
def test_pad_is_exact(bitmaps, below, right):
    cropped, peer = pair(bitmaps)
    shape = (peer.height + below, peer.width + right)
    assert_equal(cropped.pad(shape), peer.pad(shape))


@settings(deadline=None)
@given(bitmap_stacks, st.tuples(*[st.integers(-10, 70)] * 4))
def test_crop_is_exact(bitmaps, corners):
    cropped, peer = pair(bitmaps)
    x1, x2 = np.clip(sorted(corners[:2]), 0, peer.width - 1) + [0, 1]
    y1, y2 = np.clip(sorted(corners[2:]), 0, peer.height - 1) + [0, 1]
    box = np.array([x1, y1, x2, y2])
    assert_equal(cropped.crop(box), peer.crop(box))
    assert box.tolist() == [x1, y1, x2, y2]


def test_crop_keeps_cells_that_lie_outside_without_pixels():
    masks = CroppedMasks([MaskCrop(np.ones((2, 3), dtype=bool), x=1, y=1)], height=10, width=10)
    cut = masks.crop(np.array([6, 6, 9, 10]))
    assert (len(cut), cut.height, cut.width) == (1, 4, 3)
    assert cut.windows.tolist() == [[0, 0, 0, 0]]
    assert cut.areas.tolist() == [0]


@settings(deadline=None)
@given(bitmap_stacks, st.tuples(*[st.integers(0, 30)] * 4))
def test_expand_is_exact(bitmaps, margins):
    cropped, peer = pair(bitmaps)
    top, left, below, right = margins
    size = (top + peer.height + below, left + peer.width + right)
    assert_equal(cropped.expand(*size, top, left), peer.expand(*size, top, left))


@settings(deadline=None)
@given(
    bitmap_stacks,
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    st.integers(-70, 70),
    st.sampled_from(['horizontal', 'vertical']),
)
def test_translate_by_whole_pixels_is_exact(bitmaps, out_shape, offset, direction):
    cropped, peer = pair(bitmaps)
    ours = cropped.translate(out_shape, offset, direction)
    assert_equal(ours, peer.translate(out_shape, offset, direction))


@settings(deadline=None)
@given(bitmap_stacks, st.tuples(st.integers(-70, 70), st.integers(-70, 70)))
def test_translate_in_both_directions_is_exact(bitmaps, offset):
    cropped, peer = pair(bitmaps)
    out_shape = (peer.height, peer.width)
    assert_equal(cropped.translate(out_shape, offset, 'both'), peer.translate(out_shape, offset, 'both'))


def warped(bitmaps: np.ndarray, matrix: np.ndarray) -> list[np.ndarray]:
    """Float bitmaps moved by a 2x3 matrix, one full-size array a cell."""
    size = bitmaps.shape[:0:-1]
    return [cv2.warpAffine(bitmap.astype(np.float32), matrix, size) for bitmap in bitmaps]


@settings(deadline=None)
@given(bitmap_stacks, st.floats(-20, 20), st.sampled_from(['horizontal', 'vertical']))
def test_translate_by_parts_of_pixels(bitmaps, offset, direction):
    moved = CroppedMasks.from_bitmaps(bitmaps).translate(bitmaps.shape[1:], offset, direction)
    x, y = (offset, 0) if direction == 'horizontal' else (0, offset)
    assert_equal_up_to_threshold(moved, warped(bitmaps, np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)))


@settings(deadline=None)
@given(bitmap_stacks, st.floats(-2, 2), st.sampled_from(['horizontal', 'vertical']))
def test_shear(bitmaps, magnitude, direction):
    sheared = CroppedMasks.from_bitmaps(bitmaps).shear(bitmaps.shape[1:], magnitude, direction)
    x, y = (magnitude, 0) if direction == 'horizontal' else (0, magnitude)
    assert_equal_up_to_threshold(sheared, warped(bitmaps, np.array([[1, x, 0], [y, 1, 0]], dtype=np.float64)))


@settings(deadline=None)
@given(bitmap_stacks, st.floats(-360, 360), st.floats(0.5, 2))
def test_rotate(bitmaps, angle, scale):
    height, width = bitmaps.shape[1:]
    rotated = CroppedMasks.from_bitmaps(bitmaps).rotate((height, width), angle, scale=scale)
    middle = ((width - 1) / 2, (height - 1) / 2)
    assert_equal_up_to_threshold(rotated, warped(bitmaps, cv2.getRotationMatrix2D(middle, -angle, scale)))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_warps_differ_from_bitmap_masks_by_few_pixels_of_the_outline(seed):
    rng = np.random.default_rng(seed)
    bitmap = np.zeros((60, 80), dtype=np.uint8)
    cv2.ellipse(bitmap, (40, 30), (18, 9), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    cropped, peer = pair(bitmap[None])
    angle, magnitude, center = rng.uniform(-180, 180), rng.uniform(-1, 1), (12.0, 50.5)
    around = np.ones((3, 3), np.uint8)
    for interpolation in ('bilinear', 'nearest'):
        results = [
            (
                masks.rotate((60, 80), angle, center=center, interpolation=interpolation),
                masks.shear((60, 80), magnitude, 'vertical', interpolation=interpolation),
                masks.translate((60, 80), magnitude, 'horizontal', interpolation=interpolation),
            )
            for masks in (cropped, peer)
        ]
        for ours, theirs in zip(*results, strict=True):
            (one,), (other,) = ours.to_ndarray(), theirs.to_ndarray()
            assert np.count_nonzero(one != other) <= 10
            assert (cv2.erode(other, around) <= one).all()
            assert (one <= cv2.dilate(other, around)).all()


def test_rotate_turns_the_way_mmcv_does():
    masks = CroppedMasks([MaskCrop(np.ones((3, 9), dtype=bool), x=20, y=10)], height=41, width=41)
    clockwise = masks.rotate((41, 41), 90)
    # Right of and above the middle goes to right of and below it.
    assert clockwise.windows.tolist() == [[28, 20, 31, 29]]
    assert_equal(clockwise, masks.turn(-1).to_bitmap())


@pytest.mark.parametrize(
    'index',
    [
        0,
        -1,
        np.int64(2),
        slice(1, 3),
        slice(None, None, 2),
        [3, 0],
        [],
        np.array([2, 2, 1]),
        np.array([], dtype=np.int64),
        np.array([True, False, False, True]),
        torch.tensor([1, 3]),
        torch.tensor([False, True, True, False]),
    ],
)
def test_index(index):
    rng = np.random.default_rng(0)
    cropped, peer = pair((rng.random((4, 9, 7)) < 0.3).astype(np.uint8))
    expected = peer[index] if len(np.atleast_1d(np.arange(4)[index])) else BitmapMasks([], 9, 7)
    assert_equal(cropped[index], expected)


def test_index_beyond_the_last_cell():
    with pytest.raises(IndexError):
        CroppedMasks([], 4, 4)[0]


def test_instance_data_selects_and_joins_cells():
    bitmaps = np.eye(4, dtype=np.uint8).reshape(4, 2, 2)
    instances = InstanceData(masks=CroppedMasks.from_bitmaps(bitmaps), labels=torch.arange(4))
    chosen = instances[instances.labels > 1]
    np.testing.assert_array_equal(chosen.masks.to_ndarray(), bitmaps[2:])
    assert len(instances[instances.labels > 9].masks) == 0
    joined = InstanceData.cat([chosen, instances[0]])
    np.testing.assert_array_equal(joined.masks.to_ndarray(), bitmaps[[2, 3, 0]])


def test_masks_of_different_images_cannot_be_joined():
    with pytest.raises(InputError, match='different'):
        CroppedMasks.cat([CroppedMasks([], 4, 4), CroppedMasks([], 4, 5)])


def test_code_that_knows_bitmap_masks_finds_read_only_bitmaps():
    bitmaps = np.eye(4, dtype=np.uint8)[None]
    masks = CroppedMasks.from_bitmaps(bitmaps)
    assert isinstance(masks, BitmapMasks)
    np.testing.assert_array_equal(masks.masks, bitmaps)
    with pytest.raises(ValueError, match='read-only'):
        masks.masks[:] = 0


@pytest.mark.parametrize(
    ('operation', 'message'),
    [
        (lambda masks: masks.flip('sideways'), 'sideways'),
        (lambda masks: masks.pad((3, 9)), 'cannot be padded'),
        (lambda masks: masks.pad((9, 9), pad_val=1), 'border value of 1'),
        (lambda masks: masks.rotate((8, 8), 3, border_value=255), 'border value of 255'),
        (lambda masks: masks.resize((9, 9), interpolation='bilinear'), 'bilinear'),
        (lambda masks: masks.rotate((8, 8), 3, interpolation='area'), 'area'),
        (lambda masks: masks.translate((8, 8), 3, 'up'), 'up'),
        (lambda masks: masks.shear((8, 8), 3, 'up'), 'up'),
    ],
)
def test_refuses(operation, message):
    with pytest.raises(InputError, match=message):
        operation(CroppedMasks([], 8, 8))


@settings(deadline=None)
@given(bitmap_stacks)
def test_pickle(bitmaps):
    cropped, peer = pair(bitmaps)
    assert_equal(pickle.loads(pickle.dumps(cropped.flip())), peer.flip())


def test_pickle_is_as_light_as_the_crops():
    masks = CroppedMasks([MaskCrop(np.ones((20, 20), dtype=bool), x, 0) for x in range(800)], 1000, 1000)
    assert len(pickle.dumps(masks)) < 800 * (400 + 4 * 8) + 1000


@pytest.mark.slow
@settings(deadline=None)
@given(bitmap_stacks)
def test_nothing_writes_into_its_input(bitmaps):
    masks = CroppedMasks.from_bitmaps(bitmaps)
    before = pickle.dumps(masks)
    for cell in masks.cells:
        cell.flags.writeable = False
    masks.windows.flags.writeable = False
    height, width = masks.height, masks.width
    for result in (
        masks.flip('diagonal'),
        masks.turn(1),
        masks.resize((7, 9)),
        masks.crop(np.array([1, 1, 9, 9])),
        masks.pad((height + 2, width)),
        masks.rotate((height, width), 17),
        masks[::-1],
    ):
        result.to_ndarray()
    assert pickle.dumps(masks) == before


def draw_boxes(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Boxes inside the image as proposals are: some of whole pixels, some tiny, some as large as the image."""
    corners = rng.uniform(0, 1, (count, 2, 2)) * (width, height)
    corners[rng.random(count) < 0.3] = np.array([[0, 0], [width, height]])
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    whole = rng.random(count) < 0.3
    boxes[whole] = np.round(boxes[whole])
    return boxes.astype(np.float32)


@settings(deadline=None)
@given(bitmap_stacks, st.integers(0, 2**32 - 1), st.sampled_from([(7, 7), (28, 28), (14, 9)]))
def test_mask_targets_are_those_of_the_bitmaps(bitmaps, seed, out_shape):
    rng = np.random.default_rng(seed)
    cropped, peer = pair(bitmaps)
    boxes = draw_boxes(rng, 12, peer.height, peer.width)
    inds = rng.integers(0, max(len(peer), 1), 12)
    ours = cropped.crop_and_resize(boxes, out_shape, inds, binarize=False).to_ndarray()
    theirs = peer.crop_and_resize(boxes, out_shape, inds, binarize=False).to_ndarray()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    binary = cropped.crop_and_resize(torch.from_numpy(boxes), out_shape, torch.from_numpy(inds)).to_ndarray()
    clear = np.abs(theirs - 0.5) > 1e-4
    np.testing.assert_array_equal(binary[clear], theirs[clear] >= 0.5)


def test_mask_targets_of_no_boxes():
    cropped, peer = pair(np.ones((1, 4, 4), dtype=np.uint8))
    nothing = np.zeros((0, 4), dtype=np.float32), (28, 28), np.zeros(0, dtype=np.int64)
    assert cropped.crop_and_resize(*nothing).masks.shape == peer.crop_and_resize(*nothing).masks.shape


def test_mask_targets_by_hand():
    """A cell of 2x2 pixels seen by its own box, by one twice as wide, by one beside it, and by one beyond the image."""
    cropped = CroppedMasks([MaskCrop(np.ones((2, 2), dtype=bool), 3, 1)], 6, 8)
    boxes = np.array([[3, 1, 5, 3], [3, 1, 7, 3], [5, 3, 7, 5], [40, 40, 50, 50]], dtype=np.float32)
    targets = cropped.crop_and_resize(boxes, (2, 2), np.zeros(4, dtype=np.int64), binarize=False).masks
    assert targets.tolist() == [[[1, 1], [1, 1]], [[1, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]


def test_mask_targets_of_cells_that_there_are_not():
    cropped, _ = pair(np.ones((2, 4, 4), dtype=np.uint8))
    for cell in (2, -1):
        with pytest.raises(InputError, match=f'cells {cell} to {cell} were asked for, of 2'):
            cropped.crop_and_resize(np.zeros((1, 4), dtype=np.float32), (7, 7), np.array([cell]))


def test_mask_targets_make_no_full_size_array():
    crops = [MaskCrop(np.ones((30, 30), dtype=bool), 40 * number, 100) for number in range(40)]
    masks = CroppedMasks(crops, 2000, 2000)
    boxes = masks.get_bboxes().tensor
    tracemalloc.start()
    masks.crop_and_resize(boxes, (28, 28), np.arange(40))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2000 * 2000


@pytest.fixture(scope='module')
def real_pair(real_data):
    """The 60 first cells of a dense real image, as crops and as bitmaps."""
    lines = (real_data / 'train.csv').read_text().splitlines()
    codes = [line.split(',')[1] for line in lines if line.startswith('0030fd0e6378')][:60]
    cropped = CroppedMasks([kaggle_rle.decode(code, (520, 704)) for code in codes], 520, 704)
    return cropped, cropped.to_bitmap()


@pytest.mark.slow
@pytest.mark.parametrize(
    'operation',
    [
        lambda masks: masks.rescale((1333, 800)),
        lambda masks: masks.rescale(0.61),
        lambda masks: masks.flip('diagonal'),
        lambda masks: masks.crop(np.array([100, 80, 356, 336])),
        lambda masks: masks.translate((520, 704), -40),
    ],
)
def test_real_cells_exactly(real_pair, operation):
    cropped, peer = real_pair
    assert_equal(operation(cropped), operation(peer))


def test_real_cells_rotated(real_pair):
    cropped, peer = real_pair
    ours, theirs = cropped.rotate((520, 704), 31.0), peer.rotate((520, 704), 31.0)
    different = np.count_nonzero(ours.to_ndarray() != theirs.to_ndarray())
    assert different <= 0.002 * theirs.areas.sum()


def test_real_mask_targets(real_pair):
    cropped, peer = real_pair
    rng = np.random.default_rng(3)
    boxes = cropped.get_bboxes().tensor.numpy() + rng.normal(0, 3, (60, 4)).astype(np.float32)
    boxes = np.clip(boxes, 0, [704, 520, 704, 520]).astype(np.float32)
    ours = cropped.crop_and_resize(boxes, (28, 28), np.arange(60)).to_ndarray()
    np.testing.assert_array_equal(ours, peer.crop_and_resize(boxes, (28, 28), np.arange(60)).to_ndarray())
