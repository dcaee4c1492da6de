"""Fusion of whole prediction sets: boxes, scores, labels and soft masks."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.boxes import DEFAULT_METHOD, FusedBoxes, check_settings, check_weights, fuse_boxes
from sartorius.fusion.soft_masks import agreement, resample_soft_masks, weighted_mean
from sartorius.predictions.store import check_values, quantise
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

MIN_AGREEMENT = 0.5


def fuse(
    sets: Sequence[PredictionSet],
    method: str = DEFAULT_METHOD,
    weights: Sequence[float] | None = None,
    iou_threshold: float | None = None,
    score_threshold: float = 0.0,
    per_class: bool = True,
    average_masks: bool = False,
    names: Sequence[str] | None = None,
) -> PredictionSet:
    """Makes one prediction set of several that cover the same images; their order makes no difference.

    A fused cell's soft mask is the mean of its members' (see :func:`fuse_boxes`), each resampled from its own box to
    the fused box, weighted by model weight times score, and rounded to what a predictions file holds. With a method
    that chooses among the boxes (nms) the chosen cell keeps its own mask, unless ``average_masks``.

    Args:
        sets: Predictions before post-processing. Classes may stand in any order; they are matched by name. Soft masks
            on different grids are brought to the largest.
        method: As in :func:`fuse_boxes`; ``iou_threshold`` and ``per_class`` too.
        weights: One a set, above 0; only their ratios count. Equal if None.
        iou_threshold: Boxes that overlap by more are one cell; the method's own if None.
        score_threshold: Cells scored lower by their model take no part.
        per_class: Whether only cells of one class are fused with each other.
        average_masks: With a method that keeps boxes: average the suppressed cells' masks too, if their agreement with
            the kept one, as far as its box reaches, is at least 0.5 (soft IoU).
        names: What messages and the result's source call the sets, for example their files' paths.

    Returns:
        Images sorted by id; ``source`` has ``kind`` 'fused', the settings, and ``members``: name, weight and source.

    Raises:
        InputError: No set, bad weights, images or classes that differ, sizes that differ, a value out of range.
    """
    iou_threshold = check_settings(method, iou_threshold)
    if not 0 <= score_threshold <= 1:
        raise InputError(f'the score threshold is {score_threshold:g}; it must lie in 0 to 1')
    scaled = check_weights(weights, len(sets))
    names = [f'set {number}' for number in range(1, len(sets) + 1)] if names is None else list(names)
    if len(names) != len(sets):
        raise InputError(f'{len(names)} names for {len(sets)} prediction sets; give one name each')
    classes = _common_classes(sets, names)
    _check_same_images(sets, names)
    lookups = [_relabelled(one, classes) for one in sets]
    images = tuple(
        fuse_image(
            [lookup[image_id] for lookup in lookups],
            method,
            scaled.tolist(),
            iou_threshold,
            score_threshold,
            per_class,
            average_masks,
        )
        for image_id in progress(sorted(sets[0].image_ids), 'fusing')
    )
    given = [1.0] * len(sets) if weights is None else [float(weight) for weight in weights]
    members = [
        {'name': name, 'weight': weight, 'source': dict(one.source)}
        for name, weight, one in zip(names, given, sets, strict=True)
    ]
    source = {
        'kind': 'fused',
        'method': method,
        'iou_threshold': float(iou_threshold),
        'score_threshold': float(score_threshold),
        'per_class': per_class,
        'average_masks': average_masks,
        'members': sorted(members, key=lambda member: member['name']),
    }
    return PredictionSet(images=images, classes=classes, source=source)


def fuse_image(
    images: Sequence[ImagePredictions],
    method: str = DEFAULT_METHOD,
    weights: Sequence[float] | None = None,
    iou_threshold: float | None = None,
    score_threshold: float = 0.0,
    per_class: bool = True,
    average_masks: bool = False,
) -> ImagePredictions:
    """Fuses several models' predictions of one image; see :func:`fuse`."""
    image_id, size = images[0].image_id, images[0].size
    for image in images:
        check_values(image)
        if image.size != size:
            raise InputError(
                f'image {image_id}: {image.size[1]}x{image.size[0]} px in one set, {size[1]}x{size[0]} in another; '
                'predict on the same files'
            )
        if image.crops is not None:
            raise InputError(f'image {image_id}: already post-processed; fuse predictions as the models gave them')
    images = [image.select(image.scores >= score_threshold) for image in images]
    scaled = check_weights(weights, len(images))
    fused = fuse_boxes(
        [image.boxes for image in images],
        [image.scores for image in images],
        [image.labels for image in images],
        size,
        method,
        iou_threshold,
        scaled.tolist(),
        per_class,
        tie_breakers=[_fingerprints(image.soft_masks) for image in images],
    )
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=fused.boxes,
        scores=fused.scores,
        labels=fused.labels,
        soft_masks=quantise(_fuse_masks(images, fused, scaled, average_masks)),
    )


def _fuse_masks(
    images: Sequence[ImagePredictions], fused: FusedBoxes, weights: NDArray[np.float64], average_masks: bool
) -> NDArray[np.float32]:
    """Soft masks of the fused boxes, on the largest of the models' grids."""
    grid = max(image.soft_masks.shape[1] for image in images)
    own_only = fused.keeps_boxes and not average_masks
    members = [rows[:1] if own_only else rows for rows in fused.members]
    if not members:
        return np.zeros((0, grid, grid), dtype=np.float32)
    owners = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    models, indices = np.concatenate(members).T
    soft_masks = np.empty((len(owners), grid, grid), dtype=np.float32)
    shares = np.empty(len(owners))
    for model, image in enumerate(images):
        rows = np.flatnonzero(models == model)
        chosen = indices[rows]
        soft_masks[rows] = resample_soft_masks(
            image.soft_masks[chosen], image.boxes[chosen], fused.boxes[owners[rows]], grid
        )
        shares[rows] = weights[model] * image.scores[chosen]
    if fused.keeps_boxes and average_masks:
        first = np.searchsorted(owners, np.arange(len(members)))
        agrees = agreement(soft_masks, soft_masks[first[owners]]) >= MIN_AGREEMENT
        agrees[first] = True
        shares[~agrees] = 0
    return weighted_mean(soft_masks, shares, owners)


def _fingerprints(soft_masks: NDArray[np.float32]) -> NDArray[np.int64]:
    """Tells masks apart whose cells are equal in all else, whatever order they come in."""
    return np.array([zlib.crc32(mask) for mask in np.ascontiguousarray(soft_masks)], dtype=np.int64)


def _common_classes(sets: Sequence[PredictionSet], names: Sequence[str]) -> tuple[str, ...]:
    """The classes that all sets have; the order must not depend on which set comes first."""
    for one, name in zip(sets, names, strict=True):
        if set(one.classes) != set(sets[0].classes):
            raise InputError(
                f'{name} has the classes {", ".join(one.classes)}, {names[0]} has {", ".join(sets[0].classes)}; '
                'fuse models of the same classes'
            )
    return min(one.classes for one in sets)


def _check_same_images(sets: Sequence[PredictionSet], names: Sequence[str]) -> None:
    everywhere = set().union(*(one.image_ids for one in sets))
    for one, name in zip(sets, names, strict=True):
        missing = sorted(everywhere.difference(one.image_ids))
        if missing:
            others = f' and {len(missing) - 1} more' if len(missing) > 1 else ''
            raise InputError(
                f'{name} has no image {missing[0]}{others}, which another file has; '
                'run tools/test.py on the same images for all models'
            )


def _relabelled(one: PredictionSet, classes: tuple[str, ...]) -> dict[str, ImagePredictions]:
    """Images by id, with labels that index ``classes``."""
    lookup = np.array([classes.index(name) for name in one.classes], dtype=np.int64)
    return {image.image_id: replace(image, labels=lookup[image.labels]) for image in one.images}
