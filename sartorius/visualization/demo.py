"""The page that ``make demo`` leaves: the score of every stage, and examples."""

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
class Stage:
    """One step of the workflow from a trivial baseline to the submission.

    Attributes:
        name: What was scored, for example 'Mask R-CNN + TTA'.
        score: Its competition mAP in [0, 1].
        detail: A remark in a few words.
        is_baseline: Whether it is what the others must beat; drawn in grey.
    """

    name: str
    score: float
    detail: str = ''
    is_baseline: bool = False


def write_demo_page(out: str | Path, stages: Sequence[Stage], examples: Sequence[Example]) -> Path:
    """Writes a page with the stages' scores as bars and the examples below.

    Args:
        out: File to write, as a rule ``index.html``.
        stages: In the order in which they are shown; at least one.
        examples: Images with truth and found cells, in the order in which they are shown.

    Returns:
        Path of the page: one file that needs no other.

    Raises:
        InputError: There is no stage.
    """
    if not stages:
        raise InputError('the demo page needs at least one stage with its score')
    cards = '\n'.join(card(example, number, CELL_TYPES) for number, example in enumerate(examples))
    with_gt = any(example.gt is not None for example in examples)
    sections = [('stages', 'Score of each stage', _bars(stages))]
    if examples:
        sections.append(('images', 'Examples', legend(with_gt) + cards))
    path = Path(out)
    write_text(path, render_page('From images to masks', _lead(stages), sections))
    return path


def _lead(stages: Sequence[Stage]) -> str:
    best = max(stages, key=lambda stage: stage.score)
    text = f'{best.name} reaches a competition mAP of {best.score:.3f} on images that no model was trained on'
    baselines = [stage for stage in stages if stage.is_baseline and stage is not best]
    return f'{text}; {baselines[0].name} reaches {baselines[0].score:.3f}.' if baselines else f'{text}.'


def _bars(stages: Sequence[Stage]) -> str:
    largest = max(stage.score for stage in stages)
    items = []
    for stage in stages:
        kind = 'stage baseline' if stage.is_baseline else 'stage best' if stage.score == largest else 'stage'
        detail = f'<small>{escape(stage.detail)}</small>' if stage.detail else ''
        part = stage.score / largest if largest > 0 else 0
        items.append(
            f'<li class="{kind}"><span class="stage-name">{escape(stage.name)}{detail}</span>'
            f'<span class="stage-bar"><i style="--part: {part:.4f}"></i>{stage.score:.3f}</span></li>'
        )
    return f'<ol class="stages sheet">{"".join(items)}</ol>'
