"""The cell types, in the one order the project uses."""

CELL_TYPES: tuple[str, ...] = ('shsy5y', 'astro', 'cort')
