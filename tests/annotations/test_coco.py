"""Writing and reading COCO JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sartorius.annotations.coco import CocoImage, cells_from_counts, cells_from_crops, read_coco, write_coco
from sartorius.annotations.reading import load_annotations
from sartorius.annotations.segmentation import compressed_counts
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (4, 6)
L_SHAPE = MaskCrop(np.array([[1, 0], [1, 1]], dtype=bool), 3, 1)


def write_example(path):
    (cell,) = cells_from_crops([L_SHAPE], 2, SIZE)
    images = [
        CocoImage('train/b.png', SIZE, [cell, *cells_from_crops([MaskCrop(np.ones((1, 2), bool), 0, 0)], 0, SIZE)]),
        CocoImage('test/a.png', (5, 7)),
        CocoImage('train/c.png', SIZE, [cell], {'cell_type': 'cort', 'group': 'well 1'}, own_id='c'),
    ]
    write_coco(path, images, CELL_TYPES, {'description': 'example'})


def test_what_is_written(tmp_path):
    write_example(tmp_path / 'all.json')
    content = json.loads((tmp_path / 'all.json').read_text())
    assert content['info'] == {'description': 'example'}
    assert [(entry['id'], entry['name']) for entry in content['categories']] == [
        (1, 'shsy5y'),
        (2, 'astro'),
        (3, 'cort'),
    ]
    assert content['images'] == [
        {'id': 1, 'file_name': 'train/b.png', 'height': 4, 'width': 6},
        {'id': 2, 'file_name': 'test/a.png', 'height': 5, 'width': 7},
        {
            'id': 3,
            'file_name': 'train/c.png',
            'height': 4,
            'width': 6,
            'image_id': 'c',
            'cell_type': 'cort',
            'group': 'well 1',
        },
    ]
    first, second, third = content['annotations']
    assert isinstance(first['segmentation'].pop('counts'), str)
    assert first == {
        'id': 1,
        'image_id': 1,
        'category_id': 3,
        'bbox': [3, 1, 2, 2],
        'area': 3,
        'iscrowd': 0,
        'segmentation': {'size': [4, 6]},
    }
    assert (second['id'], second['image_id'], second['category_id'], second['bbox']) == (2, 1, 1, [0, 0, 2, 1])
    assert (third['id'], third['image_id']) == (3, 3)


def test_pycocotools_reads_it(tmp_path, capsys):
    write_example(tmp_path / 'all.json')
    coco = COCO(str(tmp_path / 'all.json'))
    assert coco.getImgIds() == [1, 2, 3]
    assert (coco.annToMask(coco.loadAnns([1])[0]) == L_SHAPE.to_full(SIZE)).all()


def test_no_annotations_at_all(tmp_path):
    write_coco(tmp_path / 'test.json', [CocoImage('test/a.png', SIZE)], CELL_TYPES, {})
    assert len(load_annotations(tmp_path / 'test.json')['test/a']) == 0


@given(
    st.lists(st.lists(npst.arrays(bool, SIZE).filter(lambda mask: mask.any()), max_size=3), max_size=3),
    st.integers(0, 2),
)
def test_reading_undoes_writing(tmp_path_factory, masks, label):
    path = tmp_path_factory.getbasetemp() / 'round_trip.json'
    crops = [[MaskCrop.from_full(mask) for mask in image] for image in masks]
    images = [
        CocoImage(f'x/{number}.png', SIZE, cells_from_crops(image, label, SIZE)) for number, image in enumerate(crops)
    ]
    write_coco(path, images, CELL_TYPES, {})
    read = read_coco(path)
    assert list(read) == [f'x/{number}' for number in range(len(crops))]
    for before, after in zip(crops, read.values(), strict=True):
        assert after.size == SIZE
        assert after.labels.tolist() == [label] * len(before)
        assert [crop.window for crop in after.crops] == [crop.window for crop in before]
        assert [crop.mask.tolist() for crop in after.crops] == [crop.mask.tolist() for crop in before]


def test_area_and_box_are_those_of_the_pixels_inside_the_image():
    sticking_out = MaskCrop(np.array([[0, 1, 1, 1], [0, 1, 0, 0]], dtype=bool), 3, 0)
    (cell,) = cells_from_crops([sticking_out], 0, SIZE)
    assert cell.area == 3
    assert cell.bbox == (4, 0, 2, 2)
    assert coco_mask.area(cell.segmentation) == 3


SQUARE, TRIANGLE = [1, 1, 3, 1, 3, 4, 1, 4], [5, 0, 7, 0, 7, 2, 5, 2]
RUNS = [7, 3, 3, 3, 32]  # the square of 2x3 pixels, column by column


@pytest.mark.parametrize(
    ('segmentation', 'area', 'bbox'),
    [
        ([SQUARE], 6, (1, 1, 2, 3)),
        (SQUARE, 6, (1, 1, 2, 3)),  # flat
        ([SQUARE, TRIANGLE], 10, (1, 0, 6, 4)),  # a union
        ([SQUARE, [5, 5, 6, 6], []], 6, (1, 1, 2, 3)),  # a line and nothing beside the square
        ({'size': [6, 8], 'counts': RUNS}, 6, (1, 1, 2, 3)),
        (coco_mask.frPyObjects({'size': [6, 8], 'counts': RUNS}, 6, 8), 6, (1, 1, 2, 3)),  # counts are bytes
        ([], 0, (0, 0, 0, 0)),
        ([[]], 0, (0, 0, 0, 0)),
        ([[1, 1, 3, 3]], 0, (0, 0, 0, 0)),
        ([1, 1, 3, 3], 0, (0, 0, 0, 0)),
        (None, 0, (0, 0, 0, 0)),
    ],
)
def test_masks_of_any_form_become_pixels(segmentation, area, bbox):
    (cell,), masks = cells_from_counts([compressed_counts(segmentation, (6, 8))], [1], (6, 8))
    assert (cell.area, cell.bbox, cell.label, cell.iscrowd) == (area, bbox, 1, False)
    assert masks.areas.tolist() == [area]


@pytest.mark.parametrize(
    ('segmentation', 'message'),
    [
        ([[1, 1, 3, 1, 3, 4, 1]], 'a polygon of 7 values'),
        ([1, 1, 3, 1, 3, 4, 1], 'a polygon of 7 values'),
        ([[1, 1, 3, float('nan'), 3, 4]], 'a point that is no number'),
        ([[1, 1, 3, 1, 3, 1e12]], 'far outside'),
        ([['a', 'b']], 'no list of numbers'),
        ([7, [1, 2]], '1 values|no list of numbers'),
        ('text', 'neither a list of polygons nor an RLE'),
        (7, 'neither a list of polygons nor an RLE'),
        ({'counts': RUNS}, 'neither a list of polygons nor an RLE'),
        ({'size': [8, 6], 'counts': RUNS}, 'its mask is 6x8 pixels, its image 8x6'),
        ({'size': 48, 'counts': RUNS}, 'its RLE has the size 48'),
        ({'size': [6, 8], 'counts': [7, 3]}, 'covers 10 pixels, its image of 8x6 has 48'),
        ({'size': [6, 8], 'counts': [50, -2]}, 'neither text nor a list of run lengths'),
        ({'size': [6, 8], 'counts': None}, 'neither text nor a list of run lengths'),
    ],
)
def test_refuses_what_is_no_mask(segmentation, message):
    with pytest.raises(InputError, match=message):
        compressed_counts(segmentation, (6, 8))


def test_reads_other_classes_when_told(tmp_path):
    write_coco(
        tmp_path / 'x.json', [CocoImage('a.tif', SIZE, cells_from_crops([L_SHAPE], 1, SIZE))], ('A172', 'BV2'), {}
    )
    assert read_coco(tmp_path / 'x.json', ('BV2', 'A172', 'Huh7'))['a'].labels.tolist() == [0]
    with pytest.raises(InputError, match="unknown category 'BV2'; the classes are shsy5y, astro, cort"):
        read_coco(tmp_path / 'x.json', ('shsy5y', 'astro', 'cort'))


def test_classes_are_the_file_s_own_unless_told(tmp_path):
    image = CocoImage('a.tif', SIZE, cells_from_crops([L_SHAPE], 1, SIZE))
    write_coco(tmp_path / 'x.json', [image], ('b', 'a', 'c'), {})
    read = read_coco(tmp_path / 'x.json')
    assert read.classes == ('b', 'a', 'c') and read['a'].labels.tolist() == [1]
    # The competition's are complete and in its order, whatever a file lists.
    write_coco(tmp_path / 'x.json', [image], ('cells', 'cort'), {})
    read = read_coco(tmp_path / 'x.json')
    assert read.classes == ('shsy5y', 'astro', 'cort') and read['a'].labels.tolist() == [2]


def broken(content, name, index, **changes):
    content[name][index].update(changes)
    return content


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda content: content.pop('images'), "the list 'images' is missing"),
        (lambda content: content.pop('annotations'), "the list 'annotations' is missing"),
        (lambda content: content['images'][1].pop('height'), "entry 1 of 'images' has no 'height'"),
        (lambda content: content['annotations'].append(7), "entry 3 of 'annotations' has no 'image_id'"),
        (lambda content: broken(content, 'annotations', 1, image_id=9), 'annotation 2: its image 9 is not among'),
        (lambda content: broken(content, 'annotations', 1, category_id=9), 'annotation 2: its category 9 is not among'),
        (lambda content: broken(content, 'images', 1, file_name='train/b.tif'), 'two images are called train/b'),
        (lambda content: broken(content, 'images', 0, width=7), 'annotation 1: its mask is 6x4 pixels, its image 7x4'),
        (
            lambda content: broken(content, 'annotations', 0, segmentation='no mask'),
            'annotation 1: its segmentation is neither',
        ),
        (
            lambda content: broken(content, 'annotations', 0, segmentation={'size': [4, 6], 'counts': [23]}),
            'annotation 1: its RLE covers 23 pixels',
        ),
        (
            lambda content: broken(content, 'annotations', 1, segmentation={'size': [4, 6], 'counts': '0'}),
            'annotation 2: COCO RLE covers 0 pixels',
        ),
        (lambda content: broken(content, 'annotations', 0, segmentation=[[1]]), 'annotation 1: its segmentation has a'),
        (lambda content: broken(content, 'annotations', 0, iscrowd=2), 'annotation 1: its iscrowd is 2'),
        (
            lambda content: (broken(content, 'annotations', 0, segmentation=7), content['annotations'][0].pop('id')),
            'annotation at place 0 (counted from 0): its segmentation is neither',
        ),
    ],
)
def test_names_what_is_wrong(tmp_path, change, message):
    path = tmp_path / 'all.json'
    write_example(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_coco(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))


def test_names_files_that_are_no_annotations(tmp_path):
    for name, text, message in [
        ('cut.json', '{"images": [', 'not JSON'),
        ('two.json', '{"images": [], "annotations": [{}], "annotations": []}', "'annotations' stands twice"),
        ('twice.json', '{"annotations": [{"id": 3, "iscrowd": 0, "iscrowd": 1}]}', "'iscrowd' stands twice .* id 3"),
        ('list.json', '[]', 'a JSON list'),
        ('truth.txt', '', 'annotations are a COCO .json or a training .csv'),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=message):
            load_annotations(tmp_path / name)
    with pytest.raises(InputError, match='no such file'):
        load_annotations(tmp_path / 'none.json')


def test_csv_and_json_of_the_real_cells_are_the_same(real_data, tmp_path):
    gt = load_annotations(real_data / 'train.csv')
    images = [
        CocoImage(
            f'train/{image_id}.png',
            image.size,
            cells_from_crops(image.crops, image.labels, image.size),
            own_id=image_id,
        )
        for image_id, image in gt.items()
    ]
    write_coco(tmp_path / 'all.json', images, CELL_TYPES, {})
    read = load_annotations(tmp_path / 'all.json')
    assert list(read) == list(gt)
    for image_id, image in gt.items():
        assert read[image_id].labels.tolist() == image.labels.tolist()
        for before, after in zip(image.crops, read[image_id].crops, strict=True):
            assert after.window == before.window
            assert (after.mask == before.mask).all()
