"""Rules by which an image's predictions are believed, or not, as pseudo-labels, and the balance of the classes."""

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
from sartorius.postprocess.per_class import PerClass, check_per_class, values_of
from sartorius.postprocess.steps import VoteClass
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import DEFAULT_PSEUDO_RULES
from sartorius.utils.settings import build, load_settings

CONFIG_KEY = 'pseudo_labels'

ANNOTATED, NO_CELLS, FEW_CELLS = 'rows in the CSV', 'no cells', 'too few sure cells'
CLASS_IN_DOUBT, LOW_SCORE, MANY_UNSURE = 'class in doubt', 'mean score too low', 'too many unsure cells'
BALANCE = 'left out for balance'
REASONS = (ANNOTATED, NO_CELLS, CLASS_IN_DOUBT, LOW_SCORE, MANY_UNSURE, FEW_CELLS, BALANCE)
"""Why an image is not used, in the order in which the rules are asked; the first that applies counts."""

BALANCES = ('train', 'equal', 'none')
Balance = str | float


@dataclass(frozen=True)
class PseudoRules:
    """When an image's predictions are believed. Every rule is one number, or one a cell type.

    Attributes:
        cell_scores: A cell of a lower score is unsure, and gets no label.
        max_unsure: Greatest share of unsure cells among those that the chain kept.
        min_mean_scores: Least mean score of the cells that the chain kept.
        min_votes: Least share of the image's class in the sum of squared scores (as ``VoteClass`` counts), taken over
            all predicted cells before the chain.
        min_cells: Least number of sure cells; None: the least that an annotated image of the class has.

    Raises:
        InputError: A number out of range, a cell type that is missing or unknown.
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


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the rules say of one image.

    Attributes:
        image_id: Id of the image.
        size: Its ``(height, width)`` in pixels.
        cell_type: Class that its cells voted for; empty if there is none.
        reason: Why it is not used, one of :data:`REASONS`; empty if it is.
        confidence: Mean score of the cells that the chain kept.
        crops: Masks of the sure cells, of which no two share a pixel.
    """

    image_id: str
    size: Size
    cell_type: str
    reason: str
    confidence: float
    crops: tuple[MaskCrop, ...]


def load_rules(path: str | Path = DEFAULT_PSEUDO_RULES) -> PseudoRules:
    """Rules from a ``.json`` or ``.py`` file that holds ``pseudo_labels``.

    Raises:
        InputError: The file is missing or invalid, or a rule in it is wrong, missing or unknown.
    """
    return load_settings(path, partial(build, PseudoRules), 'file of rules for pseudo-labels', CONFIG_KEY)


def judge(predictions: ImagePredictions, chain: Chain, rules: PseudoRules, min_cells: Mapping[str, int]) -> Verdict:
    """Post-processes an image and asks the rules, in the order of :data:`REASONS`.

    Args:
        predictions: Of one image, before post-processing.
        chain: Its post-processing; the class is voted after it where it does not do that itself.
        rules: The rules.
        min_cells: Least number of cells of an annotated image, by class; 1 for classes that are not there.
    """
    found = VoteClass()(chain(predictions))
    if not len(found):
        return Verdict(found.image_id, found.size, '', NO_CELLS, 0.0, ())
    label = int(found.labels[0])
    sure = found.scores >= values_of(rules.cell_scores, found.labels).astype(found.scores.dtype)
    confidence = float(found.scores.mean(dtype=np.float64))

    def rule(value: PerClass) -> float:
        return float(values_of(value, found.labels[:1])[0])

    least = min_cells.get(CELL_TYPES[label], 1) if rules.min_cells is None else rule(rules.min_cells)
    refusals = {
        CLASS_IN_DOUBT: _vote_share(predictions, label) < rule(rules.min_votes),
        LOW_SCORE: confidence < rule(rules.min_mean_scores),
        MANY_UNSURE: (~sure).mean() > rule(rules.max_unsure),
        FEW_CELLS: sure.sum() < max(least, 1),
    }
    reason = next((name for name, refused in refusals.items() if refused), '')
    return Verdict(found.image_id, found.size, CELL_TYPES[label], reason, confidence, found.select(sure).crops)


def _vote_share(predictions: ImagePredictions, label: int) -> float:
    """Share of a class in the sum of squared scores; 0 where all scores are."""
    votes = predictions.scores.astype(np.float64) ** 2
    return float(votes[predictions.labels == label].sum() / votes.sum()) if votes.any() else 0.0


def image_limits(available: Mapping[str, int], annotated: Mapping[str, int], balance: Balance) -> dict[str, int]:
    """How many pseudo-labelled images of each class may be used.

    Args:
        available: Images that the rules let pass, by class.
        annotated: Images that people annotated, by class.
        balance: ``train``: in the proportions of the annotated images, as many as the scarcest class allows; ``equal``:
            equally many of each class; a number: for each annotated image of a class at most so many; ``none``: all.
            Classes of which no image is annotated are used with ``none`` alone.

    Raises:
        InputError: Another balance, or a number that is not above 0 and finite.
    """
    if balance == 'none':
        return dict(available)
    classes = [name for name in CELL_TYPES if annotated.get(name, 0)]
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
    """Leaves out the least confident images of the classes that have too many; equal confidence: by image id.

    Args:
        verdicts: Of all images of one fold.
        annotated: Images that people annotated, by class.
        balance: As :func:`image_limits`.
    """
    passed = [verdict for verdict in verdicts if not verdict.reason]
    limits = image_limits(Counter(verdict.cell_type for verdict in passed), annotated, balance)
    used: set[str] = set()
    for name in CELL_TYPES:
        of_class = [verdict for verdict in passed if verdict.cell_type == name]
        of_class.sort(key=lambda verdict: (-verdict.confidence, verdict.image_id))
        used.update(verdict.image_id for verdict in of_class[: limits.get(name, 0)])
    return [
        verdict if verdict.reason or verdict.image_id in used else replace(verdict, reason=BALANCE)
        for verdict in verdicts
    ]
