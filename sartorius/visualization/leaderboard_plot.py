"""Picture of how far rows of the results lie from the baseline."""

from collections.abc import Sequence
from pathlib import Path

from sartorius.evaluation.bootstrap import Estimate
from sartorius.utils.files import atomic_path
from sartorius.visualization.step_plot import BETTER, NEUTRAL, WORSE
from sartorius.visualization.threshold_plot import LINE, MUTED


def plot_differences(path: str | Path, differences: Sequence[tuple[str, Estimate]], baseline: str) -> None:
    """Draws one line a row: the difference and its interval, best first.

    Args:
        path: PNG to write, atomically.
        differences: Names and paired differences of mAP; at least one.
        baseline: Name of the row that they are differences from.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ordered = sorted(differences, key=lambda pair: -pair[1].mean)
    figure = Figure(figsize=(10, 1.3 + 0.34 * len(ordered)), layout='constrained')
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    panel.axvline(0, color=MUTED, linewidth=1)
    for place, (_, value) in enumerate(ordered):
        colour = NEUTRAL if value.low <= 0 <= value.high else BETTER if value.low > 0 else WORSE
        panel.plot([value.low, value.high], [place, place], color=colour, alpha=0.35, linewidth=5)
        panel.plot(value.mean, place, 'o', color=colour, markersize=6)
    panel.set_yticks(range(len(ordered)), [name for name, _ in ordered], fontsize=9)
    panel.set_ylim(len(ordered) - 0.4, -0.6)
    figure.suptitle(f'mAP, difference from {baseline}', x=0.01, ha='left', fontsize=11)
    # Of the figure, as the title is: beside long names the panel is too narrow for it.
    note = 'Tuned on other folds. Bars: 95% intervals over wells. Grey: may be chance.'
    figure.supxlabel(note, x=0.01, ha='left', fontsize=9, color=MUTED)
    panel.grid(axis='x', color=LINE, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=MUTED, length=0)
    panel.tick_params(axis='y', colors='black')
    panel.spines[['top', 'right', 'left', 'bottom']].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
