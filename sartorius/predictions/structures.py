"""Predictions of one image and of an image set, in memory."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.images.image_ids import check_image_id, describe_matches, match_image_ids
from sartorius.masks.crop import MaskCrop, Size
from sartorius.predictions.provenance import ConcatenatedSource, ForeignSource, Member, Source
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError, shown
from sartorius.utils.version import git_commit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """Predicted cells of one image, in any order.

    The mask of a cell has two forms. The mask head's soft output stays on its RoI grid and spans the cell's box,
    whatever the size of the box; ``crops`` are the binary masks in image pixels, made from it by the post-processing
    chain. Where ``crops`` is set, it is the mask and the soft mask is ignored.

    Attributes:
        image_id: Of the image (:mod:`sartorius.images.image_ids`).
        size: Image ``(height, width)`` in pixels.
        boxes: float32 ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: float32 ``(N,)`` in [0, 1].
        labels: int64 ``(N,)``: index into the classes of the :class:`PredictionSet`.
        soft_masks: float32 ``(N, S, S)``: probabilities in [0, 1] on the RoI grid; row 0 is the top of the box. Boxes
            without masks have a grid of 0.
        crops: Binary masks, one per cell, or None while the soft masks are not binarised.
    """

    image_id: str
    size: Size
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    soft_masks: NDArray[np.float32]
    crops: tuple[MaskCrop, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes = {
            'boxes': (self.boxes.shape, (count, 4)),
            'scores': (self.scores.shape, (count,)),
            'labels': (self.labels.shape, (count,)),
            'soft_masks': (self.soft_masks.shape, (count, *self.soft_masks.shape[1:2] * 2)),
        }
        for name, (shape, expected) in shapes.items():
            if shape != expected:
                raise InputError(f'image {self.image_id}: {name} has shape {shape}, expected {expected}')
        if self.crops is not None and len(self.crops) != count:
            raise InputError(f'image {self.image_id}: {len(self.crops)} crops for {count} cells')

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def has_masks(self) -> bool:
        """Whether there are masks, not boxes alone."""
        return self.soft_masks.shape[1] > 0

    def select(self, chosen: NDArray[Any] | Sequence[int]) -> 'ImagePredictions':
        """The cells at some indices (in that order) or where a bool array of shape ``(N,)`` is true."""
        chosen = np.asarray(chosen)
        indices = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return replace(
            self,
            boxes=self.boxes[indices],
            scores=self.scores[indices],
            labels=self.labels[indices],
            soft_masks=self.soft_masks[indices],
            crops=None if self.crops is None else tuple(self.crops[index] for index in indices),
        )

    def by_score(self) -> 'ImagePredictions':
        """The same cells, best score first; equal scores keep their order."""
        return self.select(np.argsort(-self.scores, kind='stable'))

    @classmethod
    def empty(cls, image_id: str, size: Size, grid: int = 28) -> 'ImagePredictions':
        """Predictions of an image without any cell."""
        return cls(
            image_id=image_id,
            size=size,
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            labels=np.zeros(0, np.int64),
            soft_masks=np.zeros((0, grid, grid), np.float32),
        )


@dataclass(frozen=True, eq=False)
class PredictionSet:
    """Predictions for an image set, of one model or several.

    Attributes:
        images: One entry per image, each image once; images without cells are included.
        classes: Class names; ``labels`` index into them.
        source: Where the predictions came from.
    """

    images: tuple[ImagePredictions, ...]
    classes: tuple[str, ...] = CELL_TYPES
    source: Source = ForeignSource()

    def __post_init__(self) -> None:
        for name in self.classes:
            if not name or not name.isprintable() or self.classes.count(name) > 1:
                raise InputError(f'{shown(name)} is no class of a prediction set; give each class a name of its own')
        seen: set[str] = set()
        for image in self.images:
            if check_image_id(image.image_id) in seen:
                raise InputError(f'image {image.image_id} stands twice in one prediction set')
            seen.add(image.image_id)
            if len(image) and (image.labels.min() < 0 or image.labels.max() >= len(self.classes)):
                raise InputError(f'image {image.image_id}: a label lies outside the {len(self.classes)} classes')

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Ids in the order of ``images``."""
        return tuple(image.image_id for image in self.images)

    def in_classes(self, classes: Sequence[str]) -> 'PredictionSet':
        """The same predictions with labels that index into other class names.

        Raises:
            InputError: One of the set's classes is not among them.
        """
        if tuple(classes) == self.classes:
            return self
        for name in self.classes:
            if name not in classes:
                raise InputError(f'the predictions have a class {name!r}, which is none of {", ".join(classes)}')
        order = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        images = tuple(replace(image, labels=order[image.labels]) for image in self.images)
        return replace(self, images=images, classes=tuple(classes))

    def by_id(self) -> dict[str, ImagePredictions]:
        """Predictions by image id."""
        return {image.image_id: image for image in self.images}


def with_known_ids(predictions: PredictionSet, known: Collection[str]) -> PredictionSet:
    """The same predictions, with the images called as another set calls them; what changes is logged as a warning.

    Images that are not in that set keep their ids, see :func:`sartorius.images.image_ids.match_image_ids`.

    Args:
        predictions: The predictions.
        known: Ids of the other set, for example of the ground truth.

    Raises:
        InputError: An image may be two of the known ones, or two images the same one.
    """
    matched = match_image_ids(predictions.image_ids, known)
    sentence = describe_matches(matched)
    if not sentence:
        return predictions
    logger.warning(sentence)
    images = (replace(image, image_id=matched.get(image.image_id, image.image_id)) for image in predictions.images)
    return replace(predictions, images=tuple(images))


def concatenate(sets: Sequence[PredictionSet], names: Sequence[str]) -> PredictionSet:
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
