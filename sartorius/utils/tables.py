"""Tables and sizes as text."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown table padded to equal columns; the first column is left-aligned, the others right-aligned."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return f'| {" | ".join(padded)} |'

    rule = [':' + '-' * (widths[0] - 1), *('-' * (width - 1) + ':' for width in widths[1:])]
    return '\n'.join([line(cells[0]), line(rule), *map(line, cells[1:])])


def size_text(size: tuple[int, int]) -> str:
    """Size ``(height, width)`` as people write it."""
    return f'{size[1]}x{size[0]} px'
