"""Pieces of HTML that the pages share: coloured class names, tables, value cells."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd

from sartorius.evaluation.metric import NO_CELL_TYPE
from sartorius.utils.classes import classes_of_file

CLASS_COLORS = 12
"""Number of colours of classes in the style sheet (``k0`` to ``k11``); the classes of more share them in turn."""


def page_classes(names: Iterable[str]) -> tuple[str, ...]:
    """All cell types of a page in the order of their colours, by the names that it shows.

    It holds all of the competition's where no others are shown, so that each has its colour on every page.
    """
    return (*classes_of_file(set(names) - {NO_CELL_TYPE}), NO_CELL_TYPE)


def class_key(cell_type: str, classes: Sequence[str]) -> str:
    """CSS class of a cell type's colour, the same in charts and chips; ``classes`` as :func:`page_classes` has them."""
    return f'k{classes.index(cell_type) % CLASS_COLORS}' if cell_type in classes else 'all'


def chip(cell_type: str, classes: Sequence[str]) -> str:
    """A class name in its colour."""
    return f'<span class="chip {class_key(cell_type, classes)}">{escape(cell_type)}</span>'


def meter(share: float, title: str = '') -> str:
    """A bar that is filled to a share in [0, 1]."""
    hint = f' title="{escape(title)}"' if title else ''
    return f'<span class="meter"{hint}><i style="width: {share:.0%}"></i></span>'


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


Column = tuple[str, str, Callable[[Any], str]]
"""Heading, CSS class and a function from a row to its whole ``<td>``."""


def sortable_table(columns: Sequence[Column], table: pd.DataFrame, sorted_by: str = '') -> str:
    """A table of images that sorts and filters in the browser.

    Args:
        columns: The columns; ``td`` makes their cells.
        table: One row per image, in the order in which it is shown.
        sorted_by: Heading of the column that the rows are sorted by, ascending.
    """
    order = {True: ' aria-sort="ascending"', False: ''}
    head = ''.join(f'<th scope="col" class="{kind}"{order[name == sorted_by]}>{name}</th>' for name, kind, _ in columns)
    rows = ''.join(f'<tr>{"".join(cell(row) for _, _, cell in columns)}</tr>' for row in table.itertuples())
    return (
        '<div class="table-tools" hidden><label>Filter <input type="search" id="table-search" '
        'placeholder="image or cell type"></label><span id="table-count" role="status"></span></div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of images"><table data-sortable>'
        f'<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def number_cell(value: float, form: str, bar: bool = False) -> str:
    """Cell of a sortable table with a number.

    Args:
        value: NaN where it is not known: shown as a dash, sorted below all numbers.
        form: Format string, for example ``'{:.2f} px'``.
        bar: Adds a bar that is filled to ``value``, a share in [0, 1].
    """
    if pd.isna(value):
        return '<td data-value="-1">-</td>'
    return f'<td data-value="{value:g}">{form.format(value)}{meter(value) if bar else ""}</td>'
