"""MMDetection heads and wrappers that keep soft masks on the RoI grid."""

from sartorius.models.assigners import ChunkedBboxOverlaps2D, DenseSoftLabelAssigner
from sartorius.models.convert import max_cells, to_image_predictions
from sartorius.models.htc_roi_head import SoftHTCRoIHead
from sartorius.models.soft_mask_head import SoftHTCMaskHead, SoftMaskHead
from sartorius.models.stride1_resnet import Stride1StemResNet

__all__ = [
    'ChunkedBboxOverlaps2D',
    'DenseSoftLabelAssigner',
    'Stride1StemResNet',
    'SoftHTCMaskHead',
    'SoftHTCRoIHead',
    'SoftMaskHead',
    'max_cells',
    'to_image_predictions',
]
