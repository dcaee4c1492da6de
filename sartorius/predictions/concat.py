"""Concatenation of prediction sets of different images, such as those of each fold by the model that holds it out."""

from collections.abc import Sequence

from sartorius.predictions.provenance import ConcatenatedSource, Member
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.errors import InputError
from sartorius.utils.version import git_commit


def concat_sets(sets: Sequence[PredictionSet], names: Sequence[str]) -> PredictionSet:
    """Concatenates prediction sets of different images.

    Args:
        sets: Predictions, all with the same classes in the same order.
        names: Names of the sets in messages and in the result's source, for example the paths of their files.

    Returns:
        All images, sorted by id, with a :class:`ConcatenatedSource`.

    Raises:
        InputError: No set, sets of different classes, or an image in two sets.
    """
    if not sets:
        raise InputError('no predictions to concatenate; name at least one file')
    owner: dict[str, str] = {}
    for one, name in zip(sets, names, strict=True):
        if one.classes != sets[0].classes:
            raise InputError(f'{name}: has the classes {one.classes}, but {names[0]} has {sets[0].classes}')
        for image_id in one.image_ids:
            if image_id in owner:
                raise InputError(
                    f'{name}: image {image_id} is in {owner[image_id]} too; tools/ensemble.py fuses predictions of the '
                    'same images'
                )
            owner[image_id] = name
    images = sorted((image for one in sets for image in one.images), key=lambda image: image.image_id)
    members = tuple(
        Member(name=name, images=len(one.images), source=one.source) for name, one in zip(names, sets, strict=True)
    )
    source = ConcatenatedSource(members=members, git_commit=git_commit())
    return PredictionSet(images=tuple(images), classes=sets[0].classes, source=source)
