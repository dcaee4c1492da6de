"""Backbones that MMDetection does not have."""

from typing import Any

from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS


@MODELS.register_module()
class Stride1StemResNet(ResNet):
    """ResNet whose first convolution has stride 1, so that its stages have strides 2, 4, 8 and 16.

    The change is that of the competition's 11th place. Weights of a usual ResNet fit: no layer changes its shape.

    Args:
        **kwargs: As of MMDetection's ``ResNet``, without ``deep_stem``, which has no such convolution.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv1.stride = (1, 1)
