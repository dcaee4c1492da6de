"""How time and memory grow with the number of cells and with the area of the image."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from images import synthetic_cells, synthetic_sample
from loading import SCALE
from measure import Benchmark, Measurement, Setting, Side, available_memory
from pipelines import (
    FLIP,
    LOAD_IMAGE,
    LOAD_OUR_CELLS,
    LOAD_STOCK_CELLS,
    PACK,
    build_pipeline,
    compare_cells,
    copies_of,
    resize_to_fit,
)
from prediction import FOUND_TWICE, compare_codes, outputs_for, to_codes, to_codes_by_bitmaps

from sartorius.masks.crop import Size
from sartorius.synthetic.cell_types import FULL_SIZE
from sartorius.utils.files import atomic_path

CELLS = (100, 200, 400, 800, 1600)
AREAS = (1, 4, 16)
"""Times the area of a competition image."""
MAX_MEMORY = 6e9
"""Bytes above which the peer is skipped."""
LOAD, CODES = 'load', 'codes'
TITLES = {LOAD: 'load and augment', CODES: 'head outputs to RLE'}
COLOURS = {LOAD: 'tab:blue', CODES: 'tab:orange'}
HEIGHTS = {LOAD: 0.96, CODES: 0.89}
"""Height in a panel of the cross that stands for a skipped peer."""


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Three series: more cells on one area; one number of cells on more area; more cells on as much more area."""
    cells, areas = ((5, 10), AREAS[:2]) if setting.quick else (CELLS, AREAS)
    points = dict.fromkeys([(count, 1) for count in cells])
    points |= dict.fromkeys([(cells[0], area) for area in areas] + [(cells[0] * area, area) for area in areas])
    return [partial(make, setting, *point) for make in (loading, codes) for point in points]


def loading(setting: Setting, cells: int, area: int) -> Benchmark:
    """Load, resize to fit 1333x800 or as many times as much, flip and pack."""
    side = round(area**0.5)
    size = size_of(area)
    sample = synthetic_sample(setting, cells, size)
    scale = (SCALE[0] * side, SCALE[1] * side)
    after = [resize_to_fit(scale), FLIP, PACK]
    enlarged = min(scale[0] / size[1], scale[1] / size[0]) ** 2
    return Benchmark(
        name=f'growth/{LOAD}-{cells}-{area}x',
        work=f'load, resize, flip and pack {cells} cells, {size[1]}x{size[0]} px',
        peer='MMDetection',
        ours=build_pipeline([LOAD_IMAGE, LOAD_OUR_CELLS, *after]),
        # It holds two copies of the enlarged masks at most.
        **within_memory(
            lambda: build_pipeline([LOAD_IMAGE, LOAD_STOCK_CELLS, *after]), 2 * enlarged * cells * size[0] * size[1]
        ),
        same=compare_cells,
        fresh=copies_of(sample),
        point={'cells': cells, 'area': area},
    )


def codes(setting: Setting, cells: int, area: int) -> Benchmark:
    """From head outputs to disjoint codes, as the theme ``prediction``."""
    size = size_of(area)
    outputs = outputs_for(synthetic_cells(cells, size))
    return Benchmark(
        name=f'growth/{CODES}-{cells}-{area}x',
        work=f'head outputs of {cells} cells to disjoint COCO RLE, {size[1]}x{size[0]} px',
        peer='MMDetection, scipy, pycocotools',
        ours=partial(to_codes, outputs),
        **within_memory(lambda: partial(to_codes_by_bitmaps, outputs), (1 + FOUND_TWICE) * cells * size[0] * size[1]),
        same=partial(compare_codes, size),
        point={'cells': cells, 'area': area},
    )


def size_of(area: int) -> Size:
    """Size of a competition image enlarged to ``area`` times its area."""
    side = round(area**0.5)
    return FULL_SIZE[0] * side, FULL_SIZE[1] * side


def within_memory(make: Callable[[], Callable], needed: float) -> dict[str, object]:
    """The peer, or why it is skipped."""
    if needed < min(MAX_MEMORY, available_memory() / 2):
        return {'theirs': make()}
    return {'theirs': None, 'skipped': f'needs {needed / 1e9:.0f} GB'}


def draw(measurements: Sequence[Measurement], path: Path) -> None:
    """Draws time and memory against cells and area, with both axes logarithmic, as a PNG; other themes are ignored.

    A cross at the top of a panel stands for a skipped peer.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    items = [item for item in measurements if item.name.startswith('growth/')]
    least = min(item.point['cells'] for item in items)
    columns = {
        f'cells in an image of {FULL_SIZE[1]}x{FULL_SIZE[0]} px': ('cells', lambda point: point['area'] == 1),
        f'area, {least:g} cells': ('area', lambda point: point['cells'] == least),
        f'area, {least:g} cells on each {FULL_SIZE[1]}x{FULL_SIZE[0]} px': (
            'area',
            lambda point: point['cells'] == least * point['area'],
        ),
    }
    figure = Figure(figsize=(10, 6), layout='constrained')
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(columns), sharex='col', sharey='row')
    for (label, (axis, belongs)), (above, below) in zip(columns.items(), panels.T, strict=True):
        chosen = sorted((item for item in items if belongs(item.point)), key=lambda item: item.point[axis])
        for panel, value in ((above, _seconds), (below, _megabytes)):
            for line in _lines(chosen, axis, value):
                panel.plot(*line[:2], **line[2])
            for item in chosen:
                if item.theirs is None:
                    kind = _kind(item)
                    place, above_axis = (item.point[axis], HEIGHTS[kind]), panel.get_xaxis_transform()
                    panel.plot(*place, 'x', color=COLOURS[kind], transform=above_axis)
            panel.set(xscale='log', yscale='log')
            panel.grid(alpha=0.3)
        places = sorted({item.point[axis] for item in chosen})
        below.set_xticks(places, [f'{place:g}' if axis == 'cells' else f'{place:g}x' for place in places], minor=False)
        below.set_xticks([], minor=True)
        below.set_xlabel(label)
    panels[0, 0].set_ylabel('seconds')
    panels[1, 0].set_ylabel('peak memory, MB')
    panels[0, 0].plot([], [], 'x', color='0.4', label='skipped: needs too much memory')
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc='outside upper center', ncols=3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def _lines(
    items: Sequence[Measurement], axis: str, value: Callable
) -> Iterator[tuple[list[float], list[float], dict[str, object]]]:
    """x and y values and style of the line of each kind of work and side."""
    for kind, title in TITLES.items():
        for side, name, style in (('ours', 'ours', 'o-'), ('theirs', 'usual', 's--')):
            pairs = [(item.point[axis], value(getattr(item, side))) for item in items if _kind(item) == kind]
            pairs = [pair for pair in pairs if pair[1] is not None]
            x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            yield (
                x,
                y,
                {'color': COLOURS[kind], 'linestyle': style[1:], 'marker': style[0], 'label': f'{title}, {name}'},
            )


def _kind(item: Measurement) -> str:
    return item.name.split('/')[1].split('-')[0]


def _seconds(side: Side | None) -> float | None:
    return side and side.seconds


def _megabytes(side: Side | None) -> float | None:
    return None if side is None or side.peak_bytes is None else max(side.peak_bytes / 1e6, 1.0)
