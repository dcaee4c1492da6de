"""What the report shows: every image post-processed, scored and measured, and the images worth a picture."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.errors import ErrorAnalysis, analyse_errors
from sartorius.evaluation.metric import NO_CELL_TYPE, Summary, score_images, summarise
from sartorius.postprocess.chain import Chain, postprocess_all
from sartorius.postprocess.steps import areas_of
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.tables import size_text

CLASSES = (*CELL_TYPES, NO_CELL_TYPE)


@dataclass(frozen=True, eq=False)
class Report:
    """What the page is made of.

    Attributes:
        table: One row an image: ``image_id``, ``cell_type``, ``detected_as`` (class of most found cells),
            ``n_pred``, ``confidence`` (mean score of the found cells, NaN without any), ``area`` (their median
            area in pixels, NaN without any); where the truth is known also all columns of
            :func:`sartorius.evaluation.metric.score_images`.
        pred: Post-processed predictions by image id; no two cells of an image share a pixel.
        gt: True cells by image id, or None.
        summary: Score and intervals, or None without truth.
        errors: What is wrong with each cell, or None without truth.
        dropped: Number of annotated images that the predictions do not have; they do not count.
    """

    table: pd.DataFrame
    pred: Mapping[str, ImagePredictions]
    gt: Mapping[str, ImageAnnotations] | None
    summary: Summary | None
    errors: ErrorAnalysis | None
    dropped: int = 0


def gather(predictions: PredictionSet, chain: Chain, gt: Mapping[str, ImageAnnotations] | None = None) -> Report:
    """Post-processes, scores and measures every image.

    Raises:
        InputError: No image in the predictions, or an image that the annotations do not have or have in another size.
    """
    if not predictions.images:
        raise InputError('the predictions hold no image; there is nothing to report')
    pred = postprocess_all(predictions, chain)
    rows = [_measure(image) for image in pred.values()]
    table = pd.DataFrame(rows, columns=['image_id', 'detected_as', 'n_pred', 'confidence', 'area'])
    if gt is None:
        return Report(table.assign(cell_type=table['detected_as']), pred, None, None, None)
    covered = {image_id: gt[image_id] for image_id in pred if image_id in gt}
    for image_id, true in covered.items():
        if true.size != pred[image_id].size:
            raise InputError(
                f'image {image_id}: {size_text(pred[image_id].size)} in the predictions, {size_text(true.size)} in '
                'the annotations; take the annotations of the same images'
            )
    crops = {image_id: image.crops for image_id, image in pred.items()}
    scores = score_images(covered, crops)
    table = scores.merge(table.drop(columns='n_pred'), on='image_id')
    errors = analyse_errors(covered, crops)
    return Report(table, pred, covered, summarise(scores), errors, len(gt) - len(covered))


def choose_images(table: pd.DataFrame, by: str, most: int) -> dict[str, str]:
    """Images to show: of each cell type in turn the lowest, the most typical and the highest by a column.

    Returns:
        Why each is shown, by image id; in the order of the cell types, and of the column within a type. All images,
        without a reason, where there are no more than ``most``.
    """
    ordered = table.sort_values(by, kind='stable', na_position='first')
    if len(table) <= most:
        chosen = dict.fromkeys(ordered['image_id'], '')
    else:
        name = {'score': 'score', 'confidence': 'confidence'}[by]
        queues = []
        for _, rows in ordered.groupby('cell_type', sort=False):
            ranked = rows['image_id'].tolist()
            middle = (len(ranked) - 1) / 2
            typical = sorted(ranked, key=lambda image_id: abs(ranked.index(image_id) - middle))
            queues.append(((ranked, f'low {name}'), (typical, 'typical'), (ranked[::-1], f'high {name}')))
        # Turn by turn, so that every type has its share of a small number.
        turns = (
            (ids[place], reason)
            for place in range(len(table))
            for kind in zip(*queues, strict=True)
            for ids, reason in kind
            if place < len(ids)
        )
        chosen = {}
        for image_id, reason in turns:
            if len(chosen) < most:
                chosen.setdefault(image_id, reason)
    shown = ordered[ordered['image_id'].isin(chosen)]
    order = shown.iloc[np.argsort([CLASSES.index(name) for name in shown['cell_type']], kind='stable')]
    return {image_id: chosen[image_id] for image_id in order['image_id']}


def _measure(image: ImagePredictions) -> tuple[str, str, int, float, float]:
    if not len(image):
        return image.image_id, NO_CELL_TYPE, 0, float('nan'), float('nan')
    detected_as = CELL_TYPES[int(np.bincount(image.labels).argmax())]
    return image.image_id, detected_as, len(image), float(image.scores.mean()), float(np.median(areas_of(image)))
