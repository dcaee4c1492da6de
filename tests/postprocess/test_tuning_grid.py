"""All settings at once, against the real chain one setting at a time."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.metric import score_images
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.base import STEPS, Step, Tunable, parameter
from sartorius.postprocess.chain import Chain, build_chain, load_chain
from sartorius.postprocess.per_class import values_of
from sartorius.postprocess.steps import MaskNMS, MinArea, ScoreThreshold
from sartorius.postprocess.tuning.grid import (
    TUNABLE_PARAMETERS,
    SearchGrid,
    collect_tunable_parameters,
    score_all_settings,
    settings_of,
    tunable_parameters_of,
    with_settings,
)
from sartorius.postprocess.tuning.selection import ALL_CLASSES
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (40, 50)
DEFAULT = load_chain().for_classes(CELL_TYPES)
AXES = {'mask': (0.3, 0.7), 'remaining': (0.0, 0.6), 'score': (0.1, 0.35, 0.6), 'area': (0.0, 20.0, 60.0)}
GRID = SearchGrid(AXES)
NMS_GRID = SearchGrid({**AXES, 'nms': (0.05, 0.4)})


def random_image(seed: int) -> tuple[ImagePredictions, ImageAnnotations]:
    """Overlapping discs as ground truth; predictions are the same, shifted and scored at random, and some spurious."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 7))
    radii = rng.integers(3, 8, count)
    centres = rng.integers(0, [SIZE[1], SIZE[0]], (count, 2))
    discs = []
    for (x, y), radius in zip(centres, radii, strict=True):
        rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        discs.append(MaskCrop(rows**2 + columns**2 <= radius**2, int(x - radius), int(y - radius)).clipped(SIZE))
    gt = ImageAnnotations('made', SIZE, tuple(discs), np.zeros(count, dtype=np.int64))

    found = int(rng.integers(0, 10))
    picks = rng.integers(0, count, found) if count else np.zeros(0, dtype=int)
    near = centres[picks] + rng.integers(-2, 3, (len(picks), 2))
    low = (near - radii[picks][:, None]).astype(np.float32)
    rows, columns = np.mgrid[-1:1:14j, -1:1:14j]
    soft = np.clip(1.3 - np.hypot(rows, columns) + rng.normal(0, 0.1, (len(picks), 14, 14)), 0, 1)
    sides = np.where(rng.random(len(picks)) < 0.05, 0, 2 * radii[picks] + 1)  # a few boxes without width
    predictions = ImagePredictions(
        image_id='made',
        size=SIZE,
        boxes=np.concatenate([low, low + sides[:, None]], axis=1).astype(np.float32),
        scores=rng.choice([0.05, 0.1, 0.35, 0.5, 0.6, 0.9, np.inf], len(picks)).astype(np.float32),
        labels=rng.integers(0, 3, len(picks)),
        soft_masks=soft.astype(np.float32),
    )
    return predictions, gt


@pytest.mark.parametrize('steps', ['default', pytest.param('all', marks=pytest.mark.slow)])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_setting_scores_as_the_real_chain_does(full_chain, steps, seed):
    chain, grid = (full_chain.for_classes(CELL_TYPES), NMS_GRID) if steps == 'all' else (DEFAULT, GRID)
    predictions, gt = random_image(seed)
    table = score_all_settings(predictions, gt, chain, grid)
    assert table.scores.shape == grid.shape
    for index in np.ndindex(*grid.shape):
        one = with_settings(chain, dict.fromkeys(CELL_TYPES, grid.at(index)))
        real = score_images({'made': gt}, {'made': one(predictions).crops})['score'][0]
        assert table.scores[index] == pytest.approx(real, abs=1e-12), grid.at(index)


def test_the_examples_tell_the_settings_apart(full_chain):
    """Every parameter changes the score of some image, or the test above would prove little."""
    tables = [score_all_settings(*random_image(seed), full_chain, NMS_GRID).scores for seed in range(40)]
    for axis, name in enumerate(NMS_GRID.axes):
        assert any(np.ptp(scores, axis=axis).max() > 0 for scores in tables), name


def test_label_is_the_voted_class():
    box = np.array([[5, 5, 15, 15]], dtype=np.float32)
    image = ImagePredictions(
        'made', SIZE, box, np.array([0.5], np.float32), np.array([2]), np.ones((1, 4, 4), np.float32)
    )
    gt = ImageAnnotations('made', SIZE, (), np.zeros(0, dtype=np.int64))
    assert score_all_settings(image, gt, DEFAULT, GRID).label == 2
    assert score_all_settings(ImagePredictions.empty('made', SIZE), gt, DEFAULT, GRID).label is None


def test_settings_are_read_from_a_chain_and_put_back():
    chain = DEFAULT
    own = settings_of(chain)
    assert own['astro'] == dict(score=0.35, area=150, mask=0.5, remaining=0.7)
    changed = {**own, 'cort': dict(score=0.7, area=40, mask=0.45, remaining=0.1)}
    assert settings_of(with_settings(chain, changed)) == changed


def test_tunable_parameters_are_those_that_the_chain_has(full_chain):
    assert tunable_parameters_of(load_chain()) == ('mask', 'remaining', 'score', 'area')
    assert tunable_parameters_of(full_chain) == tuple(TUNABLE_PARAMETERS)
    steps = load_chain().steps
    # Of two, which is meant?
    assert 'nms' not in tunable_parameters_of(Chain((*steps[:4], MaskNMS(0.5), MaskNMS(0.6), *steps[4:])))


def test_the_default_grid_has_the_chains_tunable_parameters(full_chain):
    assert list(SearchGrid.of(load_chain()).axes) == ['mask', 'remaining', 'score', 'area']
    assert list(SearchGrid.of(full_chain).axes) == list(TUNABLE_PARAMETERS)


def test_a_step_declares_its_tunable_parameters_and_may_have_two():
    @dataclass(frozen=True)
    class Both(Step):
        low: float = parameter(0.0, tunable=Tunable('low', 'low', (0.0, 0.1)))
        high: float = parameter(1.0, tunable=Tunable('high', 'high', (0.8, 0.9, 1.0)))
        fixed: float = parameter(0.5)

    own = collect_tunable_parameters([MinArea, Both, MaskNMS])
    assert list(own) == ['low', 'high', 'nms', 'area']  # filters last
    assert own['high'] == ('high', Both, 'high', (0.8, 0.9, 1.0))
    with pytest.raises(ValueError, match="two steps have a tunable parameter 'low'"):
        collect_tunable_parameters([Both, Both])


def test_two_parameters_of_one_step_make_two_axes(monkeypatch):
    @dataclass(frozen=True)
    class ScoreBand(Step):
        """Drops cells outside a band of scores."""

        low: float = parameter(0.0, tunable=Tunable('low', 'low', (0.0, 0.5)))
        high: float = parameter(1.0, tunable=Tunable('high', 'high', (0.55, 0.8, 1.0)))

        drops_cells = True

        def __call__(self, predictions):
            low, high = (values_of(value, predictions.labels) for value in (self.low, self.high))
            return predictions.select((predictions.scores >= low) & (predictions.scores <= high))

    parameters = collect_tunable_parameters([*STEPS.values(), ScoreBand])
    monkeypatch.setattr('sartorius.postprocess.tuning.grid.TUNABLE_PARAMETERS', parameters)
    steps = load_chain().steps
    chain = Chain((*steps[:2], ScoreBand(), *steps[2:])).for_classes(CELL_TYPES)
    assert tunable_parameters_of(chain) == ('mask', 'remaining', 'low', 'high', 'score', 'area')
    grid = SearchGrid({**SearchGrid.of(chain).axes, **AXES})
    predictions, gt = random_image(1)
    table = score_all_settings(predictions, gt, chain, grid)
    for index in np.ndindex(*grid.shape):
        one = with_settings(chain, dict.fromkeys(CELL_TYPES, grid.at(index)))
        assert table.scores[index] == pytest.approx(
            score_images({'made': gt}, {'made': one(predictions).crops})['score'][0]
        )
    assert np.ptp(table.scores, axis=2).max() > 0 and np.ptp(table.scores, axis=3).max() > 0


def test_default_values_are_those_of_docs():
    """27,170 settings, as docs/postprocess.md counts them; the order of the axes decides between equal settings."""
    grid = SearchGrid.of(load_chain())
    assert grid.shape == (11, 5, 38, 13) and np.prod(grid.shape) == 27170
    assert grid.axes['score'][:2] == (0.025, 0.05) and grid.axes['score'][-1] == 0.95
    assert grid.axes['mask'][0] == 0.35 and grid.axes['area'][-1] == 300


def test_grid_places():
    assert NMS_GRID.shape == (2, 2, 2, 3, 3)
    setting = dict(mask=0.7, nms=0.05, remaining=0.6, score=0.1, area=60.0)
    assert NMS_GRID.at((1, 0, 1, 0, 2)) == setting
    assert NMS_GRID.nearest({**setting, 'mask': 0.55, 'area': 31}) == (1, 0, 1, 0, 1)


@pytest.mark.parametrize(
    ('axes', 'message'),
    [
        ({**AXES, 'scores': (0.5,)}, "unknown parameter 'scores'; did you mean 'score'"),
        ({**AXES, 'area': ()}, 'values of area are'),
        ({**AXES, 'score': (0.5, 0.4)}, 'values of score are'),
        ({**AXES, 'score': (0.5, 0.5)}, 'values of score are'),
        ({'score': (0.5,)}, 'no values for area'),
    ],
)
def test_bad_grids(axes, message):
    with pytest.raises(InputError, match=message):
        SearchGrid(axes)


@pytest.mark.parametrize(
    'types',
    [
        ['VoteClass', 'ScoreThreshold', 'MaskThreshold', 'MinArea'],  # no RemoveOverlap
        ['VoteClass', 'VoteClass', 'ScoreThreshold', 'MaskThreshold', 'RemoveOverlap', 'MinArea'],
        ['ScoreThreshold', 'VoteClass', 'MaskThreshold', 'RemoveOverlap', 'MinArea'],  # the vote after a threshold
        ['VoteClass', 'ScoreThreshold', 'MaskThreshold', 'MinArea', 'RemoveOverlap'],
        ['VoteClass', 'ScoreThreshold', 'MaskThreshold', 'RemoveOverlap', 'MinArea', 'KeepLargestComponent'],
        ['VoteClass', 'ScoreThreshold', 'RescoreByMask', 'MaskThreshold', 'RemoveOverlap', 'MinArea'],  # new scores
        [],
    ],
)
def test_chains_that_cannot_be_tuned(types):
    parameters = {'ScoreThreshold': {'threshold': 0.5}, 'MinArea': {'min_area': 75}}
    chain = build_chain([{'type': name, **parameters.get(name, {})} for name in types])
    with pytest.raises(InputError, match='cannot be tuned'):
        settings_of(chain.for_classes(CELL_TYPES))


def test_a_chain_without_a_vote_has_one_setting_for_all_classes():
    steps = [step for step in load_chain().steps if type(step).__name__ != 'VoteClass']
    with pytest.raises(InputError, match='ScoreThreshold has numbers per class, and without VoteClass'):
        settings_of(Chain(tuple(steps)))
    chain = Chain((ScoreThreshold(0.3), *steps[1:-1], MinArea(40))).for_classes(('a', 'b'))
    assert settings_of(chain) == {ALL_CLASSES: dict(score=0.3, area=40, mask=0.5, remaining=0.7)}
    changed = {ALL_CLASSES: dict(score=0.7, area=30, mask=0.45, remaining=0.1)}
    assert settings_of(with_settings(chain, changed)) == changed
