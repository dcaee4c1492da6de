"""The choice among settings, on tables made by hand; and cross-validation, which must not see what it scores."""

import numpy as np
import pytest

from sartorius.postprocess.tuning import selection as choice_module
from sartorius.postprocess.tuning.selection import NO_CLASS, Choice, ScoreTables, choose, cross_validate, make_folds


def groups_of(count: int) -> np.ndarray:
    return np.array([f'well{number}' for number in range(count)])


def choose_one(scores: np.ndarray) -> Choice:
    """The choice for two images, of a group each, that score the same."""
    return choose(np.stack([scores, scores]), np.zeros(2), groups_of(2))


def test_a_broad_plateau_beats_a_lucky_peak():
    scores = np.full(9, 0.2)
    scores[1] = 0.4  # peak: smoothed (.2 + .4 + .2) / 3
    scores[4:9] = 0.35  # plateau: smoothed .3, .35, .35, .35, .35
    found = choose_one(scores)
    assert np.flatnonzero(found.plateau).tolist() == [5, 6, 7, 8]
    # 6 and 7 are equally near to the middle of 5 to 8.
    assert found.index == (6,)


def test_a_separate_plateau_does_not_pull_the_middle_over():
    scores = np.zeros(12)
    scores[0:3], scores[7:12] = 0.503, 0.505
    found = choose_one(scores)
    assert np.flatnonzero(found.plateau).tolist() == [8, 9, 10, 11]
    assert found.index == (9,)


def test_plateaus_may_bend():
    """The middle of an L lies off it: what is taken is of the plateau all the same."""
    scores = np.zeros((9, 9))
    scores[:3, :] = scores[:, :3] = 1
    found = choose_one(scores)
    assert found.plateau[found.index]


def test_the_middle_of_a_flat_table_is_taken():
    assert choose(np.full((4, 3, 5, 7), 0.5), np.zeros(4), groups_of(4)).index == (1, 2, 3)


def test_choice_is_by_the_mean_over_the_images():
    scores = np.zeros((2, 5))
    scores[0, 0], scores[1, 4] = 0.3, 0.9
    assert choose(scores, np.zeros(2), groups_of(2)).index == (4,)


def test_gain_and_its_error():
    found = choose(np.array([[0.5], [0.7]]), np.array([0.4, 0.4]), groups_of(2))
    # Gains .1 and .3: mean .2; deviations -.1 and .1, so sqrt((.01 + .01) * 2 / 1) / 2 = .1.
    assert (found.gain, found.error) == pytest.approx((0.2, 0.1))
    assert found.is_better
    # Gains .1 and -.02: mean .04, error .06.
    assert not choose(np.array([[0.5], [0.38]]), np.array([0.4, 0.4]), groups_of(2)).is_better


@pytest.mark.parametrize(
    ('gain', 'error', 'better'),
    [
        (0.1, 0.0, True),  # every group gains the same
        (0.0, 0.0, False),
        (1e-12, 0.0, False),  # the last digit
        (-0.1, 0.0, False),
        (0.1, float('nan'), False),  # one group, which has no error
    ],
)
def test_what_counts_as_better(gain, error, better):
    assert Choice((0,), np.ones(1, bool), gain, error, 2).is_better is better


def random_tables(seed: int, count: int = 24, shape: tuple[int, ...] = (4, 6)) -> ScoreTables:
    rng = np.random.default_rng(seed)
    return ScoreTables(
        scores=rng.random((count, *shape)),
        start=rng.random(count),
        classes=rng.choice(['shsy5y', 'astro', 'cort', NO_CLASS], count),
        groups=rng.choice(groups_of(count // 2), count),
    )


def test_no_group_lies_in_two_folds():
    for seed in range(20):
        tables = random_tables(seed)
        folds = make_folds(tables, [5] * 24, 5, seed)
        assert folds.max() == 4
        for group in np.unique(tables.groups):
            assert len(set(folds[tables.groups == group])) == 1


def test_fewer_groups_than_folds_leave_one_out_at_a_time():
    tables = random_tables(0)
    few = ScoreTables(tables.scores, tables.start, tables.classes, np.repeat(groups_of(3), 8))
    assert make_folds(few, [5] * 24, 5, 0).max() == 2
    one = ScoreTables(tables.scores, tables.start, tables.classes, np.repeat(groups_of(1), 24))
    assert make_folds(one, [5] * 24, 5, 0).tolist() == [0] * 24
    np.testing.assert_array_equal(cross_validate(one, np.zeros(24, dtype=int))[0], one.start)


def test_each_class_is_spread_over_the_folds():
    tables = random_tables(0)
    classes = np.repeat(['cort', 'astro'], [20, 4])
    spread = ScoreTables(tables.scores, tables.start, classes, groups_of(24))
    folds = make_folds(spread, [5] * 24, 4, 0)
    assert sorted(folds[20:]) == [0, 1, 2, 3]


def test_nothing_of_a_scored_group_is_seen_in_choosing(monkeypatch):
    tables = random_tables(1)
    folds = make_folds(tables, [5] * 24, 4, 0)
    seen: list[set[str]] = []

    def spy(scores, start, groups):
        seen.append(set(groups))
        return choose(scores, start, groups)

    monkeypatch.setattr(choice_module, 'choose', spy)
    for fold in range(4):
        seen.clear()
        tables.choices(folds != fold)
        assert seen
        assert not set.union(*seen) & set(tables.groups[folds == fold])


def test_scores_of_a_fold_have_no_part_in_its_settings():
    """Whatever happens to the images of a fold, what is chosen for it stays."""
    tables = random_tables(2)
    folds = make_folds(tables, [5] * 24, 4, 0)
    _, choices = cross_validate(tables, folds)
    for fold in range(4):
        scores, start = tables.scores.copy(), tables.start.copy()
        scores[folds == fold], start[folds == fold] = 0.123, 0.9
        _, others = cross_validate(ScoreTables(scores, start, tables.classes, tables.groups), folds)
        assert [(name, own.index, own.is_better) for name, own in choices[fold].items()] == [
            (name, own.index, own.is_better) for name, own in others[fold].items()
        ]


def test_cross_validated_scores_are_those_of_the_folds_choices():
    tables = random_tables(3)
    folds = make_folds(tables, [5] * 24, 3, 0)
    scores, choices = cross_validate(tables, folds)
    for place, (name, fold) in enumerate(zip(tables.classes, folds, strict=True)):
        own = choices[fold].get(name)
        expected = tables.scores[place][own.index] if own and own.is_better else tables.start[place]
        assert scores[place] == expected


def test_noise_gives_a_gain_in_sample_and_none_out_of_it():
    """Settings that differ by chance alone: what is tuned looks better, what is cross-validated does not."""
    tuned, unseen = [], []
    for seed in range(30):
        tables = random_tables(seed, count=40, shape=(8, 8))
        everything = np.ones(40, dtype=bool)
        tuned.append((tables.scores_with(tables.choices(everything)) - tables.start).mean())
        unseen.append((cross_validate(tables, make_folds(tables, [5] * 40, 5, seed))[0] - tables.start).mean())
    # Uniform scores: a gain deviates by .41 an image, by .012 in the mean over 30 sets of 40.
    assert np.mean(tuned) > 0.035
    assert abs(np.mean(unseen)) < 0.025
