"""Given boxes are read from any file that holds some, and reach the sample of their image."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from sartorius.inference.load_box_prompts import LoadBoxPrompts, read_box_prompts
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

BOXES = np.array([[1, 2, 11, 22], [3.25, 4, 9, 9.5]], dtype=np.float32)
SCORES = np.array([0.25, 0.9], dtype=np.float32)


def cells(grid: int) -> ImagePredictions:
    masks = np.ones((2, grid, grid), np.float32)
    return ImagePredictions('a', (40, 50), BOXES, SCORES, np.array([0, 1]), masks)


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Images a and b; category ids in an order of their own."""
    path = tmp_path / 'test.json'
    images = [
        {'id': number, 'file_name': f'test/{name}.png', 'height': 40, 'width': 50}
        for number, name in ((7, 'a'), (8, 'b'))
    ]
    categories = [{'id': number, 'name': name} for number, name in enumerate(['cort', 'shsy5y', 'astro'], start=1)]
    path.write_text(json.dumps({'images': images, 'categories': categories}))
    return path


def write_results(path: Path, **changes: object) -> Path:
    results = [
        {'image_id': 7, 'category_id': 2, 'bbox': [1, 2, 10, 20], 'score': 0.25},
        {'image_id': 'a', 'category_id': 3, 'bbox': [3.25, 4, 5.75, 5.5], 'score': 0.9, **changes},
    ]
    path.write_text(json.dumps(results))
    return path


@pytest.mark.parametrize('kind', ['boxes alone', 'with masks', 'COCO results'])
def test_boxes_scores_and_labels_are_read_and_masks_are_not_needed(
    tmp_path: Path, annotations: Path, kind: str
) -> None:
    if kind == 'COCO results':
        path = write_results(tmp_path / 'yolo.json')
    else:
        path = tmp_path / 'boxes.npz'
        save_predictions(path, PredictionSet((cells(0 if kind == 'boxes alone' else 7),)))
    read = read_box_prompts(path, annotations)
    image = read.by_id()['a']
    np.testing.assert_array_equal(image.boxes, BOXES)
    np.testing.assert_array_equal(image.scores, SCORES)
    assert [read.classes[label] for label in image.labels] == ['shsy5y', 'astro']
    assert read.classes == CELL_TYPES


def test_labels_are_matched_by_name(tmp_path: Path, annotations: Path) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((cells(0),), ('cort', 'astro')))
    image = read_box_prompts(tmp_path / 'boxes.npz', annotations).images[0]
    assert [CELL_TYPES[label] for label in image.labels] == ['cort', 'astro']


def test_class_that_the_model_does_not_have(tmp_path: Path, annotations: Path) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((cells(0),), ('cort', 'astr')))
    with pytest.raises(InputError, match=r"boxes\.npz: class 'astr' is none of the model; did you mean 'astro'"):
        read_box_prompts(tmp_path / 'boxes.npz', annotations)


def test_results_of_an_image_that_is_not_predicted(tmp_path: Path, annotations: Path) -> None:
    path = write_results(tmp_path / 'yolo.json', image_id='c')
    with pytest.raises(InputError, match=r"yolo\.json: result 1: image_id 'c' is not in the COCO dataset"):
        read_box_prompts(path, annotations)


def test_file_of_something_else(tmp_path: Path, annotations: Path) -> None:
    (tmp_path / 'boxes.npz').write_bytes(b'no archive')
    with pytest.raises(InputError, match=r'boxes\.npz: truncated, damaged or no predictions file'):
        read_box_prompts(tmp_path / 'boxes.npz', annotations)


@pytest.mark.parametrize('views', [None, 3])
def test_boxes_reach_the_sample_of_their_image(tmp_path: Path, annotations: Path, views: int | None) -> None:
    save_predictions(tmp_path / 'boxes.npz', PredictionSet((cells(0),)))
    give = LoadBoxPrompts(str(tmp_path / 'boxes.npz'), str(annotations))

    def given_to(name: str) -> object:
        samples = [DetDataSample(metainfo={'img_id': name}) for _ in range(views or 1)]
        give.transform({'data_samples': samples if views else samples[0]})
        return samples[0].box_prompts

    prompts = given_to('a')
    assert prompts.bboxes.tolist() == BOXES.tolist()
    assert prompts.scores.tolist() == SCORES.tolist() and prompts.labels.tolist() == [0, 1]
    assert (prompts.bboxes.dtype, prompts.labels.dtype) == (torch.float32, torch.int64)
    # Whoever changes a sample does not change the next one of the image.
    prompts.bboxes += 1
    assert given_to('a').bboxes.tolist() == BOXES.tolist()
    nothing = given_to('b')
    assert len(nothing) == 0 and nothing.bboxes.shape == (0, 4)
