"""A chain of every registered step, so that a new one is tested without being named anywhere."""

from dataclasses import MISSING, fields

import pytest

from sartorius.postprocess.base import STEPS, Step
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.steps import MaskThreshold, MinArea, RemoveOverlap, ScoreThreshold, VoteClass

# Values with which the steps change small images and leave cells. Others get their default, .5, or 10 pixels.
LENIENT = {
    'LinearSoftNMS': 0.9,
    'GaussianSoftNMS': 1,
    'BoxNMS': 0.6,
    'MaskNMS': 0.3,
    'ContainmentNMS': 0.6,
    'RemoveOverlap': 0.4,
    'MaxArea': 150,
}


def rank(step: type[Step]) -> tuple[int, int]:
    """Sorts steps into an order in which a chain may hold them, and the tuner takes it."""
    if step in (VoteClass, MinArea):
        place = 0 if step is VoteClass else 9
    elif step.changes_scores or step is ScoreThreshold:
        place = 1 if step.changes_scores else 2
    elif step is MaskThreshold or not step.on_pixels:
        place = 4 if step is MaskThreshold else 3
    elif step is RemoveOverlap or step.grows_cells or step.drops_cells:
        place = 5 if step.grows_cells else 7 if step is RemoveOverlap else 6
    else:
        place = 8
    return place, list(STEPS.values()).index(step)


def lenient_step(kind: type[Step]) -> Step:
    values = {}
    for one in fields(kind):
        if kind.__name__ in LENIENT:
            values[one.name] = LENIENT[kind.__name__]
        elif one.default is MISSING:
            values[one.name] = 10 if one.metadata['at_most'] > 1 else 0.5
    return kind(**values)


@pytest.fixture(scope='session')
def step_rank():
    return rank


@pytest.fixture(scope='session')
def full_chain() -> Chain:
    """Every step once."""
    return Chain(tuple(lenient_step(step) for step in sorted(STEPS.values(), key=rank)))
