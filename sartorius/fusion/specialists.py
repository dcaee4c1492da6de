"""Specialists: a general model classifies each image, and the model trained on that cell type gives its cells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.base import DROPPED
from sartorius.fusion.checks import check_images
from sartorius.fusion.soft_masks import resample_soft_masks
from sartorius.predictions.provenance import ConcatenatedSource, FusedSource, ModelSource, Source
from sartorius.predictions.store import quantise
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Specialists:
    """The general model votes for the cell type of an image; the model trained on that type alone gives its cells.

    The vote is that of the post-processing step ``VoteClass``, over all cells of the general model in the image. Cells
    of a type that no model was trained on alone are those of the general model. Boxes, scores and masks are kept; cells
    of another type than the image's are dropped. An image without any cell of the general model has no cells.
    """

    name: ClassVar[str] = 'specialists'
    needs_masks: ClassVar[bool] = True
    can_average_masks: ClassVar[bool] = False
    has_iou_threshold: ClassVar[bool] = False


@dataclass(frozen=True)
class Roles:
    """Roles of the prediction sets.

    Attributes:
        general: Index of the general model's set.
        specialists: Index of the set that gives the cells, by label; other labels are the general model's.
    """

    general: int
    specialists: Mapping[int, int]


def trained_for(source: Source) -> tuple[str, ...] | None:
    """Cell types that the model of a set was trained on alone, by the set's source; None for a general model.

    ``tools/test.py`` writes them there from the config's ``filter_cfg``. A set of several members has them if all
    members have the same.
    """
    if isinstance(source, FusedSource | ConcatenatedSource):
        found = {trained_for(member.source) for member in source.members}
        return found.pop() if len(found) == 1 else None
    return (source.cell_types or None) if isinstance(source, ModelSource) else None


def find_roles(cell_types: Sequence[Sequence[str] | None], names: Sequence[str], classes: Sequence[str]) -> Roles:
    """Finds the general set among prediction sets, and the set that gives the cells of each class.

    Args:
        cell_types: Types that the model of each set was trained on alone; None for the general one.
        names: Names of the sets in messages.
        classes: Names of the labels.

    Raises:
        InputError: Not exactly one general set, no other, an unknown type, or two sets for one type.
    """
    general = [number for number, types in enumerate(cell_types) if types is None]
    if len(general) != 1 or len(cell_types) < 2:
        found = ' and '.join(names[number] for number in general) or 'none'
        raise InputError(
            'specialists takes one model of all cell types and others that were trained on one each; of all types: '
            f'{found}. tools/test.py knows a model by its config; a member of a config '
            f'(configs/ensemble/specialists.py) '
            "may say cell_types=['cort']"
        )
    specialists: dict[int, int] = {}
    for number, types in enumerate(cell_types):
        for name in types or ():
            if name not in classes:
                raise InputError(f'{names[number]}: trained on an unknown type {name!r}{did_you_mean(name, classes)}')
            label = list(classes).index(name)
            if label in specialists:
                raise InputError(
                    f'{names[specialists[label]]} and {names[number]} were both trained on {name} alone; fuse them '
                    'first, by another method, or leave one out'
                )
            specialists[label] = number
    return Roles(general[0], specialists)


def join_images(
    images: Sequence[ImagePredictions], roles: Roles, score_thresholds: NDArray[np.floating], grid: int
) -> tuple[ImagePredictions, Counter[str]]:
    """Takes one image's cells from the set that its class belongs to.

    Args:
        images: Predictions of the image, one per set.
        roles: Roles of the sets.
        score_thresholds: ``(sets, labels)``: cells scored lower by their model are dropped after the vote.
        grid: Side of the soft masks' grid of the result; masks on another are resampled.

    Returns:
        The cells, and the numbers of dropped cells, counted as in :func:`sartorius.fusion.image.fuse_image`.

    Raises:
        InputError: As :func:`sartorius.fusion.image.check_images`.
    """
    # Here, because the steps load OpenCV, which `tools/ensemble.py --help` must not wait for.
    from sartorius.postprocess.steps import VoteClass, drop_unusable

    check_images(images)
    dropped = Counter(dict.fromkeys(DROPPED, 0))
    voted = VoteClass()(drop_unusable(images[roles.general]))
    if not len(voted):
        dropped['rejected'] = sum(map(len, images))
        return ImagePredictions.empty(images[0].image_id, images[0].size, grid), dropped
    label = int(voted.labels[0])
    chosen = roles.specialists.get(label, roles.general)
    own = images[chosen].select(images[chosen].labels == label)
    usable = drop_unusable(own)
    # Compared in the scores' own precision: float32(.35) is less than the double .35.
    limit = np.asarray(score_thresholds[chosen][label], dtype=usable.scores.dtype)
    cells = usable.select(usable.scores >= limit)
    dropped['rejected'] = sum(map(len, images)) - len(own)
    dropped['unusable'] = len(own) - len(usable)
    dropped['low_score'] = len(usable) - len(cells)
    if cells.soft_masks.shape[1] != grid:
        cells = replace(
            cells, soft_masks=quantise(resample_soft_masks(cells.soft_masks, cells.boxes, cells.boxes, grid))
        )
    return cells, dropped
