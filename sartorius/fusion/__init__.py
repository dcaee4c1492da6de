"""Fusion of several models' predictions into one set, masks included."""

from sartorius.fusion.boxes import FusedBoxes, fuse_boxes
from sartorius.fusion.image import fuse_image
from sartorius.fusion.methods import METHODS, build_method
from sartorius.fusion.sets import fuse
from sartorius.fusion.soft_masks import resample_soft_mask, resample_soft_masks

__all__ = [
    'METHODS',
    'FusedBoxes',
    'build_method',
    'fuse',
    'fuse_boxes',
    'fuse_image',
    'resample_soft_mask',
    'resample_soft_masks',
]
