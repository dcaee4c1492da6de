"""How good predictions are: the competition's mAP."""

from sartorius.evaluation.metric import (
    IOU_THRESHOLDS,
    Summary,
    count_matches,
    format_summary,
    image_score,
    score_images,
    summarise,
)
from sartorius.evaluation.submission_score import score_submission

__all__ = [
    'IOU_THRESHOLDS',
    'Summary',
    'count_matches',
    'format_summary',
    'image_score',
    'score_images',
    'score_submission',
    'summarise',
]
