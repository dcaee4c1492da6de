"""Class names of the competition's data and of LIVECell, in the order of their class indices."""

CELL_TYPES: tuple[str, ...] = ('shsy5y', 'astro', 'cort')

LIVECELL_LINES: tuple[str, ...] = ('A172', 'BT474', 'BV2', 'Huh7', 'MCF7', 'SHSY5Y', 'SkBr3', 'SKOV3')
