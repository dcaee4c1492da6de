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

__all__ = [
    'IOU_THRESHOLDS',
    'Summary',
    'count_matches',
    'format_summary',
    'image_score',
    'score_images',
    'summarise',
]
