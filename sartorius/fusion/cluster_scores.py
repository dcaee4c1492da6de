"""The score of a box that several boxes became."""

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.candidates import Candidates

CONF_TYPES = ('box_and_model_avg', 'avg', 'max', 'absent_model_aware_avg')


def cluster_scores(candidates: Candidates, owners: NDArray[np.int64], conf_type: str) -> NDArray[np.float64]:
    """Scores of clusters, by the rules and names of ensemble-boxes.

    With s the members' scores, w their models' weights, n the number of members, W the weight of all models that know
    the label, and F the weight of those of them that have a member:

    - ``box_and_model_avg``: sum(w s) / sum(w) * F / W;
    - ``avg``: sum(w s) / n * min(n, models) / W, at most 1, which it exceeds where a heavy model found a cell twice;
    - ``max``: max(w s) / max(w of all models that know the label);
    - ``absent_model_aware_avg``: sum(w s) / (sum(w) + W - F).

    ensemble-boxes counts all models; here a model that does not know the label at all takes nothing from a cell's
    score. Without such models the scores are the same.

    Args:
        candidates: The boxes.
        owners: int64 ``(N,)``: cluster of each box, 0 to K - 1.
        conf_type: One of :data:`CONF_TYPES`.

    Returns:
        float64 ``(K,)`` in [0, 1].
    """
    models, weights = candidates.models, candidates.weights
    members = np.bincount(owners)
    sums = np.bincount(owners, candidates.weighted_scores)
    member_weights = np.bincount(owners, weights[models])
    pairs = np.unique(owners * len(weights) + models)
    found = np.bincount(pairs // len(weights), weights[pairs % len(weights)])
    labels = np.empty(len(members), dtype=np.int64)
    labels[owners] = candidates.labels
    knows = candidates.knows[:, labels]
    total = weights @ knows
    if conf_type == 'max':
        best = np.zeros(len(members))
        np.maximum.at(best, owners, candidates.weighted_scores)
        scores = best / (weights[:, None] * knows).max(axis=0)
    elif conf_type == 'avg':
        scores = sums / members * np.minimum(members, knows.sum(axis=0)) / total
    elif conf_type == 'absent_model_aware_avg':
        scores = sums / (member_weights + total - found)
    else:
        scores = sums / member_weights * found / total
    return scores.clip(0, 1)
