"""When pseudo-labels are believed, by hand."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from sartorius.postprocess.chain import Chain, build_chain
from sartorius.predictions.structures import ImagePredictions
from sartorius.pseudo_labels.rules import (
    BALANCE,
    FEW_CELLS,
    LOW_SCORE,
    MANY_UNSURE,
    NO_CELLS,
    UNCLEAR_CLASS,
    PseudoRules,
    Verdict,
    apply_balance,
    image_limits,
    judge,
    load_rules,
)
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (10, 100)
CHAIN = build_chain([{'type': 'VoteClass'}, {'type': 'ScoreThreshold', 'threshold': 0.2}]).for_classes(CELL_TYPES)
RULES = PseudoRules(cell_scores=0.5, max_unsure=0.25, min_mean_scores=0.4, min_votes=0.8, min_cells=2)


def image(scores, labels=None, image_id='a'):
    """Cells of 5x5 pixels side by side; cort (2) unless told."""
    count = len(scores)
    starts = np.arange(count) * 6
    return ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=np.stack([starts, 0 * starts, starts + 5, 0 * starts + 5], axis=1).astype(np.float32),
        scores=np.array(scores, dtype=np.float32),
        labels=np.full(count, 2) if labels is None else np.array(labels),
        soft_masks=np.ones((count, 4, 4), dtype=np.float32),
    )


@pytest.mark.parametrize(
    ('scores', 'labels', 'reason', 'cells'),
    [
        # 4 sure cells of 5, a fifth unsure.
        ([0.9, 0.8, 0.7, 0.6, 0.3], None, '', 4),
        # A score at the threshold is sure, in the scores' own precision.
        ([0.5, 0.5], None, '', 2),
        # Exactly a quarter unsure.
        ([0.9, 0.9, 0.9, 0.3], None, '', 3),
        # 2 of 5 unsure.
        ([0.9, 0.8, 0.7, 0.3, 0.3], None, MANY_UNSURE, 3),
        # What the chain drops is not unsure: 0.1 is below its threshold.
        ([0.9, 0.8, 0.7, 0.1, 0.1], None, '', 3),
        ([0.9], None, FEW_CELLS, 1),
        # Mean .38, though all are in the class.
        ([0.5, 0.26], None, LOW_SCORE, 1),
        # .81 + .81 of cort against .64 of astro: .717 of the votes.
        ([0.9, 0.9, 0.8], [2, 2, 1], UNCLEAR_CLASS, 3),
        # .81 + .81 against .36: .818; the astro cell becomes cort.
        ([0.9, 0.9, 0.6], [2, 2, 1], '', 3),
        # Cells below the chain's threshold vote too: 20 x .0361 against 1.62 is .69 of the votes.
        ([0.9, 0.9, *[0.19] * 20], [2, 2, *[1] * 20], UNCLEAR_CLASS, 2),
        ([0.1, 0.1], None, NO_CELLS, 0),
        ([], None, NO_CELLS, 0),
    ],
)
def test_rules_by_hand(scores, labels, reason, cells):
    verdict = judge(image(scores, labels), CHAIN, RULES, {})
    assert (verdict.reason, len(verdict.crops)) == (reason, cells)
    assert verdict.cell_type == ('' if reason == NO_CELLS else 'cort')


def test_rules_are_of_the_class():
    strict = replace(RULES, cell_scores={'shsy5y': 0.1, 'astro': 0.1, 'cort': 0.95})
    assert judge(image([0.9, 0.9]), CHAIN, strict, {}).reason == MANY_UNSURE
    assert judge(image([0.9, 0.9], [1, 1]), CHAIN, strict, {}).reason == ''


def test_rules_by_class_go_by_name():
    rules = replace(RULES, cell_scores={'shsy5y': 0.1, 'astro': 0.2, 'cort': 0.9})
    assert list(rules.for_classes(('cort', 'shsy5y')).cell_scores.values()) == [0.9, 0.1]
    with pytest.raises(InputError, match="pseudo-labels cell_scores has no number for the class 'neuron'"):
        rules.for_classes(('cort', 'neuron'))
    assert load_rules(classes=('neuron',)).for_classes(('neuron',)).cell_scores == 0.5


def test_least_cells_of_the_annotated_images():
    as_annotated = replace(RULES, min_cells=None)
    assert judge(image([0.9] * 3), CHAIN, as_annotated, {'cort': 4, 'astro': 2}).reason == FEW_CELLS
    assert judge(image([0.9] * 4), CHAIN, as_annotated, {'cort': 4, 'astro': 2}).reason == ''
    assert judge(image([0.9]), CHAIN, as_annotated, {}).reason == ''
    # Never an image without any sure cell.
    none_sure = replace(as_annotated, max_unsure=1.0, min_mean_scores=0)
    assert judge(image([0.4]), CHAIN, none_sure, {}).reason == FEW_CELLS


def test_the_class_is_voted_when_the_chain_does_not():
    verdict = judge(image([0.9, 0.9, 0.6], [2, 2, 1]), Chain((), CELL_TYPES), RULES, {})
    assert (verdict.cell_type, verdict.reason, len(verdict.crops)) == ('cort', '', 3)


def test_labels_share_no_pixel():
    double = image([0.9, 0.8])
    shifted = replace(double, boxes=np.array([[0, 0, 5, 5], [3, 0, 8, 5]], dtype=np.float32))
    assert [crop.area for crop in judge(shifted, CHAIN, RULES, {}).crops] == [25, 15]


ANNOTATED = {'shsy5y': 155, 'astro': 131, 'cort': 320}


@pytest.mark.parametrize(
    ('available', 'balance', 'limits'),
    [
        # shsy5y is scarcest: 31 of 155 is a fifth; a fifth of 131 is 26.2, of 320 64.
        ({'shsy5y': 31, 'astro': 500, 'cort': 400}, 'train', {'shsy5y': 31, 'astro': 26, 'cort': 64}),
        ({'shsy5y': 31, 'astro': 500, 'cort': 20}, 'train', {'shsy5y': 9, 'astro': 8, 'cort': 20}),
        ({'shsy5y': 31, 'astro': 500, 'cort': 20}, 'equal', {'shsy5y': 20, 'astro': 20, 'cort': 20}),
        ({'astro': 500, 'cort': 20}, 'train', {'shsy5y': 0, 'astro': 0, 'cort': 0}),
        ({'astro': 500, 'cort': 20}, 'equal', {'shsy5y': 0, 'astro': 0, 'cort': 0}),
        ({'astro': 500, 'cort': 20}, 0.5, {'shsy5y': 0, 'astro': 65, 'cort': 20}),
        ({'astro': 500, 'cort': 20}, 2, {'shsy5y': 0, 'astro': 262, 'cort': 20}),
        ({'astro': 500, 'cort': 20}, 'none', {'astro': 500, 'cort': 20}),
        ({}, 'train', {'shsy5y': 0, 'astro': 0, 'cort': 0}),
    ],
)
def test_limits_by_hand(available, balance, limits):
    assert image_limits(available, ANNOTATED, balance) == limits


def test_classes_that_nobody_annotated_have_no_share():
    assert image_limits({'astro': 5, 'cort': 5}, {'cort': 10}, 'train') == {'cort': 5}
    assert image_limits({'astro': 5, 'cort': 5}, {}, 'equal') == {}


@pytest.mark.parametrize('balance', ['trian', 0, -1, float('nan'), float('inf'), None])
def test_wrong_balances(balance):
    with pytest.raises(InputError, match='balance is .*; it is train, equal, none, or a number above 0'):
        image_limits({'cort': 1}, ANNOTATED, balance)


def verdict(image_id, cell_type, confidence, reason=''):
    return Verdict(image_id, SIZE, cell_type, reason, confidence, ())


def test_the_most_confident_images_stay():
    verdicts = [
        verdict('c1', 'cort', 0.7),
        verdict('c3', 'cort', 0.9),
        verdict('c2', 'cort', 0.7),
        verdict('c0', 'cort', 0.95, LOW_SCORE),
        verdict('a1', 'astro', 0.3),
    ]
    # One astro image for 1 annotated: 2 of cort for 2 annotated. c1 and c2 are equals, and c1 comes first.
    balanced = apply_balance(verdicts, {'cort': 2, 'astro': 1}, 'train')
    assert [one.image_id for one in balanced] == ['c1', 'c3', 'c2', 'c0', 'a1']
    assert [one.reason for one in balanced] == ['', '', BALANCE, LOW_SCORE, '']


def test_proportions_are_those_of_the_annotated_images():
    generator = np.random.default_rng(3)
    for _ in range(50):
        annotated = dict(zip(ANNOTATED, generator.integers(1, 300, 3).tolist(), strict=True))
        available = dict(zip(ANNOTATED, generator.integers(0, 900, 3).tolist(), strict=True))
        limits = image_limits(available, annotated, 'train')
        shares = {name: limits[name] / annotated[name] for name in annotated}
        assert all(limits[name] <= available[name] for name in annotated)
        # Within the rounding of one image, and no image more would keep them.
        assert max(shares.values()) - min(shares.values()) < max(1 / number for number in annotated.values()) + 1e-9
        assert any(limits[name] == available[name] for name in annotated)


def test_default_rules_and_their_two_forms(tmp_path):
    rules = load_rules()
    assert rules.cell_scores == {'shsy5y': 0.35, 'astro': 0.45, 'cort': 0.65}
    path = tmp_path / 'rules.json'
    path.write_text(json.dumps({'pseudo_labels': asdict(rules)}))
    assert load_rules(path) == rules


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.py', 'pseudo_label = {}', r'a\.py: defines no pseudo_labels'),
        ('a.py', 'pseudo_labels = [1]', r'a\.py: \[1\] is not a mapping with some of cell_scores'),
        ('a.json', '[]', r'a\.json: defines no pseudo_labels'),
        ('a.json', '{', r'a\.json: not JSON'),
        ('a.yaml', '', r'a\.yaml: a file of rules for pseudo-labels ends in \.json or \.py'),
        ('a.py', 'pseudo_labels = dict(cell_score=1)', r"unknown key 'cell_score'; did you mean 'cell_scores'"),
        (
            'a.py',
            'pseudo_labels = dict(cell_scores=.5)',
            "the key 'max_unsure' is missing",
        ),
    ],
)
def test_wrong_rule_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_rules(tmp_path / name)


def test_a_missing_rule_file(tmp_path):
    with pytest.raises(InputError, match='no such file of rules'):
        load_rules(tmp_path / 'a.py')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'max_unsure': 1.5}, 'pseudo-labels max_unsure is 1.5; it must lie between 0 and 1'),
        ({'min_cells': -1}, 'pseudo-labels min_cells is -1; it must be finite and not below 0'),
        ({'cell_scores': {}}, 'pseudo-labels cell_scores is empty'),
        ({'min_votes': None}, 'pseudo-labels min_votes is None; give a number'),
    ],
)
def test_wrong_rules(change, message):
    with pytest.raises(InputError, match=message):
        replace(RULES, **change)
