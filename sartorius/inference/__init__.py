"""Everything that predicts with a trained detector: test-time augmentation, tiling, box prompts."""

from sartorius.inference.box_prompts import BoxPromptedModel
from sartorius.inference.load_box_prompts import LoadBoxPrompts, read_box_prompts
from sartorius.inference.orient import Orient
from sartorius.inference.tiled_model import TiledModel
from sartorius.inference.tta import CellTTAModel

__all__ = ['BoxPromptedModel', 'CellTTAModel', 'LoadBoxPrompts', 'TiledModel', 'Orient', 'read_box_prompts']
