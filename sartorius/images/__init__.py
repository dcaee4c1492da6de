"""Image files: found, checked, and read as pixels for models and for screens."""
