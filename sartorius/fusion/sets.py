"""Fusion of prediction sets: boxes, scores, labels and soft masks."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.base import DROPPED
from sartorius.fusion.checks import check_number, check_weights
from sartorius.fusion.image import fuse_image
from sartorius.fusion.methods import DEFAULT_METHOD, SET_METHODS, SetMethod, resolve_method
from sartorius.fusion.specialists import Specialists, find_roles, join_images, trained_for
from sartorius.predictions.provenance import FusedSource, Member
from sartorius.predictions.store import DEFAULT_GRID
from sartorius.predictions.structures import ImagePredictions, PredictionSet, with_known_ids
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, did_you_mean
from sartorius.utils.version import git_commit

ScoreThreshold = float | Mapping[str, float]
"""One number for all classes, or one per class; classes that are not named have 0."""


def fuse(
    sets: Sequence[PredictionSet],
    method: str | SetMethod = DEFAULT_METHOD,
    weights: Sequence[float] | None = None,
    iou_threshold: float | None = None,
    score_thresholds: ScoreThreshold | Sequence[ScoreThreshold] = 0.0,
    class_agnostic: bool = False,
    average_masks: bool = False,
    boxes_only: bool = False,
    names: Sequence[str] | None = None,
    cell_types: Sequence[Sequence[str] | None] | None = None,
) -> PredictionSet:
    """Makes one prediction set of several that cover the same images; their order makes no difference.

    A fused cell's soft mask is the mean of its members' (see :func:`sartorius.fusion.boxes.fuse_boxes`), each resampled
    from its own box to the fused box, weighted by model weight times score, and rounded to what a predictions file
    holds. With a method that chooses among the boxes (nms, soft-nms) the chosen cell keeps its own mask, unless
    ``average_masks``. Sets of boxes without masks (soft masks on a grid of 0) count in position and score; a
    fused box none of whose members has a mask is dropped and counted.

    Args:
        sets: Predictions before post-processing. Classes may stand in any order and some may be missing; they are
            matched by name, and a model does not count in the scores of a class that it does not know. Soft masks on
            different grids are brought to the largest.
        method: As in :func:`sartorius.fusion.boxes.fuse_boxes`; ``iou_threshold`` and ``class_agnostic`` too. Or
            :class:`sartorius.fusion.specialists.Specialists`, which chooses a set for each image and fuses no cells.
        weights: One per set, above 0; only their ratios count. Equal if None.
        score_thresholds: Cells that their model scored lower are dropped: one for all sets, or one per set.
        average_masks: With nms: average the suppressed cells' masks too, if their agreement with the kept one, as far
            as its box reaches, is at least 0.5 (soft IoU).
        boxes_only: Drop all masks, for a model's mask heads to predict them in the fused boxes.
        names: Names of the sets in messages and in the result's source, for example their files' paths.
        cell_types: For specialists: of each set, the types that its model was trained on alone; what its source says
            where that is None.

    Returns:
        Images sorted by id, called as the first set calls them, with a
        :class:`sartorius.predictions.provenance.FusedSource`, whose ``dropped`` are the counts of
        :func:`sartorius.fusion.image.fuse_image`.

    Raises:
        InputError: No set, bad weights or thresholds, images or sizes that differ, classes that do not go together, the
            same predictions twice, no mask anywhere, a value out of range.
    """
    method = resolve_method(method, iou_threshold, SET_METHODS)
    scaled = check_weights(weights, len(sets))
    names = [f'set {number}' for number in range(1, len(sets) + 1)] if names is None else list(names)
    if len(names) != len(sets):
        raise InputError(f'{len(names)} names for {len(sets)} prediction sets; give one name each')
    classes = _common_classes(sets, names)
    thresholds = _thresholds_of(score_thresholds, names)
    limits = np.array([_by_label(value, classes) for value in thresholds])
    sets = [sets[0], *(with_known_ids(one, sets[0].image_ids) for one in sets[1:])]
    _check_same_images(sets, names)
    _check_masks(sets, names, method, boxes_only)
    lookups = [_relabelled(one, classes) for one in sets]
    _refuse_copies(lookups, names)
    types = None
    if isinstance(method, Specialists):
        _check_specialists(scaled, class_agnostic, average_masks, boxes_only)
        # Here, because it loads pandas and pycocotools, which `tools/ensemble.py --help` must not wait for.
        from sartorius.predictions.leakage import check_leakage

        for one, name in zip(sets, names, strict=True):
            check_leakage(one.source, name)
        types = _cell_types(sets, cell_types)
        work = partial(
            join_images, roles=find_roles(types, names, classes), score_thresholds=limits, grid=_largest_grid(sets)
        )
    else:
        work = partial(
            fuse_image,
            method=method,
            weights=scaled.tolist(),
            score_thresholds=limits,
            class_agnostic=class_agnostic,
            average_masks=average_masks,
            boxes_only=boxes_only,
            known_labels=[{classes.index(name) for name in one.classes} for one in sets],
        )
    images, dropped = [], Counter(dict.fromkeys(DROPPED, 0))
    for image_id in progress(sorted(sets[0].image_ids), 'fusing'):
        fused, counts = work([lookup[image_id] for lookup in lookups])
        images.append(fused)
        dropped.update(counts)
    options = {'class_agnostic': class_agnostic, 'average_masks': average_masks, 'boxes_only': boxes_only}
    source = FusedSource(
        members=_describe_members(sets, names, weights, thresholds, types),
        method=method.name,
        settings={**asdict(method), **options},
        dropped=dict(dropped),
        git_commit=git_commit(),
    )
    return PredictionSet(images=tuple(images), classes=classes, source=source)


def _cell_types(
    sets: Sequence[PredictionSet], given: Sequence[Sequence[str] | None] | None
) -> list[Sequence[str] | None]:
    """Of each set, the types that its model was trained on alone; None for all."""
    given = [None] * len(sets) if given is None else given
    return [types or trained_for(one.source) for types, one in zip(given, sets, strict=True)]


def _largest_grid(sets: Sequence[PredictionSet]) -> int:
    return max((image.soft_masks.shape[1] for one in sets for image in one.images if len(image)), default=DEFAULT_GRID)


def _check_specialists(
    weights: NDArray[np.float64], class_agnostic: bool, average_masks: bool, boxes_only: bool
) -> None:
    """Refuses options that have no meaning with specialists, which fuses no cells."""
    settings = {
        'weights': bool((weights != 1).any()),
        'class_agnostic': class_agnostic,
        'average_masks': average_masks,
        'boxes_only': boxes_only,
    }
    for name, given in settings.items():
        if given:
            raise InputError(
                f'{name} has no meaning with specialists, which takes every image from one model; leave it out'
            )


def _describe_members(
    sets: Sequence[PredictionSet],
    names: Sequence[str],
    weights: Sequence[float] | None,
    thresholds: Sequence[ScoreThreshold],
    cell_types: Sequence[Sequence[str] | None] | None,
) -> tuple[Member, ...]:
    """Members of the result's source, sorted by name."""
    given = [1.0] * len(sets) if weights is None else [float(weight) for weight in weights]
    alone = [None] * len(sets) if cell_types is None else cell_types
    members = [
        Member(name=name, source=one.source, weight=weight, score_threshold=threshold, cell_types=tuple(types or ()))
        for name, one, weight, threshold, types in zip(names, sets, given, thresholds, alone, strict=True)
    ]
    return tuple(sorted(members, key=lambda member: member.name))


def _thresholds_of(
    score_thresholds: ScoreThreshold | Sequence[ScoreThreshold], names: Sequence[str]
) -> list[ScoreThreshold]:
    """One score threshold per set, of plain types.

    Raises:
        InputError: Another number of them than of sets, or one outside 0 to 1.
    """
    alike = isinstance(score_thresholds, Mapping) or np.ndim(score_thresholds) == 0
    given = [score_thresholds] * len(names) if alike else list(score_thresholds)
    if len(given) != len(names):
        raise InputError(
            f'{len(given)} score thresholds for {len(names)} prediction sets; give one each or one for all'
        )
    for value in given:
        for number in value.values() if isinstance(value, Mapping) else [value]:
            check_number('the score threshold', number, {'at least': 0, 'at most': 1})
    return [dict(value) if isinstance(value, Mapping) else float(value) for value in given]


def _by_label(threshold: ScoreThreshold, classes: Sequence[str]) -> list[float]:
    if not isinstance(threshold, Mapping):
        return [threshold] * len(classes)
    for name in threshold:
        if name not in classes:
            raise InputError(f'score threshold of an unknown class {name!r}{did_you_mean(str(name), classes)}')
    return [float(threshold.get(name, 0)) for name in classes]


def _common_classes(sets: Sequence[PredictionSet], names: Sequence[str]) -> tuple[str, ...]:
    """The classes of all sets together; their order must not depend on which set comes first.

    Raises:
        InputError: No set has all of them, and they are not the project's cell types: a misspelt class would become
            one of its own.
    """
    everything = set().union(*(one.classes for one in sets))
    complete = [one.classes for one in sets if set(one.classes) == everything]
    if complete:
        return min(complete)
    if everything <= set(CELL_TYPES):
        return tuple(name for name in CELL_TYPES if name in everything)
    widest = max(range(len(sets)), key=lambda number: len(sets[number].classes))
    other = next(number for number, one in enumerate(sets) if not set(one.classes) <= set(sets[widest].classes))
    raise InputError(
        f'{names[other]} has the classes {", ".join(sets[other].classes)}, {names[widest]} has '
        f'{", ".join(sets[widest].classes)}; fuse models of the same classes, or of a part of them'
    )


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
    sizes = sets[0].by_id()
    for one, name in zip(sets[1:], names[1:], strict=True):
        for image in one.images:
            (height, width), (other_height, other_width) = image.size, sizes[image.image_id].size
            if (height, width) != (other_height, other_width):
                raise InputError(
                    f'image {image.image_id} is {width}x{height} px in {name}, {other_width}x{other_height} in '
                    f'{names[0]}; predict on the same files'
                )


def _check_masks(sets: Sequence[PredictionSet], names: Sequence[str], method: SetMethod, boxes_only: bool) -> None:
    """Refuses boxes without masks where masks are needed."""
    filled = {name: [image for image in one.images if len(image)] for name, one in zip(names, sets, strict=True)}
    with_masks = {name: any(image.has_masks for image in images) for name, images in filled.items() if images}
    without = [name for name, has_masks in with_masks.items() if not has_masks]
    if without and isinstance(method, Specialists):
        raise InputError(f'{without[0]} has boxes without masks, and specialists takes cells as they are')
    if without and method.needs_masks:
        raise InputError(
            f'{without[0]} has boxes without masks, and {method.name} compares masks; choose another method'
        )
    if without and len(without) == len(with_masks) and not boxes_only:
        raise InputError(
            'boxes without masks in all files; fuse them with --boxes-only, and let tools/test.py predict the masks'
        )


def _refuse_copies(lookups: Sequence[Mapping[str, ImagePredictions]], names: Sequence[str]) -> None:
    """Refuses two sets of the same cells: the model would count twice. Sets without any cell are no copies."""
    first_of: dict[bytes, str] = {}
    for lookup, name in zip(lookups, names, strict=True):
        if not any(map(len, lookup.values())):
            continue
        digest = hashlib.sha256()
        for image_id in sorted(lookup):
            image = lookup[image_id]
            digest.update(f'{len(image)} {image.soft_masks.shape}'.encode())
            for array in (image.boxes, image.scores, image.labels, image.soft_masks):
                digest.update(np.ascontiguousarray(array))
        if digest.digest() in first_of:
            raise InputError(
                f'{name} and {first_of[digest.digest()]} hold the same predictions; leave one out, or give it a '
                'greater weight'
            )
        first_of[digest.digest()] = name


def _relabelled(one: PredictionSet, classes: tuple[str, ...]) -> dict[str, ImagePredictions]:
    """Images by id, with labels that index ``classes``."""
    lookup = np.array([classes.index(name) for name in one.classes], dtype=np.int64)
    return {image.image_id: replace(image, labels=lookup[image.labels]) for image in one.images}
