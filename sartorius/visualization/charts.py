"""Small charts as inline SVG, coloured by the page's style sheet (light and dark)."""

from collections.abc import Sequence
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
class Group:
    """Values of one class.

    Attributes:
        name: Class name.
        key: CSS class of its colour.
        values: float ``(N,)``.
        titles: ``N`` texts that a pointer over the dots shows.
        interval: Low and high end of the mean's interval, or None.
    """

    name: str
    key: str
    values: NDArray[np.floating]
    titles: Sequence[str]
    interval: tuple[float, float] | None = None


def strip_chart(groups: Sequence[Group], label: str, digits: int = 2) -> str:
    """One row a group: a dot a value, the mean, and its interval as a bar.

    Args:
        groups: Rows from top to bottom.
        label: What the axis shows.
        digits: Decimals of the means.
    """
    ticks = axis_ticks(max((float(group.values.max()) for group in groups), default=1.0))
    bottom = TOP + ROW_HEIGHT * len(groups)
    parts = [
        f'<path class="axis" d="M{_x(tick, ticks):.1f} {TOP}V{bottom}"/>'
        f'<text x="{_x(tick, ticks):.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    ]
    for row, group in enumerate(groups):
        middle = TOP + ROW_HEIGHT * (row + 0.5)
        parts.append(f'<text class="name" x="0" y="{middle + 4:.1f}">{escape(group.name)}</text>')
        # Spread over the row by the golden ratio: even, and the same at every call.
        offsets = (np.arange(len(group.values)) * 0.618034 % 1 - 0.5) * ROW_HEIGHT * 0.62
        for value, offset, title in zip(group.values.tolist(), offsets.tolist(), group.titles, strict=True):
            parts.append(
                f'<circle class="dot {group.key}" cx="{_x(value, ticks):.1f}" cy="{middle + offset:.1f}" r="3">'
                f'<title>{escape(title)}</title></circle>'
            )
        mean = float(group.values.mean())
        text = f'{group.name}: mean {mean:.{digits}f}'
        if group.interval:
            low, high = group.interval
            text += f', interval {low:.{digits}f} to {high:.{digits}f}'
            parts.append(
                f'<path class="spread {group.key}" d="M{_x(low, ticks):.1f} {middle:.1f}H{_x(high, ticks):.1f}"/>'
            )
        parts.append(
            f'<circle class="mean {group.key}" cx="{_x(mean, ticks):.1f}" cy="{middle:.1f}" r="5.5">'
            f'<title>{escape(text)}</title></circle>'
        )
    parts.append(_axis_label(label, bottom))
    return _svg(parts, bottom + BOTTOM, label)


def line_chart(lines: Sequence[Group], x: Sequence[float], label: str, x_label: str) -> str:
    """Curves over common x values, each named at its left end where the curves lie apart."""
    height = 196
    low, high = x[0], x[-1]
    ticks = axis_ticks(max((float(line.values.max()) for line in lines), default=1.0))
    bottom = height - BOTTOM

    def at(x_value: float, y_value: float) -> tuple[float, float]:
        across = (x_value - low) / (high - low)
        return 34 + across * (WIDTH - 34 - 64), bottom - y_value / ticks[-1] * (bottom - TOP)

    parts = []
    for tick in ticks:
        y = at(low, tick)[1]
        parts.append(f'<path class="axis" d="M34 {y:.1f}H{WIDTH - 64}"/>')
        parts.append(f'<text x="28" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x[::2]:
        parts.append(f'<text x="{at(tick, 0)[0]:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:.2f}</text>')
    starts = [at(low, float(line.values[0]))[1] for line in lines]
    for line, y in zip(lines, _apart(starts, 14), strict=True):
        points = [at(*point) for point in zip(x, line.values.tolist(), strict=True)]
        path = 'L'.join(f'{px:.1f} {py:.1f}' for px, py in points)
        parts.append(f'<path class="curve {line.key}" d="M{path}"><title>{escape(line.name)}</title></path>')
        for (px, py), title in zip(points, line.titles, strict=True):
            parts.append(
                f'<circle class="mean {line.key}" cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{escape(title)}</title>'
                '</circle>'
            )
        # The names stand in a column at the right, in the order in which the curves start at the left.
        parts.append(f'<text class="tag {line.key}" x="{WIDTH - 54}" y="{y + 4:.1f}">{escape(line.name)}</text>')
    parts.append(_axis_label(x_label, bottom, left=34, right=64))
    return _svg(parts, height, label)


def scatter_chart(groups: Sequence[tuple[Group, NDArray[np.floating]]], label: str, x_label: str, y_label: str) -> str:
    """Counts against counts on logarithmic axes (of 1 + count, so that 0 has a place), with the line of equality.

    Args:
        groups: Pairs of a group, whose values stand on the y axis, and its x values ``(N,)``.
        label: What the chart shows, for those who cannot see it.
        x_label: Under the x axis.
        y_label: Above the y axis.
    """
    height = 196
    bottom, top, left = height - BOTTOM, 18, 40
    largest = max((float(max(group.values.max(), x.max())) for group, x in groups), default=1.0)
    ticks = [tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000) if tick <= largest * 1.5]
    end = np.log1p(max(largest * 1.15, 2))

    def at(x_value: float, y_value: float) -> tuple[float, float]:
        along, up = np.log1p(x_value) / end, np.log1p(y_value) / end
        return left + along * (WIDTH - left - RIGHT), bottom - up * (bottom - top)

    parts = [f'<text x="0" y="9">{escape(y_label)}</text>']
    for tick in ticks:
        x, y = at(tick, tick)
        parts.append(f'<path class="axis" d="M{left} {y:.1f}H{WIDTH - RIGHT}M{x:.1f} {bottom}V{top}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
    parts.append(f'<path class="guide" d="M{left} {bottom}L{WIDTH - RIGHT} {top}"/>')
    for group, x_values in groups:
        for x_value, y_value, title in zip(x_values.tolist(), group.values.tolist(), group.titles, strict=True):
            x, y = at(x_value, y_value)
            parts.append(
                f'<circle class="dot {group.key}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(title)}</title>'
                '</circle>'
            )
    parts.append(_axis_label(x_label, bottom, left=left))
    return _svg(parts, height, label)


def histogram_chart(groups: Sequence[Group], label: str, unit: str = '', logarithmic: bool = False) -> str:
    """One row a group: bars over the same bins, all of one scale, and the median as a line.

    Args:
        groups: Rows from top to bottom; each has a value, above 0 where the axis is logarithmic.
        label: What the axis shows.
        unit: What the values count, for the texts that a pointer over the bars shows.
        logarithmic: Whether the bins grow by a factor.
    """
    low = min((float(group.values.min()) for group in groups), default=1.0)
    high = max((float(group.values.max()) for group in groups), default=2.0)
    scale = _Scale(*_padded(low, high, logarithmic, share=0.0), LEFT, WIDTH - RIGHT, logarithmic)
    edges = scale.edges(BINS)
    shares = [bin_shares(group.values, edges) for group in groups]
    tallest = max((float(own.max()) for own in shares), default=1.0)
    bottom = TOP + HISTOGRAM_HEIGHT * len(groups)
    parts = _x_axis(scale, bottom)
    unit = f' {unit}' if unit else ''
    for row, (group, own) in enumerate(zip(groups, shares, strict=True)):
        base = TOP + HISTOGRAM_HEIGHT * (row + 1)
        room = HISTOGRAM_HEIGHT - 16
        parts.append(f'<text class="name" x="0" y="{base - 4}">{escape(group.name)}</text>')
        for left, right, share in zip(edges[:-1].tolist(), edges[1:].tolist(), own.tolist(), strict=True):
            if share:
                x, height = scale.at(left), max(share / tallest * room, 0.5)
                parts.append(
                    f'<rect class="column {group.key}" x="{x:.1f}" y="{base - height:.1f}" '
                    f'width="{scale.at(right) - x - 0.5:.1f}" height="{height:.1f}"><title>{escape(group.name)}, '
                    f'{left:,.3g} to {right:,.3g}{escape(unit)}: {share:.1%}</title></rect>'
                )
        median = float(np.median(group.values))
        x = scale.at(median)
        anchor = 'start' if x < WIDTH * 0.7 else 'end'
        parts.append(
            f'<path class="spread {group.key}" style="stroke-width: 1.5" d="M{x:.1f} {base}V{base - room - 4}"/>'
            f'<text x="{x + (4 if anchor == "start" else -4):.1f}" y="{base - room + 3}" text-anchor="{anchor}">'
            f'median {median:,.3g}</text>'
        )
    parts.append(_axis_label(label, bottom))
    return _svg(parts, bottom + BOTTOM, label)


def bin_shares(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the values in each bin.

    Args:
        values: Float ``(N,)`` with at least one value; those beyond the ends count in the first and the last bin.
        edges: Float ``(B + 1,)``, ascending. Bins are half-open but for the last.

    Returns:
        float64 ``(B,)`` that sums to 1.
    """
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return counts / len(values)


def point_chart(
    groups: Sequence[tuple[Group, NDArray[np.floating]]],
    label: str,
    x_label: str,
    y_label: str,
    logarithmic_x: bool = False,
) -> str:
    """A dot for each pair of values; the axes span what there is.

    Args:
        groups: Pairs of a group, whose values stand on the y axis, and its x values ``(N,)``.
        label: What the chart shows, for those who cannot see it.
        x_label: Under the x axis.
        y_label: Above the y axis.
        logarithmic_x: Whether the x axis is logarithmic; its values are above 0 then.
    """
    height, top, left = 236, 18, 44
    bottom = height - BOTTOM
    across = np.concatenate([x for _, x in groups] or [np.ones(1)])
    upward = np.concatenate([group.values for group, _ in groups] or [np.ones(1)])
    x_scale = _Scale(
        *_padded(float(across.min()), float(across.max()), logarithmic_x), left, WIDTH - RIGHT, logarithmic_x
    )
    y_scale = _Scale(*_padded(float(upward.min()), float(upward.max())), bottom, top)
    parts = [f'<text x="0" y="9">{escape(y_label)}</text>', *_x_axis(x_scale, bottom, top)]
    for tick in y_scale.ticks():
        y = y_scale.at(tick)
        parts.append(f'<path class="axis" d="M{left} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for group, x_values in groups:
        for x, y, title in zip(x_values.tolist(), group.values.tolist(), group.titles, strict=True):
            parts.append(
                f'<circle class="dot {group.key}" cx="{x_scale.at(x):.1f}" cy="{y_scale.at(y):.1f}" r="3.5">'
                f'<title>{escape(title)}</title></circle>'
            )
    parts.append(_axis_label(x_label, bottom, left=left))
    return _svg(parts, height, label)


def axis_ticks(largest: float) -> list[float]:
    """Four to six round values from 0 that reach at least ``largest``."""
    if largest <= 0:
        return [0.0, 1.0]
    magnitude = 10.0 ** np.floor(np.log10(largest / 5))
    step = magnitude * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude * 5 >= largest * 0.999)
    count = int(np.ceil(largest / step - 1e-9))
    return [round(step * index, 10) for index in range(count + 1)]


@dataclass(frozen=True)
class _Scale:
    """From values to positions along an axis."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        if self.logarithmic:
            part = np.log(value / self.low) / np.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + float(part) * (self.end - self.start)

    def edges(self, bins: int) -> NDArray[np.float64]:
        return (np.geomspace if self.logarithmic else np.linspace)(self.low, self.high, bins + 1)

    def ticks(self) -> list[float]:
        return (log_ticks if self.logarithmic else spaced_ticks)(self.low, self.high)


def spaced_ticks(low: float, high: float) -> list[float]:
    """At most six round values from ``low`` to ``high``, evenly spaced; ``low`` is less than ``high``."""
    step = axis_ticks(high - low)[1]
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [round(step * index, 10) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """At most six values from ``low`` to ``high`` that look round on a logarithmic axis; the two are above 0."""
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


def _padded(low: float, high: float, logarithmic: bool = False, share: float = 0.04) -> tuple[float, float]:
    """A span with some room at either end, so that no dot lies on the frame; one that is empty is widened."""
    if logarithmic:
        factor = (high / low) ** share if high > low else 1.5
        return low / factor, high * factor
    room = (high - low) * share if high > low else max(abs(low) * 0.05, 0.5)
    return low - room, high + room


def _x_axis(scale: _Scale, bottom: float, top: float = TOP) -> list[str]:
    """Lines and numbers of an x axis."""
    return [
        f'<path class="axis" d="M{scale.at(tick):.1f} {top}V{bottom}"/>'
        f'<text x="{scale.at(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{tick:,g}</text>'
        for tick in scale.ticks()
    ]


def _x(value: float, ticks: Sequence[float]) -> float:
    return LEFT + value / ticks[-1] * (WIDTH - LEFT - RIGHT)


def _apart(positions: Sequence[float], least: float) -> list[float]:
    """Positions pushed down so that no two are closer than ``least``."""
    moved = list(positions)
    last = -np.inf
    for index in np.argsort(positions, kind='stable').tolist():
        moved[index] = last = max(moved[index], last + least)
    return moved


def _axis_label(text: str, bottom: float, left: float = LEFT, right: float = RIGHT) -> str:
    middle = (left + WIDTH - right) / 2
    return f'<text x="{middle:.1f}" y="{bottom + 30:.1f}" text-anchor="middle">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
