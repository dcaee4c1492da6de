"""Transforms for images of cells; importing the package registers them with MMDetection."""

from sartorius.datasets.transforms.break_astro_masks import BreakAstroMasks
from sartorius.datasets.transforms.copy_paste import CellCopyPaste
from sartorius.datasets.transforms.fill_mask_holes import FillMaskHoles
from sartorius.datasets.transforms.flip_paste import FlipPaste
from sartorius.datasets.transforms.load_cell_annotations import LoadCellAnnotations
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.datasets.transforms.random_cell_crop import RandomCellCrop
from sartorius.datasets.transforms.random_photometric import RandomPhotometric
from sartorius.datasets.transforms.random_rotation import RandomQuarterTurn, RandomRotateCells
from sartorius.datasets.transforms.random_tile import RandomTile

__all__ = [
    'BreakAstroMasks',
    'CellCopyPaste',
    'FillMaskHoles',
    'FlipPaste',
    'LoadCellAnnotations',
    'LoadCellImage',
    'RandomCellCrop',
    'RandomPhotometric',
    'RandomQuarterTurn',
    'RandomRotateCells',
    'RandomTile',
]
