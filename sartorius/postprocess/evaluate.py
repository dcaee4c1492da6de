"""Evaluation of a predictions file: every image post-processed, measured, and with ground truth scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.error_analysis import ErrorAnalysis, analyse_errors
from sartorius.evaluation.matching import counted_predictions
from sartorius.evaluation.metric import NO_CELL_TYPE, ScoreSummary, score_images, summarise_scores
from sartorius.postprocess.chain import Chain, postprocess_all
from sartorius.postprocess.steps import areas_of
from sartorius.predictions.provenance import Source
from sartorius.predictions.structures import ImagePredictions, PredictionSet, with_known_ids
from sartorius.utils.classes import class_order
from sartorius.utils.errors import InputError
from sartorius.utils.tables import size_text


@dataclass(frozen=True, eq=False)
class EvaluatedPredictions:
    """Predictions after post-processing, with their scores and errors.

    Attributes:
        table: One row per image: ``image_id``, ``cell_type``, ``detected_as`` (class of most predictions),
            ``n_pred``, ``confidence`` (mean score of the predictions, NaN without any), ``area`` (their median
            area in pixels, NaN without any); with ground truth also all columns of
            :func:`sartorius.evaluation.metric.score_images`.
        pred: Post-processed predictions by image id; no two cells of an image share a pixel.
        gt: Ground truth by image id, or None.
        summary: Score and intervals, or None without ground truth.
        errors: Error of each cell, or None without ground truth.
        classes: Names of all classes of the predictions and the ground truth.
        chain: The post-processing.
        source: Where the predictions come from, as their file says.
        dropped: Number of annotated images that the predictions do not have; they do not count.
    """

    table: pd.DataFrame
    pred: Mapping[str, ImagePredictions]
    gt: Mapping[str, ImageAnnotations] | None
    summary: ScoreSummary | None
    errors: ErrorAnalysis | None
    classes: tuple[str, ...]
    chain: Chain
    source: Source
    dropped: int = 0


def evaluate_predictions(
    predictions: PredictionSet,
    chain: Chain,
    gt: Mapping[str, ImageAnnotations] | None = None,
    groups: Mapping[str, str] | None = None,
) -> EvaluatedPredictions:
    """Post-processes, scores and measures every image.

    Args:
        predictions: Before post-processing.
        chain: Post-processing.
        gt: Ground truth by image id; may have more images than the predictions, and other classes, which play no part
            in the score.
        groups: Group of near-duplicates by image id, over which the intervals are; an image without one is a group of
            its own.

    Raises:
        InputError: No image in the predictions, or an image that the annotations do not have or have in another size.
    """
    if not predictions.images:
        raise InputError('the predictions hold no image; there is nothing to evaluate')
    if gt is not None:
        predictions = with_known_ids(predictions, gt)
    pred = postprocess_all(predictions, chain)
    rows = [_image_row(image, predictions.classes) for image in pred.values()]
    table = pd.DataFrame(rows, columns=['image_id', 'detected_as', 'n_pred', 'confidence', 'area'])
    if gt is None:
        table = table.assign(cell_type=table['detected_as'])
        return EvaluatedPredictions(
            table, pred, None, None, None, class_order(predictions.classes), chain, predictions.source
        )
    gt = GroundTruth.of(gt)
    covered = gt.select(image_id for image_id in pred if image_id in gt)
    for image_id, annotations in covered.items():
        if annotations.size != pred[image_id].size:
            raise InputError(
                f'image {image_id}: {size_text(pred[image_id].size)} in the predictions, '
                f'{size_text(annotations.size)} in the annotations; take the annotations of the same images'
            )
    for image_id, annotations in covered.items():
        if annotations.crowd:
            # What lies in a crowd region is not shown, as it does not count.
            counted = counted_predictions(pred[image_id].crops, annotations)
            pred[image_id] = pred[image_id].select(counted)
    crops = {image_id: image.crops for image_id, image in pred.items()}
    scores = score_images(covered, crops)
    table = scores.merge(table.drop(columns='n_pred'), on='image_id')
    return EvaluatedPredictions(
        table,
        pred,
        covered,
        summarise_scores(scores, groups or {}),
        analyse_errors(covered, crops),
        class_order((*gt.classes, *predictions.classes)),
        chain,
        predictions.source,
        dropped=len(gt) - len(covered),
    )


def _image_row(image: ImagePredictions, classes: Sequence[str]) -> tuple[str, str, int, float, float]:
    if not len(image):
        return image.image_id, NO_CELL_TYPE, 0, float('nan'), float('nan')
    detected_as = classes[int(np.bincount(image.labels).argmax())]
    return image.image_id, detected_as, len(image), float(image.scores.mean()), float(np.median(areas_of(image)))
