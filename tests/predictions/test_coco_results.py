"""COCO results: area averages that a person can check, the way there and back, and refusals."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from sartorius.masks.coco_rle import decode, encode
from sartorius.masks.crop import MaskCrop
from sartorius.masks.paste import binarise
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.coco_results import (
    area_average,
    dataset_of,
    from_coco_results,
    read_coco_results,
    to_coco_results,
    write_coco_results,
)
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (20, 30)
DATASET = {
    'images': [
        {'id': 7, 'file_name': 'images/a.png', 'height': 20, 'width': 30},
        {'id': 9, 'file_name': 'b.tif', 'height': 10, 'width': 12},
    ],
    'categories': [{'id': 3, 'name': 'cort'}, {'id': 5, 'name': 'shsy5y'}, {'id': 8, 'name': 'astro'}],
}


def rle_of(crop: MaskCrop, size=SIZE) -> dict:
    """As another detector writes it: pycocotools on the full-size mask."""
    code = coco_mask.encode(np.asfortranarray(crop.to_full(size).astype(np.uint8)))
    return {'size': list(code['size']), 'counts': code['counts'].decode('ascii')}


def one_result(**changes) -> dict:
    crop = MaskCrop(np.ones((4, 6), dtype=bool), 10, 5)
    return {
        'image_id': 7,
        'category_id': 5,
        'bbox': [10, 5, 6, 4],
        'score': 0.75,
        'segmentation': rle_of(crop),
    } | changes


@pytest.mark.parametrize(
    ('box', 'grid', 'expected'),
    [
        # The mask is the 2x2 square from (2, 2) to (4, 4), less its lower right pixel.
        ([2, 2, 4, 4], 2, [[1, 1], [1, 0]]),
        ([2, 2, 4, 4], 1, [[0.75]]),
        ([2, 2, 4, 4], 4, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]),
        # A box twice as large: a quarter of it is covered but for the missing pixel.
        ([0, 0, 4, 4], 2, [[0, 0], [0, 0.75]]),
        # Half a pixel to the right: each grid cell sees halves of two columns.
        ([2.5, 2, 4.5, 4], 2, [[1, 0.5], [0.5, 0]]),
        # Elsewhere.
        ([10, 10, 12, 12], 2, [[0, 0], [0, 0]]),
    ],
)
def test_area_average_by_hand(box, grid, expected):
    crop = MaskCrop(np.array([[True, True], [True, False]]), 2, 2)
    np.testing.assert_allclose(area_average(crop, box, grid), expected, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), grid=st.integers(1, 7))
def test_area_average_equals_counting_on_a_fine_raster(seed, grid):
    rng = np.random.default_rng(seed)
    crop = MaskCrop(rng.random((6, 5)) < 0.5, 3, 2)
    x1, y1 = rng.integers(0, 8, 2)
    box = [x1, y1, x1 + rng.integers(1, 8), y1 + rng.integers(1, 8)]
    # Each pixel drawn as grid x grid small squares: the edges of the box's grid cells fall on squares' edges.
    fine = np.kron(crop.to_full((20, 20)), np.ones((grid, grid)))[
        box[1] * grid : box[3] * grid, box[0] * grid : box[2] * grid
    ]
    height, width = box[3] - box[1], box[2] - box[0]
    expected = fine.reshape(grid, height, grid, width).mean(axis=(1, 3))
    np.testing.assert_allclose(area_average(crop, box, grid), expected, atol=1e-6)


def test_a_foreign_result_becomes_a_cell():
    found = from_coco_results([one_result()], DATASET, grid=4)
    assert found.image_ids == ('images/a', 'b') and len(found.by_id()['b']) == 0 and found.by_id()['b'].size == (10, 12)
    cell = found.by_id()['images/a']
    np.testing.assert_array_equal(cell.boxes, [[10, 5, 16, 9]])
    np.testing.assert_array_equal(cell.scores, np.float32([0.75]))
    # Category 5 is shsy5y, the project's first class.
    np.testing.assert_array_equal(cell.labels, [0])
    np.testing.assert_array_equal(cell.soft_masks, np.ones((1, 4, 4), np.float32))


def test_a_result_without_a_box_gets_that_of_its_mask():
    result = one_result()
    del result['bbox']
    np.testing.assert_array_equal(from_coco_results([result], DATASET).images[0].boxes, [[10, 5, 16, 9]])


def test_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (6, 2))
    yy, xx = np.mgrid[:28, :28]
    disk = (np.hypot(yy - 13.5, xx - 13.5) < 12).astype(np.float32)
    image = ImagePredictions(
        image_id='images/a',
        size=(64, 80),
        boxes=np.concatenate([corners, corners + rng.uniform(12, 22, (6, 2))], axis=1).astype(np.float32),
        scores=rng.random(6, dtype=np.float32),
        labels=rng.integers(0, 3, 6),
        soft_masks=np.repeat(disk[None], 6, axis=0),
    )
    saved = PredictionSet(images=(image, ImagePredictions.empty('b', (10, 10))))
    write_coco_results(tmp_path / 'results.json', saved)
    (tmp_path / 'dataset.json').write_text(json.dumps(dataset_of(saved)))
    back = read_coco_results(tmp_path / 'results.json', tmp_path / 'dataset.json')
    assert back.image_ids == ('images/a', 'b') and len(back.images[1]) == 0
    assert back.source.kind == 'coco_results' and len(back.source.sha256) == 64
    there = back.images[0]
    np.testing.assert_allclose(there.boxes, image.boxes, atol=1e-4)
    np.testing.assert_array_equal(there.scores, image.scores)
    np.testing.assert_array_equal(there.labels, image.labels)
    for ours, theirs in zip(
        binarise(image.soft_masks, image.boxes, image.size),
        binarise(there.soft_masks, there.boxes, there.size),
        strict=True,
    ):
        one, other = ours.to_full(image.size), theirs.to_full(image.size)
        assert (one & other).sum() / (one | other).sum() > 0.95


def test_results_use_the_ids_of_the_dataset_and_pycocotools_reads_them():
    image = ImagePredictions(
        image_id='images/a',
        size=SIZE,
        boxes=np.float32([[2, 3, 8, 7]]),
        scores=np.float32([0.5]),
        labels=np.array([2]),
        soft_masks=np.ones((1, 28, 28), np.float32),
    )
    (result,) = to_coco_results(PredictionSet(images=(image,)), DATASET)
    assert (result['image_id'], result['category_id'], result['bbox'], result['score']) == (7, 3, [2, 3, 6, 4], 0.5)
    assert json.loads(json.dumps(result)) == result
    expected = np.zeros(SIZE, np.uint8)
    expected[3:7, 2:8] = 1
    np.testing.assert_array_equal(coco_mask.decode(result['segmentation']), expected)


def test_post_processed_masks_are_what_counts():
    crop = MaskCrop(np.ones((1, 1), dtype=bool), 3, 4)
    image = ImagePredictions(
        'images/a',
        SIZE,
        np.float32([[2, 3, 8, 7]]),
        np.float32([0.5]),
        np.array([0]),
        np.ones((1, 4, 4), np.float32),
        crops=(crop,),
    )
    (result,) = to_coco_results(PredictionSet(images=(image,)), DATASET)
    assert result['segmentation'] == encode(crop, SIZE) and decode(result['segmentation']).window == (3, 4, 4, 5)


def without(key: str) -> dict:
    result = one_result()
    del result[key]
    return result


@pytest.mark.parametrize(
    ('result', 'message'),
    [
        (one_result(image_id=1), 'result 1: image_id 1 is not in the COCO dataset'),
        (one_result(category_id=0), 'result 1: category_id 0'),
        (one_result(score=1.2), 'result 1: score 1.2 lies outside'),
        (one_result(score=float('nan')), 'result 1: score nan'),
        (one_result(bbox=[10, 5, 0, 4]), 'has no area'),
        (one_result(bbox=[10, 5, float('inf'), 4]), 'has no area'),
        (one_result(bbox=[10, 5, 4]), r'result 1: bbox \[10, 5, 4\] is no list of x, y, width and height'),
        (one_result(bbox=['10', 5, 6, 4]), "bbox '10' is no number"),
        (one_result(bbox=[1e200, 5, 1e200, 4]), 'has no area'),
        (
            one_result(bbox=[10, 5, 1e30, 4]),
            r'result 1: image \S+: a box has an edge at 1e\+30, more than 16,777,216',
        ),
        (one_result(bbox=[-17e6, 5, 17e6 + 20, 4]), r'a box has an edge at -1\.7e\+07'),
        (one_result(score='0.5'), "score '0.5' is no number"),
        (one_result(score=True), 'score True is no number'),
        (one_result(image_id=True), 'its image_id is True'),
        (one_result(category_id='5'), "category_id '5' is not among .*, which have 5; write both as numbers"),
        (one_result(segmentation=[[1, 1, 5, 1, 5]]), 'result 1: its segmentation has a polygon of 5 values'),
        (one_result(segmentation=None), 'no segmentation; boxes without masks cannot be mixed'),
        (one_result(segmentation={'size': [30, 20], 'counts': ''}), 'its mask is 20x30 pixels, its image 30x20'),
        (one_result(segmentation={'size': [20, 30], 'counts': '11'}), 'COCO RLE covers'),
        (one_result(segmentation={'size': [20, 30], 'counts': [2, 2]}), 'its RLE covers 4 pixels'),
        (one_result(image_id=[1]), 'result 1 is not as COCO writes it'),
        (one_result(file_name='z.png'), "result 1: file_name 'z.png' is not among the COCO images"),
        (without('score'), 'result 1 is not as COCO writes it'),
        (without('segmentation'), 'no segmentation'),
        (3, 'result 1 is not as COCO writes it'),
    ],
)
def test_bad_results_are_refused_by_number(result, message):
    with pytest.raises(InputError, match=message):
        from_coco_results([one_result(), result], DATASET)


def test_results_without_any_mask_become_boxes_alone(tmp_path):
    boxes = from_coco_results([without('segmentation'), one_result(segmentation=None, score=0.5)], DATASET)
    image = boxes.by_id()['images/a']
    assert not image.has_masks and image.soft_masks.shape == (2, 0, 0)
    np.testing.assert_array_equal(image.boxes, [[10, 5, 16, 9]] * 2)
    save_predictions(tmp_path / 'boxes.npz', boxes)
    with pytest.raises(InputError, match=r'boxes\.npz: boxes without masks; let a model predict them'):
        load_predictions(tmp_path / 'boxes.npz')
    back = load_predictions(tmp_path / 'boxes.npz', boxes_allowed=True)
    assert [one.soft_masks.shape for one in back.images] == [(2, 0, 0), (0, 0, 0)]
    # Masks that are there can be left out.
    assert not from_coco_results([one_result()], DATASET, grid=0).by_id()['images/a'].has_masks


def test_a_result_without_box_and_mask_is_refused():
    with pytest.raises(InputError, match='result 0: bbox None is no list'):
        from_coco_results([one_result(segmentation=None, bbox=None)], DATASET)


def test_what_is_lost_of_masks_and_boxes_is_counted(caplog):
    """The mask is 6 x 4 pixels at 10, 5 of an image of 30 x 20."""
    results = [
        one_result(),
        one_result(bbox=[0, 0, 5, 5]),  # Beside its mask.
        one_result(bbox=[40, 5, 6, 4]),  # Outside the image.
        one_result(segmentation=[[50, 5, 56, 5, 56, 9]], bbox=None),
        one_result(bbox=[10, 5, 3, 4], score=0.4),  # Half of its mask.
    ]
    assert from_coco_results(results, DATASET).by_id()['images/a'].scores.tolist() == [
        pytest.approx(one_result()['score']),
        pytest.approx(0.4),
    ]
    assert caplog.messages == [
        '2 of 5 COCO results have a mask that lies outside their box or their image; they are dropped',
        '1 of 5 COCO results have a box outside their image; they are dropped',
        '1 of 5 COCO results have a mask that reaches beyond their box; what lies outside it is lost',
    ]


def test_an_image_may_be_named_by_its_file_as_yolo_does():
    assert [len(image) for image in from_coco_results([one_result(image_id='a')], DATASET).images] == [1, 0]


RECTANGLE = [10, 5, 16, 5, 16, 9, 10, 9]  # of the example's cell
RUNS = [205, 4, *[16, 4] * 5, 600 - 209 - 5 * 20]


@pytest.mark.parametrize('mask', [[RECTANGLE], RECTANGLE, {'size': [20, 30], 'counts': RUNS}])
def test_a_mask_may_have_any_form(mask):
    expected = from_coco_results([one_result()], DATASET).by_id()['images/a']
    image = from_coco_results([one_result(segmentation=mask)], DATASET).by_id()['images/a']
    np.testing.assert_array_equal(image.soft_masks, expected.soft_masks)
    assert expected.soft_masks.min() == 1
    # Without a box, that of the mask.
    boxless = from_coco_results([one_result(segmentation=mask, bbox=None)], DATASET).by_id()['images/a']
    np.testing.assert_array_equal(boxless.boxes, [[10, 5, 16, 9]])


def test_results_with_a_mask_without_pixels_are_dropped_and_counted(caplog):
    results = [one_result(), one_result(segmentation=[], score=0.4)]
    assert from_coco_results(results, DATASET).by_id()['images/a'].scores.tolist() == [
        np.float32(one_result()['score'])
    ]
    assert caplog.messages == ['1 of 2 COCO results have a mask without pixels; they are dropped']


def numbered(*names: str) -> dict:
    images = [{'id': number, 'file_name': name, 'height': 20, 'width': 30} for number, name in enumerate(names, 1)]
    return {**DATASET, 'images': images}


def found_in(results: list[dict], dataset: dict) -> list[str]:
    return [image.image_id for image in from_coco_results(results, dataset).images for _ in range(len(image))]


@pytest.mark.parametrize(
    ('result', 'image'),
    [
        # YOLO's number is the id of the other image: the file name decides.
        ({'image_id': 1, 'file_name': '0001.png'}, '0001'),
        ({'image_id': 1, 'file_name': 'images\\0001.png'}, '0001'),
        # As COCO has it: ids count, whatever the names are.
        ({'image_id': 1}, '0002'),
        ({'image_id': 2}, '0001'),
        ({'image_id': '0001'}, '0001'),
        # No id, but one file's number.
        ({'image_id': 7}, 'x/0007'),
    ],
)
def test_numbers_in_file_names(result, image):
    assert found_in([one_result(**result)], numbered('0002.png', '0001.png', 'x/0007.png')) == [image]


@pytest.mark.parametrize(
    ('ids', 'names', 'message'),
    [
        ([7], ('0007.png', '7.png'), r'image_id 7 may be 0007\.png and 7\.png; write the file_name'),
        # 0 is no id, so that 1 may be the id of 0000.png, or 0001.png.
        ([0, 1], ('0000.png', '0001.png'), r'result 1: image_id 1 is the id of 0000\.png and the name of 0001\.png'),
        ([9], ('0000.png', '0001.png'), 'image_id 9 is not in the COCO dataset'),
    ],
)
def test_numbers_that_may_be_two_images_are_refused(ids, names, message):
    with pytest.raises(InputError, match=message):
        from_coco_results([one_result(image_id=number) for number in ids], numbered(*names))


def test_two_images_or_categories_under_one_id_are_refused(tmp_path):
    merged = numbered('a.png', 'b.png')
    merged['images'][1]['id'] = 1
    with pytest.raises(InputError, match=r'two images have the id 1: a\.png and b\.png'):
        from_coco_results([one_result()], merged)
    (tmp_path / 'dataset.json').write_text(json.dumps(merged))
    (tmp_path / 'results.json').write_text('[]')
    with pytest.raises(InputError, match=r'dataset\.json: two images have the id 1'):
        read_coco_results(tmp_path / 'results.json', tmp_path / 'dataset.json')
    merged = copy.deepcopy(DATASET)
    for category in merged['categories']:
        category['id'] = 4
    with pytest.raises(InputError, match='two categories have the id 4'):
        from_coco_results([one_result()], merged)


def test_a_category_that_is_no_class_is_refused():
    dataset = copy.deepcopy(DATASET)
    dataset['categories'][1]['name'] = 'person'
    with pytest.raises(InputError, match='result 0: category person is not among the classes'):
        from_coco_results([one_result()], dataset, CELL_TYPES)
    # Without classes, the categories are the classes.
    read = from_coco_results([one_result()], dataset)
    assert read.classes == tuple(category['name'] for category in dataset['categories'])
    assert read.classes[read.images[0].labels[0]] == 'person'


@pytest.mark.parametrize(
    ('dataset', 'message'),
    [
        ({}, 'not a COCO JSON'),
        ([], 'not a COCO JSON'),
        ({'images': [{'id': 1}], 'categories': []}, "entry 0 of 'images' has no 'file_name'"),
    ],
)
def test_a_dataset_without_what_is_needed_is_refused(dataset, message):
    with pytest.raises(InputError, match=message):
        from_coco_results([], dataset)


def test_an_image_or_class_that_the_dataset_lacks_is_refused():
    with pytest.raises(InputError, match='the COCO images lack z'):
        to_coco_results(PredictionSet(images=(ImagePredictions.empty('z', SIZE),)), DATASET)
    with pytest.raises(InputError, match='the COCO categories lack the class yeast'):
        to_coco_results(PredictionSet(images=(), classes=('yeast',)), DATASET)


def test_files_that_are_no_results_are_named(tmp_path):
    (tmp_path / 'dataset.json').write_text(json.dumps(DATASET))
    (tmp_path / 'results.json').write_text('{"a":')
    with pytest.raises(InputError, match=r'results\.json: not JSON'):
        read_coco_results(tmp_path / 'results.json', tmp_path / 'dataset.json')
    (tmp_path / 'results.json').write_text('{"a": 1}')
    with pytest.raises(InputError, match=r'results\.json: not COCO results'):
        read_coco_results(tmp_path / 'results.json', tmp_path / 'dataset.json')
