"""Synthetic phase-contrast images with exactly known masks, and data sets of them on disk."""

from sartorius.synthetic.dataset import DatasetPlan, DatasetSummary, make_dataset
from sartorius.synthetic.image import SyntheticImage, make_image
from sartorius.synthetic.livecell_format import LivecellPlan, LivecellSummary, make_livecell
from sartorius.synthetic.planted_defects import DefectRates

__all__ = [
    'DatasetPlan',
    'DatasetSummary',
    'DefectRates',
    'LivecellPlan',
    'LivecellSummary',
    'SyntheticImage',
    'make_dataset',
    'make_image',
    'make_livecell',
]
