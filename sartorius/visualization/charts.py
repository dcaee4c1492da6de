"""Charts of the HTML pages as inline SVG: values on hover, colours from the page's style sheet (light and dark).

Pages contain no other kind of chart. PNG files for the documentation are drawn with matplotlib instead
(:mod:`sartorius.visualization.plots`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH = 380
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 6, 34
ROW_HEIGHT = 42
HISTOGRAM_HEIGHT = 58
BINS = 40


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one class.

    Attributes:
        name: Class name.
        key: CSS class of its colour.
        values: float ``(N,)``.
        titles: ``N`` texts that are shown on hovering over the dots.
        interval: Low and high end of the mean's interval, or None.
    """

    name: str
    key: str
    values: NDArray[np.floating]
    titles: Sequence[str]
    interval: tuple[float, float] | None = None


def strip_chart(rows: Sequence[Series], label: str, digits: int = 2) -> str:
    """One row per series: one dot per value, the mean, and its interval as a bar.

    Args:
        rows: Series from top to bottom.
        label: What the axis shows.
        digits: Decimals of the means.
    """
    ticks = axis_ticks(max((float(series.values.max()) for series in rows), default=1.0))
    scale = _Scale(0, ticks[-1], LEFT, WIDTH - RIGHT)
    bottom = TOP + ROW_HEIGHT * len(rows)
    parts = _x_axis(scale, ticks, bottom)
    for row, series in enumerate(rows):
        middle = TOP + ROW_HEIGHT * (row + 0.5)
        parts.append(f'<text class="name" x="0" y="{middle + 4:.1f}">{escape(series.name)}</text>')
        # Spread over the row by the golden ratio: even, and the same at every call.
        offsets = (np.arange(len(series.values)) * 0.618034 % 1 - 0.5) * ROW_HEIGHT * 0.62
        for value, offset, title in zip(series.values.tolist(), offsets.tolist(), series.titles, strict=True):
            parts.append(_circle('dot', series.key, scale.at(value), middle + offset, 3, title))
        mean = float(series.values.mean())
        text = f'{series.name}: mean {mean:.{digits}f}'
        if series.interval:
            low, high = series.interval
            text += f', interval {low:.{digits}f} to {high:.{digits}f}'
            parts.append(
                f'<path class="spread {series.key}" d="M{scale.at(low):.1f} {middle:.1f}H{scale.at(high):.1f}"/>'
            )
        parts.append(_circle('mean', series.key, scale.at(mean), middle, 5.5, text))
    parts.append(_axis_label(label, bottom))
    return _svg(parts, bottom + BOTTOM, label)


def line_chart(lines: Sequence[Series], x: Sequence[float], label: str, x_label: str) -> str:
    """Curves over common x values, with their names at the right end."""
    height, left, right = 196, 34, 64
    bottom = height - BOTTOM
    ticks = axis_ticks(max((float(line.values.max()) for line in lines), default=1.0))
    x_scale, y_scale = _Scale(x[0], x[-1], left, WIDTH - right), _Scale(0, ticks[-1], bottom, TOP)
    parts = _y_axis(y_scale, ticks, left, WIDTH - right)
    for tick in x[::2]:
        parts.append(f'<text x="{x_scale.at(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{tick:.2f}</text>')
    # The names stand in a column at the right, in the order in which the curves start at the left.
    heights_of_names = _spread([y_scale.at(float(line.values[0])) for line in lines], 14)
    for line, name_y in zip(lines, heights_of_names, strict=True):
        points = [(x_scale.at(px), y_scale.at(py)) for px, py in zip(x, line.values.tolist(), strict=True)]
        path = 'L'.join(f'{px:.1f} {py:.1f}' for px, py in points)
        parts.append(f'<path class="curve {line.key}" d="M{path}"><title>{escape(line.name)}</title></path>')
        for (px, py), title in zip(points, line.titles, strict=True):
            parts.append(_circle('mean', line.key, px, py, 4, title))
        parts.append(f'<text class="tag {line.key}" x="{WIDTH - 54}" y="{name_y + 4:.1f}">{escape(line.name)}</text>')
    parts.append(_axis_label(x_label, bottom, left, right))
    return _svg(parts, height, label)


def scatter_chart(pairs: Sequence[tuple[Series, NDArray[np.floating]]], label: str, x_label: str, y_label: str) -> str:
    """Counts against counts on logarithmic axes (of 1 + count, so that 0 has a place), with the line of equality.

    Args:
        pairs: Pairs of a series, whose values are on the y axis, and its x values ``(N,)``.
        label: What the chart shows, for screen readers.
        x_label: Below the x axis.
        y_label: Above the y axis.
    """
    height, top, left = 196, 18, 40
    bottom = height - BOTTOM
    largest = max((float(max(series.values.max(), x.max())) for series, x in pairs), default=1.0)
    end = max(largest * 1.15, 2)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000) if tick <= end]
    x_scale, y_scale = _Scale(0, end, left, WIDTH - RIGHT, np.log1p), _Scale(0, end, bottom, top, np.log1p)
    parts = [
        f'<text x="0" y="9">{escape(y_label)}</text>',
        *_x_axis(x_scale, ticks, bottom, top),
        *_y_axis(y_scale, ticks, left, WIDTH - RIGHT),
        f'<path class="guide" d="M{left} {bottom}L{WIDTH - RIGHT} {top}"/>',
        *_dots(pairs, x_scale, y_scale),
        _axis_label(x_label, bottom, left),
    ]
    return _svg(parts, height, label)


def point_chart(
    pairs: Sequence[tuple[Series, NDArray[np.floating]]],
    label: str,
    x_label: str,
    y_label: str,
    logarithmic_x: bool = False,
) -> str:
    """One dot per pair of values; the axes span the values.

    Args:
        pairs: Pairs of a series, whose values are on the y axis, and its x values ``(N,)``.
        label: What the chart shows, for screen readers.
        x_label: Below the x axis.
        y_label: Above the y axis.
        logarithmic_x: Whether the x axis is logarithmic; its values are above 0 then.
    """
    height, top, left = 236, 18, 44
    bottom = height - BOTTOM
    x_values = np.concatenate([x for _, x in pairs] or [np.ones(1)])
    y_values = np.concatenate([series.values for series, _ in pairs] or [np.ones(1)])
    x_span = _padded(float(x_values.min()), float(x_values.max()), logarithmic_x)
    y_span = _padded(float(y_values.min()), float(y_values.max()))
    x_scale = _Scale(*x_span, left, WIDTH - RIGHT, np.log if logarithmic_x else float)
    y_scale = _Scale(*y_span, bottom, top)
    parts = [
        f'<text x="0" y="9">{escape(y_label)}</text>',
        *_x_axis(x_scale, (log_ticks if logarithmic_x else spaced_ticks)(*x_span), bottom, top),
        *_y_axis(y_scale, spaced_ticks(*y_span), left, WIDTH - RIGHT),
        *_dots(pairs, x_scale, y_scale),
        _axis_label(x_label, bottom, left),
    ]
    return _svg(parts, height, label)


def histogram_chart(rows: Sequence[Series], label: str, unit: str = '', logarithmic: bool = False) -> str:
    """One row per series: bars over the same bins, all on one scale, and the median as a line.

    Args:
        rows: Series from top to bottom; each has a value, above 0 if the axis is logarithmic.
        label: What the axis shows.
        unit: Unit of the values, for the texts that are shown on hovering over the bars.
        logarithmic: Whether the axis is logarithmic.
    """
    low = min((float(series.values.min()) for series in rows), default=1.0)
    high = max((float(series.values.max()) for series in rows), default=2.0)
    span = _padded(low, high, logarithmic, share=0.0)
    scale = _Scale(*span, LEFT, WIDTH - RIGHT, np.log if logarithmic else float)
    edges = (np.geomspace if logarithmic else np.linspace)(*span, BINS + 1)
    shares = [bin_shares(series.values, edges) for series in rows]
    tallest = max((float(own.max()) for own in shares), default=1.0)
    bottom = TOP + HISTOGRAM_HEIGHT * len(rows)
    parts = _x_axis(scale, (log_ticks if logarithmic else spaced_ticks)(*span), bottom)
    for row, (series, own) in enumerate(zip(rows, shares, strict=True)):
        parts += _histogram_row(series, own / tallest, own, edges, scale, TOP + HISTOGRAM_HEIGHT * (row + 1), unit)
    parts.append(_axis_label(label, bottom))
    return _svg(parts, bottom + BOTTOM, label)


def _histogram_row(
    series: Series,
    heights: NDArray[np.float64],
    shares: NDArray[np.float64],
    edges: NDArray[np.float64],
    scale: '_Scale',
    base: float,
    unit: str,
) -> list[str]:
    """Name, bars (of heights in [0, 1] above ``base``) and median of one series."""
    room = HISTOGRAM_HEIGHT - 16
    unit = f' {unit}' if unit else ''
    parts = [f'<text class="name" x="0" y="{base - 4}">{escape(series.name)}</text>']
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), shares.tolist(), strict=True)
    for left, right, height, share in bins:
        if share:
            x, height = scale.at(left), max(height * room, 0.5)
            parts.append(
                f'<rect class="column {series.key}" x="{x:.1f}" y="{base - height:.1f}" '
                f'width="{scale.at(right) - x - 0.5:.1f}" height="{height:.1f}"><title>{escape(series.name)}, '
                f'{left:,.3g} to {right:,.3g}{escape(unit)}: {share:.1%}</title></rect>'
            )
    median = float(np.median(series.values))
    x = scale.at(median)
    anchor, shift = ('start', 4) if x < WIDTH * 0.7 else ('end', -4)
    parts.append(
        f'<path class="spread {series.key}" style="stroke-width: 1.5" d="M{x:.1f} {base}V{base - room - 4}"/>'
        f'<text x="{x + shift:.1f}" y="{base - room + 3}" text-anchor="{anchor}">median {median:,.3g}</text>'
    )
    return parts


def bin_shares(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the values in each bin.

    Args:
        values: Float ``(N,)`` with at least one value; those beyond the ends count in the first and the last bin.
        edges: Float ``(B + 1,)``, ascending. Bins are half-open except the last.

    Returns:
        float64 ``(B,)`` that sums to 1.
    """
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / len(values)


def axis_ticks(largest: float) -> list[float]:
    """Four to six round values from 0 that reach at least ``largest``."""
    if largest <= 0:
        return [0.0, 1.0]
    magnitude = 10.0 ** np.floor(np.log10(largest / 5))
    step = magnitude * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude * 5 >= largest * 0.999)
    count = int(np.ceil(largest / step - 1e-9))
    return [round(step * index, 10) for index in range(count + 1)]


def spaced_ticks(low: float, high: float) -> list[float]:
    """At most six evenly spaced round values from ``low`` to ``high``; ``low`` is less than ``high``."""
    step = axis_ticks(high - low)[1]
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [round(step * index, 10) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """At most six round values for a logarithmic axis from ``low`` to ``high``; both are above 0."""
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks: list[float] = []
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [
            factor * 10.0**exponent
            for exponent in exponents
            for factor in factors
            if low * 0.999 <= factor * 10.0**exponent <= high * 1.001
        ]
        if len(ticks) <= 6:
            break
    return ticks


@dataclass(frozen=True)
class _Scale:
    """Maps values from ``low`` to ``high`` to positions from ``start`` to ``end``, linear in ``transform`` of them."""

    low: float
    high: float
    start: float
    end: float
    transform: Callable[[float], float] = float

    def at(self, value: float) -> float:
        low, high = self.transform(self.low), self.transform(self.high)
        return self.start + float((self.transform(value) - low) / (high - low)) * (self.end - self.start)


def _padded(low: float, high: float, logarithmic: bool = False, share: float = 0.04) -> tuple[float, float]:
    """A span with some room at either end, so that no dot lies on the frame; an empty span is widened."""
    if logarithmic:
        factor = (high / low) ** share if high > low else 1.5
        return low / factor, high * factor
    room = (high - low) * share if high > low else max(abs(low) * 0.05, 0.5)
    return low - room, high + room


def _x_axis(scale: _Scale, ticks: Sequence[float], bottom: float, top: float = TOP) -> list[str]:
    """Vertical grid lines, with their numbers below."""
    return [
        f'<path class="axis" d="M{scale.at(tick):.1f} {top}V{bottom}"/>'
        f'<text x="{scale.at(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{tick:,g}</text>'
        for tick in ticks
    ]


def _y_axis(scale: _Scale, ticks: Sequence[float], left: float, right: float) -> list[str]:
    """Horizontal grid lines, with their numbers at the left."""
    return [
        f'<path class="axis" d="M{left} {scale.at(tick):.1f}H{right}"/>'
        f'<text x="{left - 6}" y="{scale.at(tick) + 4:.1f}" text-anchor="end">{tick:,g}</text>'
        for tick in ticks
    ]


def _dots(pairs: Sequence[tuple[Series, NDArray[np.floating]]], x_scale: _Scale, y_scale: _Scale) -> list[str]:
    return [
        _circle('dot', series.key, x_scale.at(x), y_scale.at(y), 3.5, title)
        for series, x_values in pairs
        for x, y, title in zip(x_values.tolist(), series.values.tolist(), series.titles, strict=True)
    ]


def _circle(kind: str, key: str, x: float, y: float, radius: float, title: str) -> str:
    return (
        f'<circle class="{kind} {key}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"><title>{escape(title)}</title></circle>'
    )


def _spread(positions: Sequence[float], min_distance: float) -> list[float]:
    """Positions pushed down so that no two are closer than ``min_distance``."""
    moved = list(positions)
    last = -np.inf
    for index in np.argsort(positions, kind='stable').tolist():
        moved[index] = last = max(moved[index], last + min_distance)
    return moved


def _axis_label(text: str, bottom: float, left: float = LEFT, right: float = RIGHT) -> str:
    middle = (left + WIDTH - right) / 2
    return f'<text x="{middle:.1f}" y="{bottom + 30:.1f}" text-anchor="middle">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
