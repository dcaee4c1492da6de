"""Data sets, samplers and transforms, registered with MMDetection."""

from sartorius.datasets import transforms
from sartorius.datasets.draws import DrawSampler, SeededDraws
from sartorius.datasets.sartorius import SartoriusDataset
from sartorius.datasets.views import TurnView

__all__ = ['DrawSampler', 'SartoriusDataset', 'SeededDraws', 'TurnView', 'transforms']
