"""The transform that shows the model one view of an image, for test-time augmentation."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from sartorius.inference.orientations import get_orientation


@TRANSFORMS.register_module()
class Orient(BaseTransform):
    """Turns the image and notes the view's name under ``tta_orientation``.

    MMDetection's own flag ``flip`` must stay away from the meta information: its Cascade heads crash on it.

    Args:
        view: A name from :data:`sartorius.inference.orientations.ORIENTATIONS`.
    """

    def __init__(self, view: str) -> None:
        self.name = view
        self.view = get_orientation(view)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turns ``img``; ``ori_shape`` stays that of the image on the disk."""
        results = dict(results)
        results['img'] = self.view.image(results['img'])
        results['img_shape'] = results['img'].shape[:2]
        results['tta_orientation'] = self.name
        return results
