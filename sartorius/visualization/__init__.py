"""Drawing: pictures of cells, plots, and the HTML pages that show them.

The defaults of the pages are here, where command lines can show them without importing the drawing code.
"""

MAX_IMAGES = 24
"""Images of the report with a picture, unless the user asks for another number."""

MAX_EXAMPLES = 8
"""Pictures of each defect in the data report."""

MAX_PICTURES = 48
"""Pictures of each list and cell type on the page of missing cells."""
