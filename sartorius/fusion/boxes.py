"""Fusion of several models' boxes, with the members of each fused box."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.base import Candidates, Fusion, Method
from sartorius.fusion.checks import check_weights
from sartorius.fusion.methods import DEFAULT_METHOD, resolve_method
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.masks.paste import binarise
from sartorius.utils.errors import InputError

# Below these a box has no pixel or a cell no weight, and single precision does not suffice for the fused boxes.
MIN_SIDE = 0.01
MIN_SCORE = 1e-6


@dataclass(frozen=True, eq=False)
class FusedBoxes:
    """Fused boxes of one image, best score first.

    Attributes:
        boxes: float32 ``(K, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: float32 ``(K,)`` in [0, 1].
        labels: int64 ``(K,)``.
        members: One int64 ``(n, 2)`` array per fused box: model and index within the model of the boxes that went into
            it, best weighted score first; never empty. For methods that choose among the boxes (nms, soft-nms) the
            first is the chosen one itself.
        keeps_boxes: Whether every fused box is one of the input boxes, to the last bit.
        unusable: Number of boxes that were not used: no area inside the image, or no score.
        rejected: Number of used boxes that are in no fused box.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    members: tuple[NDArray[np.int64], ...]
    keeps_boxes: bool
    unusable: int = 0
    rejected: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, indices: NDArray[np.int64]) -> 'FusedBoxes':
        """The fused boxes at some indices, in that order."""
        return FusedBoxes(
            boxes=self.boxes[indices],
            scores=self.scores[indices],
            labels=self.labels[indices],
            members=tuple(self.members[index] for index in indices),
            keeps_boxes=self.keeps_boxes,
            unusable=self.unusable,
            rejected=self.rejected,
        )


@dataclass(frozen=True, eq=False)
class _Pool:
    """The used boxes of all models, in pixels, in the order of the candidates."""

    boxes: NDArray[np.float32]
    models: NDArray[np.int64]
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    candidates: Candidates


def fuse_boxes(
    boxes: Sequence[NDArray[np.floating]],
    scores: Sequence[NDArray[np.floating]],
    labels: Sequence[NDArray[np.integer]],
    size: Size,
    method: str | Method = DEFAULT_METHOD,
    iou_threshold: float | None = None,
    weights: Sequence[float] | None = None,
    class_agnostic: bool = False,
    tie_breakers: Sequence[NDArray[np.integer]] | None = None,
    known_labels: Sequence[Collection[int]] | None = None,
    soft_masks: Sequence[NDArray[np.float32]] | None = None,
) -> FusedBoxes:
    """Fuses the boxes that several models, or one model in several orientations, predict in one image.

    The order of the models and of their boxes makes no difference, also where scores are equal. Boxes are clipped to
    the image for the fusion; those with a side under 0.01 px inside it, and those with a score under 1e-6, are not
    used.

    Args:
        boxes: ``(N, 4)`` for each model: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: ``(N,)`` for each model, in [0, 1].
        labels: ``(N,)`` for each model.
        size: Image ``(height, width)``.
        method: A key of :data:`sartorius.fusion.methods.METHODS`, or one of its methods with its parameters.
        iou_threshold: In (0, 1), in place of the method's own; the method's own if None.
        weights: One per model, above 0; only their ratios count. Equal if None.
        class_agnostic: Ignore the labels: boxes of different labels are fused too, and a fused box gets the label for
            which its members' weighted scores have the largest sum. Otherwise the boxes of each label are fused apart.
        tie_breakers: ``(N,)`` for each model: decides between boxes that are equal in everything else.
        known_labels: The labels that each model can predict at all, if not all can predict all: a model does not count
            in the scores of labels that it does not know.
        soft_masks: float32 ``(N, S, S)`` for each model, for methods that compare masks (consensus).

    Raises:
        InputError: Arrays of different lengths, no model, an unknown method, a value out of range or not finite, or a
            method that compares masks where there are none.
    """
    method = resolve_method(method, iou_threshold)
    checked_weights = check_weights(weights, len(boxes))
    _check_arrays(boxes, scores, labels)
    pool = _make_pool(
        boxes, scores, labels, size, checked_weights, class_agnostic, tie_breakers, known_labels, soft_masks
    )
    unusable = sum(map(len, scores)) - len(pool.boxes)
    if len(pool.boxes) == 0:
        return FusedBoxes(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), (), True, unusable
        )
    fusion = _sorted(method(pool.candidates))
    # Candidates come best score first, and a stable sort leaves the members of a box so.
    rows = np.argsort(fusion.owners, kind='stable')[np.count_nonzero(fusion.owners < 0) :]
    owners = fusion.owners[rows]
    if fusion.kept is None:
        height, width = size
        fused = (fusion.boxes * (width, height, width, height)).astype(np.float32)
    else:
        fused = pool.boxes[fusion.kept]
    pairs = np.stack([pool.models[rows], pool.indices[rows]], axis=1)
    weighted = pool.candidates.weighted_scores[rows]
    return FusedBoxes(
        boxes=fused,
        scores=fusion.scores.astype(np.float32),
        labels=_vote(owners, pool.labels[rows], weighted, len(fused)) if class_agnostic else fusion.labels,
        members=tuple(np.split(pairs, np.searchsorted(owners, np.arange(1, len(fused)))))[: len(fused)],
        keeps_boxes=fusion.kept is not None,
        unusable=unusable,
        rejected=len(pool.boxes) - len(rows),
    )


def _check_arrays(boxes: Sequence[NDArray], scores: Sequence[NDArray], labels: Sequence[NDArray]) -> None:
    if not len(boxes) == len(scores) == len(labels):
        raise InputError(f'boxes of {len(boxes)} models, scores of {len(scores)}, labels of {len(labels)}')
    for model, (box, score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
        if box.shape != (len(score), 4) or score.shape != label.shape or score.ndim != 1:
            raise InputError(f'model {model}: boxes {box.shape}, scores {score.shape} and labels {label.shape}')
        if not np.isfinite(box).all():
            raise InputError(f'model {model}: a box holds a value that is not finite')
        # Written so that NaN fails too.
        if score.size and not (score.min() >= 0 and score.max() <= 1):
            raise InputError(f'model {model}: a score lies outside 0 to 1')
        if label.size and label.min() < 0:
            raise InputError(f'model {model}: label {label.min()} is negative')


def _make_pool(
    boxes: Sequence[NDArray],
    scores: Sequence[NDArray],
    labels: Sequence[NDArray],
    size: Size,
    weights: NDArray[np.float64],
    class_agnostic: bool,
    tie_breakers: Sequence[NDArray] | None,
    known_labels: Sequence[Collection[int]] | None,
    soft_masks: Sequence[NDArray] | None,
) -> _Pool:
    """Clips the boxes to the image, leaves out those that take no part, and puts the rest in the canonical order."""
    counts = [len(score) for score in scores]
    models = np.repeat(np.arange(len(counts)), counts)
    indices = np.concatenate([np.arange(count) for count in counts])
    pixels, all_scores = np.concatenate(boxes), np.concatenate(scores).astype(np.float64)
    all_labels = np.concatenate(labels).astype(np.int64)
    ties = np.zeros(len(models)) if tie_breakers is None else np.concatenate(tie_breakers)
    height, width = size
    limits = np.array([width, height, width, height], dtype=np.float64)
    clipped = np.clip(pixels.astype(np.float64), 0, limits)
    sides = clipped[:, 2:] - clipped[:, :2]
    usable = np.flatnonzero((sides >= MIN_SIDE).all(axis=1) & (all_scores >= MIN_SCORE))
    keys = [ties, *pixels.T, all_labels, -all_scores * weights[models]]
    order, models_in_order = _canonical_order([key[usable] for key in keys], models[usable], weights)
    order = usable[order]
    place = np.argsort(models_in_order)
    knows = _known(known_labels, len(weights), int(all_labels.max(initial=0)) + 1)
    return _Pool(
        boxes=pixels[order].astype(np.float32),
        models=models[order],
        indices=indices[order],
        labels=all_labels[order],
        candidates=Candidates(
            boxes=clipped[order] / limits,
            scores=all_scores[order],
            labels=np.zeros(len(order), dtype=np.int64) if class_agnostic else all_labels[order],
            models=place[models[order]],
            weights=weights[models_in_order],
            knows=np.ones((len(weights), 1), dtype=bool) if class_agnostic else knows[models_in_order],
            masks=_mask_maker(soft_masks, boxes, models[order], indices[order], size),
        ),
    )


def _canonical_order(
    keys: Sequence[NDArray], models: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of the boxes, and of the models, that depends only on their values.

    Args:
        keys: Compared values, ``(N,)`` each; the last one counts most, as in ``numpy.lexsort``.
        models: Model of each box.
        weights: One per model.
    """
    order = np.lexsort(keys)
    changes = np.zeros(len(order), dtype=bool)
    for key in keys:
        changes[1:] |= key[order][1:] != key[order][:-1]
    # Boxes that are equal in every key share a rank, so that models which hold the same compare as equal.
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.cumsum(changes)
    contents = [sorted(ranks[models == model].tolist()) for model in range(len(weights))]
    models_in_order = np.array(sorted(range(len(weights)), key=lambda model: (weights[model], contents[model])))
    place = np.argsort(models_in_order)
    return np.lexsort([place[models], ranks]), models_in_order


def _known(known_labels: Sequence[Collection[int]] | None, models: int, labels: int) -> NDArray[np.bool_]:
    """bool ``(models, labels)``: whether a model can predict a label."""
    if known_labels is None:
        return np.ones((models, labels), dtype=bool)
    return np.array([[label in known for label in range(labels)] for known in known_labels], dtype=bool)


def _mask_maker(
    soft_masks: Sequence[NDArray] | None,
    boxes: Sequence[NDArray],
    models: NDArray[np.int64],
    indices: NDArray[np.int64],
    size: Size,
) -> Callable[[], PackedMasks] | None:
    """Function that makes the candidates' binary masks; None if a model's boxes have none."""
    if soft_masks is None or not all(masks.shape[1] for masks in soft_masks if len(masks)):
        return None

    def make() -> PackedMasks:
        crops: list[MaskCrop | None] = [None] * len(models)
        for model, (masks, box) in enumerate(zip(soft_masks, boxes, strict=True)):
            rows = np.flatnonzero(models == model)
            for row, crop in zip(rows, binarise(masks[indices[rows]], box[indices[rows]], size), strict=True):
                crops[row] = crop
        return PackedMasks.from_crops(crops)

    return make


def _sorted(fusion: Fusion) -> Fusion:
    """Best score first; equal scores by label, then by box."""
    order = np.lexsort([*fusion.boxes.T[::-1], fusion.labels, -fusion.scores])
    places = np.empty(len(order) + 1, dtype=np.int64)
    # The last entry is for the owner -1.
    places[order], places[-1] = np.arange(len(order)), -1
    kept = None if fusion.kept is None else fusion.kept[order]
    return Fusion(fusion.boxes[order], fusion.scores[order], fusion.labels[order], places[fusion.owners], kept)


def _vote(
    owners: NDArray[np.int64], labels: NDArray[np.int64], weights: NDArray[np.float64], count: int
) -> NDArray[np.int64]:
    """Label of each fused box for which the sum of its members' weights is largest; the lower label of equal ones."""
    votes = np.zeros((count, labels.max(initial=0) + 1))
    np.add.at(votes, (owners, labels), weights)
    return votes.argmax(axis=1)
