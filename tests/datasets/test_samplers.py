"""Numbered draws: same number, same sample, whatever happened before."""

import itertools

import numpy as np

from sartorius.datasets.samplers import ResumableSampler, SeededDataset


class NoisyImages:
    """Ten samples, each with a random number, as an augmented image has."""

    metainfo: dict = {}

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(np.random.random())


def test_a_draw_follows_from_its_number_alone() -> None:
    forward = [SeededDataset(NoisyImages(), seed=3)[draw] for draw in range(25)]
    draws = SeededDataset(NoisyImages(), seed=3)
    backward = [draws[draw] for draw in reversed(range(25))]
    assert forward == backward[::-1]


def test_each_pass_shows_every_image_once_in_another_order() -> None:
    draws = SeededDataset(NoisyImages(), seed=0)
    first, second = ([draws[draw][0] for draw in range(start, start + 10)] for start in (0, 10))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_augmentation_differs_between_draws_and_seeds() -> None:
    noise = {SeededDataset(NoisyImages(), seed=seed)[draw][1] for seed in (0, 1) for draw in range(20)}
    assert len(noise) == 40


def test_sampler_counts_on_and_skips() -> None:
    sampler = ResumableSampler(SeededDataset(NoisyImages()))
    assert list(itertools.islice(sampler, 4)) == [0, 1, 2, 3]
    sampler.skip(7)
    assert list(itertools.islice(sampler, 3)) == [7, 8, 9]


def test_processes_share_the_draws(monkeypatch) -> None:
    taken = []
    for rank in range(2):
        monkeypatch.setattr('sartorius.datasets.samplers.get_dist_info', lambda rank=rank: (rank, 2))
        sampler = ResumableSampler(SeededDataset(NoisyImages()))
        sampler.skip(3)
        taken.append(list(itertools.islice(sampler, 3)))
    assert taken == [[6, 8, 10], [7, 9, 11]]
