"""The page of ``make demo``: the score of every step, and examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.visualization.gallery import Example, card, legend
from sartorius.visualization.page import render_page


@dataclass(frozen=True)
class ScoredStep:
    """One step of the workflow, from a trivial baseline to the submission.

    Attributes:
        name: What was scored, for example 'Mask R-CNN + TTA'.
        score: Its competition mAP in [0, 1].
        detail: A remark in a few words.
        is_baseline: Whether the others are to be compared with it; drawn in grey.
    """

    name: str
    score: float
    detail: str = ''
    is_baseline: bool = False


def write_demo_page(
    out: str | Path, steps: Sequence[ScoredStep], examples: Sequence[Example], remark: str = ''
) -> Path:
    """Writes a page with the steps' scores as bars and the examples below.

    Args:
        out: File to write, as a rule ``index.html``.
        steps: In the order in which they are shown; at least one.
        examples: Images with ground truth and predictions, in the order in which they are shown.
        remark: Sentences to show below the title.

    Returns:
        Path of the page: one file that needs no other.

    Raises:
        InputError: There is no step.
    """
    if not steps:
        raise InputError('the demo page needs at least one step with its score')
    cards = '\n'.join(card(example, number, CELL_TYPES) for number, example in enumerate(examples))
    with_gt = any(example.gt is not None for example in examples)
    sections = [('stages', 'Score of each step', _bars(steps))]
    if examples:
        sections.append(('images', 'Examples', legend(with_gt) + cards))
    path = Path(out)
    write_text(path, render_page('From images to masks', f'{_lead(steps)} {remark}'.rstrip(), sections))
    return path


def _lead(steps: Sequence[ScoredStep]) -> str:
    best = max(steps, key=lambda step: step.score)
    text = f'{best.name} reaches a competition mAP of {best.score:.3f} on images that no model was trained on'
    baselines = [step for step in steps if step.is_baseline and step is not best]
    return f'{text}; {baselines[0].name} reaches {baselines[0].score:.3f}.' if baselines else f'{text}.'


def _bars(steps: Sequence[ScoredStep]) -> str:
    largest = max(step.score for step in steps)
    items = []
    for step in steps:
        kind = 'stage baseline' if step.is_baseline else 'stage best' if step.score == largest else 'stage'
        detail = f'<small>{escape(step.detail)}</small>' if step.detail else ''
        part = step.score / largest if largest > 0 else 0
        items.append(
            f'<li class="{kind}"><span class="stage-name">{escape(step.name)}{detail}</span>'
            f'<span class="stage-bar"><i style="--part: {part:.4f}"></i>{step.score:.3f}</span></li>'
        )
    return f'<ol class="stages sheet">{"".join(items)}</ol>'
