"""Picture of what each step of the chain is worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartorius.evaluation.bootstrap import Estimate
from sartorius.postprocess.tuning.step_gains import StepGain
from sartorius.utils.files import atomic_path
from sartorius.visualization.threshold_plot import LINE, MUTED

BETTER, WORSE, NEUTRAL = '#0b7f63', '#b3261e', '#55645e'
CAPTION = (
    'Every image with settings chosen without its group. Bars: 95% intervals. '
    'Green: the step gains beyond doubt; red: it loses; grey: may be chance.'
)


def plot_steps(path: str | Path, gains: Sequence[StepGain]) -> None:
    """Draws the score as the steps are added from the plain model on, and what the whole chain loses without each.

    Bars are the intervals. A step is green where the interval of what it gains lies above 0, red where it lies below.

    Args:
        path: PNG to write, atomically.
        gains: The plain model and the steps, in the order of the rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.5 + 0.46 * len(gains)), layout='constrained')
    FigureCanvasAgg(figure)
    ladder, losses = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))
    rows = range(len(gains))
    ladder.plot([gain.score.mean for gain in gains], rows, color=LINE, linewidth=2, zorder=1)
    losses.axvline(0, color=MUTED, linewidth=1)
    for row, gain in enumerate(gains):
        _draw(ladder, row, gain.score, _colour(gain.added), f'{gain.score.mean:.3f}')
        if gain.dropped is not None:
            _draw(losses, row, gain.dropped, _colour(gain.dropped), f'{round(gain.dropped.mean, 3) + 0:+.3f}')
    ladder.set_yticks(rows, [gain.name if gain.added is None else f'+ {gain.name}' for gain in gains])
    ladder.invert_yaxis()
    ladder.set_ylim(len(gains) - 0.4, -0.6)
    ladder.set_xlim(left=0)
    ladder.set_title('mAP from the plain model on, step by step', loc='left', fontsize=11, pad=8)
    losses.set_title('mAP lost when this step alone is left out', loc='left', fontsize=11, pad=8)
    figure.supxlabel(CAPTION, fontsize=9, color=MUTED)
    for panel in (ladder, losses):
        panel.grid(axis='x', color=LINE, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.tick_params(colors=MUTED, length=0, labelleft=panel is ladder)
        panel.tick_params(axis='y', colors='black')
        panel.spines[['top', 'right', 'left', 'bottom']].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw(panel: Any, row: int, own: Estimate, colour: str, text: str) -> None:
    panel.plot([own.low, own.high], [row, row], color=colour, alpha=0.35, linewidth=5, solid_capstyle='round')
    panel.plot(own.mean, row, 'o', color=colour, markersize=7)
    panel.annotate(text, (own.mean, row), (0, 7), textcoords='offset points', ha='center', fontsize=9, color=colour)


def _colour(change: Estimate | None) -> str:
    """By what the interval leaves no doubt of."""
    if change is None or change.low <= 0 <= change.high:
        return NEUTRAL
    return BETTER if change.low > 0 else WORSE
