"""Data sets, samplers and transforms, registered with MMDetection."""

from sartorius.datasets import transforms
from sartorius.datasets.box_prompts import GiveBoxes, read_box_prompts
from sartorius.datasets.draws import DrawSampler, SeededDraws
from sartorius.datasets.sartorius import LIVECellDataset, SartoriusDataset
from sartorius.datasets.views import TurnView
from sartorius.datasets.workers import leave_interrupts_to_the_main_process

__all__ = [
    'DrawSampler',
    'GiveBoxes',
    'LIVECellDataset',
    'SartoriusDataset',
    'SeededDraws',
    'TurnView',
    'leave_interrupts_to_the_main_process',
    'read_box_prompts',
    'transforms',
]
