"""The parts of the report as HTML: summary, charts, table of images."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import pandas as pd

from sartorius.evaluation.metric import NO_CELL_TYPE, summarise
from sartorius.visualization.charts import Group, line_chart, scatter_chart, strip_chart
from sartorius.visualization.error_section import main_errors
from sartorius.visualization.gallery import class_key, open_button
from sartorius.visualization.page import chart, figures
from sartorius.visualization.report_data import CLASSES, Report


def lead(report: Report) -> str:
    pred = int(report.table['n_pred'].sum())
    images = len(report.table)
    if report.summary is None:
        return f'{pred} cells in {images} images, after post-processing. Without annotations nothing is scored.'
    true = int(report.table['n_gt'].sum())
    text = (
        f'{pred} cells in {images} images, after post-processing, compared with {true} annotated cells. The score is '
        'the competition mAP: hits over hits, missed and extra cells, averaged over IoU thresholds from .50 to .95 and '
        'over images.'
    )
    if report.dropped:
        text += f' {report.dropped} annotated images are not among the predictions and do not count.'
    return text


def summary(report: Report) -> str:
    table = report.table
    entries = [('Images', str(len(table)), ''), ('Cells found', str(int(table['n_pred'].sum())), '')]
    if report.summary is None:
        return figures(entries) + _charts_without_gt(table)
    low, high = report.summary.interval
    half = report.summary.per_threshold.iloc[0]
    true = int(table['n_gt'].sum())
    entries = [
        ('Score (mAP)', f'{report.summary.score:.3f}', f'{low:.3f} to {high:.3f} (95 %)'),
        *entries,
        ('Cells annotated', str(true), ''),
        ('Cells hit at IoU .5', str(int(half['tp'])), f'{half["tp"] / max(true, 1):.0%} of the annotated'),
        ('Missed', str(int(half['fn'])), 'at IoU .5'),
        ('Extra', str(int(half['fp'])), 'at IoU .5'),
    ]
    return figures(entries) + _class_table(report) + _charts_with_gt(report)


def image_table(report: Report, numbers: Mapping[str, int]) -> str:
    """All images as a table that sorts and filters in the browser.

    Args:
        report: What to list.
        numbers: Number of the card of each image that is shown.
    """
    scored = report.gt is not None
    sorted_by = 'score' if scored else 'confidence'
    columns: list[tuple[str, str, Callable[[Any], str]]] = [
        ('Image', 'text', lambda row: _image_cell(row.image_id, numbers)),
        ('Type', 'text', lambda row: _type_cell(row.cell_type, row.detected_as)),
        ('Found', '', lambda row: _cell(row.n_pred, f'{row.n_pred}')),
        ('Median area', '', lambda row: _cell(row.area, f'{row.area:.0f} px')),
        ('Confidence', '', lambda row: _cell(row.confidence, f'{row.confidence:.2f}')),
    ]
    if scored:
        columns[1:1] = [('Score', '', lambda row: _score_cell(row.score))]
        columns[3:4] = [
            ('Annotated', '', lambda row: _cell(row.n_gt, f'{row.n_gt}')),
            columns[3],
            ('Hit', '', lambda row: _cell(row.tp_50, f'{row.tp_50}')),
            ('Missed', '', lambda row: _cell(row.n_gt - row.tp_50, f'{row.n_gt - row.tp_50}')),
            ('Extra', '', lambda row: _cell(row.n_pred - row.tp_50, f'{row.n_pred - row.tp_50}')),
        ]
        costs = main_errors(report.errors)
        columns.append(('Costs most', 'text', lambda row: f'<td class="text errors">{costs[row.image_id]}</td>'))
    ordered = report.table.sort_values(sorted_by, kind='stable', na_position='first')
    rows = ''.join(f'<tr>{"".join(cell(row) for _, _, cell in columns)}</tr>' for row in ordered.itertuples())
    order = {True: ' aria-sort="ascending"', False: ''}
    head = ''.join(
        f'<th scope="col" class="{kind}"{order[name.lower() == sorted_by]}>{name}</th>' for name, kind, _ in columns
    )
    return (
        '<div class="table-tools" hidden><label>Filter <input type="search" id="table-search" '
        'placeholder="image or cell type"></label><span id="table-count" role="status"></span></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of images"><table data-sortable>'
        f'<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _image_cell(image_id: str, numbers: Mapping[str, int]) -> str:
    return f'<td class="text id">{open_button(image_id, numbers)}</td>'


def _type_cell(cell_type: str, detected_as: str) -> str:
    chip = f'<span class="chip {class_key(cell_type, CLASSES)}">{escape(cell_type)}</span>'
    if detected_as == NO_CELL_TYPE and cell_type != NO_CELL_TYPE:
        return f'<td class="text">{chip} nothing found</td>'
    return f'<td class="text">{chip}{"" if detected_as == cell_type else f" found as {escape(detected_as)}"}</td>'


def _cell(value: float, text: str) -> str:
    # An image without found cells has no area and no confidence; it sorts below all others.
    return '<td data-value="-1">-</td>' if pd.isna(value) else f'<td data-value="{value}">{text}</td>'


def _score_cell(score: float) -> str:
    return _cell(score, f'{score:.3f}<span class="meter"><i style="width: {score:.0%}"></i></span>')


def _class_table(report: Report) -> str:
    rows = ''.join(
        f'<tr><td class="text"><span class="chip {class_key(row.cell_type, CLASSES)}">{row.cell_type}</span></td>'
        f'<td>{row.score:.3f}</td><td>{row.low:.3f} to {row.high:.3f}</td>'
        f'<td>{row.images}</td><td>{row.n_gt}</td><td>{row.n_pred}</td></tr>'
        for row in report.summary.per_class.itertuples()
    )
    return (
        '<div class="scroll classes"><table><thead><tr><th scope="col" class="text">Cell type</th>'
        '<th scope="col">Score</th><th scope="col">95 % interval</th><th scope="col">Images</th>'
        f'<th scope="col">Annotated</th><th scope="col">Found</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _charts_with_gt(report: Report) -> str:
    table, per_class = report.table, report.summary.per_class
    scores, curves, counts = [], [], []
    for row in per_class.itertuples():
        own = table[table['cell_type'] == row.cell_type]
        key = class_key(row.cell_type, CLASSES)
        titles = [f'{image.image_id}: {image.score:.3f}' for image in own.itertuples()]
        scores.append(Group(row.cell_type, key, own['score'].to_numpy(), titles, (row.low, row.high)))
        steps = summarise(own).per_threshold
        titles = [f'{row.cell_type}, IoU > {step.threshold:.2f}: {step.precision:.3f}' for step in steps.itertuples()]
        curves.append(Group(row.cell_type, key, steps['precision'].to_numpy(), titles))
        titles = [f'{image.image_id}: {image.n_gt} annotated, {image.n_pred} found' for image in own.itertuples()]
        counts.append((Group(row.cell_type, key, own['n_pred'].to_numpy(), titles), own['n_gt'].to_numpy()))
    thresholds = report.summary.per_threshold['threshold'].tolist()
    return (
        '<div class="charts">'
        + ''.join(
            (
                chart(
                    'Score by cell type',
                    'A dot an image, the mean, and its 95 % interval over images.',
                    strip_chart(scores, 'competition mAP', digits=3),
                ),
                chart(
                    'How exact the outlines are',
                    'Hits over hits, missed and extra cells, by the IoU that a hit needs.',
                    line_chart(curves, thresholds, 'precision by IoU threshold', 'IoU above'),
                ),
                chart(
                    'Cells counted',
                    'A dot an image; on the dashed line both counts agree.',
                    scatter_chart(counts, 'found against annotated cells', 'annotated', 'found'),
                ),
            )
        )
        + '</div>'
    )


def _charts_without_gt(table: pd.DataFrame) -> str:
    charts = (
        ('Cells found', 'A dot an image, and the mean.', 'n_pred', 'cells an image', 1),
        ('Cell area', 'Median of each image, and the mean.', 'area', 'pixels', 0),
        ('Confidence', 'Mean score of the found cells of each image, and the mean.', 'confidence', 'score', 2),
    )
    parts = []
    for title, remark, column, label, digits in charts:
        groups = []
        known = table.dropna(subset=[column])
        for name in CLASSES:
            own = known[known['cell_type'] == name]
            if len(own):
                titles = [
                    f'{image_id}: {value:.{digits}f}'
                    for image_id, value in zip(own['image_id'], own[column], strict=True)
                ]
                groups.append(Group(name, class_key(name, CLASSES), own[column].to_numpy(), titles))
        parts.append(chart(title, remark, strip_chart(groups, label, digits)))
    return f'<div class="charts">{"".join(parts)}</div>'
