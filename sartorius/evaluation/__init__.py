"""Quality of predictions: the competition's mAP, matching, error analysis, average precision, confidence intervals."""

from sartorius.evaluation.bootstrap import Estimate, estimate
from sartorius.evaluation.error_analysis import ErrorAnalysis, analyse_errors, error_gains
from sartorius.evaluation.matching import Matching, match
from sartorius.evaluation.metric import (
    IOU_THRESHOLDS,
    ScoreSummary,
    count_tp,
    format_interval,
    format_score_summary,
    image_score,
    score_images,
    summarise_scores,
)

__all__ = [
    'IOU_THRESHOLDS',
    'ErrorAnalysis',
    'Estimate',
    'Matching',
    'ScoreSummary',
    'analyse_errors',
    'count_tp',
    'error_gains',
    'estimate',
    'format_interval',
    'format_score_summary',
    'image_score',
    'match',
    'score_images',
    'summarise_scores',
]
