"""Markdown that shows words from elsewhere as text, its tables, and image sizes."""

import re
from collections.abc import Collection, Iterable, Sequence

# Beginnings of a tag, comment, declaration or autolink.
_TAG = re.compile(r'<(?=[A-Za-z/!?])')
# Between the text of a link and its target, unless that is a plain relative path; before the target of a reference.
_LINK = re.compile(r'\](?=\((?!(?:[\w-][\w.-]*/)*[\w-][\w.-]*\))|:)')
_PIPE = re.compile(r'(\\*)\|')


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], text_columns: Collection[int] = (0,)
) -> str:
    """Markdown table padded to equal column widths.

    Args:
        header: Names of the columns.
        rows: One sequence per row, as long as the header; everything is shown by ``str``, in one line, and pipes do
            not end a cell.
        text_columns: Indices of the left-aligned columns; the others, numbers as a rule, are right-aligned.
    """
    cells = [[_cell(cell) for cell in row] for row in (header, *rows)]
    # The rule of a column is at least one dash and a colon.
    widths = [max(2, *(len(row[column]) for row in cells)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f'| {" | ".join(padded)} |'

    rule = [
        ':' + '-' * (width - 1) if column in text_columns else '-' * (width - 1) + ':'
        for column, width in enumerate(widths)
    ]
    return '\n'.join([line(cells[0]), line(rule), *map(line, cells[1:])])


def inert_markdown(text: str) -> str:
    """Markdown without raw HTML, and without links and pictures but of files beside or below the page.

    Names of classes, images and files are written into pages as they are; none may put a script or a picture of some
    server there. What could be a tag or a link anywhere, in code too, is therefore written so that it is shown.
    """
    text = _TAG.sub('&lt;', text)
    return _LINK.sub(r']\\', text)


def one_line(text: str) -> str:
    """Words from elsewhere without line ends: a heading or a list item stays one, and nothing of it is another."""
    return ' '.join(text.splitlines())


def _cell(value: object) -> str:
    return _PIPE.sub(r'\1\1\|', one_line(str(value)))


def size_text(size: tuple[int, int]) -> str:
    """Size ``(height, width)`` in the order in which people write it, such as ``704x520 px``."""
    return f'{size[1]}x{size[0]} px'
