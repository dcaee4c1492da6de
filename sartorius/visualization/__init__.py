"""Pictures of cells and the HTML pages that show them."""
