"""What a fusion method gets and gives back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Candidates:
    """All models' boxes of one image, one model after another, in an order that does not depend on the user's.

    Within a model the boxes come best weighted score first. The methods never see a box without area, a score of 0 or a
    weight of 0: ensemble-boxes drops, clips or divides by those without an error.

    Attributes:
        boxes: float64 ``(N, 4)``: ``x1, y1, x2, y2`` as a share of the image's width and height, in [0, 1].
        scores: float64 ``(N,)`` in (0, 1].
        labels: int64 ``(N,)``.
        models: int64 ``(N,)``: index into ``weights``, ascending.
        weights: float64 ``(M,)``, above 0; the largest is 1. A model may have no box here.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    models: NDArray[np.int64]
    weights: NDArray[np.float64]

    def of_each_model(self, values: NDArray) -> list[NDArray]:
        """Splits an array of the candidates into one a model."""
        return np.split(values, np.searchsorted(self.models, np.arange(1, len(self.weights))))


@dataclass(frozen=True, eq=False)
class Fusion:
    """What a fusion method makes of candidates, in any order.

    Attributes:
        boxes: float64 ``(K, 4)`` as in :class:`Candidates`.
        scores: float64 ``(K,)`` in [0, 1].
        labels: int64 ``(K,)``.
        kept: int64 ``(K,)``: the candidate that each box is, for methods that choose among the boxes; None for methods
            that make new ones.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    kept: NDArray[np.int64] | None = None
