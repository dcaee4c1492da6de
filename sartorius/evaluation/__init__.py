"""How good predictions are: the competition's mAP, and where it is lost."""

from sartorius.evaluation.errors import ErrorAnalysis, analyse_errors, error_gains
from sartorius.evaluation.metric import (
    IOU_THRESHOLDS,
    Summary,
    count_matches,
    format_summary,
    image_score,
    score_images,
    summarise,
)

__all__ = [
    'IOU_THRESHOLDS',
    'ErrorAnalysis',
    'Summary',
    'analyse_errors',
    'count_matches',
    'error_gains',
    'format_summary',
    'image_score',
    'score_images',
    'summarise',
]
