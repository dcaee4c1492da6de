"""Scores of a submission file."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sartorius.annotations.coco_index import naming
from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.metric import score_images
from sartorius.images.image_ids import describe_matches, match_image_ids
from sartorius.submission.csv_format import find_problems, read_cells, read_submission
from sartorius.utils.errors import InputError

logger = logging.getLogger(__name__)


def score_submission(path: str | Path, gt: Mapping[str, ImageAnnotations], all_images: bool = False) -> pd.DataFrame:
    """Scores the images of a submission against the ground truth.

    Args:
        path: The submission.
        gt: Ground truth by image id; may have more images than the submission.
        all_images: Whether an image of ``gt`` without a row counts, as one without predictions. Otherwise only images
            that have a row count: a submission of one fold is scored on that fold.

    Returns:
        The table of :func:`sartorius.evaluation.metric.score_images`.

    Raises:
        InputError: The submission breaks a rule, has no row, or names an image that ``gt`` does not have.
    """
    named = dict.fromkeys(row.image_id for row in read_submission(path))
    with naming(path):
        known = match_image_ids(named, gt)
    unknown = [image_id for image_id in named if image_id not in known]
    if unknown:
        raise InputError(
            f'{path} names image {unknown[0]!r}, which the annotations do not have ({len(unknown)} of its {len(named)} '
            'images); score it against the annotations of its own images'
        )
    sentence = describe_matches(known)
    if sentence:
        logger.warning(f'{path}: {sentence}')
    sizes = {image_id: gt[target].size for image_id, target in known.items()}
    problems = find_problems(path, sizes)
    if problems:
        raise InputError(
            f'{path} is not legal: {problems[0]} (problems in all: {len(problems)}); '
            'tools/check_submission.py lists them'
        )
    chosen = gt if all_images else GroundTruth.of(gt).select(known[image_id] for image_id in named)
    return score_images(chosen, {known[image_id]: cells for image_id, cells in read_cells(path, sizes).items()})
