"""Cross-validation folds: stratified by class, no well in two folds."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError

NO_FOLD = -1
"""Fold of an image that is in no validation set."""

# For example shsy5y[diff]_E10-4_Vessel-714_Ph_3: plate, well and field, vessel, crop of the field.
SAMPLE_NAME = re.compile(r'(?P<plate>[^_]+)_(?P<well>[A-Z]{1,2}\d{1,2})-\d+_Vessel-\d+_')


def group_of(image_id: str, sample_id: str = '') -> str:
    """The group that an image shares with its near-duplicates: ``plate_well``.

    All fields, crops and times of one well look alike. The vessel number and the date are ignored on purpose: a well
    is followed for days, and should a plate have been registered under two numbers, its wells stay together all the
    same. Every sample lies within one well, so no sample crosses a fold either.

    Args:
        image_id: Id of the image; the unlabelled images are named after their sample.
        sample_id: Value of the CSV's column, or empty where there is none.

    Returns:
        ``plate_well``; for a ``sample_id`` of another form the ``sample_id``; without any the image's own id.
    """
    for name in (sample_id, image_id.rpartition('/')[2]):
        match = SAMPLE_NAME.match(name)
        if match:
            return f'{match["plate"]}_{match["well"]}'
    return sample_id or image_id


def assign_folds(
    groups: Sequence[str], classes: Sequence[str], cells: Sequence[int], folds: int, seed: int = 0
) -> list[int]:
    """Spreads groups of images over folds so that each fold gets its share of each class's images and cells.

    Greedy: the largest groups first, each to the fold that has least of what the group holds. Groups of about the same
    size (within a factor of two) are taken in an order that is shuffled by the seed.

    Args:
        groups: Group of each image; a group is never split.
        classes: Class of each image.
        cells: Number of cells of each image.
        folds: Number of folds, 2 or more.
        seed: Seed of the order; the same input and seed give the same folds.

    Returns:
        Fold of each image, counted from 0.

    Raises:
        InputError: Fewer than 2 folds, or fewer groups than folds.
    """
    names, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if folds < 2:
        raise InputError(f'{folds} folds: cross-validation needs 2 or more')
    if names.size < folds:
        raise InputError(f'{folds} folds need as many groups of images, there are {names.size}; ask for fewer folds')
    random = np.random.default_rng(seed)
    shares = _shares(members, classes, np.asarray(cells))
    group_cells = np.bincount(members, weights=cells)
    shuffled = random.permutation(names.size)
    magnitude = np.floor(np.log2(np.maximum(group_cells, 1)))
    order = shuffled[np.argsort(-magnitude[shuffled], kind='stable')]
    tie_break = random.permutation(folds)
    loads = np.zeros((folds, shares.shape[1]))
    fold_of_group = np.empty(names.size, dtype=np.int64)
    for group in order:
        # Adding s to a load l makes the sum of squares grow by 2 l.s + s.s: smallest where l.s is smallest.
        overlap = (loads @ shares[group]).round(12)
        fold = np.lexsort((tie_break, loads.sum(axis=1).round(12), overlap))[0]
        fold_of_group[group] = fold
        loads[fold] += shares[group]
    return fold_of_group[members].tolist()


def _shares(members: NDArray[np.int64], classes: Sequence[str], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each group's share of each class's images and of its cells: ``(groups, 2 * classes)``."""
    columns = []
    for name in sorted(set(classes)):
        of_class = np.array([other == name for other in classes], dtype=np.float64)
        for amount in (of_class, of_class * cells):
            columns.append(np.bincount(members, weights=amount) / max(amount.sum(), 1))
    return np.stack(columns, axis=1)
