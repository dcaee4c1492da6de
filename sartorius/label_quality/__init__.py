"""Defects of annotated masks: found, fixed, logged line by line, and put back."""

from sartorius.label_quality.cleaning import Cleaning, clean
from sartorius.label_quality.defects import DEFECTS
from sartorius.label_quality.rules import Rules
from sartorius.label_quality.structures import AnnotatedImage, Finding, Label
from sartorius.label_quality.table import LabelTable, read_label_table

__all__ = [
    'DEFECTS',
    'Cleaning',
    'Finding',
    'Label',
    'LabelTable',
    'AnnotatedImage',
    'Rules',
    'clean',
    'read_label_table',
]
