"""Class names: the competition's, LIVECell's, and the order in which those of any data set are shown."""

import re
from collections.abc import Iterable

CELL_TYPES: tuple[str, ...] = ('shsy5y', 'astro', 'cort')
"""The competition's classes, in the order of their class indices."""

LIVECELL_LINES: tuple[str, ...] = ('A172', 'BT474', 'BV2', 'Huh7', 'MCF7', 'SHSY5Y', 'SkBr3', 'SKOV3')
"""LIVECell's classes, in the order of their class indices."""


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct class names in the order of tables and colours, which does not depend on the files that have them.

    The competition's come first, in its order; others follow by name, upper and lower case alike and numbers by value.

    Example:
        >>> class_order(['type 10', 'Type 9', 'cort', 'shsy5y'])
        ('shsy5y', 'cort', 'Type 9', 'type 10')
    """
    present = set(names)
    others = sorted(present.difference(CELL_TYPES), key=_natural)
    return (*(name for name in CELL_TYPES if name in present), *others)


def classes_of_file(used: Iterable[str], listed: Iterable[str] = ()) -> tuple[str, ...]:
    """The classes of a file, in the order of the labels that its reader gives.

    Args:
        used: Names of the classes of its cells.
        listed: Names that it lists, as a COCO JSON does; none for a CSV.

    Returns:
        The competition's three if those used (or, without any, those listed) are among them; else those that the file
        lists, in its order; else those used, in the order of :func:`class_order`.
    """
    used, listed = set(used), tuple(dict.fromkeys(listed))
    if (used or set(listed)) <= set(CELL_TYPES):
        return CELL_TYPES
    return listed or class_order(used)


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    parts = re.findall(r'[0-9]+|[^0-9]+', name.casefold())
    return [(not part[0].isdecimal(), int(part) if part[0].isdecimal() else 0, part) for part in parts], name
