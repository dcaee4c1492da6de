"""Plots of scores as PNG files for the documentation, drawn with matplotlib.

HTML pages draw their charts as inline SVG instead (:mod:`sartorius.visualization.charts`). matplotlib is imported when
a plot is drawn, so that importing this module stays fast.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sartorius.evaluation.bootstrap import Estimate
from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS, ParameterValues, settings_of
from sartorius.postprocess.tuning.selection import Choice
from sartorius.postprocess.tuning.step_gains import StepGain
from sartorius.postprocess.tuning.tuner import TuningResult
from sartorius.utils.classes import class_order
from sartorius.utils.files import atomic_path

# The colours of the pages' charts (templates/page.css), of which the first are distinguishable with any colour vision.
CLASS_COLORS = (
    '#1f63d6', '#c2570c', '#0b7f63', '#8b3fc0', '#b3245f', '#6b6f1a',
    '#0a7d9c', '#8a4b2a', '#4c4fd6', '#3f7d1f', '#a3348f', '#5a6675',
)  # fmt: skip
MUTED, LINE = '#55645e', '#d9e0dd'
BETTER, WORSE, NEUTRAL = '#0b7f63', '#b3261e', '#55645e'
COLUMNS = 2
LEGEND = dict(ncols=8, frameon=False, fontsize=9.5, columnspacing=1.4, handlelength=1.5)
STEPS_CAPTION = (
    'Every image with settings chosen without its group. Bars: 95% intervals over groups. '
    'Green: the step gains; red: it loses; grey: the interval contains 0.'
)
DIFFERENCES_CAPTION = 'Tuned on other folds. Bars: 95% intervals over groups. Grey: the interval contains 0.'


def plot_thresholds(path: str | Path, result: TuningResult) -> None:
    """Plots the score against each threshold: one panel per threshold, one curve per class, other thresholds as chosen.

    The plateau is the wide part of the curve, the chosen value its dot (hollow if the class kept its old value), and
    the tuner's start value the dashed line. Ticks at the bottom are the values chosen without each fold: the wider they
    spread, the less the images determine the threshold.

    Args:
        path: PNG to write, atomically.
        result: Result of the tuner; classes without images have no curve, nor have the rarer of more than a dozen.
    """
    names = sorted(result.grid.axes, key=lambda name: name != 'score')
    rows = -(-len(names) // COLUMNS)
    figure = _figure(11, 0.9 + 3.3 * rows)
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        for lane, (cell_type, color) in enumerate(class_colors(result).items()):
            _draw_curve(panel, result, name, cell_type, color)
            _draw_folds(panel, result, name, cell_type, color, lane)
        panel.set_xlabel(TUNABLE_PARAMETERS[name].title)
        _style(panel)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[::COLUMNS]:
        panel.set_ylabel('competition mAP of the class', color=MUTED)
    panels[0].set_ylim(bottom=0)
    figure.legend(handles=_legend(result), loc='outside upper center', **LEGEND)
    _save(figure, path)


def class_colors(result: TuningResult) -> dict[str, str]:
    """Colours of the classes that are drawn: those with images, the most frequent ones where there are too many."""
    classes = class_order(result.settings)
    counts = result.images['voted'].value_counts()
    drawn = sorted(result.tables, key=lambda name: (-counts[name], classes.index(name)))[: len(CLASS_COLORS)]
    return {name: CLASS_COLORS[classes.index(name) % len(CLASS_COLORS)] for name in class_order(drawn)}


def _draw_curve(panel: Any, result: TuningResult, name: str, cell_type: str, color: str) -> None:
    """The class's score along one axis of the grid, with the other axes at its settings or the nearest to them."""
    choice, settings = result.choices[cell_type], result.settings[cell_type]
    values = np.array(result.grid.axes[name])
    axis = list(result.grid.axes).index(name)
    along = [place if number != axis else slice(None) for number, place in enumerate(_shown(result, choice, settings))]
    curve, plateau = result.tables[cell_type][tuple(along)], choice.plateau[tuple(along)]
    panel.plot(values, np.where(plateau, curve, np.nan), color=color, alpha=0.22, linewidth=11, solid_capstyle='round')
    panel.plot(values, curve, color=color, linewidth=1.8)
    panel.axvline(result.before[cell_type][name], color=color, linewidth=1, linestyle=(0, (4, 4)), alpha=0.7)
    face = color if choice.is_better else 'white'
    height = np.interp(settings[name], values, curve)
    panel.plot(
        settings[name], height, 'o', color=face, markeredgecolor=color, markersize=8, markeredgewidth=2, zorder=3
    )


def _draw_folds(panel: Any, result: TuningResult, name: str, cell_type: str, color: str, lane: int) -> None:
    """Values chosen without each fold, as ticks at the bottom; each class has its own lane."""
    for chain in result.fold_chains:
        value = settings_of(chain)[cell_type][name]
        low = 0.012 + 0.035 * lane
        panel.axvline(value, low, low + 0.028, color=color, linewidth=2)


def _shown(result: TuningResult, choice: Choice, settings: ParameterValues) -> tuple[int, ...]:
    return choice.index if choice.is_better else result.grid.nearest(settings)


def _legend(result: TuningResult) -> list[Any]:
    """The classes with their numbers of images, and the symbols."""
    from matplotlib.lines import Line2D

    counts = result.images['voted'].value_counts()
    classes = [
        Line2D([], [], color=color, linewidth=2.5, label=f'{name} ({counts[name]})')
        for name, color in class_colors(result).items()
    ]
    point = dict(linestyle='', marker='o', markersize=8, markeredgewidth=2, markeredgecolor=MUTED)
    return [
        *classes,
        Line2D([], [], color=MUTED, alpha=0.3, linewidth=9, label='plateau'),
        Line2D([], [], **point, color=MUTED, label='chosen'),
        Line2D([], [], **point, color='white', label='kept'),
        Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), label='start'),
        Line2D(
            [],
            [],
            color=MUTED,
            linestyle='',
            marker='|',
            markersize=8,
            markeredgewidth=2,
            label='chosen without a fold',
        ),
    ]


def plot_steps(path: str | Path, gains: Sequence[StepGain]) -> None:
    """Plots the score as the steps are added to the plain model, and what the whole chain loses without each.

    Bars are the intervals. A step is green if the interval of its gain lies above 0, red if it lies below.

    Args:
        path: PNG to write, atomically.
        gains: The plain model and the steps, in the order of the rows.
    """
    figure = _figure(11, 1.5 + 0.46 * len(gains))
    added, losses = figure.subplots(1, 2, sharey=True, width_ratios=(1.1, 1))
    rows = range(len(gains))
    added.plot([gain.score.mean for gain in gains], rows, color=LINE, linewidth=2, zorder=1)
    losses.axvline(0, color=MUTED, linewidth=1)
    for row, gain in enumerate(gains):
        _draw_estimate(added, row, gain.score, _color(gain.added), f'{gain.score.mean:.3f}')
        if gain.dropped is not None:
            _draw_estimate(losses, row, gain.dropped, _color(gain.dropped), f'{round(gain.dropped.mean, 3) + 0:+.3f}')
    added.set_yticks(rows, [gain.name if gain.added is None else f'+ {gain.name}' for gain in gains])
    added.invert_yaxis()
    added.set_ylim(len(gains) - 0.4, -0.6)
    added.set_xlim(left=0)
    added.set_title('mAP from the plain model on, step by step', loc='left', fontsize=11, pad=8)
    losses.set_title('mAP lost when only this step is omitted', loc='left', fontsize=11, pad=8)
    figure.supxlabel(STEPS_CAPTION, fontsize=9, color=MUTED)
    for panel in (added, losses):
        _style(panel, axis='x', labelleft=panel is added)
        panel.tick_params(axis='y', colors='black')
    _save(figure, path)


def _draw_estimate(panel: Any, row: int, own: Estimate, color: str, text: str) -> None:
    panel.plot([own.low, own.high], [row, row], color=color, alpha=0.35, linewidth=5, solid_capstyle='round')
    panel.plot(own.mean, row, 'o', color=color, markersize=7)
    panel.annotate(text, (own.mean, row), (0, 7), textcoords='offset points', ha='center', fontsize=9, color=color)


def _color(change: Estimate | None) -> str:
    """Green or red if the interval excludes 0, else grey."""
    if change is None or change.low <= 0 <= change.high:
        return NEUTRAL
    return BETTER if change.low > 0 else WORSE


def plot_differences(path: str | Path, differences: Sequence[tuple[str, Estimate]], baseline: str) -> None:
    """Plots one line per row of the leaderboard: the difference from the baseline and its interval, best first.

    Args:
        path: PNG to write, atomically.
        differences: Names and paired differences of mAP; at least one.
        baseline: Name of the row that they are differences from.
    """
    ordered = sorted(differences, key=lambda pair: -pair[1].mean)
    figure = _figure(10, 1.3 + 0.34 * len(ordered))
    panel = figure.subplots()
    panel.axvline(0, color=MUTED, linewidth=1)
    for place, (_, value) in enumerate(ordered):
        color = _color(value)
        panel.plot([value.low, value.high], [place, place], color=color, alpha=0.35, linewidth=5)
        panel.plot(value.mean, place, 'o', color=color, markersize=6)
    panel.set_yticks(range(len(ordered)), [name for name, _ in ordered], fontsize=9)
    panel.set_ylim(len(ordered) - 0.4, -0.6)
    figure.suptitle(f'mAP, difference from {baseline}', x=0.01, ha='left', fontsize=11)
    # On the figure, as the title is: beside long names the panel is too narrow for it.
    figure.supxlabel(DIFFERENCES_CAPTION, x=0.01, ha='left', fontsize=9, color=MUTED)
    _style(panel, axis='x')
    panel.tick_params(axis='y', colors='black')
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """An empty figure, in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def _style(panel: Any, axis: str = 'both', labelleft: bool = True) -> None:
    """The common look: grid lines behind the data along an axis, no frame."""
    panel.grid(axis=axis, color=LINE, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=MUTED, length=0, labelleft=labelleft)
    panel.spines[['top', 'right', 'left', 'bottom']].set_visible(False)


def _save(figure: Any, path: str | Path) -> None:
    from matplotlib.text import Text

    # A $ in the name of a class begins no formula.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
