"""The HTML page of a training set: its images and cells, and the defects of its labels."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.defects import DEFECTS, Rules
from sartorius.label_quality.fold_balance import FoldBalance, fold_balance
from sartorius.label_quality.statistics import (
    MAX_DEVIATION,
    MIN_DIFFERENCE,
    DataStatistics,
    image_files,
    measure,
    outliers,
)
from sartorius.label_quality.table import LabelTable
from sartorius.utils.classes import class_order
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of, staged_folder
from sartorius.utils.paths import display_path
from sartorius.utils.spreadsheets import write_table
from sartorius.visualization import MAX_EXAMPLES
from sartorius.visualization.charts import Series, histogram_chart, point_chart, strip_chart
from sartorius.visualization.data_report_page_defects import defect_section
from sartorius.visualization.html import (
    Column,
    chip,
    class_key,
    html_table,
    meter,
    number_cell,
    page_classes,
    sortable_table,
)
from sartorius.visualization.page import chart, figures, render_page, source_list

MAX_NAMED_IMAGES = 12

PAGE, ISSUES = 'index.html', 'issues.csv'
COLUMNS = ('id', 'row', 'cell_type', 'defect', 'fixed', 'area_before', 'area_after', 'iou', 'note')
ALL = 'all'


def write_data_report(
    out: str | Path,
    table: LabelTable,
    cleaning: Cleaning,
    rules: Rules,
    images: Path | None = None,
    folds: Path | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> Path:
    """Writes ``index.html``, one file without external resources, and ``issues.csv``, one row per issue.

    Both are written, or neither.

    Args:
        out: Folder to write them in; created if missing.
        table: The CSV.
        cleaning: Issues in its images, fixed or not. The page shows the images as they were before.
        rules: Limits that the defects were found with.
        images: Folder with the images, named by their ids; None, or some or all of them missing: masks are shown
            without images.
        folds: ``folds.csv`` of tools/prepare_sartorius.py; None: the folds that it would make.
        max_examples: Maximum number of examples of each defect.

    Returns:
        Path of the page.

    Raises:
        InputError: ``max_examples`` is negative, a file is missing or malformed, or an image cannot be read or is of
            another size than its cells are for.
    """
    if max_examples < 0:
        raise InputError(f'max_examples is {max_examples}; it must be 0 or more')
    files = image_files(images, cleaning.before)
    data = measure(table, cleaning, files)
    source = {
        'annotations': display_path(table.path),
        'SHA-256': sha256_of(table.path),
        'images': None if images is None else f'{display_path(images)}, {len(files)} of the annotated',
        'folds': None if folds is None else display_path(folds),
        'rules': asdict(rules),
    }
    sections = [
        ('summary', 'Summary', _summary(data)),
        ('cells', 'Cells', _cell_section(data)),
        ('brightness', 'Brightness', _brightness_section(data)),
        ('folds', 'Folds', _fold_section(fold_balance(table, data.images, folds))),
        ('defects', 'Defects', defect_section(data, cleaning, rules, files, max_examples)),
        ('table', 'Table', _image_table(data)),
        ('source', 'Source', source_list(source)),
    ]
    page = render_page('Training data', _lead(table, data), sections)
    with staged_folder(out) as folder:
        (folder / PAGE).write_text(page, encoding='utf-8')
        write_table(folder / ISSUES, data.issues[list(COLUMNS)], '%.4f')
    return Path(out) / PAGE


def _lead(table: LabelTable, data: DataStatistics) -> str:
    known = int(data.images['grey'].notna().sum())
    text = (
        f'{len(data.cells):,} annotated cells in {len(data.images):,} images of {table.path.name}, and possible '
        'defects of their masks.'
    )
    if known < len(data.images):
        text += f' {known:,} of the images were available; of the others only the masks were examined.'
    return text


def _summary(data: DataStatistics) -> str:
    """Key figures, and counts and areas by class."""
    images, cells, issues = data.images, data.cells, data.issues
    concerned = issues['row'].nunique()
    known = int(images['grey'].notna().sum())
    entries = [
        ('Images', f'{len(images):,}', f'{known:,} of them available' if known else 'none of them available'),
        ('Cells', f'{len(cells):,}', f'{len(cells) / len(images):.1f} per image'),
        *(
            (
                name,
                f'{int((cells["cell_type"] == name).sum()):,}',
                f'in {int((images["cell_type"] == name).sum()):,} images',
            )
            for name in data.classes
        ),
        ('Issues', f'{len(issues):,}', 'a cell may have several'),
        ('Cells with an issue', f'{concerned / max(len(cells), 1):.1%}', f'{concerned:,} cells'),
    ]
    if issues['fixed'].any():
        entries.append(('Fixed', f'{int(issues["fixed"].sum()):,}', 'of the issues'))
    heads = [
        ('Cell type', 'text'), ('Images', ''), ('Cells', ''), ('Cells per image, mean', ''), ('std', ''),
        ('min to max', ''), ('Area in px, mean', ''), ('std', ''), ('min to max', ''),
    ]  # fmt: skip
    rows = []
    for name in (*data.classes, *((ALL,) if len(data.classes) > 1 else ())):
        of_images = images if name == ALL else images[images['cell_type'] == name]
        of_cells = cells if name == ALL else cells[cells['cell_type'] == name]
        rows.append(
            [
                'all' if name == ALL else chip(name, page_classes(data.classes)),
                f'{len(of_images):,}',
                f'{len(of_cells):,}',
                *_spread(of_images['cells']),
                *_spread(of_cells['area']),
            ]
        )
    return figures(entries) + html_table(heads, rows)


def _cell_section(data: DataStatistics) -> str:
    """Areas, shapes and densities, as charts and as a table of the same."""
    charts = ''.join((*_cell_charts(data), *_density_charts(data)))
    terms = (
        '<div class="chart sheet"><h3>What is measured</h3><p>Length over width: ratio of the axes of the ellipse with '
        'the same second moments.</p><p>Solidity: share of its convex hull that a cell fills.</p><p>Covered: share of '
        'the image that lies under a cell.</p><p>Shared: share of the covered pixels that lie under more than one.</p>'
        '<p>The table below has medians, and below each the 5 and 95 % percentiles.</p></div>'
    )
    heads = [
        ('Cell type', 'text'), ('Area, px', ''), ('Length over width', ''), ('Solidity', ''), ('Cells per image', ''),
        ('Covered', ''), ('Shared', ''),
    ]  # fmt: skip
    rows = []
    for name in data.classes:
        cells, images = (frame[frame['cell_type'] == name] for frame in (data.cells, data.images))
        rows.append(
            [
                chip(name, page_classes(data.classes)),
                _median(cells['area'], '{:,.0f}'),
                _median(cells['elongation'], '{:.2f}'),
                _median(cells['solidity'], '{:.2f}'),
                _median(images['cells'], '{:,.0f}'),
                _median(images['covered'], '{:.1%}'),
                _median(images['shared'], '{:.1%}'),
            ]
        )
    return f'<div class="charts thirds">{charts}{terms}</div>{html_table(heads, rows)}'


def _brightness_section(data: DataStatistics) -> str:
    """Mean and standard deviation of the grey levels of the available images, and outliers."""
    known = data.images.dropna(subset=['grey'])
    if known.empty:
        return '<p class="sheet">No image is available, so the grey levels are unknown.</p>'
    groups = []
    for name in data.classes:
        own = known[known['cell_type'] == name]
        if len(own):
            group = _image_group(
                own,
                name,
                data.classes,
                'grey_std',
                lambda row: f'{row.image_id}: mean {row.grey:.1f}, std {row.grey_std:.1f}',
            )
            groups.append((group, own['grey'].to_numpy()))
    classes = page_classes(data.classes)
    heads = [('Cell type', 'text'), ('Images', ''), ('Mean', ''), ('Standard deviation', '')]
    rows = [
        [
            chip(name, classes),
            f'{len(own):,}',
            _median(own['grey'], '{:.1f}'),
            _median(own['grey_std'], '{:.1f}'),
        ]
        for name in data.classes
        if len(own := known[known['cell_type'] == name])
    ]
    return (
        f'<p class="note">Grey levels in the files of {len(known):,} of {len(data.images):,} images.</p>'
        '<div class="charts thirds">'
        + chart(
            'Brightness and contrast',
            'One dot per image.',
            point_chart(groups, 'mean and standard deviation of the grey levels', 'mean', 'standard deviation'),
        )
        + f'<div class="chart sheet"><h3>Outliers of their class</h3>{_outlier_list(known, classes)}</div></div>'
        + html_table(heads, rows)
    )


def _fold_section(balance: FoldBalance) -> str:
    """Validation images and cells of each fold."""
    images = balance.images
    if images.empty:
        return f'<p class="sheet">{escape(balance.origin)}</p>'
    names = class_order(images['cell_type'])
    chips = [chip(name, page_classes(names)) for name in names]
    heads = [('Fold', 'text'), ('Groups', ''), ('Images', ''), ('Cells', '')]
    heads += [(f'{name} images', '') for name in chips] + [(f'{name} cells', '') for name in chips]
    rows = []
    for fold, own in [*images.groupby('fold'), (ALL, images)]:
        row = [str(fold), f'{own["group"].nunique():,}', f'{len(own):,}', f'{own["cells"].sum():,}']
        of_classes = [(own[own['cell_type'] == name], images[images['cell_type'] == name]) for name in names]
        row += [_with_share(len(some), len(whole)) for some, whole in of_classes]
        row += [_with_share(int(some['cells'].sum()), int(whole['cells'].sum())) for some, whole in of_classes]
        rows.append(row)
    note = f'{escape(balance.origin)} Validation images and cells of each fold; the bars are shares of the class.'
    return f'<p class="note">{note}</p>{html_table(heads, rows)}'


def _image_table(data: DataStatistics) -> str:
    """All images as a table that sorts and filters in the browser."""
    counts = data.issues.groupby(['image', 'defect']).size()
    present = [name for name in DEFECTS if name in set(data.issues['defect'])]
    totals = data.issues.groupby('image').size()
    classes = page_classes(data.classes)
    columns: list[Column] = [
        ('Image', 'text', lambda row: f'<td class="text id">{escape(row.image_id)}</td>'),
        ('Type', 'text', lambda row: f'<td class="text">{chip(row.cell_type, classes)}</td>'),
        ('Cells', '', lambda row: number_cell(row.cells, '{:,}')),
        ('Covered', '', lambda row: number_cell(row.covered, '{:.1%}')),
        ('Median area', '', lambda row: number_cell(row.area, '{:,.0f} px')),
        ('Mean grey', '', lambda row: number_cell(row.grey, '{:.1f}')),
        ('Std grey', '', lambda row: number_cell(row.grey_std, '{:.1f}')),
        ('Issues', '', lambda row: number_cell(totals.get(row.Index, 0), '{:,}')),
        *((name, '', lambda row, name=name: number_cell(counts.get((row.Index, name), 0), '{:,}')) for name in present),
    ]
    return sortable_table(columns, data.images)


def _cell_charts(data: DataStatistics) -> list[str]:
    parts = []
    for title, column, label, unit, logarithmic in (
        ('Area', 'area', 'pixels', 'px', True),
        ('Length over width', 'elongation', 'length over width', '', True),
        ('Solidity', 'solidity', 'share of the convex hull filled', '', False),
    ):
        groups = [
            Series(name, class_key(name, page_classes(data.classes)), own[column].to_numpy(dtype=np.float64), ())
            for name in data.classes
            if len(own := data.cells[data.cells['cell_type'] == name])
        ]
        axis = ' on a logarithmic axis' if logarithmic else ''
        note = f'Share of the cells of a class in each bin{axis}, and the median.'
        parts.append(chart(title, note, histogram_chart(groups, label, unit, logarithmic)))
    return parts


def _density_charts(data: DataStatistics) -> list[str]:
    known = data.images[data.images['cells'] > 0]
    points, strips = [], []
    for name in data.classes:
        own = known[known['cell_type'] == name]
        if len(own):
            group = _image_group(
                own,
                name,
                data.classes,
                'covered',
                lambda row: f'{row.image_id}: {row.cells} cells cover {row.covered:.1%}',
            )
            points.append((group, own['cells'].to_numpy(dtype=np.float64)))
            strips.append(
                _image_group(own, name, data.classes, 'shared', lambda row: f'{row.image_id}: {row.shared:.1%}')
            )
    return [
        chart(
            'Density',
            'One dot per image: its cells, on a logarithmic axis, and the share of it that they cover.',
            point_chart(points, 'covered share by cells per image', 'cells per image', 'covered share', True),
        ),
        chart(
            'Overlap',
            'Share of the covered pixels that more than one cell covers: one dot per image, and the mean.',
            strip_chart(strips, 'shared by more than one cell', digits=3),
        ),
    ]


def _image_group(
    own: pd.DataFrame, name: str, classes: Sequence[str], column: str, title: Callable[[Any], str]
) -> Series:
    titles = [title(row) for row in own.itertuples()]
    return Series(name, class_key(name, page_classes(classes)), own[column].to_numpy(dtype=np.float64), titles)


def _outlier_list(known: pd.DataFrame, classes: Sequence[str]) -> str:
    items = []
    for column, word in (('grey', 'mean'), ('grey_std', 'standard deviation')):
        for row in outliers(known, column).itertuples():
            items.append(
                f'<li><span class="id">{escape(row.image_id)}</span> {chip(row.cell_type, classes)} {word} '
                f'{row.value:.1f}, median of the class {row.median:.1f}</li>'
            )
    rule = (
        f'<p>Modified z-score above {MAX_DEVIATION:g} among the images of the class, and '
        f'{MIN_DIFFERENCE:.0%} away from its median.</p>'
    )
    if not items:
        return f'{rule}<p>None.</p>'
    more = f'<li>and {len(items) - MAX_NAMED_IMAGES} more</li>' if len(items) > MAX_NAMED_IMAGES else ''
    return f'{rule}<ul class="named">{"".join(items[:MAX_NAMED_IMAGES])}{more}</ul>'


def _spread(values: pd.Series) -> tuple[str, str, str]:
    """Mean, standard deviation and range."""
    if values.empty:
        return '-', '-', '-'
    return f'{values.mean():,.1f}', f'{values.std(ddof=0):,.1f}', f'{values.min():,} to {values.max():,}'


def _median(values: pd.Series, form: str) -> str:
    """Median, and the 5 and 95 % percentiles."""
    values = values.dropna()
    if values.empty:
        return '-'
    low, median, high = (form.format(value) for value in np.percentile(values, (5, 50, 95)))
    return f'{median}<small>{low} to {high}</small>'


def _with_share(some: int, whole: int) -> str:
    """A number, with its share of a whole as a bar unless it is the whole."""
    share = some / max(whole, 1)
    if some == whole:
        return f'{some:,}'
    return f'{some:,}{meter(share, f"{share:.0%}")}'
