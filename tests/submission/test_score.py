"""The score of a submission file."""

import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation import image_score
from sartorius.masks.crop import MaskCrop
from sartorius.masks.overlap import mask_iou, resolve_overlaps
from sartorius.submission import score_submission
from sartorius.submission.csv_format import find_problems, write_submission
from sartorius.utils.errors import InputError

SIZE = (3, 20)


def bar(start: int, length: int, row: int = 0) -> MaskCrop:
    """A cell of one row: pixels start, start + 1, ..."""
    return MaskCrop(np.ones((1, length), dtype=bool), start, row)


@pytest.fixture
def gt():
    """Two images with cells of 10 pixels."""
    return {
        'a': ImageAnnotations('a', SIZE, (bar(0, 10), bar(0, 10, row=2)), np.array([2, 2])),
        'b': ImageAnnotations('b', SIZE, (bar(5, 10),), np.array([0])),
    }


def test_only_images_with_a_row_count(gt, tmp_path):
    path = tmp_path / 'submission.csv'
    write_submission(path, {'a': [bar(0, 10)]}, {'a': SIZE})
    table = score_submission(path, gt)
    assert table[['image_id', 'score']].to_numpy().tolist() == [['a', 0.5]]


def test_all_images_count_on_request(gt, tmp_path):
    path = tmp_path / 'submission.csv'
    write_submission(path, {'a': [bar(0, 10)]}, {'a': SIZE})
    table = score_submission(path, gt, all_images=True)
    assert table[['image_id', 'score']].to_numpy().tolist() == [['a', 0.5], ['b', 0.0]]


def test_an_image_with_an_empty_row_counts(gt, tmp_path):
    path = tmp_path / 'submission.csv'
    write_submission(path, {'a': [bar(0, 10)]}, {'a': SIZE, 'b': SIZE})
    assert score_submission(path, gt)['score'].tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('a,1 5\na,5 1\n', r'not legal: row 3, image a, pixel x=4 y=0: shared with the cell of row 2'),
        ('a,1\n', r'not legal: row 2, image a: RLE has an odd number'),
        ('x,1 5\na,1 5\n', r"names image 'x', which the annotations do not have \(1 of its 2 images\)"),
        ('', 'not legal: row 1: there is no row'),
    ],
)
def test_what_cannot_be_scored_is_refused(gt, tmp_path, rows, message):
    path = tmp_path / 'submission.csv'
    path.write_text('id,predicted\n' + rows)
    with pytest.raises(InputError, match=message):
        score_submission(path, gt)


def test_real_cells_without_their_overlaps(real_data, tmp_path):
    """Real labels, each pixel given to its first cell: legal, and nearly perfect where few labels overlap."""
    gt = load_annotations(real_data / 'train.csv')
    gt = {image_id: gt[image_id] for image_id in list(gt)[:10]}
    cells = {
        image_id: resolve_overlaps(image.crops, np.zeros(len(image)), image.size) for image_id, image in gt.items()
    }
    path = tmp_path / 'submission.csv'
    sizes = {image_id: image.size for image_id, image in gt.items()}
    write_submission(path, cells, sizes)
    assert find_problems(path, sizes, required=sizes) == []
    table = score_submission(path, gt)
    assert table['score'].tolist() == [
        image_score(mask_iou(image.crops, [crop for crop in cells[image_id] if crop.area], image.size))
        for image_id, image in gt.items()
    ]
    assert 0.8 < table['score'].mean() < 1
