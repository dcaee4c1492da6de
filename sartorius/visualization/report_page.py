"""The HTML page of one predictions file: scores, charts, a table of the images, errors, and pictures."""

from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.evaluation.bootstrap import Estimate
from sartorius.evaluation.metric import NO_CELL_TYPE, format_interval, image_types, summarise_scores
from sartorius.images.files import find_frame
from sartorius.images.reading import read_for_display
from sartorius.postprocess.evaluate import EvaluatedPredictions
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.tables import size_text
from sartorius.visualization import MAX_IMAGES
from sartorius.visualization.charts import Series, line_chart, scatter_chart, strip_chart
from sartorius.visualization.gallery import Example, card, legend, open_button
from sartorius.visualization.html import Column, chip, class_key, html_table, number_cell, page_classes, sortable_table
from sartorius.visualization.page import chart, figures, render_page, source_list
from sartorius.visualization.report_page_errors import error_section, main_errors


def write_report(
    out: str | Path,
    report: EvaluatedPredictions,
    images: str | Path,
    source: Mapping[str, Any] | None = None,
    max_images: int = MAX_IMAGES,
) -> Path:
    """Writes ``index.html``, one file without external resources.

    Args:
        out: Folder to write it in; created if missing.
        report: The evaluated predictions.
        images: Folder with the images, named by their ids.
        source: More entries for the list of where the page came from, JSON types.
        max_images: Maximum number of images to show; the table lists all.

    Returns:
        Path of the page.

    Raises:
        InputError: An image to show is missing, cannot be read or is of another size than its predictions.
    """
    chosen = choose_images(report.table, 'confidence' if report.gt is None else 'score', max_images)
    examples = [_example(report, image_id, note, Path(images)) for image_id, note in progress(chosen.items(), 'images')]
    numbers = {image_id: number for number, image_id in enumerate(chosen)}
    cards = '\n'.join(card(example, number, page_classes(report.classes)) for number, example in enumerate(examples))
    steps = '\n'.join(_step_text(step) for step in report.chain.to_config())
    origin = {**(source or {}), 'post-processing': steps, **report.source.to_dict()}
    scored = report.gt is not None
    sections = [
        ('summary', 'Summary', _summary(report)),
        ('table', 'Table', _image_table(report, numbers)),
        ('images', 'Pictures', legend(scored, scored) + cards),
        ('source', 'Source', source_list(origin)),
    ]
    if scored:
        read = partial(_picture, report, folder=Path(images)) if max_images else None
        sections.insert(1, ('errors', 'Errors', error_section(report, numbers, read)))
    path = Path(out) / 'index.html'
    write_text(path, render_page('Predictions', _lead(report), sections))
    return path


def choose_images(table: pd.DataFrame, by: str, max_images: int) -> dict[str, str]:
    """Chooses images to show: of each cell type in turn the lowest, the most typical and the highest by a column.

    Args:
        table: Of :class:`sartorius.postprocess.evaluate.EvaluatedPredictions`.
        by: Column, 'score' or 'confidence'.
        max_images: Number of images to choose.

    Returns:
        Why each is shown, by image id; in the order of the cell types, and of the column within a type. All images,
        without a reason, where there are no more than ``max_images``.
    """
    ordered = table.sort_values(by, kind='stable', na_position='first')
    if len(table) <= max_images:
        chosen = dict.fromkeys(ordered['image_id'], '')
    else:
        queues = []
        for _, rows in ordered.groupby('cell_type', sort=False):
            ranked = rows['image_id'].tolist()
            middle = (len(ranked) - 1) / 2
            typical = sorted(ranked, key=lambda image_id: abs(ranked.index(image_id) - middle))
            queues.append(((ranked, f'low {by}'), (typical, 'typical'), (ranked[::-1], f'high {by}')))
        # Turn by turn, so that every type has its share of a small number.
        turns = (
            (ids[index], reason)
            for index in range(len(table))
            for kind in zip(*queues, strict=True)
            for ids, reason in kind
            if index < len(ids)
        )
        chosen = {}
        for image_id, reason in turns:
            if len(chosen) < max_images:
                chosen.setdefault(image_id, reason)
    shown = ordered[ordered['image_id'].isin(chosen)]
    types = image_types(shown['cell_type'])
    order = shown.iloc[np.argsort([types.index(name) for name in shown['cell_type']], kind='stable')]
    return {image_id: chosen[image_id] for image_id in order['image_id']}


def _step_text(step: Mapping[str, Any]) -> str:
    """A step of the post-processing in one line."""
    words = [step['type']]
    for name, value in step.items():
        if isinstance(value, Mapping):
            words.append(f'{name}: ' + ', '.join(f'{cell_type} {number:g}' for cell_type, number in value.items()))
        elif name != 'type':
            words.append(f'{name}: {value}')
    return '  '.join(words)


def _picture(report: EvaluatedPredictions, image_id: str, folder: Path) -> NDArray[np.uint8]:
    pred = report.pred[image_id]
    path, frame = find_frame(folder, image_id)
    picture = read_for_display(path, frame)
    if picture.shape != pred.size:
        raise InputError(
            f'{path} is {size_text(picture.shape)}, its predictions are for {size_text(pred.size)}; '
            'name the folder with the images that were predicted'
        )
    return picture


def _example(report: EvaluatedPredictions, image_id: str, note: str, folder: Path) -> Example:
    pred = report.pred[image_id]
    row = report.table.set_index('image_id').loc[image_id]
    common = {
        'title': image_id,
        'image': _picture(report, image_id, folder),
        'pred': pred.crops,
        'pred_scores': pred.scores,
        'cell_type': row['cell_type'],
        'note': note,
    }
    if report.gt is None:
        return Example(**common)
    cells = report.errors.cells
    own = cells[cells['image_id'] == image_id]
    return Example(
        **common,
        gt=report.gt[image_id].crops,
        score=float(row['score']),
        gt_errors=own.loc[own['side'] == 'gt', 'category'].tolist(),
        pred_errors=own.loc[own['side'] == 'pred', 'category'].tolist(),
    )


def _lead(report: EvaluatedPredictions) -> str:
    n_pred = int(report.table['n_pred'].sum())
    images = len(report.table)
    if report.summary is None:
        return f'{n_pred} cells predicted in {images} images, after post-processing. Without annotations, no scores.'
    n_gt = int(report.table['n_gt'].sum())
    text = (
        f'{n_pred} cells predicted in {images} images, after post-processing, compared with {n_gt} annotated cells '
        '(ground truth). The score is the competition mAP: TP / (TP + FP + FN), averaged over IoU thresholds from .50 '
        'to .95 and over images.'
    )
    if report.dropped:
        text += f' {report.dropped} annotated images are not among the predictions and do not count.'
    return text


def _summary(report: EvaluatedPredictions) -> str:
    table = report.table
    entries = [('Images', str(len(table)), ''), ('Predictions', str(int(table['n_pred'].sum())), 'cells')]
    if report.summary is None:
        return figures(entries) + _charts_without_gt(table, page_classes(report.classes))
    score = report.summary.score
    half = report.summary.per_threshold.iloc[0]
    n_gt, tp, fp, fn = int(table['n_gt'].sum()), int(half['tp']), int(half['fp']), int(half['fn'])
    entries = [
        ('Score (mAP)', f'{score.mean:.3f}', f'95 %: {format_interval(score, report.summary.groups)}'),
        *entries,
        ('Ground truth', str(n_gt), 'cells'),
        ('TP at IoU .5', str(tp), f'{tp / max(n_gt, 1):.0%} of the ground truth'),
        ('FN at IoU .5', str(fn), 'missed'),
        ('FP at IoU .5', str(fp), 'without a match'),
    ]
    return figures(entries) + _class_table(report) + _charts_with_gt(report)


def _class_table(report: EvaluatedPredictions) -> str:
    heads = [
        ('Cell type', 'text'),
        ('Score', ''),
        ('95 % interval over groups', ''),
        ('Images', ''),
        ('gt', ''),
        ('pred', ''),
    ]
    classes = page_classes(report.classes)
    rows = [
        (
            chip(row.cell_type, classes),
            f'{row.score:.3f}',
            format_interval(Estimate(row.score, row.low, row.high), row.groups),
            str(row.images),
            str(row.n_gt),
            str(row.n_pred),
        )
        for row in report.summary.per_class.itertuples()
    ]
    return html_table(heads, rows)


def _charts_with_gt(report: EvaluatedPredictions) -> str:
    table, per_class = report.table, report.summary.per_class
    classes = page_classes(report.classes)
    scores, curves, counts = [], [], []
    for row in per_class.itertuples():
        own = table[table['cell_type'] == row.cell_type]
        key = class_key(row.cell_type, classes)
        interval = (row.low, row.high) if row.groups > 1 else None
        titles = [f'{image.image_id}: {image.score:.3f}' for image in own.itertuples()]
        scores.append(Series(row.cell_type, key, own['score'].to_numpy(), titles, interval))
        steps = summarise_scores(own, {}).per_threshold
        titles = [f'{row.cell_type}, IoU > {step.threshold:.2f}: {step.precision:.3f}' for step in steps.itertuples()]
        curves.append(Series(row.cell_type, key, steps['precision'].to_numpy(), titles))
        titles = [f'{image.image_id}: gt {image.n_gt}, pred {image.n_pred}' for image in own.itertuples()]
        counts.append((Series(row.cell_type, key, own['n_pred'].to_numpy(), titles), own['n_gt'].to_numpy()))
    thresholds = report.summary.per_threshold['threshold'].tolist()
    charts = (
        chart(
            'Score by cell type',
            'One dot per image, the mean, and its 95 % interval over groups of near-duplicate images.',
            strip_chart(scores, 'competition mAP', digits=3),
        ),
        chart(
            'Accuracy of the outlines',
            'TP / (TP + FP + FN) by the IoU that a true positive needs.',
            line_chart(curves, thresholds, 'precision by IoU threshold', 'IoU above'),
        ),
        chart(
            'Cell counts',
            'One dot per image; on the dashed line both counts agree.',
            scatter_chart(counts, 'predictions against ground truth', 'ground truth', 'predictions'),
        ),
    )
    return f'<div class="charts">{"".join(charts)}</div>'


def _charts_without_gt(table: pd.DataFrame, classes: Sequence[str]) -> str:
    charts = (
        ('Predictions', 'One dot per image, and the mean.', 'n_pred', 'cells per image', 1),
        ('Cell area', 'Median of each image, and the mean.', 'area', 'pixels', 0),
        ('Confidence', 'Mean score of the predictions of each image, and the mean.', 'confidence', 'score', 2),
    )
    parts = []
    for title, remark, column, label, digits in charts:
        groups = []
        known = table.dropna(subset=[column])
        for name in image_types(known['cell_type']):
            own = known[known['cell_type'] == name]
            if len(own):
                titles = [
                    f'{image_id}: {value:.{digits}f}'
                    for image_id, value in zip(own['image_id'], own[column], strict=True)
                ]
                groups.append(Series(name, class_key(name, classes), own[column].to_numpy(), titles))
        parts.append(chart(title, remark, strip_chart(groups, label, digits)))
    return f'<div class="charts">{"".join(parts)}</div>'


def _image_table(report: EvaluatedPredictions, numbers: Mapping[str, int]) -> str:
    """All images as a table that sorts and filters in the browser.

    Args:
        report: What to list.
        numbers: Number of the card of each image that is shown.
    """
    image: Column = ('Image', 'text', lambda row: f'<td class="text id">{open_button(row.image_id, numbers)}</td>')
    classes = page_classes(report.classes)
    cell_type: Column = ('Type', 'text', lambda row: _type_cell(row.cell_type, row.detected_as, classes))
    n_pred: Column = ('pred', '', lambda row: number_cell(row.n_pred, '{}'))
    columns: list[Column] = [
        ('Median area', '', lambda row: number_cell(row.area, '{:.0f} px')),
        ('Confidence', '', lambda row: number_cell(row.confidence, '{:.2f}')),
    ]
    if report.gt is None:
        columns = [image, cell_type, n_pred, *columns]
        sorted_by, heading = 'confidence', 'Confidence'
    else:
        main_error = main_errors(report.errors)
        columns = [
            image,
            ('Score', '', lambda row: number_cell(row.score, '{:.3f}', bar=True)),
            cell_type,
            ('gt', '', lambda row: number_cell(row.n_gt, '{}')),
            n_pred,
            ('TP', '', lambda row: number_cell(row.tp_50, '{}')),
            ('FN', '', lambda row: number_cell(row.n_gt - row.tp_50, '{}')),
            ('FP', '', lambda row: number_cell(row.n_pred - row.tp_50, '{}')),
            *columns,
            ('Costliest error', 'text', lambda row: f'<td class="text errors">{main_error[row.image_id]}</td>'),
        ]
        sorted_by, heading = 'score', 'Score'
    ordered = report.table.sort_values(sorted_by, kind='stable', na_position='first')
    return sortable_table(columns, ordered, heading)


def _type_cell(cell_type: str, detected_as: str, classes: Sequence[str]) -> str:
    if detected_as == NO_CELL_TYPE and cell_type != NO_CELL_TYPE:
        return f'<td class="text">{chip(cell_type, classes)} no predictions</td>'
    other = '' if detected_as == cell_type else f' predicted as {escape(detected_as)}'
    return f'<td class="text">{chip(cell_type, classes)}{other}</td>'
