"""The part of the report on errors: where the score is lost, and the errors that cost most as pictures."""

from collections.abc import Callable, Iterable, Mapping
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.evaluation.cell_errors import CATEGORIES, ERRORS
from sartorius.evaluation.errors import ALL, BORDER, ErrorAnalysis, error_gains
from sartorius.images.display import stretched
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.gallery import class_key, embedded, error_key, open_button, swatch, swatches
from sartorius.visualization.outlines import svg_path
from sartorius.visualization.report_data import CLASSES, Report

MARGIN = 12
SMALLEST_VIEW = 56
MIN_LABELLED = 0.045
"""Shares of the score's bar that are narrower bear no number."""

BORDER_MEANING = 'any of these errors with a cell that touches the border of the image; counted above as well'


def error_section(
    report: Report, numbers: Mapping[str, int], read_picture: Callable[[str], NDArray[np.uint8]] | None
) -> str:
    """Bars and table of what each kind of error costs, and the costliest error of each kind and cell type.

    Args:
        report: With errors.
        numbers: Number of the card of each image that has one.
        read_picture: Gives the uint8 ``(height, width)`` picture of an image id; None for no pictures.
    """
    gains = error_gains(report.errors)
    parts = [
        '<div class="errors"><p class="note">Each bar starts with the score as it is. Then one kind of error after the '
        'other is put right (found cells replaced by the true ones) and the metric counts again, until the score is 1.'
        '</p>',
        _ladder(gains),
        '<p class="note">What one kind costs by itself: how much the score would gain if just that were put right.</p>',
        _gain_table(gains),
    ]
    worst = costliest(report.errors)
    if read_picture is not None and len(worst):
        parts.append(
            '<h3>The errors that cost most, by kind and cell type</h3>'
            '<p class="legend"><span><i style="--own: var(--true-line)"></i>true outline</span>'
            '<span><i style="--own: var(--found-line)"></i>found outline</span>'
            '<span>faint: neighbours</span><span>loss: what it takes from the score of its image</span></p>'
        )
        crops = ''.join(_crop(report, row, numbers, read_picture(row.image_id)) for row in worst.itertuples())
        parts.append(f'<div class="crops">{crops}</div>')
    return ''.join(parts) + '</div>'


def costliest(errors: ErrorAnalysis) -> pd.DataFrame:
    """Of each kind of error and cell type the one that costs its image most.

    Returns:
        One row an error, in the order of :data:`ERRORS` and of the cell types: ``image_id``, ``cell_type``,
        ``category``, ``group``, ``loss``, ``iou`` (best of its cells).
    """
    keys = ['image_id', 'cell_type', 'category', 'group', 'loss']
    wrong = errors.cells[errors.cells['category'] != 'correct']
    groups = wrong.groupby(keys, as_index=False, sort=False)['iou'].max()
    first = groups.sort_values('loss', ascending=False, kind='stable').drop_duplicates(['category', 'cell_type'])
    order = np.lexsort(
        ([CLASSES.index(name) for name in first['cell_type']], [ERRORS.index(name) for name in first['category']])
    )
    return first.iloc[order].reset_index(drop=True)


def main_errors(errors: ErrorAnalysis) -> dict[str, str]:
    """The kind of error that costs each image most, and how much, as HTML by image id; empty for a perfect image."""
    texts = {}
    for row in errors.alone.itertuples(index=False):
        gains = {error: value - row.score for error, value in zip(ERRORS, row[3 : 3 + len(ERRORS)], strict=True)}
        error = max(gains, key=gains.get)
        texts[row.image_id] = f'{swatch(error)}{error} {gains[error]:.3f}' if gains[error] > 0 else ''
    return texts


def _ladder(gains: pd.DataFrame) -> str:
    """A bar from 0 to 1 for each cell type: the score, and what each error adds when put right after those before."""
    items = []
    for name in gains['cell_type'].unique():
        own = gains[(gains['cell_type'] == name) & (gains['error'] != BORDER)]
        score = float(own['score'].iloc[0])
        steps = np.diff([score, *own['ladder']])
        segments = ''.join(
            _segment(error, step) for error, step in zip(own['error'], steps.tolist(), strict=True) if step > 0
        )
        items.append(
            f'<li><span class="name">{_chip(name)}</span><span class="bar-of-one">'
            f'<i class="now" style="flex: {score:.4f} 0 0" title="score {score:.3f}">{_label(score)}</i>{segments}'
            '</span></li>'
        )
    return (
        f'<div class="sheet"><ol class="ladder">{"".join(items)}</ol>'
        f'<p class="legend"><span><i style="--own: var(--accent)"></i>score</span>{swatches(ERRORS)}</p></div>'
    )


def _segment(error: str, step: float) -> str:
    style = f'--own: var(--{error_key(error)}); flex: {step:.4f} 0 0'
    return f'<i style="{style}" title="{error}: {step:+.3f}">{_label(step)}</i>'


def _label(value: float) -> str:
    return f'{value:.2f}'.lstrip('0') if value >= MIN_LABELLED else ''


def _chip(name: str) -> str:
    return 'all images' if name == ALL else f'<span class="chip {class_key(name, CLASSES)}">{escape(name)}</span>'


def _gain_table(gains: pd.DataFrame) -> str:
    names = gains['cell_type'].unique().tolist()
    table = gains.set_index(['error', 'cell_type'])
    largest = max(float(gains.loc[gains['cell_type'] == ALL, 'gain'].max()), 1e-9)
    heads = ''.join(f'<th scope="col">{_chip(name)}</th>' for name in names)
    rows = ''.join(_gain_row(error, table.loc[error], names, largest) for error in (*ERRORS, BORDER))
    return (
        '<div class="scroll classes"><table><thead><tr><th scope="col" class="text">Put right</th>'
        f'<th scope="col">True cells</th><th scope="col">Found cells</th>{heads}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div>'
    )


def _gain_row(error: str, own: pd.DataFrame, names: Iterable[str], largest: float) -> str:
    meaning = BORDER_MEANING if error == BORDER else CATEGORIES[error]
    name = 'at the border' if error == BORDER else f'{swatch(error)}{error}'
    cells = []
    for cell_type in names:
        gain = float(own.loc[cell_type, 'gain'])
        meter = f'<span class="meter"><i style="width: {gain / largest:.0%}"></i></span>' if cell_type == ALL else ''
        cells.append(f'<td>{f"{gain:+.3f}" if abs(gain) >= 0.0005 else "0"}{meter}</td>')
    return (
        f'<tr><td class="text wrap">{name}<small>{escape(meaning)}</small></td>'
        f'<td>{own.loc[ALL, "n_gt"]}</td><td>{own.loc[ALL, "n_pred"]}</td>{"".join(cells)}</tr>'
    )


def _crop(report: Report, row: object, numbers: Mapping[str, int], picture: NDArray[np.uint8]) -> str:
    """An error as a figure: a part of its image with the outlines of its cells, and in faint lines all others."""
    sides = {'true': report.gt[row.image_id].crops, 'found': report.pred[row.image_id].crops}
    cells = report.errors.cells
    members = cells[(cells['image_id'] == row.image_id) & (cells['group'] == row.group)]
    own = {side: set((members.loc[members['side'] == side, 'number'] - 1).tolist()) for side in sides}
    size = picture.shape
    x1, y1, x2, y2 = view_around([sides[side][index].tight() for side in sides for index in own[side]], size)
    paths = []
    for side, crops in sides.items():
        for index, crop in enumerate(crops):
            left, top, right, bottom = crop.window
            if left < x2 and right > x1 and top < y2 and bottom > y1 and (outline := svg_path(crop.clipped(size))):
                kind = '' if index in own[side] else ' faint'
                paths.append((kind == '', f'<path class="{side}-line{kind}" d="{outline}"/>'))
    # The error's own cells lie on top.
    lines = ''.join(path for _, path in sorted(paths, key=lambda entry: entry[0]))
    part = embedded(stretched(picture)[y1:y2, x1:x2])
    iou = f', IoU {row.iou:.2f}' if row.iou > 0 else ''
    return (
        f'<figure><svg viewBox="{x1} {y1} {x2 - x1} {y2 - y1}" role="img" aria-label="{row.category}">'
        f'<image x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}" href="{part}"/>{lines}</svg>'
        f'<figcaption><b>{swatch(row.category)}{row.category}</b> {_chip(row.cell_type)}'
        f'<small>loss {row.loss:.4f}{iou}</small><small>{open_button(row.image_id, numbers)}</small>'
        '</figcaption></figure>'
    )


def view_around(
    crops: Iterable[MaskCrop], size: tuple[int, int], margin: int = MARGIN, smallest: int = SMALLEST_VIEW
) -> tuple[int, int, int, int]:
    """Square window ``x1, y1, x2, y2`` around some cells, moved into the image, and cut where it is larger."""
    windows = np.array([crop.window for crop in crops if crop.mask.size] or [(0, 0, size[1], size[0])])
    low, high = windows[:, :2].min(axis=0), windows[:, 2:].max(axis=0)
    side = max(int((high - low).max()) + 2 * margin, smallest)
    (x1, x2), (y1, y2) = (
        _span((start + end) / 2, side, length)
        for start, end, length in zip(low.tolist(), high.tolist(), size[::-1], strict=True)
    )
    return x1, y1, x2, y2


def _span(middle: float, side: int, length: int) -> tuple[int, int]:
    start = max(0, min(round(middle - side / 2), length - side))
    return start, min(start + side, length)
