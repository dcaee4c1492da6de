"""Gain of each step of a chain: added one after the other to the plain model, and removed one at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate, estimate
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.steps import MinArea, RemoveOverlap, ScoreThreshold, Step, VoteClass
from sartorius.postprocess.tuning.tuner import TuningResult, score_chains
from sartorius.predictions.structures import ImagePredictions, PredictionSet

ADDED_FIRST: tuple[type[Step], ...] = (VoteClass, ScoreThreshold, MinArea)
"""Steps that are added before the others; those follow in the order of the chain."""
PLAIN = 'plain model'


@dataclass(frozen=True)
class StepGain:
    """Gain of one step.

    Attributes:
        name: Name of the step; :data:`PLAIN` for the model without any.
        score: Score of the steps added so far, this one included.
        added: Gain from adding it; None for the plain model.
        dropped: Score of the whole chain, minus that without only this step; None likewise.
    """

    name: str
    score: Estimate
    added: Estimate | None = None
    dropped: Estimate | None = None


def measure_steps(
    predictions: PredictionSet, gt: Mapping[str, ImageAnnotations], result: TuningResult
) -> list[StepGain]:
    """The gain of each step, every image with the chain that was tuned without it.

    Steps keep their places in the chain and their settings, whichever other steps are removed: nothing is tuned again
    for a shorter chain. The plain model is its raw predictions, every mask binarised at .5, and pixels that cells share
    given to the better score.

    Args:
        predictions: As given to :func:`sartorius.postprocess.tuning.tuner.tune`.
        gt: Likewise.
        result: Of that function.

    Returns:
        The plain model and then the steps, in the order in which they are added.
    """
    by_id = predictions.by_id()
    images = [by_id[image_id] for image_id in result.images['image_id']]
    groups = result.images['group'].to_numpy().astype(str)
    folds = result.images['fold'].tolist()
    own_gt = GroundTruth.of(gt).select(image.image_id for image in images)

    def scores_with(kept: Sequence[int], what: str) -> NDArray[np.float64]:
        return _score_parts(images, own_gt, [result.fold_chains[fold] for fold in folds], kept, what)

    types = [type(step) for step in result.chain.steps]
    order = sorted(range(len(types)), key=lambda place: (_rank(types[place]), place))
    whole = result.images['cross_validated'].to_numpy()
    before = scores_with([], PLAIN)
    gains = [StepGain(PLAIN, estimate(before, groups))]
    for count, place in enumerate(order, start=1):
        name = types[place].__name__
        after = scores_with(order[:count], f'+ {name}') if count < len(order) else whole
        without = scores_with([other for other in order if other != place], f'without {name}')
        estimates = (estimate(values, groups) for values in (after, after - before, whole - without))
        gains.append(StepGain(name, *estimates))
        before = after
    return gains


def _rank(step: type[Step]) -> int:
    return ADDED_FIRST.index(step) if step in ADDED_FIRST else len(ADDED_FIRST)


def _score_parts(
    images: Sequence[ImagePredictions],
    gt: Mapping[str, ImageAnnotations],
    chains: Sequence[Chain],
    kept: Sequence[int],
    description: str,
) -> NDArray[np.float64]:
    """Score of each image with some steps of its chain, given by their places."""
    parts = []
    for chain in chains:
        steps = []
        for place, step in enumerate(chain.steps):
            if place in kept:
                steps.append(step)
            elif isinstance(step, RemoveOverlap):
                # Every chain resolves overlaps: only its dropping of cells is removed.
                steps.append(RemoveOverlap())
        parts.append(replace(chain, steps=tuple(steps)))
    return score_chains(images, gt, parts, description)['score'].to_numpy()
