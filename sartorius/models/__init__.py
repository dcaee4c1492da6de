"""MMDetection heads and wrappers that keep soft masks on the RoI grid."""

from sartorius.models.box_overlaps import ChunkedBboxOverlaps2D
from sartorius.models.convert import most_cells, to_image_predictions
from sartorius.models.htc_roi_head import SoftHTCRoIHead
from sartorius.models.soft_mask_head import SoftHTCMaskHead, SoftMaskHead
from sartorius.models.tta import CellTTAModel

__all__ = [
    'CellTTAModel',
    'ChunkedBboxOverlaps2D',
    'SoftHTCMaskHead',
    'SoftHTCRoIHead',
    'SoftMaskHead',
    'most_cells',
    'to_image_predictions',
]
