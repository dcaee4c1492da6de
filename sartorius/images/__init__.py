"""Any image file as pixels: sizes, grey levels, and how it is shown."""
