"""The cell types and the LIVECell lines, in the one order the project uses."""

CELL_TYPES: tuple[str, ...] = ('shsy5y', 'astro', 'cort')

LIVECELL_LINES: tuple[str, ...] = ('A172', 'BT474', 'BV2', 'Huh7', 'MCF7', 'SHSY5Y', 'SkBr3', 'SKOV3')
