"""The report's section on errors: where the score is lost, and the costliest errors as pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.evaluation.cell_errors import CATEGORIES, ERRORS
from sartorius.evaluation.error_analysis import ALL, BORDER, ErrorAnalysis, error_gains
from sartorius.evaluation.metric import image_types
from sartorius.images.grey_levels import stretch
from sartorius.postprocess.evaluate import EvaluatedPredictions
from sartorius.visualization.cell_figures import cell_figure, window_around
from sartorius.visualization.gallery import error_key, open_button, swatch, swatches
from sartorius.visualization.html import chip, html_table, meter, page_classes

MIN_LABELLED = 0.045
"""Segments of the score's bar that are narrower have no number."""

BORDER_MEANING = 'any of these errors with a cell that touches the border of the image; counted above as well'


def error_section(
    report: EvaluatedPredictions, numbers: Mapping[str, int], read_picture: Callable[[str], NDArray[np.uint8]] | None
) -> str:
    """Bars and table of what each kind of error costs, and the costliest error of each kind and cell type.

    Args:
        report: With errors.
        numbers: Number of the card of each image that has one.
        read_picture: Reads the uint8 ``(height, width)`` picture of an image id; None for no pictures.
    """
    gains, classes = error_gains(report.errors), page_classes(report.classes)
    parts = [
        '<div class="errors"><p class="note">Each bar starts with the score as it is. Then one kind of error after the '
        'other is corrected (predictions replaced by ground truth) and the metric counts again, until the score is 1.'
        '</p>',
        _score_bars(gains, classes),
        '<p class="note">What one kind costs by itself: how much the score would gain if only that were corrected.</p>',
        _gain_table(gains, classes),
    ]
    worst = costliest(report.errors)
    if read_picture is not None and len(worst):
        parts.append(
            '<h3>The costliest errors by kind and cell type</h3>'
            '<p class="legend"><span><i style="--own: var(--gt-line)"></i>ground truth</span>'
            '<span><i style="--own: var(--pred-line)"></i>prediction</span>'
            '<span>faint: neighbours</span><span>loss: what it takes from the score of its image</span></p>'
        )
        crops = ''.join(_error_figure(report, row, numbers, read_picture(row.image_id)) for row in worst.itertuples())
        parts.append(f'<div class="crops">{crops}</div>')
    return ''.join(parts) + '</div>'


def costliest(errors: ErrorAnalysis) -> pd.DataFrame:
    """Of each kind of error and cell type the one that costs its image most.

    Returns:
        One row per error, in the order of :data:`ERRORS` and of the cell types: ``image_id``, ``cell_type``,
        ``category``, ``group``, ``loss``, ``iou`` (best of its cells).
    """
    keys = ['image_id', 'cell_type', 'category', 'group', 'loss']
    wrong = errors.cells[errors.cells['category'] != 'correct']
    groups = wrong.groupby(keys, as_index=False, sort=False)['iou'].max()
    first = groups.sort_values('loss', ascending=False, kind='stable').drop_duplicates(['category', 'cell_type'])
    types = image_types(first['cell_type'])
    order = np.lexsort(
        ([types.index(name) for name in first['cell_type']], [ERRORS.index(name) for name in first['category']])
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


def _score_bars(gains: pd.DataFrame, classes: Sequence[str]) -> str:
    """A bar from 0 to 1 for each cell type: the score, and what each error adds when corrected after those before."""
    items = []
    for name in gains['cell_type'].unique():
        own = gains[(gains['cell_type'] == name) & (gains['error'] != BORDER)]
        score = float(own['score'].iloc[0])
        steps = np.diff([score, *own['cumulative']])
        segments = ''.join(
            _segment(error, step) for error, step in zip(own['error'], steps.tolist(), strict=True) if step > 0
        )
        items.append(
            f'<li><span class="name">{_type_name(name, classes)}</span><span class="bar-of-one">'
            f'<i class="now" style="flex: {score:.4f} 0 0" title="score {score:.3f}">{_label(score)}</i>{segments}'
            '</span></li>'
        )
    return (
        f'<div class="sheet"><ol class="score-bars">{"".join(items)}</ol>'
        f'<p class="legend"><span><i style="--own: var(--accent)"></i>score</span>{swatches(ERRORS)}</p></div>'
    )


def _segment(error: str, step: float) -> str:
    style = f'--own: var(--{error_key(error)}); flex: {step:.4f} 0 0'
    return f'<i style="{style}" title="{error}: {step:+.3f}">{_label(step)}</i>'


def _label(value: float) -> str:
    return f'{value:.2f}'.lstrip('0') if value >= MIN_LABELLED else ''


def _type_name(name: str, classes: Sequence[str]) -> str:
    return 'all images' if name == ALL else chip(name, classes)


def _gain_table(gains: pd.DataFrame, classes: Sequence[str]) -> str:
    names = gains['cell_type'].unique().tolist()
    table = gains.set_index(['error', 'cell_type'])
    largest = max(float(gains.loc[gains['cell_type'] == ALL, 'gain'].max()), 1e-9)
    heads = [('Corrected', 'text wrap'), ('gt', ''), ('pred', ''), *((_type_name(name, classes), '') for name in names)]
    return html_table(heads, [_gain_row(error, table.loc[error], names, largest) for error in (*ERRORS, BORDER)])


def _gain_row(error: str, own: pd.DataFrame, names: Iterable[str], largest: float) -> list[str]:
    meaning = BORDER_MEANING if error == BORDER else CATEGORIES[error]
    name = 'at the border' if error == BORDER else f'{swatch(error)}{error}'
    row = [f'{name}<small>{escape(meaning)}</small>', str(own.loc[ALL, 'n_gt']), str(own.loc[ALL, 'n_pred'])]
    for cell_type in names:
        gain = float(own.loc[cell_type, 'gain'])
        bar = meter(gain / largest) if cell_type == ALL else ''
        row.append(f'{f"{gain:+.3f}" if abs(gain) >= 0.0005 else "0"}{bar}')
    return row


def _error_figure(
    report: EvaluatedPredictions, row: object, numbers: Mapping[str, int], picture: NDArray[np.uint8]
) -> str:
    """An error as a figure: a part of its image with the outlines of its cells, and in faint lines all others."""
    sides = {'gt': report.gt[row.image_id].crops, 'pred': report.pred[row.image_id].crops}
    cells = report.errors.cells
    members = cells[(cells['image_id'] == row.image_id) & (cells['group'] == row.group)]
    own = {side: set((members.loc[members['side'] == side, 'number'] - 1).tolist()) for side in sides}
    shown = {side: [sides[side][index] for index in sorted(own[side])] for side in sides}
    others = {
        side: [crop for index, crop in enumerate(crops) if index not in own[side]] for side, crops in sides.items()
    }
    window = window_around([crop.tight() for crops in shown.values() for crop in crops], picture.shape)
    iou = f', IoU {row.iou:.2f}' if row.iou > 0 else ''
    caption = (
        f'<b>{swatch(row.category)}{row.category}</b> {_type_name(row.cell_type, page_classes(report.classes))}'
        f'<small>loss {row.loss:.4f}{iou}</small><small>{open_button(row.image_id, numbers)}</small>'
    )
    return cell_figure(stretch(picture), window, shown, others, row.category, caption)
