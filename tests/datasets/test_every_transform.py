"""What every transform promises, whichever are registered: a new one is found and tried without being named here."""

import random
import weakref
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from sartorius.annotations.coco import cells_from_crops, write_coco
from sartorius.annotations.structures import CocoImage
from sartorius.datasets import transforms
from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.sartorius import SartoriusDataset
from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

PER_CELL = ('gt_masks', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags')
SIZE = (120, 160)

CLASSES: list[type[BaseTransform]] = sorted(
    {found for found in TRANSFORMS.module_dict.values() if found.__module__.startswith(f'{transforms.__name__}.')},
    key=lambda found: found.__name__,
)
EACH = pytest.mark.parametrize('transform', CLASSES, ids=lambda found: found.__name__)


def make(transform: type[BaseTransform]) -> BaseTransform:
    """A transform with arguments for a small sample: its ``example``, or its defaults."""
    return transform(**getattr(transform, 'example', {}))


def draw_crops(seed: int) -> tuple[np.ndarray, list[MaskCrop]]:
    """An image of three hollow ellipses with an arm each, which do not overlap."""
    rng = np.random.default_rng(seed)
    image = rng.integers(100, 140, SIZE, dtype=np.uint8)
    crops = []
    for column in range(3):
        bitmap = np.zeros(SIZE, dtype=np.uint8)
        centre = (30 + 48 * column + int(rng.integers(-4, 5)), 60 + int(rng.integers(-20, 21)))
        cv2.ellipse(bitmap, centre, (12, 9), 0, 0, 360, 1, 3)
        cv2.line(bitmap, centre, (centre[0] + 4, centre[1] - 25), 1, 3)
        image[bitmap > 0] = 180 + 10 * column
        crops.append(MaskCrop.from_full(bitmap > 0))
    return image, crops


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SartoriusDataset:
    """Three images of astrocytes, loaded from disk."""
    folder = tmp_path_factory.mktemp('transforms')
    images = []
    for seed, name in enumerate('abc'):
        image, crops = draw_crops(seed)
        cv2.imwrite(str(folder / f'{name}.png'), image)
        images.append(CocoImage(f'{name}.png', SIZE, cells_from_crops(crops, CELL_TYPES.index('astro'), SIZE)))
    write_coco(folder / 'cells.json', images, CELL_TYPES, {})
    return SartoriusDataset(ann_file=str(folder / 'cells.json'), data_root=str(folder), pipeline=[])


def sample_of(dataset: SartoriusDataset) -> dict[str, Any]:
    """The first image, loaded, as a training pipeline has it."""
    sample = {**dataset.get_data_info(0), 'dataset': weakref.ref(dataset)}
    return LoadCellAnnotations()(LoadCellImage()(sample))


def run(transform: BaseTransform, sample: dict[str, Any], seed: int) -> dict[str, Any]:
    """Seeded as :class:`sartorius.datasets.samplers.SeededDataset` does."""
    np.random.seed(seed)
    random.seed(seed)
    return transform(sample)


def content(sample: dict[str, Any]) -> dict[str, Any]:
    """All that a sample holds, as what can be compared and will not change with it."""
    found = {key: value for key, value in sample.items() if key not in ('img', 'dataset', *PER_CELL)}
    return {
        **{key: repr(value) for key, value in found.items()},
        'img': sample['img'].tobytes(),
        'gt_masks': np.asarray(sample['gt_masks'].to_ndarray()).tobytes(),
        'gt_bboxes': sample['gt_bboxes'].tensor.tolist(),
        'gt_bboxes_labels': sample['gt_bboxes_labels'].tolist(),
        'gt_ignore_flags': sample['gt_ignore_flags'].tolist(),
    }


def assert_legal(results: dict[str, Any]) -> None:
    """One entry per cell everywhere; boxes tight, inside the image and with a width and a height."""
    masks = results['gt_masks']
    assert isinstance(masks, CroppedMasks)
    assert tuple(results['img'].shape[:2]) == tuple(results['img_shape']) == (masks.height, masks.width)
    assert (results['img'].dtype, results['img'].shape[2]) == (np.uint8, 3)
    assert {len(results[key]) for key in PER_CELL} == {len(masks)}
    assert isinstance(results['gt_bboxes'], HorizontalBoxes)
    assert torch.equal(results['gt_bboxes'].tensor, masks.get_bboxes().tensor)
    assert (masks.areas > 0).all()


def test_all_modules_of_the_folder_are_found() -> None:
    folder = Path(transforms.__file__).parent
    registered = {found.__module__.rpartition('.')[2] for found in CLASSES}
    with_decorator = {path.stem for path in folder.glob('*.py') if '@TRANSFORMS.register_module' in path.read_text()}
    assert registered == with_decorator and len(CLASSES) >= 11


@EACH
def test_the_docs_list_it(transform: type[BaseTransform], repo_root: Path) -> None:
    assert f'\n| `{transform.__name__}` |' in (repo_root / 'docs' / 'augmentation.md').read_text()


@EACH
def test_inputs_stay_as_they_were(transform: type[BaseTransform], dataset: SartoriusDataset) -> None:
    sample = sample_of(dataset)
    before = content(sample)
    run(make(transform), sample, seed=1)
    assert content(sample) == before


@EACH
def test_the_seed_decides(transform: type[BaseTransform], dataset: SartoriusDataset) -> None:
    first, again = make(transform), make(transform)
    results = [content(run(first, sample_of(dataset), seed)) for seed in range(8)]
    assert [content(run(again, sample_of(dataset), seed)) for seed in range(8)] == results
    differ = any(other != results[0] for other in results)
    assert differ == bool(getattr(transform, '_methods_with_randomness', ())), (
        'is all that is random marked by cache_randomness?'
    )


@EACH
def test_it_changes_something(transform: type[BaseTransform], dataset: SartoriusDataset) -> None:
    if transform in (LoadCellImage, LoadCellAnnotations):
        return
    before = content(sample_of(dataset))
    assert any(content(run(make(transform), sample_of(dataset), seed)) != before for seed in range(8))


@EACH
@pytest.mark.parametrize('cells', [3, 0])
def test_results_are_legal(transform: type[BaseTransform], dataset: SartoriusDataset, cells: int) -> None:
    for seed in range(8):
        sample = sample_of(dataset)
        for key in PER_CELL:
            sample[key] = sample[key][:cells]
        results = run(make(transform), sample, seed)
        assert_legal(results)
        assert results['ori_shape'] == SIZE


@EACH
def test_masks_of_another_kind_are_refused_or_let_alone(
    transform: type[BaseTransform], dataset: SartoriusDataset
) -> None:
    sample = sample_of(dataset)
    if transform is LoadCellAnnotations:
        return
    given = sample['gt_masks'] = sample['gt_masks'].to_bitmap()
    try:
        results = run(make(transform), sample, seed=1)
    except InputError as error:
        assert 'gt_masks is BitmapMasks, not CroppedMasks; load annotations with LoadCellAnnotations' in str(error)
    else:
        assert results['gt_masks'] is given
        assert results['img'].shape == sample['img'].shape, 'an image was cut or turned without its masks'
