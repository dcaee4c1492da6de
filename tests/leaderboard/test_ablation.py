"""The table of what each stage is worth, on cells whose answer is known."""

import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.leaderboard.ablation import measure, stages
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import load_chain
from sartorius.predictions.structures import ImagePredictions, PredictionSet

SIZE = (60, 240)
CORT = 2
SINGLE = ['plain model', '+ score thresholds', '+ min areas', '+ hole filling', '+ mask NMS', '+ min remaining']


def predictions(scores: list[list[float]], shift: float = 0.0) -> PredictionSet:
    """Images with a row of cells of 20x20 px, 10 px apart; the true ones are those of :func:`gt_of`."""
    images = []
    for number, own in enumerate(scores):
        left = 30.0 * np.arange(len(own)) + shift
        top = np.zeros(len(own))
        boxes = np.stack([left, top, left + 20, top + 20], axis=1).astype(np.float32)
        soft = np.ones((len(own), 8, 8), dtype=np.float32)
        labels = np.full(len(own), CORT)
        images.append(ImagePredictions(f'image{number}', SIZE, boxes, np.array(own, np.float32), labels, soft))
    return PredictionSet(tuple(images))


def gt_of(images: int, cells: int) -> dict[str, ImageAnnotations]:
    """The first cells of every image are true."""
    crops = tuple(MaskCrop(np.ones((20, 20), dtype=bool), 30 * place, 0) for place in range(cells))
    labels = np.full(cells, CORT)
    names = [f'image{number}' for number in range(images)]
    return {name: ImageAnnotations(name, SIZE, crops, labels) for name in names}


@pytest.mark.slow
def test_thresholds_drop_the_false_cells():
    """Four true positives of score .8 and more, four false positives of .3: P is 1/2 without thresholds, 1 with."""
    found = predictions([[0.9, 0.8, 0.85, 0.95, 0.3, 0.3, 0.3, 0.3]] * 6)
    rows, table = measure(list(stages(found)), gt_of(6, 4), {})
    assert [row.name for row in rows] == [*SINGLE, '+ mask thresholds']
    assert rows[0].score.mean == pytest.approx(0.5)
    assert rows[0].gain is None
    assert [row.score.mean for row in rows[1:]] == [1.0] * 6
    assert rows[1].gain.mean == pytest.approx(0.5)
    assert [row.gain.mean for row in rows[2:]] == [0.0] * 5
    assert list(rows[0].classes) == ['cort']
    assert table['plain model'].tolist() == pytest.approx([0.5] * 6)


@pytest.mark.slow
def test_tuning_starts_at_the_default_chain():
    """No number of configs/_base_/postprocess.py stands a second time."""
    *_, last = stages(predictions([[0.9]]))
    default = {type(step): step for step in load_chain().steps}
    own = {type(step): step for step in last.chain.steps}
    assert {kind: own[kind] for kind in default} == default
    assert [kind.__name__ for kind in own if kind not in default] == ['MaskNMS']


@pytest.mark.slow
def test_rows_of_augmentation_and_of_more_models_come_last():
    """The first model misses the last cell, the second finds it: every fusion gains by it over the single model."""
    alone, other = predictions([[0.9, 0.9, 0.9]] * 4), predictions([[0.9, 0.9, 0.9, 0.9]] * 4, shift=1)
    rows, _ = measure(list(stages(alone, alone, [other])), gt_of(4, 4), {})
    assert [row.name for row in rows[-4:]] == [
        '+ test-time augmentation', '+ 1 more by nms', '+ 1 more by wbf', '+ 1 more by consensus'
    ]  # fmt: skip
    before, *fused = rows[-4:]
    assert before.score.mean == pytest.approx(0.75)
    for row in fused:
        assert row.score.mean > before.score.mean
        assert row.gain.mean == pytest.approx(row.score.mean - before.score.mean)


def test_groups_are_not_split_between_tuning_and_scoring(monkeypatch):
    """Images of one group all get scores that tuning saw nothing of: the tuner is handed the groups."""
    seen = []
    from sartorius.leaderboard import ablation

    def spy(*arguments):
        seen.append(arguments[3])
        return tune(*arguments)

    tune = ablation.tune
    monkeypatch.setattr(ablation, 'tune', spy)
    groups = {'image0': 'well', 'image1': 'well'}
    _, table = measure(list(stages(predictions([[0.9]] * 4)))[:1], gt_of(4, 1), groups)
    assert seen == [groups]
    assert table['group'].tolist() == ['well', 'well', 'image2', 'image3']
