"""Means over images, with errors and intervals over groups."""

import numpy as np
import pytest

from sartorius.evaluation.bootstrap import estimate, standard_error


def test_mean_is_over_images_not_groups():
    own = estimate(np.array([1.0, 1.0, 1.0, 0.0]), np.array(['a', 'a', 'a', 'b']))
    assert own.mean == 0.75
    # Two groups: drawn are a a, a b, b a or b b.
    assert (own.low, own.high) == (0.0, 1.0)


def test_a_drawn_group_brings_all_of_its_images():
    own = estimate(np.repeat([1.0, 0.0, 0.0, 0.0], [20, 1, 1, 1]), np.repeat(['a', 'b', 'c', 'd'], [20, 1, 1, 1]))
    # Four draws of four groups: all a in 0.4 % of the cases, three times a in 4.7 %, never a in 32 %.
    assert own.high == pytest.approx(60 / 61)
    assert own.low == 0


def test_one_group_has_no_interval():
    own = estimate(np.array([0.2, 0.4]), np.array(['a', 'a']))
    assert own.low == own.high == own.mean == pytest.approx(0.3)


def test_copies_within_a_group_make_no_interval_narrower():
    values = np.random.default_rng(0).random(12)
    names = np.array([f'well{number}' for number in range(12)])
    once = estimate(values, names)
    thrice = estimate(np.repeat(values, 3), np.repeat(names, 3))
    assert thrice == pytest.approx(once)
    alone = estimate(np.repeat(values, 3), np.arange(36).astype(str))
    assert alone.high - alone.low < 0.75 * (once.high - once.low)


def test_order_of_the_images_makes_no_difference():
    rng = np.random.default_rng(1)
    values, names = rng.integers(0, 8, 20) / 8, rng.choice(['a', 'b', 'c', 'd'], 20)
    order = rng.permutation(20)
    assert estimate(values, names) == estimate(values[order], names[order])


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    names = np.repeat(np.arange(30), 2).astype(str)
    covered = 0
    for seed in range(200):
        of_group, own = rng.normal(0, 1, 30), rng.normal(0, 0.3, 60)
        drawn = estimate(np.repeat(of_group, 2) + own, names, seed)
        covered += drawn.low <= 0 <= drawn.high
    assert 175 <= covered <= 198


def test_standard_error():
    # Of single images that of the textbook: deviation / sqrt(n).
    values = np.array([0.1, 0.5, 0.3, 0.7])
    names = np.array(['a', 'b', 'c', 'd'])
    assert standard_error(values, names) == pytest.approx(values.std(ddof=1) / 2)
    # Each image twice tells nothing new.
    assert standard_error(np.repeat(values, 2), np.repeat(names, 2)) == pytest.approx(standard_error(values, names))
    assert np.isnan(standard_error(values, np.full(4, 'a')))
