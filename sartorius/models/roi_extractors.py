"""Features of RoIs from a pyramid, on a CPU in one pass and from exact places."""

from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

from sartorius.models.cpu_ops import CpuRoIAlign, runs_here


@MODELS.register_module(name='SingleRoIExtractor', force=True)
class ExactRoIExtractor(SingleRoIExtractor):
    """MMDetection's extractor, in whose place every config gets it; differs on a CPU.

    MMDetection rounds RoIs to the features' type. In mixed precision on a CPU that is bfloat16, whose numbers from 256
    to 512 are 2 apart: heads learnt from features up to a pixel beside their boxes. Here RoIs stay as they are. All
    levels fill one output, in place of an output each that is copied.
    """

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Features of RoIs, each from the level of its size.

        Args:
            feats: ``(N, C, H, W)`` each.
            rois: ``(R, 5)``: index of the image, x1, y1, x2, y2 in the network's image frame.
            roi_scale_factor: Factor on the RoIs' sides; their level is that of their own size.

        Returns:
            ``(R, C, rows, columns)`` of the features' dtype.
        """
        layers = self.roi_layers[: len(feats)]
        if not runs_here(feats[0]) or any(getattr(layer, 'pool_mode', None) != 'avg' for layer in layers):
            return super().forward(feats, rois, roi_scale_factor)
        # RoIs that are no numbers have no level; of any they give zeros.
        levels = self.map_roi_levels(rois, len(feats)).clamp(0, len(feats) - 1) if len(feats) > 1 else None
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        first, scales = layers[0], tuple(layer.spatial_scale for layer in layers)
        return CpuRoIAlign.apply(rois, levels, first.output_size, scales, first.sampling_ratio, first.aligned, *feats)
