"""The workflow from predictions to the submission file."""

from dataclasses import replace

import numpy as np
import pytest

from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import Chain, postprocess_all
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.submission.write import format_class_counts, write_checked_submission
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (10, 10)
BLOCK = MaskCrop(np.ones((4, 4), dtype=bool), 1, 1)


def overlapping() -> ImagePredictions:
    return ImagePredictions(
        image_id='a',
        size=SIZE,
        boxes=np.array([[1, 1, 5, 5], [3, 1, 7, 5]], dtype=np.float32),
        scores=np.array([0.9, 0.8], dtype=np.float32),
        labels=np.array([0, 1]),
        soft_masks=np.ones((2, 4, 4), dtype=np.float32),
        crops=(BLOCK, MaskCrop(BLOCK.mask, 3, 1)),
    )


def test_overlaps_are_settled_whatever_the_chain_holds():
    images = postprocess_all(PredictionSet((overlapping(),)), Chain(()))
    assert [crop.area for crop in images['a'].crops] == [16, 8]


def test_labels_follow_the_class_names():
    images = postprocess_all(PredictionSet((overlapping(),), classes=('cort', 'astro')), Chain(()))
    assert images['a'].labels.tolist() == [0, 1]
    assert [line.split()[:3] for line in format_class_counts(images, ('cort', 'astro')).splitlines()[1:3]] == [
        ['astro', '1', '1'],
        ['cort', '1', '1'],
    ]


def test_an_illegal_submission_is_not_left_behind(tmp_path):
    path = tmp_path / 'submission.csv'
    path.write_text('what was there')
    # Cells that were never resolved.
    with pytest.raises(InputError, match='row 3, image a, pixel x=3 y=1: shared with the cell of row 2'):
        write_checked_submission(path, {'a': overlapping()})
    assert path.read_text() == 'what was there'
    assert list(tmp_path.iterdir()) == [path]


def test_counts_are_by_class_and_image():
    mixed = overlapping()
    one_class = replace(mixed, image_id='b', labels=np.array([1, 1]))
    images = {'a': mixed, 'b': one_class, 'c': ImagePredictions.empty('c', SIZE)}
    lines = format_class_counts(images, CELL_TYPES).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ['shsy5y', '1', '1', '1.0'],
        ['astro', '2', '3', '1.5'],
        ['cort', '0', '0', '0.0'],
        ['no', 'cells', '1'],
    ]
