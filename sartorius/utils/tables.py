"""Markdown tables and image sizes as text."""

from collections.abc import Collection, Iterable, Sequence


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], text_columns: Collection[int] = (0,)
) -> str:
    """Markdown table padded to equal column widths.

    Args:
        header: Names of the columns.
        rows: One sequence per row, as long as the header; everything is shown by ``str``.
        text_columns: Indices of the left-aligned columns; the others, numbers as a rule, are right-aligned.
    """
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

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


def size_text(size: tuple[int, int]) -> str:
    """Size ``(height, width)`` in the order in which people write it, such as ``704x520 px``."""
    return f'{size[1]}x{size[0]} px'
