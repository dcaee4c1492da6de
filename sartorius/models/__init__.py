"""MMDetection heads and wrappers that keep soft masks on the RoI grid."""

from sartorius.models.box_overlaps import ChunkedBboxOverlaps2D
from sartorius.models.box_prompts import BoxPromptedModel
from sartorius.models.convert import most_cells, to_image_predictions
from sartorius.models.fine_resnet import FineResNet
from sartorius.models.htc_roi_head import SoftHTCRoIHead
from sartorius.models.soft_label_assigner import DenseSoftLabelAssigner
from sartorius.models.soft_mask_head import SoftHTCMaskHead, SoftMaskHead
from sartorius.models.tiles import TiledModel
from sartorius.models.tta import CellTTAModel

__all__ = [
    'BoxPromptedModel',
    'CellTTAModel',
    'ChunkedBboxOverlaps2D',
    'DenseSoftLabelAssigner',
    'FineResNet',
    'SoftHTCMaskHead',
    'SoftHTCRoIHead',
    'SoftMaskHead',
    'TiledModel',
    'most_cells',
    'to_image_predictions',
]
