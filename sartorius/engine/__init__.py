"""Hooks, metrics and runner glue."""

from sartorius.engine.hooks import PostprocessHook, ProgressHook, SeedEachIterationHook
from sartorius.engine.metrics import CompetitionMetric, DumpPredictions

__all__ = ['CompetitionMetric', 'DumpPredictions', 'PostprocessHook', 'ProgressHook', 'SeedEachIterationHook']
