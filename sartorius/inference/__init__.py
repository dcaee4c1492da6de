"""Prediction with a trained detector: test-time augmentation, tiling, box prompts, and one predictor for them all."""

from sartorius.inference.box_prompts import BoxPromptedModel, LoadBoxPrompts, read_box_prompts
from sartorius.inference.inference_config import BoxPromptOptions, InferenceOptions, build_inference_config
from sartorius.inference.predictor import Predictor
from sartorius.inference.tiling import TiledModel
from sartorius.inference.tta import CellTTAModel, Orient

__all__ = [
    'BoxPromptedModel',
    'BoxPromptOptions',
    'CellTTAModel',
    'InferenceOptions',
    'LoadBoxPrompts',
    'Orient',
    'Predictor',
    'TiledModel',
    'build_inference_config',
    'read_box_prompts',
]
