"""What a model said about images: in memory and on disk."""

from sartorius.predictions.structures import ImagePredictions, PredictionSet

__all__ = ['ImagePredictions', 'PredictionSet']
