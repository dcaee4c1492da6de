"""Synthetic phase-contrast images with exactly known masks, and data sets of them on disk."""

from sartorius.synthetic.dataset import DatasetPlan, DatasetSummary, make_dataset
from sartorius.synthetic.image import SyntheticImage, make_image
from sartorius.synthetic.livecell_format import LivecellPlan, LivecellSummary, make_livecell
from sartorius.synthetic.masks_dataset import MasksPlan, MasksSummary, make_masks_dataset
from sartorius.synthetic.planted_defects import DefectRates
from sartorius.synthetic.stream import stream_image
from sartorius.synthetic.stream_dataset import StreamPlan, StreamSummary, make_stream_dataset

__all__ = [
    'DatasetPlan',
    'DatasetSummary',
    'DefectRates',
    'LivecellPlan',
    'LivecellSummary',
    'MasksPlan',
    'MasksSummary',
    'StreamPlan',
    'StreamSummary',
    'SyntheticImage',
    'make_dataset',
    'make_image',
    'make_livecell',
    'make_masks_dataset',
    'make_stream_dataset',
    'stream_image',
]
