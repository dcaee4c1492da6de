"""MMDetection heads and wrappers that keep soft masks on the RoI grid."""

from sartorius.models.convert import to_image_predictions
from sartorius.models.soft_mask_head import SoftMaskHead
from sartorius.models.tta import CellTTAModel

__all__ = ['CellTTAModel', 'SoftMaskHead', 'to_image_predictions']
