"""Hooks, metrics and runner glue."""

from sartorius.engine.hooks import PostprocessHook, ProgressHook, SeedEachIterationHook
from sartorius.engine.metrics import CompetitionMetric, DumpPredictions
from sartorius.engine.storage import AtomicBackend

__all__ = [
    'AtomicBackend',
    'CompetitionMetric',
    'DumpPredictions',
    'PostprocessHook',
    'ProgressHook',
    'SeedEachIterationHook',
]
