"""Several models' predictions become one, masks included."""

from sartorius.fusion.boxes import FusedBoxes, fuse_boxes
from sartorius.fusion.methods import METHODS
from sartorius.fusion.sets import fuse
from sartorius.fusion.soft_masks import resample_soft_mask, resample_soft_masks

__all__ = ['METHODS', 'FusedBoxes', 'fuse', 'fuse_boxes', 'resample_soft_mask', 'resample_soft_masks']
