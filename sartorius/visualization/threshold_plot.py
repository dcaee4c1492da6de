"""Picture of how the score depends on the thresholds that the tuner tried."""

from pathlib import Path

from sartorius.postprocess.tuner import TuningResult
from sartorius.utils.files import atomic_path

SHOWN_AREAS = 5


def plot_thresholds(path: str | Path, result: TuningResult) -> None:
    """Draws score against score threshold, one panel a class, one line a least area, at the tuned mask threshold.

    Lines down mark the score threshold before and after tuning.

    Args:
        path: PNG to write, atomically.
        result: What the tuner found; classes without images have no panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid, names = result.grid, list(result.tables)
    figure = Figure(figsize=(4.6 * max(len(names), 1), 3.8), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(len(names), 1), squeeze=False)[0]
    step = max(1, -(-len(grid.areas) // SHOWN_AREAS))
    for panel, name in zip(panels, names, strict=False):
        before, tuned = result.before[name], result.settings[name]
        # Settings that a class kept need not be on the grid: the nearest mask threshold is shown.
        mask = min(range(len(grid.masks)), key=lambda index: abs(grid.masks[index] - tuned.mask))
        for index in range(0, len(grid.areas), step):
            shade = _colour(index / max(len(grid.areas) - 1, 1))
            label = f'{grid.areas[index]:g} px'
            panel.plot(grid.scores, result.tables[name][mask, :, index], color=shade, label=label)
        panel.axvline(before.score, color='0.6', linestyle='--', label='before')
        panel.axvline(tuned.score, color='0.1', label='tuned')
        panel.set_title(f'{name}: {result.images[name]} images, mask threshold {grid.masks[mask]:g}')
        panel.set_xlabel('score threshold')
        panel.grid(alpha=0.3)
    panels[0].set_ylabel('competition mAP')
    panels[-1].legend(title='least area', fontsize='small')
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _colour(position: float) -> tuple[float, float, float, float]:
    """A colour from dark to light for a position from 0 to 1."""
    from matplotlib import colormaps

    return colormaps['viridis'](0.9 * position)
