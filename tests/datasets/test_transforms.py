"""Each transform alone, on small images that a person can check; what all promise is in test_every_transform."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from scipy import ndimage

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.fill_mask_holes import FillMaskHoles
from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.datasets.transforms.random_cell_crop import RandomCellCrop
from sartorius.datasets.transforms.random_photometric import RandomPhotometric
from sartorius.datasets.transforms.random_rotation import RandomQuarterTurn, RandomRotateCells
from sartorius.images.reading import read_cell_image
from sartorius.masks import coco_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

PER_CELL = ('gt_masks', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags')


def make_sample(height: int = 60, width: int = 80, cells: int = 12, seed: int = 0) -> dict[str, Any]:
    """A loaded sample: each cell an ellipse of its own grey level, so that the image tells which pixels are its."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    crops = []
    for label in range(1, cells + 1):
        bitmap = np.zeros((height, width), dtype=np.uint8)
        center = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.ellipse(bitmap, center, (int(rng.integers(2, 9)), int(rng.integers(2, 9))), 0, 0, 360, 1, -1)
        bitmap[image[:, :, 0] > 0] = 0
        image[bitmap > 0] = label
        crops.append(MaskCrop.from_full(bitmap > 0))
    masks = CroppedMasks([crop for crop in crops if crop.area], height, width)
    labels = np.array([label for label, crop in enumerate(crops, start=1) if crop.area])
    return {
        'img': image,
        'img_shape': (height, width),
        'ori_shape': (height, width),
        'gt_masks': masks,
        'gt_bboxes': masks.get_bboxes(),
        'gt_bboxes_labels': labels,
        'gt_ignore_flags': np.zeros(len(masks), dtype=bool),
    }


def assert_legal(results: dict[str, Any]) -> None:
    """One entry a cell everywhere; boxes tight, inside the image and with a width and a height."""
    masks = results['gt_masks']
    assert results['img'].shape[:2] == results['img_shape'] == (masks.height, masks.width)
    assert results['img'].dtype == np.uint8
    assert {len(results[key]) for key in PER_CELL} == {len(masks)}
    boxes = results['gt_bboxes']
    assert isinstance(boxes, HorizontalBoxes)
    assert boxes.tensor.shape == (len(masks), 4)
    assert torch.equal(boxes.tensor, masks.get_bboxes().tensor)
    assert (boxes.widths > 0).all()
    assert (boxes.heights > 0).all()
    assert (masks.areas > 0).all()


def assert_masks_lie_on_their_cells(results: dict[str, Any]) -> None:
    """The label of a cell is its grey level: masks, labels and image moved alike."""
    for mask, label in zip(results['gt_masks'], results['gt_bboxes_labels'], strict=True):
        np.testing.assert_array_equal(results['img'][:, :, 0] == label, mask.astype(bool))


class TestRandomCellCrop:
    def test_image_and_cells_are_cut_alike(self):
        np.random.seed(0)
        for _ in range(30):
            results = RandomCellCrop((30, 40), min_visible=0, min_area=1)(make_sample())
            assert results['img_shape'] == (30, 40)
            assert_legal(results)
            assert_masks_lie_on_their_cells(results)

    def test_small_images_are_padded_at_the_right_and_the_bottom(self):
        sample = make_sample(20, 30)
        results = RandomCellCrop((25, 50), pad_value=200)(sample)
        assert_legal(results)
        assert_masks_lie_on_their_cells(results)
        np.testing.assert_array_equal(results['img'][:20, :30], sample['img'])
        assert (results['img'][20:] == 200).all()
        assert (results['img'][:, 30:] == 200).all()

    def test_cells_of_which_too_little_is_left_are_dropped(self):
        # Three 10x10 cells, of which the window's 20 columns show 10, 5 and 2 columns.
        cells = [MaskCrop(np.ones((10, 10), dtype=bool), x, y) for x, y in ((5, 0), (15, 10), (18, 20))]
        masks = CroppedMasks(cells, 30, 20 + 20)
        sample = {'img': np.zeros((30, 40, 3), np.uint8), 'gt_masks': masks, 'gt_bboxes_labels': np.arange(3)}
        crop = RandomCellCrop((30, 20), min_visible=0.5, min_area=1)
        crop._draw_corner = lambda margins: (0, 0)
        results = crop(sample)
        assert results['gt_bboxes_labels'].tolist() == [0, 1]
        assert results['gt_masks'].windows.tolist() == [[5, 0, 15, 10], [15, 10, 20, 20]]
        crop.min_visible, crop.min_area = 0.1, 51
        assert crop(sample)['gt_bboxes_labels'].tolist() == [0]

    def test_whole_small_cells_stay(self):
        masks = CroppedMasks([MaskCrop(np.ones((2, 2), dtype=bool), 3, 3)], 10, 10)
        sample = {'img': np.zeros((10, 10, 3), np.uint8), 'gt_masks': masks}
        assert len(RandomCellCrop((10, 10), min_area=16)(sample)['gt_masks']) == 1

    def test_draws_again_until_a_cell_is_there(self):
        # About every fifth window holds a quarter of the cell.
        masks = CroppedMasks([MaskCrop(np.ones((40, 40), dtype=bool), 0, 0)], 100, 100)
        sample = {'img': np.zeros((100, 100, 3), np.uint8), 'gt_masks': masks}
        found = {}
        for attempts in (1, 100):
            np.random.seed(0)
            crop = RandomCellCrop((30, 30), attempts=attempts)
            found[attempts] = sum(len(crop(sample)['gt_masks']) for _ in range(20))
        assert found[1] < 20
        assert found[100] == 20

    @pytest.mark.parametrize('cells', [0, 1])
    def test_an_image_without_cells_is_legal(self, cells):
        sample = make_sample(cells=cells)
        sample['gt_masks'] = sample['gt_masks'][:0]
        sample['gt_bboxes'] = sample['gt_masks'].get_bboxes()
        sample['gt_bboxes_labels'] = sample['gt_bboxes_labels'][:0]
        sample['gt_ignore_flags'] = sample['gt_ignore_flags'][:0]
        assert_legal(RandomCellCrop((30, 30))(sample))


class TestRotation:
    @pytest.mark.parametrize('quarters', [0, 1, 2, 3])
    def test_quarter_turns_are_exact(self, quarters):
        sample = make_sample()
        results = RandomQuarterTurn((quarters,))(sample)
        np.testing.assert_array_equal(results['img'], np.rot90(sample['img'], quarters))
        assert results['ori_shape'] == (60, 80)
        assert_legal(results)
        assert_masks_lie_on_their_cells(results)

    def test_all_quarter_turns_are_drawn(self):
        np.random.seed(0)
        turn = RandomQuarterTurn()
        assert {turn._draw_quarters() for _ in range(50)} == {0, 1, 2, 3}

    @pytest.mark.parametrize('border', ['constant', 'reflect'])
    def test_free_rotation_moves_image_and_cells_alike(self, border):
        np.random.seed(0)
        bitmap = np.zeros((80, 100), dtype=np.uint8)
        cv2.ellipse(bitmap, (50, 35), (24, 11), 20, 0, 360, 1, -1)
        masks = CroppedMasks.from_bitmaps(bitmap[None])
        sample = {
            'img': np.repeat(bitmap[:, :, None] * 200, 3, axis=2),
            'img_shape': (80, 100),
            'gt_masks': masks,
            'gt_bboxes': masks.get_bboxes(),
            'gt_bboxes_labels': np.array([1]),
            'gt_ignore_flags': np.array([False]),
        }
        rotate = RandomRotateCells(max_angle=30, prob=1, border=border, pad_value=0)
        for _ in range(10):
            results = rotate(sample)
            assert_legal(results)
            different = (results['img'][:, :, 0] >= 100) != results['gt_masks'].to_ndarray()[0]
            assert np.count_nonzero(different) <= 5
            assert abs(int(results['gt_masks'].areas[0]) - int(bitmap.sum())) < 20
            assert (results['img'] != sample['img']).any()

    def test_probability(self):
        np.random.seed(0)
        rotate = RandomRotateCells(prob=0.25)
        turned = [rotate._draw_angle() != 0 for _ in range(400)]
        assert 60 < sum(turned) < 140
        sample = make_sample()
        assert RandomRotateCells(prob=0)(sample)['img'] is sample['img']

    def test_cells_turned_out_of_the_image_are_dropped(self):
        crops = [MaskCrop(np.ones((4, 4), dtype=bool), 0, 0), MaskCrop(np.ones((4, 4), dtype=bool), 48, 20)]
        masks = CroppedMasks(crops, 44, 100)
        sample = {'img': np.zeros((44, 100, 3), np.uint8), 'gt_masks': masks, 'gt_bboxes_labels': np.arange(2)}
        rotate = RandomRotateCells(prob=1)
        rotate._draw_angle = lambda: 45.0
        assert rotate(sample)['gt_bboxes_labels'].tolist() == [1]


def test_fill_mask_holes_equals_filling_full_size_masks():
    sample = make_sample()
    bitmaps = sample['gt_masks'].to_ndarray()
    bitmaps[0, 20:40, 20:40] = 1
    bitmaps[0, 25:30, 22:39] = 0
    sample['gt_masks'] = CroppedMasks.from_bitmaps(bitmaps)
    filled = FillMaskHoles()(sample)['gt_masks'].to_ndarray()
    assert filled.sum() == bitmaps.sum() + 5 * 17
    np.testing.assert_array_equal(filled, [ndimage.binary_fill_holes(bitmap) for bitmap in bitmaps])


class TestRandomPhotometric:
    def test_changes_nothing_but_grey_levels(self):
        np.random.seed(0)
        grey = np.random.default_rng(0).integers(90, 160, (40, 50, 1), dtype=np.uint8)
        sample = {'img': np.repeat(grey, 3, axis=2)}
        for _ in range(10):
            image = RandomPhotometric(prob=1)(sample)['img']
            assert image.dtype == np.uint8
            assert image.shape == (40, 50, 3)
            assert (image[:, :, :1] == image).all()
            assert abs(float(image.mean()) - float(grey.mean())) < 17

    def test_formula(self):
        photometric = RandomPhotometric(prob=1)
        photometric._draw = lambda: (10.0, 2.0, 0.0)
        image = np.array([[[100] * 3, [110] * 3, [90] * 3, [240] * 3, [0] * 3, [60] * 3]], dtype=np.uint8)
        # The mean is 100: 100 stays there, distances double, 10 is added, the ends are cut.
        changed = photometric({'img': image})['img'][0, :, 0].tolist()
        assert changed == [110, 130, 90, 255, 0, 30]

    def test_none_of_it(self):
        sample = make_sample()
        assert RandomPhotometric(prob=0)(sample)['img'] is sample['img']


class TestLoadCellImage:
    def write(self, folder: Path, name: str, image: np.ndarray) -> Path:
        path = folder / name
        assert cv2.imwrite(str(path), image)
        return path

    @pytest.mark.parametrize('name', ['a.png', 'a.tif'])
    def test_grey_8_bit(self, tmp_path, name):
        grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
        path = self.write(tmp_path, name, grey)
        results = LoadCellImage()({'img_path': str(path)})
        np.testing.assert_array_equal(results['img'], np.repeat(grey[:, :, None], 3, axis=2))
        assert results['img'].flags.c_contiguous
        assert results['img_shape'] == results['ori_shape'] == (6, 8)

    def test_colour_and_alpha(self, tmp_path):
        image = np.random.default_rng(0).integers(0, 255, (5, 6, 4), dtype=np.uint8)
        np.testing.assert_array_equal(read_cell_image(self.write(tmp_path, 'a.png', image)), image[:, :, :3])
        image = np.ascontiguousarray(image[:, :, :3])
        np.testing.assert_array_equal(read_cell_image(self.write(tmp_path, 'b.png', image)), image)

    @pytest.mark.parametrize('name', ['a.png', 'a.tif'])
    def test_16_bit_is_stretched(self, tmp_path, name):
        # A 12-bit image: divided by 256 it would have 16 grey levels.
        ramp = np.linspace(0, 4095, 10_000).astype(np.uint16).reshape(100, 100)
        image = read_cell_image(self.write(tmp_path, name, ramp))
        assert image.dtype == np.uint8
        assert len(np.unique(image)) == 256
        assert (np.diff(image[:, :, 0].ravel().astype(int)) >= 0).all()
        assert abs(int(image[50, 0, 0]) - 128) <= 1

    def test_16_bit_outliers_do_not_darken_the_image(self, tmp_path):
        values = np.random.default_rng(0).integers(1000, 2000, (100, 100)).astype(np.uint16)
        values[0, 0] = 65535
        image = read_cell_image(self.write(tmp_path, 'a.png', values))
        assert image[0, 0, 0] == 255
        assert 100 < image.mean() < 155

    def test_16_bit_of_one_value(self, tmp_path):
        image = read_cell_image(self.write(tmp_path, 'a.png', np.full((4, 4), 5000, np.uint16)))
        assert (image == 0).all()

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r'nowhere\.png cannot be read: No such file'):
            LoadCellImage()({'img_path': str(tmp_path / 'nowhere.png')})

    @pytest.mark.parametrize(('said', 'hint'), [((8, 6), 'EXIF'), ((6, 9), '')])
    def test_another_size_than_the_annotations_say(self, tmp_path, said, hint):
        path = self.write(tmp_path, 'a.png', np.zeros((6, 8), dtype=np.uint8))
        sample = {'img_path': str(path), 'height': said[0], 'width': said[1]}
        message = rf'a\.png is 8x6 pixels, its annotations say {said[1]}x{said[0]}; use the image .*{hint}'
        with pytest.raises(InputError, match=message):
            LoadCellImage()(sample)
        assert LoadCellImage()({**sample, 'height': 6, 'width': 8})['img_shape'] == (6, 8)

    @pytest.mark.parametrize('name', ['cut.png', 'cut.tif'])
    @pytest.mark.parametrize('part', [0, 0.1, 0.9])
    def test_truncated(self, tmp_path, name, part):
        noise = np.random.default_rng(0).integers(0, 255, (100, 100), dtype=np.uint8)
        path = self.write(tmp_path, name, noise)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(InputError, match=rf'{name} is (truncated|empty \(0 bytes\))'):
            read_cell_image(path)

    def test_float_values_are_read(self, tmp_path):
        path = self.write(tmp_path, 'a.tif', np.zeros((4, 4), dtype=np.float32))
        assert (read_cell_image(path) == 0).all()

    def test_stacks(self, tmp_path):
        path = tmp_path / 'stack.tif'
        assert cv2.imwritemulti(str(path), [np.zeros((4, 4), np.uint8)] * 3)
        with pytest.raises(InputError, match='stack of 3 images'):
            read_cell_image(path)


class TestLoadCellAnnotations:
    SIZE = (6, 8)
    SQUARE = MaskCrop(np.ones((2, 3), dtype=bool), x=4, y=1)

    def load(self, *masks: Any, ignore: int = 0) -> dict[str, Any]:
        instances = [
            {'bbox': [4, 1, 7, 3], 'bbox_label': number, 'ignore_flag': ignore, 'mask': mask}
            for number, mask in enumerate(masks)
        ]
        return LoadCellAnnotations()({'img_path': 'a.png', 'ori_shape': self.SIZE, 'instances': instances})

    def test_all_forms_of_a_mask(self):
        compressed = coco_rle.encode(self.SQUARE, self.SIZE)
        runs = {'size': [6, 8], 'counts': [25, 2, 4, 2, 4, 2, 9]}
        polygon = [[4, 1, 7, 1, 7, 3, 4, 3]]
        results = self.load(compressed, runs, polygon)
        assert results['gt_masks'].windows.tolist() == [[4, 1, 7, 3]] * 3
        assert results['gt_masks'].areas.tolist() == [6, 6, 6]
        assert results['gt_bboxes'].tensor.tolist() == [[4, 1, 7, 3]] * 3
        assert results['gt_bboxes_labels'].tolist() == [0, 1, 2]
        assert results['gt_bboxes_labels'].dtype == np.int64
        assert results['gt_ignore_flags'].tolist() == [False] * 3

    def test_boxes_are_those_of_the_masks(self):
        results = self.load([[1, 0, 4, 0, 4, 5, 1, 5]])
        assert results['gt_bboxes'].tensor.tolist() == [[1, 0, 4, 5]]

    def test_no_cells(self):
        results = self.load()
        assert len(results['gt_masks']) == 0
        assert results['gt_bboxes'].tensor.shape == (0, 4)
        assert (results['gt_masks'].height, results['gt_masks'].width) == self.SIZE

    def test_cells_that_cannot_be_learnt_from_are_ignored(self):
        empty = {'size': [6, 8], 'counts': [48]}
        results = self.load(empty, [[1, 1, 2, 2]], [[4, 1, 7, 1, 7, 3, 4, 3]])
        assert results['gt_ignore_flags'].tolist() == [True, True, False]
        assert self.load([[4, 1, 7, 1, 7, 3, 4, 3]], ignore=1)['gt_ignore_flags'].tolist() == [True]

    @pytest.mark.parametrize(
        ('mask', 'message'),
        [
            ({'size': [6, 8], 'counts': b'12'}, 'covers 3 pixels'),
            ({'size': [8, 6], 'counts': 'i02'}, 'its mask is 6x8 pixels, its image 8x6'),
            ([[1, 1, 2, 2, 3]], 'a polygon of 5 values'),
            ({'size': [6, 8], 'counts': '12'}, 'covers 3 pixels'),
        ],
    )
    def test_refuses(self, mask, message):
        good = coco_rle.encode(self.SQUARE, self.SIZE)
        with pytest.raises(InputError, match=rf'image a\.png, cell 1: .*{message}'):
            self.load(good, mask)
