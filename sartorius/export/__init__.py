"""Predictions as files that other tools open: label images, ImageJ, QuPath, tables, COCO JSON, Cellpose."""
