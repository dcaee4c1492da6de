"""Fusion of boxes, with the members of each fused box known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.candidates import Candidates, Fusion
from sartorius.fusion.methods import METHODS
from sartorius.masks.crop import Size
from sartorius.masks.nms import box_iou
from sartorius.utils.errors import InputError

DEFAULT_METHOD = 'wbf'
# Below these a box has no pixel or a cell no say, and the single precision inside ensemble-boxes breaks down.
MIN_SIDE = 0.01
MIN_SCORE = 1e-6
MAX_WEIGHT_RATIO = 1e6
# Candidates that are compared with the fused boxes at once.
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class FusedBoxes:
    """Several models' boxes of one image as one, best score first.

    Attributes:
        boxes: float32 ``(K, 4)``: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: float32 ``(K,)`` in [0, 1].
        labels: int64 ``(K,)``.
        members: One int64 ``(n, 2)`` array a fused box: model and index within the model of the boxes that went into
            it, best weighted score first; never empty. For methods that choose among the boxes (nms) the first is the
            chosen one itself.
        keeps_boxes: Whether every fused box is one of the boxes that went in, to the last bit.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    members: tuple[NDArray[np.int64], ...]
    keeps_boxes: bool

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
        )


@dataclass(frozen=True, eq=False)
class _Pool:
    """The boxes of all models that take part, in pixels, in the order of the candidates."""

    boxes: NDArray[np.float32]
    models: NDArray[np.int64]
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    candidates: Candidates

    @property
    def weighted_scores(self) -> NDArray[np.float64]:
        return self.candidates.scores * self.candidates.weights[self.candidates.models]


def fuse_boxes(
    boxes: Sequence[NDArray[np.floating]],
    scores: Sequence[NDArray[np.floating]],
    labels: Sequence[NDArray[np.integer]],
    size: Size,
    method: str = DEFAULT_METHOD,
    iou_threshold: float | None = None,
    weights: Sequence[float] | None = None,
    per_class: bool = True,
    tie_breakers: Sequence[NDArray[np.integer]] | None = None,
) -> FusedBoxes:
    """Fuses the boxes that several models, or several views of one model, found in one image.

    The order of the models and of their boxes makes no difference, also where scores are equal. Boxes are clipped to
    the image for the fusion; those with a side under 0.01 px inside it, and those with a score under 1e-6, take no
    part.

    ensemble-boxes does not say which boxes went into a fused one. The rule: a box belongs to the fused box of its label
    (of any label unless ``per_class``) with which its IoU is greatest, if that is above the threshold. A fused box that
    gets none this way, having drifted while it was made, takes the box of its label that overlaps it most.

    Args:
        boxes: ``(N, 4)`` for each model: ``x1, y1, x2, y2`` in pixels, half-open.
        scores: ``(N,)`` for each model, in [0, 1].
        labels: ``(N,)`` for each model.
        size: Image ``(height, width)``.
        method: A key of :data:`sartorius.fusion.methods.METHODS`.
        iou_threshold: Boxes that overlap by more are one cell; in (0, 1). The method's own if None.
        weights: One a model, above 0; only their ratios count. Equal if None.
        per_class: Fuse the boxes of each label apart. Otherwise labels are ignored, and a fused box gets the label for
            which its members' weighted scores add up to most.
        tie_breakers: ``(N,)`` for each model: decides between boxes that are equal in everything else.

    Raises:
        InputError: Arrays of different lengths, no model, an unknown method, a value out of range or not finite.
    """
    iou_threshold = check_settings(method, iou_threshold)
    checked_weights = check_weights(weights, len(boxes))
    _check_arrays(boxes, scores, labels)
    pool = _make_pool(boxes, scores, labels, size, checked_weights, per_class, tie_breakers)
    if len(pool.boxes) == 0:
        return FusedBoxes(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), (), keeps_boxes=True
        )
    fusion = _sorted(METHODS[method].run(pool.candidates, iou_threshold))
    owners, rows = _find_members(pool, fusion, iou_threshold)
    if fusion.kept is None:
        height, width = size
        fused = (fusion.boxes * (width, height, width, height)).astype(np.float32)
    else:
        fused = pool.boxes[fusion.kept]
    pairs = np.stack([pool.models[rows], pool.indices[rows]], axis=1)
    return FusedBoxes(
        boxes=fused,
        scores=fusion.scores.astype(np.float32),
        labels=fusion.labels if per_class else _vote(owners, pool.labels[rows], pool.weighted_scores[rows]),
        members=tuple(np.split(pairs, np.searchsorted(owners, np.arange(1, len(fused))))),
        keeps_boxes=fusion.kept is not None,
    )


def check_settings(method: str, iou_threshold: float | None) -> float:
    """The IoU threshold to use: the method's own if None.

    Raises:
        InputError: The method is not in the table, or the IoU threshold lies outside (0, 1).
    """
    if method not in METHODS:
        raise InputError(f'unknown fusion method {method!r}; choose from {", ".join(METHODS)}')
    if iou_threshold is None:
        return METHODS[method].iou_threshold
    if not 0 < iou_threshold < 1:
        raise InputError(f'the IoU threshold is {iou_threshold:g}; it must lie between 0 and 1')
    return iou_threshold


def check_weights(weights: Sequence[float] | None, models: int) -> NDArray[np.float64]:
    """Weights of ``models`` models, the largest scaled to 1; equal if None.

    Raises:
        InputError: No model, another number of weights, a weight that is not above 0, or weights too far apart.
    """
    if models == 0:
        raise InputError('nothing to fuse; give at least one set of predictions')
    values = np.ones(models) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (models,):
        raise InputError(f'{values.size} weights for {models} sets of predictions; give one weight each')
    for value in values:
        if not (np.isfinite(value) and value > 0):
            raise InputError(f'weight {value:g} is not above 0; leave the set out instead')
    if values.max() / values.min() > MAX_WEIGHT_RATIO:
        raise InputError(f'weights {values.min():g} and {values.max():g} are more than a million times apart')
    return values / values.max()


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


def _make_pool(
    boxes: Sequence[NDArray],
    scores: Sequence[NDArray],
    labels: Sequence[NDArray],
    size: Size,
    weights: NDArray[np.float64],
    per_class: bool,
    tie_breakers: Sequence[NDArray] | None,
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
    return _Pool(
        boxes=pixels[order].astype(np.float32),
        models=models[order],
        indices=indices[order],
        labels=all_labels[order],
        candidates=Candidates(
            boxes=clipped[order] / limits,
            scores=all_scores[order],
            labels=all_labels[order] if per_class else np.zeros(len(order), dtype=np.int64),
            models=place[models[order]],
            weights=weights[models_in_order],
        ),
    )


def _canonical_order(
    keys: Sequence[NDArray], models: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of the boxes, one model after another, and of the models, that depends on what they hold alone.

    Args:
        keys: What is compared, ``(N,)`` each; the last one counts most, as in ``numpy.lexsort``.
        models: Model of each box.
        weights: One a model.
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
    return np.lexsort([ranks, place[models]]), models_in_order


def _sorted(fusion: Fusion) -> Fusion:
    """Best score first; equal scores by label, then by box."""
    order = np.lexsort([*fusion.boxes.T[::-1], fusion.labels, -fusion.scores])
    kept = None if fusion.kept is None else fusion.kept[order]
    return Fusion(fusion.boxes[order], fusion.scores[order], fusion.labels[order], kept)


def _find_members(pool: _Pool, fusion: Fusion, iou_threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fused box (ascending) and candidate of each membership, by the rule that :func:`fuse_boxes` states."""
    best, best_iou = _most_overlapping(pool.candidates, fusion)
    chosen = np.zeros(len(best), dtype=bool)
    if fusion.kept is not None:
        best[fusion.kept], best_iou[fusion.kept] = np.arange(len(fusion.scores)), 1
        chosen[fusion.kept] = True
    rows = np.flatnonzero(best_iou > iou_threshold)
    lonely = np.setdiff1d(np.arange(len(fusion.scores)), best[rows])
    nearest = _iou_within_labels(pool.candidates, fusion, slice(None), lonely).argmax(axis=0)
    owners, rows = np.concatenate([best[rows], lonely]), np.concatenate([rows, nearest])
    order = np.lexsort([rows, -pool.weighted_scores[rows], ~chosen[rows], owners])
    return owners[order], rows[order]


def _most_overlapping(candidates: Candidates, fusion: Fusion) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Fused box of its label with which each candidate's IoU is greatest, and that IoU; 0 where none overlaps."""
    best, best_iou = np.zeros(len(candidates.scores), dtype=np.int64), np.zeros(len(candidates.scores))
    # From left to right in parts, each compared with the fused boxes that lie above, in or below it alone.
    left_to_right = np.argsort(candidates.boxes[:, 0], kind='stable')
    for start in range(0, len(left_to_right), _ROWS_AT_ONCE):
        rows = left_to_right[start : start + _ROWS_AT_ONCE]
        left, right = candidates.boxes[rows, 0].min(), candidates.boxes[rows, 2].max()
        near = np.flatnonzero((fusion.boxes[:, 2] > left) & (fusion.boxes[:, 0] < right))
        if near.size:
            iou = _iou_within_labels(candidates, fusion, rows, near)
            best[rows], best_iou[rows] = near[iou.argmax(axis=1)], iou.max(axis=1)
    return best, best_iou


def _iou_within_labels(
    candidates: Candidates, fusion: Fusion, rows: NDArray[np.int64] | slice, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """IoU of some candidates with some fused boxes; -1 for another label."""
    iou = box_iou(candidates.boxes[rows], fusion.boxes[columns])
    iou[candidates.labels[rows, None] != fusion.labels[columns]] = -1
    return iou


def _vote(owners: NDArray[np.int64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Label of each fused box for which its members' weights add up to most; the lower label where two are equal."""
    votes = np.zeros((owners[-1] + 1, labels.max() + 1))
    np.add.at(votes, (owners, labels), weights)
    return votes.argmax(axis=1)
