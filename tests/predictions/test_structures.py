"""Concatenation of predictions of different images."""

import numpy as np
import pytest

from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.provenance import ConcatenatedSource, ForeignSource, Member, ModelSource
from sartorius.predictions.structures import concatenate
from sartorius.utils.errors import InputError
from sartorius.utils.version import git_commit


def make_set(*ids: str, classes: tuple[str, ...] = ('shsy5y', 'astro', 'cort')) -> PredictionSet:
    images = tuple(ImagePredictions.empty(image_id, (4, 6)) for image_id in ids)
    return PredictionSet(images=images, classes=classes, source=ModelSource(config=ids[0]))


def test_all_images_stand_in_one_set_by_id() -> None:
    cell = ImagePredictions(
        image_id='b',
        size=(4, 6),
        boxes=np.array([[0, 0, 2, 2]], np.float32),
        scores=np.array([0.5], np.float32),
        labels=np.array([1]),
        soft_masks=np.ones((1, 28, 28), np.float32),
    )
    together = concatenate([make_set('c', 'a'), PredictionSet(images=(cell,))], ['one', 'two'])
    assert together.image_ids == ('a', 'b', 'c')
    assert together.by_id()['b'] is cell
    one = Member(name='one', images=2, source=ModelSource(config='c'))
    two = Member(name='two', images=1, source=ForeignSource())
    assert together.source == ConcatenatedSource(members=(one, two), git_commit=git_commit())


@pytest.mark.parametrize(
    ('sets', 'message'),
    [
        ([], 'no predictions to concatenate'),
        ([make_set('a'), make_set('b', 'a')], 'two: image a is in one too; tools/ensemble.py fuses'),
        ([make_set('a'), make_set('b', classes=('astro',))], r"two: has the classes \('astro',\)"),
    ],
)
def test_what_cannot_be_concatenated_is_refused(sets: list[PredictionSet], message: str) -> None:
    with pytest.raises(InputError, match=message):
        concatenate(sets, ['one', 'two'][: len(sets)])
