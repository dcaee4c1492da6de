"""Data sets, samplers and transforms, registered with MMDetection."""

from sartorius.datasets import transforms
from sartorius.datasets.samplers import ResumableSampler, SeededDataset, leave_interrupts_to_the_main_process
from sartorius.datasets.sartorius import LIVECellDataset, SartoriusDataset
from sartorius.inference.load_box_prompts import LoadBoxPrompts, read_box_prompts
from sartorius.inference.orient import Orient

__all__ = [
    'ResumableSampler',
    'LoadBoxPrompts',
    'LIVECellDataset',
    'SartoriusDataset',
    'SeededDataset',
    'Orient',
    'leave_interrupts_to_the_main_process',
    'read_box_prompts',
    'transforms',
]
