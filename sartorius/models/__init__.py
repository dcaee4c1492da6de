"""Heads, assigners and backbones registered with MMDetection, checkpoints, and conversion of what models output."""

from sartorius.models.assigners import ChunkedBboxOverlaps2D, CrowdMaxIoUAssigner, DenseSoftLabelAssigner
from sartorius.models.backbones import Stride1StemResNet
from sartorius.models.checkpoints import AtomicBackend, fetch_weights, read_checkpoint
from sartorius.models.cpu_ops import CpuRoIAlign, DispatchedNMS
from sartorius.models.mask_heads import SoftHTCMaskHead, SoftHTCRoIHead, SoftMaskHead
from sartorius.models.model_file import ModelFile, find_model, load_model_file
from sartorius.models.outputs import box_limits, max_cells, to_image_predictions
from sartorius.models.roi_extractors import ExactRoIExtractor

__all__ = [
    'AtomicBackend',
    'ChunkedBboxOverlaps2D',
    'CpuRoIAlign',
    'CrowdMaxIoUAssigner',
    'DenseSoftLabelAssigner',
    'DispatchedNMS',
    'ExactRoIExtractor',
    'ModelFile',
    'SoftHTCMaskHead',
    'SoftHTCRoIHead',
    'SoftMaskHead',
    'Stride1StemResNet',
    'box_limits',
    'fetch_weights',
    'find_model',
    'load_model_file',
    'max_cells',
    'read_checkpoint',
    'to_image_predictions',
]
