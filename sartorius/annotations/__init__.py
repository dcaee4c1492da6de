"""Ground truth: the competition's CSV, COCO JSON, folds, label checks, submissions."""

from sartorius.annotations.reading import load_annotations
from sartorius.annotations.structures import ImageAnnotations

__all__ = ['ImageAnnotations', 'load_annotations']
