"""Hooks, metrics and runner glue."""

import contextlib
import os
import warnings

# MMDetection recommends, at every start, a metric that nothing here uses, and prints what it could not import.
warnings.filterwarnings('ignore', message='faster_coco_eval is not installed')
with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
    import mmdet.datasets  # noqa: F401

# ruff: noqa: E402
from sartorius.engine.checkpoint_hook import KeepingCheckpointHook
from sartorius.engine.hooks import FreedMemoryHook, PostprocessHook, ProgressHook, SeedEachIterationHook
from sartorius.engine.metrics import BoxMetric, CompetitionMetric, DumpPredictions
from sartorius.engine.mixed_precision import CpuAmpOptimWrapper
from sartorius.engine.run_record import RunRecordHook
from sartorius.engine.start_check import StartCheckHook
from sartorius.engine.tracking import MetricsWandbBackend

__all__ = [
    'BoxMetric',
    'CompetitionMetric',
    'CpuAmpOptimWrapper',
    'DumpPredictions',
    'FreedMemoryHook',
    'KeepingCheckpointHook',
    'MetricsWandbBackend',
    'PostprocessHook',
    'ProgressHook',
    'RunRecordHook',
    'SeedEachIterationHook',
    'StartCheckHook',
]
