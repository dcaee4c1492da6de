"""Fusion of several models' predictions of one image, masks included."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.base import DROPPED, Method
from sartorius.fusion.boxes import FusedBoxes, fuse_boxes
from sartorius.fusion.checks import check_images, check_weights
from sartorius.fusion.methods import DEFAULT_METHOD
from sartorius.fusion.soft_masks import agreement, fingerprints, resample_soft_masks, weighted_mean
from sartorius.predictions.store import quantise
from sartorius.predictions.structures import ImagePredictions

MIN_AGREEMENT = 0.5


def fuse_image(
    images: Sequence[ImagePredictions],
    method: str | Method = DEFAULT_METHOD,
    weights: Sequence[float] | None = None,
    iou_threshold: float | None = None,
    score_thresholds: float | NDArray[np.floating] = 0.0,
    class_agnostic: bool = False,
    average_masks: bool = False,
    boxes_only: bool = False,
    known_labels: Sequence[Collection[int]] | None = None,
) -> tuple[ImagePredictions, Counter[str]]:
    """Fuses several models' predictions of one image, and counts the cells that are not in the result.

    Args:
        images: One per model; those whose soft masks have a grid of 0 hold boxes without masks.
        method: As in :func:`sartorius.fusion.boxes.fuse_boxes`; ``weights``, ``iou_threshold``, ``class_agnostic``
            and ``known_labels`` too.
        score_thresholds: Cells that their model scored lower are dropped: one for all, or ``(models, labels)``.
        average_masks: As in :func:`sartorius.fusion.sets.fuse`; ``boxes_only`` too.

    Returns:
        The fused cells, and how many cells of the models (``low_score``: under the threshold; ``unusable``: without
        area inside the image, or a score under 1e-6; ``rejected``: dropped by the method) and how many fused cells
        (``without_mask``: no member has a mask) were dropped. Every other cell is a member of one fused cell.

    Raises:
        InputError: Sizes that differ, cells that are post-processed already, bad values or settings.
    """
    check_images(images)
    grid = 0 if boxes_only else max(image.soft_masks.shape[1] for image in images)
    dropped = Counter(dict.fromkeys(DROPPED, 0))
    chosen = []
    for model, image in enumerate(images):
        limits = score_thresholds if np.ndim(score_thresholds) == 0 else score_thresholds[model][image.labels]
        # Compared in the scores' own precision: float32(.35) is less than the double .35.
        chosen.append(image.select(image.scores >= np.asarray(limits, dtype=image.scores.dtype)))
        dropped['low_score'] += len(image) - len(chosen[-1])
    scaled = check_weights(weights, len(images))
    fused = fuse_boxes(
        [image.boxes for image in chosen],
        [image.scores for image in chosen],
        [image.labels for image in chosen],
        images[0].size,
        method,
        iou_threshold,
        scaled.tolist(),
        class_agnostic,
        tie_breakers=[fingerprints(image.soft_masks) for image in chosen],
        known_labels=known_labels,
        soft_masks=[image.soft_masks for image in chosen],
    )
    dropped['unusable'], dropped['rejected'] = fused.unusable, fused.rejected
    with_mask = np.arange(len(fused))
    soft_masks = np.zeros((len(fused), 0, 0), dtype=np.float32)
    if grid:
        with_mask, soft_masks = _fuse_masks(chosen, fused, scaled, average_masks, grid)
        dropped['without_mask'] = len(fused) - len(with_mask)
    image = ImagePredictions(
        image_id=images[0].image_id,
        size=images[0].size,
        boxes=fused.boxes[with_mask],
        scores=fused.scores[with_mask],
        labels=fused.labels[with_mask],
        soft_masks=quantise(soft_masks),
    )
    return image, dropped


def _fuse_masks(
    images: Sequence[ImagePredictions],
    fused: FusedBoxes,
    weights: NDArray[np.float64],
    average_masks: bool,
    grid: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which fused boxes have a mask, and their soft masks ``(n, grid, grid)``."""
    members = np.concatenate([np.zeros((0, 2), np.int64), *fused.members])
    owners = np.repeat(np.arange(len(fused)), [len(rows) for rows in fused.members])
    has_mask = np.array([image.soft_masks.shape[1] > 0 for image in images])
    joins = has_mask[members[:, 0]]
    if fused.keeps_boxes and not average_masks:
        # A chosen box keeps its own mask; one without a mask takes those of the others.
        first = np.searchsorted(owners, owners)
        joins &= (np.arange(len(owners)) == first) | ~joins[first]
    owners, (models, indices) = owners[joins], members[joins].T
    with_mask, owners = np.unique(owners, return_inverse=True)
    soft_masks = np.empty((len(owners), grid, grid), dtype=np.float32)
    shares = np.empty(len(owners))
    for model, image in enumerate(images):
        rows = np.flatnonzero(models == model)
        if len(rows):
            chosen = indices[rows]
            soft_masks[rows] = resample_soft_masks(
                image.soft_masks[chosen], image.boxes[chosen], fused.boxes[with_mask[owners[rows]]], grid
            )
            shares[rows] = weights[model] * image.scores[chosen]
    if fused.keeps_boxes and average_masks:
        first = np.searchsorted(owners, owners)
        agrees = agreement(soft_masks, soft_masks[first]) >= MIN_AGREEMENT
        agrees |= np.arange(len(owners)) == first
        shares[~agrees] = 0
    return with_mask, weighted_mean(soft_masks, shares, owners)
