"""Cells of other training images on a sample, from the data set to the data loader."""

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmdet.datasets import MultiImageMixDataset
from mmengine.dataset import RepeatDataset, pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.annotations.reading import load_annotations
from sartorius.datasets import SartoriusDataset, SeededDataset
from sartorius.datasets.transforms.copy_paste import CellCopyPaste
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

LOAD = [dict(type='LoadCellImage'), dict(type='LoadCellAnnotations')]
# Every cell of an image has the image's grey level; the ground of all is 100.
LEVELS = {'shsy5y_a': 10, 'shsy5y_b': 20, 'astro_a': 30, 'cort_a': 40, 'cort_b': 50, 'none_a': 60}
SIZES = {'shsy5y_a': (60, 80), 'shsy5y_b': (90, 70), 'astro_a': (200, 220), 'cort_a': (60, 80), 'cort_b': (40, 40)}


@pytest.fixture(scope='module', autouse=True)
def _mmdet_scope():
    init_default_scope('mmdet')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Images of the three classes and of several sizes, and one without cells; cells of 1 to 81 pixels."""
    folder = tmp_path_factory.mktemp('cells')
    rng = np.random.default_rng(0)
    images = []
    for name, level in LEVELS.items():
        height, width = SIZES.get(name, (60, 80))
        picture = np.full((height, width), 100, dtype=np.uint8)
        crops = []
        for _ in range(0 if name == 'none_a' else 12):
            side = int(rng.choice([1, 3, 9]))
            x, y = int(rng.integers(width - side)), int(rng.integers(height - side))
            if (picture[y : y + side, x : x + side] == 100).all():
                picture[y : y + side, x : x + side] = level
                crops.append(MaskCrop(np.ones((side, side), dtype=bool), x, y))
        label = CELL_TYPES.index(name.split('_')[0]) if crops else 0
        assert cv2.imwrite(str(folder / f'{name}.png'), picture)
        images.append(CocoImage(f'{name}.png', (height, width), cells_from_crops(crops, label, (height, width))))
    write_coco(folder / 'all.json', images, CELL_TYPES, {})
    write_coco(folder / 'none.json', images[-1:], CELL_TYPES, {})
    write_coco(folder / 'shsy5y_a.json', images[:1], CELL_TYPES, {})
    return folder


def dataset(folder: Path, *transforms: dict[str, Any], name: str = 'all.json') -> SartoriusDataset:
    return SartoriusDataset(ann_file=str(folder / name), data_root=str(folder), pipeline=[*LOAD, *transforms])


def paste(**changes: Any) -> dict[str, Any]:
    """The transform as these tests want it: without what changes grey levels."""
    settings = dict(prob=1, cells=(20, 20), match_background=False, rim=0, load=LOAD)
    return dict(type='CellCopyPaste', **{**settings, **changes})


def levels_of_cells(results: dict[str, Any]) -> list[int]:
    """The grey level of each cell, which must have no other."""
    levels = []
    for mask in results['gt_masks']:
        (level,) = np.unique(results['img'][mask.astype(bool)])
        levels.append(int(level))
    return levels


@pytest.mark.parametrize('placement', ['free', 'anywhere'])
@pytest.mark.parametrize('turn', ['none', 'quarter'])
def test_every_cell_shows_its_own_image(folder, placement, turn):
    plain = dataset(folder)
    pasted = dataset(folder, paste(placement=placement, turn=turn, classes=None, min_visible=0.1))
    added = 0
    for index in range(len(plain)):
        for seed in range(3):
            np.random.seed(seed)
            before, after = plain[index], pasted[index]
            levels = levels_of_cells(after)
            own = LEVELS[after['img_id']]
            assert set(levels) <= set(LEVELS.values())
            # No cell shows without a mask where nothing may be hidden; where it may, what is left of dropped ones does.
            if placement == 'free':
                covered = after['gt_masks'].to_ndarray().any(axis=0)
                np.testing.assert_array_equal(covered, after['img'][:, :, 0] != 100)
                kept = len(before['gt_masks'])
                np.testing.assert_array_equal(after['gt_masks'][:kept].to_ndarray(), before['gt_masks'].to_ndarray())
            labels = [CELL_TYPES.index(next(n for n in LEVELS if LEVELS[n] == level).split('_')[0]) for level in levels]
            assert after['gt_bboxes_labels'].tolist() == labels
            added += sum(level != own for level in levels)
    assert added > 30


def test_cells_of_the_same_class_by_default(folder):
    pasted = dataset(folder, paste())
    found = {name: set() for name in LEVELS}
    np.random.seed(0)
    for index in [0, 1, 2] * 6 + [5] * 20:
        results = pasted[index]
        found[results['img_id']] |= set(levels_of_cells(results))
    assert found['shsy5y_a'] == found['shsy5y_b'] == {10, 20}
    assert found['astro_a'] == {30}
    # An image without cells has no class.
    assert found['none_a'] == {10, 20, 30, 40, 50}


def test_chances_by_class(folder):
    pasted = dataset(folder, paste(classes={'cort': 1.0, 'astro': 3.0, 'shsy5y': 0}, sources=1))
    counts = {30: 0, 40: 0, 50: 0}
    for seed in range(80):
        np.random.seed(seed)
        (level,) = set(levels_of_cells(pasted[5]))
        counts[level] += 1
    assert 48 <= counts[30] <= 72
    assert counts[40] > 2
    assert counts[50] > 2


def test_several_sources_and_the_number_of_cells(folder):
    numbers, mixed = set(), 0
    pasted = dataset(folder, paste(cells=(1, 3), classes=None, sources=3))
    for seed in range(30):
        np.random.seed(seed)
        levels = levels_of_cells(pasted[5])
        numbers.add(len(levels))
        mixed += len(set(levels)) > 1
    assert numbers == {1, 2, 3}
    assert mixed > 5


def test_each_cell_is_taken_once_and_none_from_the_border(folder):
    source = dataset(folder, name='shsy5y_a.json')[0]
    x1, y1, x2, y2 = source['gt_masks'].windows.T
    whole = (x1 > 0) & (y1 > 0) & (x2 < 80) & (y2 < 60)
    # All three sources are the same image.
    pasted = dataset(
        folder, paste(cells=(99, 99), sources=3, placement='anywhere', min_visible=1), name='shsy5y_a.json'
    )
    np.random.seed(0)
    results = pasted[0]
    areas = results['gt_masks'].areas
    assert len(areas) <= len(whole) + whole.sum()
    for side in (1, 3, 9):
        assert (areas == side**2).sum() <= (source['gt_masks'].areas == side**2).sum() * 2


@pytest.mark.parametrize('changes', [{}, {'classes': None}, {'classes': {'cort': 1}}, {'cells': (0, 0)}])
def test_nothing_to_paste(folder, changes):
    pasted = dataset(folder, paste(**changes), name='none.json')
    results = pasted[0]
    assert len(results['gt_masks']) == 0
    assert results['gt_bboxes'].tensor.shape == (0, 4)
    assert (results['img'] == 100).all()


@pytest.mark.parametrize(('placement', 'areas'), [('free', [4800]), ('anywhere', [4800 - 81, 81])])
def test_a_cell_that_covers_the_image(folder, placement, areas):
    """It leaves no free ground, cannot be pasted itself, and is cut where others may lie on top of it."""
    size = (60, 80)
    everywhere, small = MaskCrop(np.ones(size, dtype=bool), 0, 0), MaskCrop(np.ones((9, 9), dtype=bool), 30, 20)
    images = [
        CocoImage('shsy5y_a.png', size, cells_from_crops([everywhere], 0, size)),
        CocoImage('astro_a.png', (200, 220), cells_from_crops([small], 1, (200, 220))),
    ]
    write_coco(folder / f'{placement}.json', images, CELL_TYPES, {})
    pasted = dataset(folder, paste(placement=placement, classes=None, sources=9), name=f'{placement}.json')
    np.random.seed(1)
    assert pasted[0]['gt_masks'].areas.tolist() == areas


@pytest.mark.slow
def test_probability(folder):
    plain, pasted = dataset(folder), dataset(folder, paste(prob=0.25))
    np.random.seed(0)
    own = len(plain[0]['gt_masks'])
    changed = sum(len(pasted[0]['gt_masks']) > own for _ in range(100))
    assert 12 < changed < 40


def test_inputs_are_not_written_into(folder):
    owner = dataset(folder)
    sample = owner[0]
    sample['dataset'] = lambda: owner
    before = {key: copy.deepcopy(value) for key, value in sample.items() if key != 'dataset'}
    transform = CellCopyPaste(prob=1, cells=(20, 20), placement='anywhere', min_visible=0.9, load=LOAD)
    source = transform.load(owner.get_data_info(1))
    source_before = copy.deepcopy(source)
    transform.load = lambda info: source
    np.random.seed(0)
    after = transform(sample)
    assert (after['img'] != sample['img']).any()
    for one, other in ((sample, before), (source, source_before)):
        np.testing.assert_array_equal(one['img'], other['img'])
        np.testing.assert_array_equal(one['gt_masks'].to_ndarray(), other['gt_masks'].to_ndarray())
        assert one['gt_bboxes'].tensor.tolist() == other['gt_bboxes'].tensor.tolist()
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            np.testing.assert_array_equal(one[key], other[key])


def test_cells_come_at_the_magnification_of_the_sample(folder):
    """A 9x9 cell of a sample that was enlarged twice is 18x18 pixels, and so is a pasted one."""
    resize = dict(type='Resize', scale_factor=2.0, keep_ratio=True)
    pasted = dataset(folder, resize, paste(cells=(12, 12), classes={'astro': 1}, turn='none'))
    np.random.seed(0)
    results = pasted[5]
    assert results['img'].shape == (120, 160, 3)
    x1, y1, x2, y2 = results['gt_masks'].windows.T
    inside = (x1 > 0) & (y1 > 0) & (x2 < 160) & (y2 < 120)
    assert set((x2 - x1)[inside].tolist()) <= {2, 6, 18}
    assert inside.sum() > 3


def test_ignored_cells_are_not_taken(folder):
    owner = dataset(folder)
    sample = owner[5]
    sample['dataset'] = lambda: owner
    transform = CellCopyPaste(prob=1, load=LOAD)
    loaded = transform.load(owner.get_data_info(0))
    loaded['gt_ignore_flags'] = np.ones_like(loaded['gt_ignore_flags'])
    transform.load = lambda info: loaded
    assert len(transform(sample)['gt_masks']) == 0


PACK = dict(type='PackDetInputs', meta_keys=('img_id',))


def fingerprint(sample: dict[str, Any]) -> tuple[Any, ...]:
    instances = sample['data_samples'].gt_instances
    image = sample['inputs'].numpy()
    return image.tobytes(), instances.labels.tolist(), instances.masks.windows.tolist(), instances.masks.areas.tolist()


@pytest.mark.slow
def test_draws_do_not_depend_on_the_number_of_workers(folder):
    flip_paste = dict(type='FlipPaste', prob=0.5)
    draws = SeededDataset(dataset(folder, paste(cells=(0, 20), prob=0.8, turn='any'), flip_paste, PACK), seed=4)
    loader = DataLoader(draws, batch_size=1, sampler=range(12), num_workers=2, collate_fn=lambda batch: batch[0])
    by_workers = [fingerprint(sample) for sample in loader]
    assert by_workers == [fingerprint(draws[number]) for number in range(12)]
    other = SeededDataset(draws.dataset, seed=5)
    assert by_workers != [fingerprint(other[number]) for number in range(12)]


@pytest.mark.slow
def test_wrapped_data_sets(folder):
    plain = dataset(folder)
    repeated = RepeatDataset(dataset(folder, paste()), times=3)
    assert len(repeated[len(plain) + 1]['gt_masks']) > len(plain[1]['gt_masks'])
    mixed = MultiImageMixDataset(dataset(folder, paste()), pipeline=[dict(type='RandomFlip', prob=1.0)])
    results = mixed[1]
    assert len(results['gt_masks']) > len(plain[1]['gt_masks'])
    assert 'dataset' not in results
    batch = next(iter(DataLoader(dataset(folder, paste()), num_workers=1, collate_fn=pseudo_collate)))
    assert 'dataset' not in batch


def test_a_copied_sample_does_not_copy_its_data_set(folder):
    seen = []
    owner = dataset(folder)
    owner.pipeline.transforms.append(lambda results: seen.append(copy.deepcopy(results)['dataset']()) or results)
    assert owner[0]['img_id'] == 'shsy5y_a'
    assert seen == [owner]


def test_cells_of_another_fold_are_out_of_reach(folder):
    pasted = dataset(folder, paste(classes=None, sources=3), name='shsy5y_a.json')
    for seed in range(5):
        np.random.seed(seed)
        assert set(levels_of_cells(pasted[0])) == {10}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'classes': 'cort'}, "classes is 'cort'; it must be 'same', None, or chances by name: {'cort': 1}"),
        ({'placement': 'on top'}, "placement 'on top' is not one of"),
        ({'turn': 'free'}, "turn 'free' is not one of"),
        ({'cells': (9, 3)}, r'cells is \(9, 3\)'),
        ({'scale': (0, 2)}, r'scale is \(0, 2\)'),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        CellCopyPaste(**changes)


def test_refuses_unknown_classes_and_samples_of_nowhere(folder):
    with pytest.raises(InputError, match="class 'neuron' is not one of shsy5y, astro, cort"):
        dataset(folder, paste(classes={'neuron': 1}))[0]
    with pytest.raises(InputError, match='put the transform into the pipeline of a SartoriusDataset'):
        CellCopyPaste(prob=1, load=LOAD)(dataset(folder)[0])
    bitmaps = dataset(folder)[0]
    bitmaps['gt_masks'] = bitmaps['gt_masks'].to_bitmap()
    with pytest.raises(InputError, match='LoadCellAnnotations'):
        CellCopyPaste(prob=1, load=LOAD)(bitmaps)


@pytest.fixture(scope='module')
def real(real_data, tmp_path_factory) -> Path:
    """Annotations of six real images."""
    images = []
    for name, cells in load_annotations(real_data / 'train.csv').items():
        if len(images) < 6 and (real_data / 'train' / f'{name}.png').is_file():
            annotations = cells_from_crops(cells.crops, cells.labels, cells.size)
            images.append(CocoImage(f'train/{name}.png', cells.size, annotations))
    path = tmp_path_factory.mktemp('real') / 'cells.json'
    write_coco(path, images, CELL_TYPES, {})
    return path


@pytest.mark.slow
def test_real_cells_keep_their_grey_levels(real, real_data):
    owner = SartoriusDataset(ann_file=str(real), data_root=str(real_data), pipeline=LOAD)
    transform = CellCopyPaste(prob=1, cells=(60, 60), classes=None, turn='none', flip=False, match_background=False)
    sources = [transform.load(owner.get_data_info(index)) for index in range(len(owner))]
    whole = {}
    for source in sources:
        for cell, (x1, y1, x2, y2) in zip(source['gt_masks'].cells, source['gt_masks'].windows.tolist(), strict=True):
            whole[source['img'][y1:y2, x1:x2][cell].tobytes()] = cell.shape
    compared = 0
    for index in range(len(owner)):
        np.random.seed(index)
        sample = owner[index]
        own = len(sample['gt_masks'])
        sample['dataset'] = lambda: owner
        results = transform(sample)
        pasted = results['gt_masks'][own:]
        for cell, (x1, y1, x2, y2) in zip(pasted.cells, pasted.windows.tolist(), strict=True):
            # Those that the border cuts are parts of real cells.
            if x1 > 0 and y1 > 0 and x2 < 704 and y2 < 520:
                assert whole[results['img'][y1:y2, x1:x2][cell].tobytes()] == cell.shape
                compared += 1
    assert compared > 60
