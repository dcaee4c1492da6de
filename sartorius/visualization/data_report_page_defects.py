"""The data report's section on defects: counts by class, and the clearest examples of each as pictures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from sartorius.images.grey_levels import stretch
from sartorius.images.reading import read_for_display
from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.defects import DEFECTS, Rules, doubled_images
from sartorius.label_quality.statistics import DataStatistics
from sartorius.label_quality.structures import AnnotatedImage, Issue
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.cell_figures import Window, intersects, place, view_box, window_around
from sartorius.visualization.gallery import embedded
from sartorius.visualization.html import chip, html_table, page_classes
from sartorius.visualization.outlines import svg_path

MAX_AREA = 2500
"""Area in pixels above which a larger cell makes no clearer picture."""

MAX_NAMED_IMAGES = 24

LEGEND = (
    '<p class="legend"><span><i style="--own: var(--cell-line)"></i>the cell</span>'
    '<span><i style="--own: var(--other-line)"></i>dashed: other cells that it concerns; thin: neighbours</span>'
    '<span><i style="--own: var(--cut)"></i>removed pixels</span>'
    '<span><i style="--own: var(--added)"></i>added pixels</span></p>'
)


@dataclass(frozen=True, eq=False)
class _Example:
    """An issue to show: its number among all pictures of the page, its image, and its measures."""

    number: int
    issue: Issue
    image: AnnotatedImage
    cell_type: str
    iou: float


def defect_section(
    data: DataStatistics, cleaning: Cleaning, rules: Rules, files: Mapping[str, Path], max_examples: int
) -> str:
    """Table of the defects by class, images annotated twice, and the clearest examples.

    Args:
        data: Measured on the cleaning.
        cleaning: The issues.
        rules: Limits that they were found with.
        files: Image files by image id; of other images only masks are shown.
        max_examples: Maximum number of examples of each defect.
    """
    parts = [
        '<p class="note">Issues by defect, with the share of the cells of the class. Defects are searched for '
        'in this order, each after the fixes of those before it. issues.csv has every issue.</p>',
        _defect_table(data, max_examples),
        _doubled(cleaning, rules),
    ]
    pictures = _pictures(data, cleaning, files, max_examples)
    if pictures:
        parts.append(
            '<p class="note">The clearest examples of each: most of a large cell changes; from all classes and as many '
            'images as possible. "After" is the result of the fix, whether it was applied or not.</p>'
            + LEGEND
            + pictures
        )
    return f'<div class="defects">{"".join(parts)}</div>'


def clearest(issues: pd.DataFrame, with_file: Collection[str], removed: Collection[int], limit: int) -> list[int]:
    """Chooses the issues of one defect that show it best.

    Those whose image is available come first. Among these the classes alternate, and within a class the images: each
    gives its clearest first. An issue is the clearer the more of its cell changes (1 - IoU, or the whole where the
    mask is kept) and the larger the cell is. Those less than half as clear as the best of their class come after all
    others, and so do cells that an earlier defect shows better.

    Args:
        issues: Of :func:`sartorius.label_quality.statistics.issues_table`.
        with_file: Ids of the available images.
        removed: Rows that the fix of an earlier defect would remove.
        limit: Maximum number.

    Returns:
        Labels of the index of ``issues``.
    """
    change = np.where(issues['iou'] < 1, 1 - issues['iou'], 1)
    area = issues[['area_before', 'area_after']].max(axis=1).clip(upper=MAX_AREA)
    clearness = change * np.sqrt(area) * ~issues['row'].isin(removed)
    order = issues.assign(no_file=~issues['id'].isin(with_file), clearness=clearness)
    best = order.groupby(['no_file', 'cell_type'])['clearness'].transform('max')
    order['weak'] = order['clearness'] < best / 2
    order = order.sort_values('clearness', ascending=False, kind='stable')
    order['turn'] = order.groupby('image').cumcount()
    order = order.sort_values(
        ['no_file', 'weak', 'turn', 'clearness'], ascending=[True, True, True, False], kind='stable'
    )
    order['round'] = order.groupby(['no_file', 'weak', 'cell_type']).cumcount()
    return order.sort_values(['no_file', 'weak', 'round'], kind='stable').index[:limit].tolist()


def _defect_table(data: DataStatistics, max_examples: int) -> str:
    totals = {name: int((data.cells['cell_type'] == name).sum()) for name in data.classes}
    counts = data.issues.groupby(['defect', 'cell_type']).size()
    fixed = data.issues[data.issues['fixed']].groupby('defect').size()
    classes = page_classes(data.classes)
    heads = [
        ('Defect', 'text wrap'),
        ('Fix', 'text'),
        ('Issues', ''),
        *((chip(name, classes), '') for name in data.classes),
    ]
    if len(fixed):
        heads.append(('Fixed', ''))
    shown = set(data.issues['defect']) if max_examples else set()
    rows = []
    for name, defect in DEFECTS.items():
        own = {cell_type: int(counts.get((name, cell_type), 0)) for cell_type in data.classes}
        total = sum(own.values())
        title = f'<a href="#defect-{name}">{name}</a>' if name in shown else name
        row = [f'{title}<small>{escape(defect.meaning)}</small>', escape(defect.fix)]
        row += [_share(total, len(data.cells)), *(_share(own[cell_type], totals[cell_type]) for cell_type in own)]
        rows.append([*row, f'{int(fixed.get(name, 0)):,}'] if len(fixed) else row)
    return html_table(heads, rows)


def _share(count: int, cells: int) -> str:
    return f'{count:,}<small>{count / cells:.2%}</small>' if count else '0'


def _doubled(cleaning: Cleaning, rules: Rules) -> str:
    """Images annotated twice, as a sentence; empty without any."""
    doubled = doubled_images(cleaning.before, cleaning.issues, rules.doubled_share)
    if not doubled:
        return ''
    names = [
        f'<span class="id">{escape(image_id)}</span> ({doubles:,} doubles in {cells:,} cells)'
        for image_id, (doubles, cells) in list(doubled.items())[:MAX_NAMED_IMAGES]
    ]
    more = f' and {len(doubled) - MAX_NAMED_IMAGES} more' if len(doubled) > MAX_NAMED_IMAGES else ''
    return f'<p class="note">Annotated twice as a whole, or nearly so: {", ".join(names)}{more}.</p>'


def _pictures(data: DataStatistics, cleaning: Cleaning, files: Mapping[str, Path], max_examples: int) -> str:
    """The examples of all defects."""
    parts = []
    removed: set[int] = set()
    for name in DEFECTS if max_examples else ():
        own = data.issues[data.issues['defect'] == name]
        if len(own):
            parts.append(
                _examples(
                    own, cleaning, files, clearest(own, files.keys(), removed, max_examples), page_classes(data.classes)
                )
            )
        removed.update(own.loc[own['area_after'] == 0, 'row'])
    return ''.join(parts)


def _examples(
    own: pd.DataFrame, cleaning: Cleaning, files: Mapping[str, Path], chosen: Sequence[int], classes: Sequence[str]
) -> str:
    """Heading and pictures of one defect."""
    defect = DEFECTS[own['defect'].iloc[0]]
    figures = ''.join(
        _pair(
            _Example(
                number,
                cleaning.issues[number],
                cleaning.before[own.loc[number, 'image']],
                own.loc[number, 'cell_type'],
                float(own.loc[number, 'iou']),
            ),
            files,
            classes,
        )
        for number in chosen
    )
    return (
        f'<h3 id="defect-{defect.name}">{defect.name} <small>{escape(defect.meaning)}; fixing {escape(defect.fix)}. '
        f'{len(own):,} issues</small></h3><div class="pairs">{figures}</div>'
    )


def _pair(pair: _Example, files: Mapping[str, Path], classes: Sequence[str]) -> str:
    """The image, the cell before and after, side by side over one caption."""
    issue, size = pair.issue, pair.image.size
    before, after = issue.before.crop, None if issue.after is None else issue.after.crop
    x1, y1, x2, y2 = window = window_around([before.tight()], size)
    path = files.get(pair.image.image_id)
    if path is None:
        below = f'<rect id="p{pair.number}" {place(window)} class="blank"/>'
    else:
        part = embedded(stretch(read_for_display(path))[y1:y2, x1:x2])
        below = f'<image id="p{pair.number}" {place(window)} href="{part}"/>'
    neighbours = ''.join(
        _path('near', cell.crop)
        for cell in pair.image.cells
        if cell.row != issue.row and cell.row not in issue.others and intersects(cell.crop, window)
    )
    # Dashed, over the cell, so that both are visible where they agree.
    others = ''.join(_path('other', cell.crop) for cell in pair.image.cells if cell.row in issue.others)
    panels = [('Before', f'{before.area:,} px', _path('cut', _without(before, after)) + _path('cell', before))]
    if after is None:
        panels.append(('After', 'row removed', ''))
    else:
        panels.append(('After', f'{after.area:,} px', _path('added', _without(after, before)) + _path('cell', after)))
    plain = ' plain' if path is None else ''
    svgs = '' if path is None else _panel('Image', f'image around row {issue.row}', window, _use('p', pair))
    for name, detail, lines in panels:
        content = f'{_use("p", pair)}{_use("n", pair)}<g class="lines">{lines}</g>{_use("o", pair)}'
        svgs += _panel(f'{name}, {detail}', f'{issue.defect}, row {issue.row}: {name.lower()}', window, content)
    return (
        f'<figure class="sheet"><svg width="0" height="0" class="defs" aria-hidden="true"><defs>{below}'
        f'<g id="n{pair.number}" class="lines">{neighbours}</g><g id="o{pair.number}" class="lines">{others}</g></defs>'
        f'</svg><div class="views{plain}">{svgs}</div>{_caption(pair, classes)}</figure>'
    )


def _use(part: str, pair: _Example) -> str:
    """A part of a picture that several panels share."""
    return f'<use href="#{part}{pair.number}"/>'


def _panel(title: str, label: str, window: Window, content: str) -> str:
    return f'<div><b>{title}</b><svg {view_box(window)} role="img" aria-label="{escape(label)}">{content}</svg></div>'


def _caption(pair: _Example, classes: Sequence[str]) -> str:
    issue = pair.issue
    facts = [
        f'<b class="id">{escape(issue.image_id)}</b> {chip(pair.cell_type, classes)} row {issue.row}',
        escape(issue.note),
    ]
    if issue.after is not None and pair.iou < 1:
        facts.append(f'IoU {pair.iou:.2f}')
    if issue.fixed:
        facts.append('fixed')
    return f'<figcaption>{" · ".join(facts)}</figcaption>'


def _path(kind: str, crop: MaskCrop) -> str:
    outline = svg_path(crop)
    return f'<path class="{kind}" d="{outline}"/>' if outline else ''


def _without(crop: MaskCrop, other: MaskCrop | None) -> MaskCrop:
    """The pixels of a cell that another version of it lacks; none without another version."""
    if other is None:
        return MaskCrop(np.zeros_like(crop.mask), crop.x, crop.y)
    moved = MaskCrop(other.mask, other.x - crop.x, other.y - crop.y)
    return MaskCrop(crop.mask & ~moved.to_full(crop.mask.shape), crop.x, crop.y)
