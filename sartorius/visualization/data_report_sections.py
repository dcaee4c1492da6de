"""The parts of the data report as HTML: summary, cells, brightness, folds, table of images."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from sartorius.label_quality.defects import DEFECTS
from sartorius.label_quality.fold_balance import FoldBalance
from sartorius.label_quality.statistics import MAX_DEVIATION, MIN_DIFFERENCE, DataStatistics, outliers
from sartorius.utils.classes import CELL_TYPES
from sartorius.visualization.charts import Group, histogram_chart, point_chart, strip_chart
from sartorius.visualization.gallery import class_key
from sartorius.visualization.page import chart, figures

NAMED_IMAGES = 12

ALL = 'all'


def chip(name: str) -> str:
    """A class name in its colour."""
    return f'<span class="chip {class_key(name, CELL_TYPES)}">{escape(name)}</span>'


def html_table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """A table of few rows.

    Args:
        heads: Text (HTML) and CSS class of each column, ``text`` for one that is aligned to the left.
        rows: HTML of each cell.
    """
    head = ''.join(f'<th scope="col" class="{kind}">{text}</th>' for text, kind in heads)
    body = ''.join(
        '<tr>'
        + ''.join(f'<td class="{kind}">{cell}</td>' for cell, (_, kind) in zip(row, heads, strict=True))
        + '</tr>'
        for row in rows
    )
    return f'<div class="scroll classes"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def summary(data: DataStatistics) -> str:
    """Large figures, and counts and areas by class."""
    images, cells, findings = data.images, data.cells, data.findings
    concerned = findings['row'].nunique()
    known = int(images['grey'].notna().sum())
    entries = [
        ('Images', f'{len(images):,}', f'{known:,} of them looked at' if known else 'none of them at hand'),
        ('Cells', f'{len(cells):,}', f'{len(cells) / len(images):.1f} an image'),
        *(
            (
                name,
                f'{int((cells["cell_type"] == name).sum()):,}',
                f'in {int((images["cell_type"] == name).sum()):,} images',
            )
            for name in data.classes
        ),
        ('Findings', f'{len(findings):,}', 'a cell may have several'),
        ('Cells with a finding', f'{concerned / max(len(cells), 1):.1%}', f'{concerned:,} cells'),
    ]
    if findings['fixed'].any():
        entries.append(('Fixed', f'{int(findings["fixed"].sum()):,}', 'of the findings'))
    heads = [
        ('Cell type', 'text'), ('Images', ''), ('Cells', ''), ('Cells an image, mean', ''), ('std', ''),
        ('min to max', ''), ('Area in px, mean', ''), ('std', ''), ('min to max', ''),
    ]  # fmt: skip
    rows = []
    for name in (*data.classes, *((ALL,) if len(data.classes) > 1 else ())):
        of_images = images if name == ALL else images[images['cell_type'] == name]
        of_cells = cells if name == ALL else cells[cells['cell_type'] == name]
        rows.append(
            [
                'all' if name == ALL else chip(name),
                f'{len(of_images):,}',
                f'{len(of_cells):,}',
                *_spread(of_images['cells']),
                *_spread(of_cells['area']),
            ]
        )
    return figures(entries) + html_table(heads, rows)


def cell_section(data: DataStatistics) -> str:
    """Areas, shapes and densities, as charts and as a table of the same."""
    charts = ''.join((*_cell_charts(data), *_density_charts(data)))
    terms = (
        '<div class="chart sheet"><h3>What is measured</h3><p>Length over width: ratio of the axes of the ellipse with '
        'the same second moments.</p><p>Solidity: share of its convex hull that a cell fills.</p><p>Covered: share of '
        'the image that lies under a cell.</p><p>Shared: share of the covered pixels that lie under more than one.</p>'
        '<p>The table below has medians, and under each where 9 of 10 values lie.</p></div>'
    )
    heads = [
        ('Cell type', 'text'), ('Area, px', ''), ('Length over width', ''), ('Solidity', ''), ('Cells an image', ''),
        ('Covered', ''), ('Shared', ''),
    ]  # fmt: skip
    rows = []
    for name in data.classes:
        cells, images = (frame[frame['cell_type'] == name] for frame in (data.cells, data.images))
        rows.append(
            [
                chip(name),
                _middle(cells['area'], '{:,.0f}'),
                _middle(cells['elongation'], '{:.2f}'),
                _middle(cells['solidity'], '{:.2f}'),
                _middle(images['cells'], '{:,.0f}'),
                _middle(images['covered'], '{:.1%}'),
                _middle(images['shared'], '{:.1%}'),
            ]
        )
    return f'<div class="charts thirds">{charts}{terms}</div>{html_table(heads, rows)}'


def brightness_section(data: DataStatistics) -> str:
    """Mean and spread of the grey levels of the images at hand, and those that stand out."""
    known = data.images.dropna(subset=['grey'])
    if known.empty:
        return '<p class="sheet">No image is at hand, so nothing is known of the grey levels.</p>'
    groups = []
    for name in data.classes:
        own = known[known['cell_type'] == name]
        if len(own):
            group = _image_group(
                own, name, 'grey_std', lambda row: f'{row.image_id}: mean {row.grey:.1f}, std {row.grey_std:.1f}'
            )
            groups.append((group, own['grey'].to_numpy()))
    heads = [('Cell type', 'text'), ('Images looked at', ''), ('Mean', ''), ('Standard deviation', '')]
    rows = [
        [chip(name), f'{len(own):,}', _middle(own['grey'], '{:.1f}'), _middle(own['grey_std'], '{:.1f}')]
        for name in data.classes
        if len(own := known[known['cell_type'] == name])
    ]
    return (
        f'<p class="note">Grey levels as they are in the files of {len(known):,} of {len(data.images):,} images.</p>'
        '<div class="charts thirds">'
        + chart(
            'Brightness and contrast',
            'A dot an image.',
            point_chart(groups, 'mean and standard deviation of the grey levels', 'mean', 'standard deviation'),
        )
        + f'<div class="chart sheet"><h3>Unlike the others of their class</h3>{_outlier_list(known)}</div></div>'
        + html_table(heads, rows)
    )


def fold_section(balance: FoldBalance) -> str:
    """Images and cells that each fold validates on."""
    images = balance.images
    if images.empty:
        return f'<p class="sheet">{escape(balance.origin)}</p>'
    names = [name for name in CELL_TYPES if (images['cell_type'] == name).any()]
    heads = [('Fold', 'text'), ('Groups', ''), ('Images', ''), ('Cells', '')]
    heads += [(f'{chip(name)} images', '') for name in names] + [(f'{chip(name)} cells', '') for name in names]
    rows = []
    for fold, own in [*images.groupby('fold'), (ALL, images)]:
        row = [str(fold), f'{own["group"].nunique():,}', f'{len(own):,}', f'{own["cells"].sum():,}']
        of_classes = [(own[own['cell_type'] == name], images[images['cell_type'] == name]) for name in names]
        row += [_part(len(some), len(whole)) for some, whole in of_classes]
        row += [_part(int(some['cells'].sum()), int(whole['cells'].sum())) for some, whole in of_classes]
        rows.append(row)
    note = f'{escape(balance.origin)} The table shows what each fold validates on, its bars the share of the class.'
    return f'<p class="note">{note}</p>{html_table(heads, rows)}'


def image_table(data: DataStatistics) -> str:
    """All images as a table that sorts and filters in the browser."""
    counts = data.findings.groupby(['image', 'defect']).size()
    found = [name for name in DEFECTS if name in set(data.findings['defect'])]
    totals = data.findings.groupby('image').size()
    columns: list[tuple[str, str, Callable[[Any], str]]] = [
        ('Image', 'text', lambda row: f'<td class="text id">{escape(row.image_id)}</td>'),
        ('Type', 'text', lambda row: f'<td class="text">{chip(row.cell_type)}</td>'),
        ('Cells', '', lambda row: _value(row.cells, '{:,}')),
        ('Covered', '', lambda row: _value(row.covered, '{:.1%}')),
        ('Median area', '', lambda row: _value(row.area, '{:,.0f} px')),
        ('Mean grey', '', lambda row: _value(row.grey, '{:.1f}')),
        ('Std grey', '', lambda row: _value(row.grey_std, '{:.1f}')),
        ('Findings', '', lambda row: _value(totals.get(row.Index, 0), '{:,}')),
        *((name, '', lambda row, name=name: _value(counts.get((row.Index, name), 0), '{:,}')) for name in found),
    ]
    head = ''.join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind, _ in columns)
    rows = ''.join(f'<tr>{"".join(cell(row) for _, _, cell in columns)}</tr>' for row in data.images.itertuples())
    return (
        '<div class="table-tools" hidden><label>Filter <input type="search" id="table-search" '
        'placeholder="image or cell type"></label><span id="table-count" role="status"></span></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of images"><table data-sortable>'
        f'<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cell_charts(data: DataStatistics) -> list[str]:
    parts = []
    for title, column, label, unit, logarithmic in (
        ('Area', 'area', 'pixels', 'px', True),
        ('Length over width', 'elongation', 'length over width', '', True),
        ('Solidity', 'solidity', 'share of the convex hull filled', '', False),
    ):
        groups = [
            Group(name, class_key(name, CELL_TYPES), own[column].to_numpy(dtype=np.float64), ())
            for name in data.classes
            if len(own := data.cells[data.cells['cell_type'] == name])
        ]
        axis = ' on a logarithmic axis' if logarithmic else ''
        remark = f'Share of the cells of a class in each bin{axis}, and the median.'
        parts.append(chart(title, remark, histogram_chart(groups, label, unit, logarithmic)))
    return parts


def _density_charts(data: DataStatistics) -> list[str]:
    known = data.images[data.images['cells'] > 0]
    points, strips = [], []
    for name in data.classes:
        own = known[known['cell_type'] == name]
        if len(own):
            group = _image_group(
                own, name, 'covered', lambda row: f'{row.image_id}: {row.cells} cells cover {row.covered:.1%}'
            )
            points.append((group, own['cells'].to_numpy(dtype=np.float64)))
            strips.append(_image_group(own, name, 'shared', lambda row: f'{row.image_id}: {row.shared:.1%}'))
    return [
        chart(
            'Density',
            'A dot an image: its cells, on a logarithmic axis, and the share of it that they cover.',
            point_chart(points, 'covered share by cells an image', 'cells an image', 'covered share', True),
        ),
        chart(
            'Overlap',
            'Share of the covered pixels that more than one cell covers: a dot an image, and the mean.',
            strip_chart(strips, 'shared by more than one cell', digits=3),
        ),
    ]


def _image_group(own: pd.DataFrame, name: str, column: str, title: Callable[[Any], str]) -> Group:
    titles = [title(row) for row in own.itertuples()]
    return Group(name, class_key(name, CELL_TYPES), own[column].to_numpy(dtype=np.float64), titles)


def _outlier_list(known: pd.DataFrame) -> str:
    items = []
    for column, word in (('grey', 'mean'), ('grey_std', 'standard deviation')):
        for row in outliers(known, column).itertuples():
            items.append(
                f'<li><span class="id">{escape(row.image_id)}</span> {chip(row.cell_type)} {word} {row.value:.1f}, '
                f'median of the class {row.median:.1f}</li>'
            )
    rule = (
        f'<p>Modified z-score above {MAX_DEVIATION:g} among the images of the class, and '
        f'{MIN_DIFFERENCE:.0%} off its median.</p>'
    )
    if not items:
        return f'{rule}<p>None.</p>'
    more = f'<li>and {len(items) - NAMED_IMAGES} more</li>' if len(items) > NAMED_IMAGES else ''
    return f'{rule}<ul class="named">{"".join(items[:NAMED_IMAGES])}{more}</ul>'


def _spread(values: pd.Series) -> tuple[str, str, str]:
    """Mean, standard deviation and range."""
    if values.empty:
        return '-', '-', '-'
    return f'{values.mean():,.1f}', f'{values.std(ddof=0):,.1f}', f'{values.min():,} to {values.max():,}'


def _middle(values: pd.Series, form: str) -> str:
    """Median, and the 5 and 95 % points."""
    values = values.dropna()
    if values.empty:
        return '-'
    low, median, high = (form.format(value) for value in np.percentile(values, (5, 50, 95)))
    return f'{median}<small>{low} to {high}</small>'


def _part(some: int, whole: int) -> str:
    """A number, with its share of a whole as a bar where it is not the whole."""
    share = some / max(whole, 1)
    if some == whole:
        return f'{some:,}'
    return f'{some:,}<span class="meter" title="{share:.0%}"><i style="width: {share:.0%}"></i></span>'


def _value(value: float, form: str) -> str:
    # What is not known sorts below all else.
    return '<td data-value="-1">-</td>' if pd.isna(value) else f'<td data-value="{value:g}">{form.format(value)}</td>'
