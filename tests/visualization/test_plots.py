"""The tuner's pictures: drawn for few and many thresholds, and telling what they should."""

from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.chain import Chain, load_chain
from sartorius.postprocess.steps import MaskNMS
from sartorius.postprocess.tuning.grid import SearchGrid
from sartorius.postprocess.tuning.step_gains import StepGain
from sartorius.postprocess.tuning.tuner import TuningResult, tune
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.visualization.plots import CLASS_COLORS, class_colors, plot_steps, plot_thresholds

SIZE = (20, 80)
GREEN, RED, GREY = '#0b7f63', '#b3261e', '#55645e'


def pixels_of(path, colour: str) -> int:
    """Number of pixels of exactly this colour."""
    image = cv2.imread(str(path))
    bgr = [int(colour[place : place + 2], 16) for place in (5, 3, 1)]
    return int((image == bgr).all(axis=2).sum())


def tuned(names: list[str], chain: Chain, grid: SearchGrid) -> TuningResult:
    """Three images of each class; without cells for the class 'none'."""
    images, gt = [], {}
    for label, name in enumerate(['shsy5y', 'astro', 'cort']):
        for place in range(3 if name in names else 0):
            left = 14 * np.arange(4)
            boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1).astype(np.float32)
            scores = np.array([0.9, 0.5, 0.3, 0.2], dtype=np.float32)
            labels = np.full(4, label)
            own = f'{name}{place}'
            images.append(ImagePredictions(own, SIZE, boxes, scores, labels, np.ones((4, 8, 8), np.float32)))
            cells = tuple(MaskCrop(np.ones((10, 10), dtype=bool), int(x), 0) for x in left[:2])
            gt[own] = ImageAnnotations(own, SIZE, cells, labels[:2])
    if not names:
        images.append(ImagePredictions.empty('none', SIZE))
        gt['none'] = ImageAnnotations('none', SIZE, (), np.zeros(0, dtype=np.int64))
    return tune(PredictionSet(tuple(images)), gt, chain, grid=grid)


AXES = {'mask': (0.4, 0.5, 0.6), 'score': (0.1, 0.25, 0.4, 0.6), 'area': (0.0, 50.0, 150.0)}


@pytest.mark.parametrize('names', [['shsy5y', 'cort'], ['astro'], []])
def test_a_curve_for_each_class_that_has_images(tmp_path, names):
    plot_thresholds(tmp_path / 'own.png', tuned(names, load_chain(), SearchGrid(AXES)))
    drawn = {
        name
        for name, colour in zip(CELL_TYPES, CLASS_COLORS, strict=False)
        if pixels_of(tmp_path / 'own.png', colour) > 200
    }
    assert drawn == set(names)


def test_more_classes_than_colours_draw_the_most_frequent():
    counts = {f'class {number}': number for number in range(20)}
    result = SimpleNamespace(
        settings=counts,
        tables=counts,
        images=pd.DataFrame({'voted': [name for name, count in counts.items() for _ in range(count)]}),
    )
    result.tables = {name: None for name, count in counts.items() if count}
    colors = class_colors(result)
    assert list(colors) == [f'class {number}' for number in range(20 - len(CLASS_COLORS), 20)]
    assert len(set(colors.values())) == len(CLASS_COLORS)


def test_a_panel_for_each_threshold(tmp_path):
    chain = load_chain()
    long = Chain((*chain.steps[:4], MaskNMS(0.5), *chain.steps[4:]))
    grid = SearchGrid({**AXES, 'nms': (0.1, 0.5), 'remaining': (0.0, 0.5)})
    plot_thresholds(tmp_path / 'three.png', tuned(['cort'], chain, SearchGrid(AXES)))
    plot_thresholds(tmp_path / 'five.png', tuned(['cort'], long, grid))
    heights = [cv2.imread(str(tmp_path / name)).shape[0] for name in ('three.png', 'five.png')]
    assert heights[1] - heights[0] == pytest.approx(3.3 * 120, abs=2)


@pytest.mark.parametrize(
    ('added', 'dropped', 'colours'),
    [
        (Estimate(0.1, 0.05, 0.2), Estimate(0.1, 0.05, 0.2), {GREEN}),
        (Estimate(-0.1, -0.2, -0.05), Estimate(-0.1, -0.2, -0.05), {RED}),
        (Estimate(0.1, 0.05, 0.2), Estimate(-0.1, -0.2, -0.05), {GREEN, RED}),
        (Estimate(0.1, -0.05, 0.2), Estimate(0.0, 0.0, 0.0), set()),  # may be chance
    ],
)
def test_steps_are_coloured_by_what_is_beyond_doubt(tmp_path, added, dropped, colours):
    gains = [
        StepGain('plain model', Estimate(0.3, 0.2, 0.4)),
        # A dollar begins no formula.
        StepGain(r'Own $\frac{$', Estimate(0.4, 0.3, 0.5), added, dropped),
    ]
    plot_steps(tmp_path / 'steps.png', gains)
    assert {colour for colour in (GREEN, RED) if pixels_of(tmp_path / 'steps.png', colour) > 20} == colours
    assert pixels_of(tmp_path / 'steps.png', GREY) > 20
