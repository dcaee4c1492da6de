"""Predictions of models for images: in memory and on disk, and where they came from."""

from sartorius.predictions.structures import ImagePredictions, PredictionSet

__all__ = ['ImagePredictions', 'PredictionSet']
