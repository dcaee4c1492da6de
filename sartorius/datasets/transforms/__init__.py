"""Transforms for images of cells; importing the package registers them with MMDetection."""

from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage, read_cell_image
from sartorius.datasets.transforms.random_cell_crop import RandomCellCrop

__all__ = ['LoadCellAnnotations', 'LoadCellImage', 'RandomCellCrop', 'read_cell_image']
