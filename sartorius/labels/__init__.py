"""Defects of annotated masks: found, mended, logged line by line, and put back."""

from sartorius.labels.cleaning import Cleaning, clean
from sartorius.labels.defects import DEFECTS
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, Label, LabelledImage
from sartorius.labels.table import LabelTable, read_label_table

__all__ = [
    'DEFECTS',
    'Cleaning',
    'Finding',
    'Label',
    'LabelTable',
    'LabelledImage',
    'Rules',
    'clean',
    'read_label_table',
]
