"""Defects of annotated masks: detected, fixed, logged line by line, and undone; cells that labels lack."""

from sartorius.label_quality.cleaning import Cleaning, clean
from sartorius.label_quality.defects import DEFECTS, Rules
from sartorius.label_quality.structures import AnnotatedCell, AnnotatedImage, Issue
from sartorius.label_quality.table import LabelTable, read_label_table

__all__ = [
    'DEFECTS',
    'AnnotatedCell',
    'AnnotatedImage',
    'Cleaning',
    'Issue',
    'LabelTable',
    'Rules',
    'clean',
    'read_label_table',
]
