"""What a fusion method gets and gives back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.packed import PackedMasks

DROPPED = ('low_score', 'unusable', 'rejected', 'without_mask')
"""Why cells are not in a fused image; :func:`sartorius.fusion.image.fuse_image_and_count` explains them."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """All models' boxes of one image, best weighted score first, in an order that does not depend on the user's.

    The methods never see a box without area, a score of 0 or a weight of 0.

    Attributes:
        boxes: float64 ``(N, 4)``: ``x1, y1, x2, y2`` as a share of the image's width and height, in [0, 1].
        scores: float64 ``(N,)`` in (0, 1].
        labels: int64 ``(N,)``: below L.
        models: int64 ``(N,)``: index into ``weights``.
        weights: float64 ``(M,)``, above 0; the largest is 1. A model may have no box here.
        knows: bool ``(M, L)``: whether a model can give a label at all.
        masks: Makes the binary masks in pixels of the image; None where boxes come without.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    models: NDArray[np.int64]
    weights: NDArray[np.float64]
    knows: NDArray[np.bool_]
    masks: Callable[[], PackedMasks] | None = None

    @property
    def weighted_scores(self) -> NDArray[np.float64]:
        """float64 ``(N,)``: score times model weight, falling."""
        return self.scores * self.weights[self.models]


@dataclass(frozen=True, eq=False)
class Fusion:
    """What a fusion method makes of candidates, in any order.

    Attributes:
        boxes: float64 ``(K, 4)`` as in :class:`Candidates`.
        scores: float64 ``(K,)`` in [0, 1].
        labels: int64 ``(K,)``.
        owners: int64 ``(N,)``: the box that each candidate went into; -1 for candidates that the method drops. Every
            box has at least one.
        kept: int64 ``(K,)``: the candidate that each box is, for methods that choose among the boxes; None for methods
            that make new ones.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    owners: NDArray[np.int64]
    kept: NDArray[np.int64] | None = None
