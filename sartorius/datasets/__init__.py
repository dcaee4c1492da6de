"""Data sets, samplers and transforms, registered with MMDetection."""

from sartorius.datasets import transforms
from sartorius.datasets.draws import DrawSampler, SeededDraws
from sartorius.datasets.sartorius import SartoriusDataset

__all__ = ['DrawSampler', 'SartoriusDataset', 'SeededDraws', 'transforms']
