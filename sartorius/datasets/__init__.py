"""Data sets, samplers and transforms, registered with MMDetection."""

from sartorius.datasets import transforms
from sartorius.datasets.samplers import ResumableSampler, SeededDataset, leave_interrupts_to_the_main_process
from sartorius.datasets.sartorius import LIVECellDataset, SartoriusDataset
from sartorius.datasets.synthetic import SyntheticCellDataset

__all__ = [
    'ResumableSampler',
    'LIVECellDataset',
    'SartoriusDataset',
    'SeededDataset',
    'SyntheticCellDataset',
    'leave_interrupts_to_the_main_process',
    'transforms',
]
