"""Picture of how the score depends on each threshold that the tuner tried."""

from pathlib import Path
from typing import Any

import numpy as np

from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS, Settings, settings_of
from sartorius.postprocess.tuning.selection import Choice
from sartorius.postprocess.tuning.tuner import TuningResult
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.files import atomic_path

# The colours of the pages' charts, which people with any colour vision tell apart.
CLASS_COLOURS = dict(zip(CELL_TYPES, ('#1f63d6', '#c2570c', '#0b7f63'), strict=True))
MUTED, LINE = '#55645e', '#d9e0dd'
COLUMNS = 2
LEGEND = dict(ncols=8, frameon=False, fontsize=9.5, columnspacing=1.4, handlelength=1.5)


def plot_thresholds(path: str | Path, result: TuningResult) -> None:
    """Draws score against each threshold, one panel a threshold and one curve a class, the others as chosen.

    The plateau is the wide part of the curve, the chosen value its dot (hollow where the class kept what it had), and
    the value that the tuner started from the dashed line. Ticks below are what was chosen without each fold: the
    further apart, the less the images at hand say about the threshold.

    Args:
        path: PNG to write, atomically.
        result: What the tuner found; classes without images have no curve.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = sorted(result.grid.axes, key=lambda name: name != 'score')
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(11, 0.9 + 3.3 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        for lane, cell_type in enumerate(result.tables):
            _draw_curve(panel, result, name, cell_type)
            _draw_folds(panel, result, name, cell_type, lane)
        _dress(panel, TUNABLE_PARAMETERS[name].title)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[::COLUMNS]:
        panel.set_ylabel('competition mAP of the class', color=MUTED)
    panels[0].set_ylim(bottom=0)
    figure.legend(handles=_legend(result), loc='outside upper center', **LEGEND)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_curve(panel: Any, result: TuningResult, name: str, cell_type: str) -> None:
    """The class's score along one axis of the grid, with the other axes at its settings or the nearest to them."""
    choice, settings = result.choices[cell_type], result.settings[cell_type]
    values = np.array(result.grid.axes[name])
    axis = list(result.grid.axes).index(name)
    along = [place if number != axis else slice(None) for number, place in enumerate(_shown(result, choice, settings))]
    curve, plateau = result.tables[cell_type][tuple(along)], choice.plateau[tuple(along)]
    colour = CLASS_COLOURS[cell_type]
    panel.plot(values, np.where(plateau, curve, np.nan), color=colour, alpha=0.22, linewidth=11, solid_capstyle='round')
    panel.plot(values, curve, color=colour, linewidth=1.8)
    panel.axvline(result.before[cell_type][name], color=colour, linewidth=1, linestyle=(0, (4, 4)), alpha=0.7)
    face = colour if choice.is_better else 'white'
    height = np.interp(settings[name], values, curve)
    panel.plot(
        settings[name], height, 'o', color=face, markeredgecolor=colour, markersize=8, markeredgewidth=2, zorder=3
    )


def _draw_folds(panel: Any, result: TuningResult, name: str, cell_type: str, lane: int) -> None:
    """What was chosen without each fold, as ticks at the bottom; each class has a lane of its own."""
    for chain in result.fold_chains:
        value = settings_of(chain)[cell_type][name]
        low = 0.012 + 0.035 * lane
        panel.axvline(value, low, low + 0.028, color=CLASS_COLOURS[cell_type], linewidth=2)


def _shown(result: TuningResult, choice: Choice, settings: Settings) -> tuple[int, ...]:
    return choice.index if choice.is_better else result.grid.nearest(settings)


def _dress(panel: Any, title: str) -> None:
    panel.set_xlabel(title)
    panel.grid(color=LINE, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(colors=MUTED, length=0, labelleft=True)
    panel.spines[['top', 'right', 'left', 'bottom']].set_visible(False)


def _legend(result: TuningResult) -> list[Any]:
    """The classes with their numbers of images, and the signs."""
    from matplotlib.lines import Line2D

    counts = result.images['voted'].value_counts()
    classes = [
        Line2D([], [], color=CLASS_COLOURS[name], linewidth=2.5, label=f'{name} ({counts[name]})')
        for name in result.tables
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
