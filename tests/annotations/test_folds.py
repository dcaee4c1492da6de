"""Folds: no group is split, every class is spread."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.annotations.folds import assign_folds, group_of
from sartorius.annotations.reading import load_annotations
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError


@pytest.mark.parametrize(
    ('image_id', 'sample_id', 'group'),
    [
        ('0030fd0e6378', 'shsy5y[diff]_E10-4_Vessel-714_Ph_3', 'shsy5y[diff]_E10'),
        # Another field, vessel number and crop of the same well.
        ('1111', 'shsy5y[diff]_E10-1_Vessel-715_Ph_1', 'shsy5y[diff]_E10'),
        # E1 is another well than E10.
        ('2222', 'shsy5y[diff]_E1-0_Vessel-714_Ph_3', 'shsy5y[diff]_E1'),
        # Unlabelled images are named after their sample.
        ('astros[cereb]_D3-2_Vessel-361_Ph_4_2020-10-08', '', 'astros[cereb]_D3'),
        ('0030fd0e6378', 'slide 7', 'slide 7'),
        ('0030fd0e6378', '', '0030fd0e6378'),
    ],
)
def test_the_group_is_the_well(image_id, sample_id, group):
    assert group_of(image_id, sample_id) == group


def test_a_case_to_check_by_hand():
    # Four wells of one class, two images each; two wells are four times as full: each fold gets one of either kind.
    groups = ['a', 'a', 'b', 'b', 'c', 'c', 'd', 'd']
    cells = [40, 40, 10, 10, 40, 40, 10, 10]
    folds = assign_folds(groups, ['cort'] * 8, cells, folds=2)
    assert folds[0::2] == folds[1::2]
    assert sorted(folds[0:8:4]) == [0, 1]
    assert sorted(folds[2:8:4]) == [0, 1]


@st.composite
def wells(draw):
    """Images of three classes in wells of 1 to 6 images."""
    groups, classes, cells = [], [], []
    for name in CELL_TYPES:
        for well in range(draw(st.integers(5, 20))):
            for _ in range(draw(st.integers(1, 6))):
                groups.append(f'{name} {well}')
                classes.append(name)
                cells.append(draw(st.integers(0, 300)))
    return groups, classes, cells


@settings(max_examples=40, deadline=None)
@given(wells(), st.integers(2, 5), st.integers(0, 3))
def test_no_group_is_split_and_every_class_is_in_every_fold(data, folds, seed):
    groups, classes, cells = data
    assigned = assign_folds(groups, classes, cells, folds, seed)
    assert assigned == assign_folds(groups, classes, cells, folds, seed)
    for group in set(groups):
        assert len({fold for fold, other in zip(assigned, groups, strict=True) if other == group}) == 1
    for name in CELL_TYPES:
        assert {fold for fold, other in zip(assigned, classes, strict=True) if other == name} == set(range(folds))


def test_the_seed_changes_the_folds():
    groups = [str(number) for number in range(40)]
    assigned = [assign_folds(groups, ['astro'] * 40, [50] * 40, 5, seed) for seed in range(3)]
    assert assigned[0] != assigned[1] != assigned[2]
    assert all(np.bincount(folds).tolist() == [8] * 5 for folds in assigned)


def test_balance_at_the_size_of_the_competition():
    random = np.random.default_rng(0)
    groups, classes, cells = [], [], []
    # Means and spreads of docs/data.md; wells of 5 to 15 images.
    for name, images, mean, std in (('cort', 320, 34, 17), ('shsy5y', 155, 337, 150), ('astro', 131, 80, 64)):
        for _ in range(images):
            groups.append(f'{name} {random.integers(images // 8)}')
            classes.append(name)
            cells.append(int(max(4, random.normal(mean, std))))
    for seed in range(3):
        folds = np.array(assign_folds(groups, classes, cells, 5, seed))
        for name in CELL_TYPES:
            of_class = np.array(classes) == name
            for amounts in (of_class.astype(int), of_class * np.array(cells)):
                shares = np.bincount(folds, weights=amounts) / amounts.sum()
                assert shares.min() > 0.13
                assert shares.max() < 0.28


def test_balance_of_the_real_images(real_data):
    images = load_annotations(real_data / 'train.csv').values()
    classes = [CELL_TYPES[image.labels[0]] for image in images]
    folds = np.array(assign_folds([image.image_id for image in images], classes, list(map(len, images)), 5))
    for name in CELL_TYPES:
        counts = np.bincount(folds[np.array(classes) == name], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_refuses_what_cannot_be_folded():
    with pytest.raises(InputError, match='5 folds need as many groups of images, there are 2'):
        assign_folds(['a', 'a', 'b'], ['cort'] * 3, [1] * 3, 5)
    with pytest.raises(InputError, match='1 folds: cross-validation needs 2 or more'):
        assign_folds(['a', 'b'], ['cort'] * 2, [1] * 2, 1)
