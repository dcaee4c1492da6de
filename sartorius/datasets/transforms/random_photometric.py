"""Random changes of grey levels and sharpness."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPhotometric(BaseTransform):
    """Changes contrast, brightness and sharpness of a uint8 image, all channels alike.

    Each grey level v becomes ``(v - mean) * contrast + mean + brightness``, rounded and cut to 0 to 255, where mean is
    the image's own. Modified keys: ``img``.

    Args:
        prob: Probability that an image is changed.
        brightness: The shift is drawn from ``[-brightness, brightness]`` grey levels.
        contrast: The factor is drawn between ``1 / contrast`` and ``contrast``, one as likely as its inverse.
        blur: The Gaussian blur's sigma is drawn from ``[0, blur]`` pixels; 0 for none.
    """

    def __init__(self, prob: float = 0.5, brightness: float = 16.0, contrast: float = 1.25, blur: float = 1.0) -> None:
        self.prob = prob
        self.brightness = brightness
        self.contrast = contrast
        self.blur = blur

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        changes = self._draw()
        if changes is not None:
            brightness, contrast, sigma = changes
            image = results['img']
            mean = image.mean()
            levels = (np.arange(256) - mean) * contrast + mean + brightness
            image = cv2.LUT(image, np.rint(np.clip(levels, 0, 255)).astype(np.uint8))
            # Below this, the Gaussian's neighbours weigh nothing.
            if sigma > 0.2:
                image = cv2.GaussianBlur(image, (0, 0), sigma)
            results['img'] = image
        return results

    @cache_randomness
    def _draw(self) -> tuple[float, float, float] | None:
        """Brightness shift, contrast factor and sigma, or None to leave the image as it is."""
        if np.random.random() >= self.prob:
            return None
        limit = np.log(self.contrast)
        return (
            float(np.random.uniform(-self.brightness, self.brightness)),
            float(np.exp(np.random.uniform(-limit, limit))),
            float(np.random.uniform(0, self.blur)),
        )
