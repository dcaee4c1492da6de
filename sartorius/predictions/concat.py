"""Predictions of different images become one set: what the folds' models said of the images held out from them."""

from collections.abc import Sequence

from sartorius.predictions.structures import PredictionSet
from sartorius.utils.errors import InputError


def concat_sets(sets: Sequence[PredictionSet], names: Sequence[str]) -> PredictionSet:
    """Puts prediction sets of different images into one.

    Args:
        sets: Predictions, all with the same classes in the same order.
        names: What messages and the result's source call the sets, for example their files' paths.

    Returns:
        All images, sorted by id; ``source`` has ``kind`` 'joined' and ``members``: name, number of images and source.

    Raises:
        InputError: No set, other classes, or an image in two sets.
    """
    if not sets:
        raise InputError('no predictions to join; name at least one file')
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
    members = [
        {'name': name, 'images': len(one.images), 'source': dict(one.source)}
        for name, one in zip(names, sets, strict=True)
    ]
    return PredictionSet(images=tuple(images), classes=sets[0].classes, source={'kind': 'joined', 'members': members})
