"""Rules that decide which predictions become pseudo-labels, and the balance of the classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import partial
from math import floor
from pathlib import Path

import numpy as np

from sartorius.masks.crop import MaskCrop, Size
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.per_class import PerClass, check_per_class, in_order_of, values_of
from sartorius.postprocess.steps import VoteClass
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import ANY_PSEUDO_RULES, DEFAULT_PSEUDO_RULES
from sartorius.utils.settings import build, load_settings

CONFIG_KEY = 'pseudo_labels'

ANNOTATED, NO_CELLS, FEW_CELLS = 'rows in the CSV', 'no cells', 'too few confident cells'
UNCLEAR_CLASS, LOW_SCORE, MANY_UNSURE = 'class unclear', 'mean score too low', 'too many unconfident cells'
BALANCE = 'dropped for balance'
REASONS = (ANNOTATED, NO_CELLS, UNCLEAR_CLASS, LOW_SCORE, MANY_UNSURE, FEW_CELLS, BALANCE)
"""Why an image is not used, in the order in which the rules are applied; the first that refuses it counts."""

BALANCES = ('train', 'equal', 'none')
Balance = str | float


@dataclass(frozen=True)
class PseudoRules:
    """When the predictions of an image become labels. Every rule is one number, or one per class.

    Attributes:
        cell_scores: Min score of a confident cell; cells below it get no label.
        max_unsure: Max share of unconfident cells among those that the chain kept.
        min_mean_scores: Min mean score of the cells that the chain kept.
        min_votes: Min share of the image's class in the sum of squared scores (as ``VoteClass`` counts), taken over all
            predicted cells before the chain.
        min_cells: Min number of confident cells; None: the min number of cells of an annotated image of the class.

    Raises:
        InputError: A number out of range.
    """

    cell_scores: PerClass
    max_unsure: PerClass
    min_mean_scores: PerClass
    min_votes: PerClass
    min_cells: PerClass | None = None

    def __post_init__(self) -> None:
        for rule in fields(self):
            value = getattr(self, rule.name)
            if rule.name == 'min_cells' and value is None:
                continue
            highest = float('inf') if rule.name == 'min_cells' else 1.0
            object.__setattr__(self, rule.name, check_per_class(value, f'pseudo-labels {rule.name}', highest))

    def for_classes(self, classes: Sequence[str]) -> 'PseudoRules':
        """The same rules for labels that index into some class names.

        Raises:
            InputError: A rule has one number per class, and none for one of the classes.
        """
        values = {rule.name: getattr(self, rule.name) for rule in fields(self)}
        return PseudoRules(
            **{
                name: None if value is None else in_order_of(value, classes, f'pseudo-labels {name}')
                for name, value in values.items()
            }
        )


@dataclass(frozen=True, eq=False)
class Verdict:
    """Decision of the rules on one image.

    Attributes:
        image_id: Id of the image.
        size: Its ``(height, width)`` in pixels.
        cell_type: Class that its cells voted for; empty without cells.
        reason: Why it is not used, one of :data:`REASONS`; empty if it is.
        confidence: Mean score of the cells that the chain kept.
        crops: Masks of the confident cells; no two share a pixel.
    """

    image_id: str
    size: Size
    cell_type: str
    reason: str
    confidence: float
    crops: tuple[MaskCrop, ...]


def load_rules(path: str | Path | None = None, classes: Sequence[str] = CELL_TYPES) -> PseudoRules:
    """Rules for predictions of some classes, from a ``.json`` or ``.py`` file that holds ``pseudo_labels``.

    Args:
        path: File that the user gave. None: the competition's rules for its classes, those with one number for all for
            others.
        classes: Class names of the predictions.

    Raises:
        InputError: The file is missing or invalid, or a rule in it is wrong, missing or unknown.
    """
    if path is None:
        path = DEFAULT_PSEUDO_RULES if set(classes) <= set(CELL_TYPES) else ANY_PSEUDO_RULES
    return load_settings(path, partial(build, PseudoRules), 'file of rules for pseudo-labels', CONFIG_KEY)


def judge(predictions: ImagePredictions, chain: Chain, rules: PseudoRules, min_cells: Mapping[str, int]) -> Verdict:
    """Post-processes an image and applies the rules, in the order of :data:`REASONS`.

    Args:
        predictions: Of one image, before post-processing.
        chain: Post-processing that knows its classes (:meth:`Chain.for_classes`); the class is voted after it in case
            the chain does not do that, as the training CSV has one class per image.
        rules: The rules for the same classes.
        min_cells: Min number of cells of an annotated image, by class; 1 for other classes.
    """
    pred = VoteClass()(chain(predictions))
    if not len(pred):
        return Verdict(pred.image_id, pred.size, '', NO_CELLS, 0.0, ())
    label = int(pred.labels[0])
    sure = pred.scores >= values_of(rules.cell_scores, pred.labels).astype(pred.scores.dtype)
    confidence = float(pred.scores.mean(dtype=np.float64))

    def rule(value: PerClass) -> float:
        return float(values_of(value, pred.labels[:1])[0])

    name = chain.known_classes()[label]
    needed = min_cells.get(name, 1) if rules.min_cells is None else rule(rules.min_cells)
    refusals = {
        UNCLEAR_CLASS: _vote_share(predictions, label) < rule(rules.min_votes),
        LOW_SCORE: confidence < rule(rules.min_mean_scores),
        MANY_UNSURE: (~sure).mean() > rule(rules.max_unsure),
        FEW_CELLS: sure.sum() < max(needed, 1),
    }
    reason = next((one for one, refused in refusals.items() if refused), '')
    return Verdict(pred.image_id, pred.size, name, reason, confidence, pred.select(sure).crops)


def _vote_share(predictions: ImagePredictions, label: int) -> float:
    """Share of a class in the sum of squared scores; 0 if all scores are 0."""
    votes = predictions.scores.astype(np.float64) ** 2
    return float(votes[predictions.labels == label].sum() / votes.sum()) if votes.any() else 0.0


def image_limits(available: Mapping[str, int], annotated: Mapping[str, int], balance: Balance) -> dict[str, int]:
    """How many pseudo-labelled images of each class may be used.

    Args:
        available: Number of images that pass the rules, by class.
        annotated: Number of manually annotated images, by class.
        balance: ``train``: in the proportions of the annotated images, as many as the scarcest class allows; ``equal``:
            equally many of each class; a number: at most so many per annotated image of the class; ``none``: all.
            Classes without annotated images are used with ``none`` alone.

    Raises:
        InputError: Unknown balance, or a number that is not above 0 and finite.
    """
    if balance == 'none':
        return dict(available)
    classes = [name for name, count in annotated.items() if count]
    scarcest = min((available.get(name, 0) for name in classes), default=0)
    if balance == 'train':
        share = min((Fraction(available.get(name, 0), annotated[name]) for name in classes), default=Fraction(0))
    elif balance != 'equal':
        if not isinstance(balance, (int, float)) or not 0 < balance < float('inf'):
            raise InputError(f'balance is {balance!r}; it is {", ".join(BALANCES)}, or a number above 0')
        share = Fraction(balance)
    return {
        name: scarcest if balance == 'equal' else min(floor(share * annotated[name]), available.get(name, 0))
        for name in classes
    }


def apply_balance(verdicts: Sequence[Verdict], annotated: Mapping[str, int], balance: Balance) -> list[Verdict]:
    """Drops the least confident images of classes that have too many; ties are broken by image id.

    Args:
        verdicts: Verdicts on all images of one fold.
        annotated: Number of manually annotated images, by class.
        balance: As in :func:`image_limits`.
    """
    passed = [verdict for verdict in verdicts if not verdict.reason]
    limits = image_limits(Counter(verdict.cell_type for verdict in passed), annotated, balance)
    used: set[str] = set()
    for name in limits:
        of_class = [verdict for verdict in passed if verdict.cell_type == name]
        of_class.sort(key=lambda verdict: (-verdict.confidence, verdict.image_id))
        used.update(verdict.image_id for verdict in of_class[: limits.get(name, 0)])
    return [
        verdict if verdict.reason or verdict.image_id in used else replace(verdict, reason=BALANCE)
        for verdict in verdicts
    ]
