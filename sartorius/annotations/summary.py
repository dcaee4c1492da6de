"""Tables of the images and cells of a prepared data set, for a terminal and for Markdown."""

from collections.abc import Iterable, Sequence

import numpy as np

from sartorius.utils.classes import class_order
from sartorius.utils.tables import markdown_table


def class_table(images: Iterable[tuple[str, Sequence[int]]], classes: Sequence[str]) -> str:
    """Images, cells, cells per image and areas of each class that occurs.

    Args:
        images: Class of each image and the areas of its cells in pixels.
        classes: The order of the rows.
    """
    images = list(images)
    rows = [_class_row(name, [areas for other, areas in images if other == name]) for name in classes]
    rows = [row for row in rows if row[1] != '0']
    if len(rows) > 1:
        rows.append(_class_row('all', [areas for _, areas in images]))
    spread = 'mean (std; min-max)'
    return markdown_table(['class', 'images', 'cells', f'cells per image: {spread}', f'area px: {spread}'], rows)


def fold_table(folds: Sequence[int], groups: Sequence[str], classes: Sequence[str], cells: Sequence[int]) -> str:
    """Groups, images and cells that each fold validates on, and images / cells of each class.

    Args:
        folds: Fold of each image.
        groups: Group of each image.
        classes: Class of each image.
        cells: Number of cells of each image.
    """
    names = class_order(set(classes) - {''})
    rows = []
    for fold in sorted(set(folds)):
        members = [index for index, other in enumerate(folds) if other == fold]
        row = [fold, len({groups[index] for index in members}), len(members), sum(cells[index] for index in members)]
        for name in names:
            of_class = [cells[index] for index in members if classes[index] == name]
            row.append(f'{len(of_class)} / {sum(of_class)}')
        rows.append(row)
    return markdown_table(['fold', 'groups', 'images', 'cells', *(f'{name}: images / cells' for name in names)], rows)


def note(what: str, found: int | Sequence[object]) -> str:
    """One bullet of the summary: what, how many, and the first three if ``found`` is a list."""
    if isinstance(found, int):
        return f'- {what}: {found:,}'
    return f'- {what}: {len(found):,} ({", ".join(map(str, found[:3]))}{", ..." if len(found) > 3 else ""})'


def _class_row(name: str, areas: Sequence[Sequence[int]]) -> list[str]:
    counts = [len(image) for image in areas]
    return [
        name,
        f'{len(areas):,}',
        f'{sum(counts):,}',
        _spread(counts),
        _spread([area for image in areas for area in image]),
    ]


def _spread(values: Sequence[int]) -> str:
    if not values:
        return '-'
    return f'{np.mean(values):.1f} ({np.std(values):.1f}; {min(values):,}-{max(values):,})'
