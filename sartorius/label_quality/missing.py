"""Lists of possible mistakes in annotations: predictions without a label, and labels that are never predicted.

Models that did not see an image in training disagree with its annotations where they err, and where the annotations do.
Of the second kind are confident predictions where nobody drew a cell, and drawn cells that no model predicts, not even
among its candidates with the lowest scores. Only a person can decide which it is; the lists have the clearest cases
first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import NEAR_IOU
from sartorius.evaluation.error_analysis import cell_geometry
from sartorius.evaluation.matching import TP_IOU
from sartorius.evaluation.metric import NO_CELL_TYPE, image_types
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou
from sartorius.masks.packed import PackedMasks
from sartorius.predictions.structures import ImagePredictions

MAX_COVERED = 0.2
"""A fragment within a large label has a small IoU and is no new cell; touching neighbours share less than this."""

MIN_PERCENTILE = 25
"""Percentile of the scores of the true positives, which predictions without a label must reach."""

UNLABELLED_COLUMNS = ('id', 'cell_type', 'score', 'support', 'files', 'x', 'y', 'area', 'best_iou', 'crop')
NEVER_PREDICTED_COLUMNS = ('id', 'number', 'cell_type', 'files', 'x', 'y', 'area', 'best_iou', 'border')
COUNT_COLUMNS = ('cell_type', 'images', 'labels', 'never_predicted', 'n_pred', 'unlabelled', 'min_score')


@dataclass(frozen=True)
class Limits:
    """Limits below which a prediction and a label have nothing to do with each other.

    Attributes:
        iou: A prediction without a label has a lower IoU with every label; a label that is never predicted has no
            higher one with any candidate. The default is the IoU below which TIDE takes a detection for background
            (:mod:`sartorius.evaluation.cell_errors`).
        covered: Labels cover less than this part of the pixels of a prediction without a label.
    """

    iou: float = NEAR_IOU
    covered: float = MAX_COVERED


@dataclass(frozen=True, eq=False)
class LabelComparison:
    """The predictions of one file for an image, compared with its labels.

    Attributes:
        pred: Post-processed predictions, their parts inside the image.
        scores: float ``(n_pred,)``.
        pred_iou: float64 ``(n_pred,)``: best IoU of each prediction with any label.
        covered: float64 ``(n_pred,)``: part of each prediction's pixels that labels cover.
        label_iou: float64 ``(n_gt,)``: best IoU of each label with any candidate, of whatever score, or prediction.
    """

    pred: PackedMasks
    scores: NDArray[np.floating]
    pred_iou: NDArray[np.float64]
    covered: NDArray[np.float64]
    label_iou: NDArray[np.float64]

    def unlabelled(self, limits: Limits) -> NDArray[np.bool_]:
        """bool ``(n_pred,)``: which predictions have no label."""
        return (self.pred_iou < limits.iou) & (self.covered < limits.covered)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A cell without a label, predicted by one file or several.

    Attributes:
        crop: Its mask in the file with the highest score for it.
        score: Mean of its scores over all files that predict the image, with 0 for a file without it.
        support: Number of files that predict it.
        best_iou: Of ``crop`` with any label.
    """

    crop: MaskCrop
    score: float
    support: int
    best_iou: float


@dataclass(frozen=True, eq=False)
class MissingCells:
    """The two lists, both sorted by cell type and within it clearest cases first.

    Attributes:
        unlabelled: One row per cell without a label, best score first: ``id`` of its image, ``cell_type`` of its image,
            ``score``, ``support``, ``files`` (number of files that predict the image), ``x`` and ``y`` (centroid in
            pixels, 0 is the centre of the first), ``area`` in pixels, ``best_iou``, ``crop`` (:class:`MaskCrop`).
        never_predicted: One row per label that is never predicted, those inside the image before those at its border
            and large ones first: ``id``, ``number`` (its index among the labels of its image, from 1), ``cell_type``,
            ``files``, ``x``, ``y``, ``area``, ``best_iou`` (with any candidate), ``border`` (whether it touches the
            border).
        counts: One row per cell type that has images: ``cell_type``, ``images``, ``labels``, ``never_predicted``,
            ``n_pred`` (predictions of all files), ``unlabelled``, ``min_score`` (that candidates had to reach).
    """

    unlabelled: pd.DataFrame
    never_predicted: pd.DataFrame
    counts: pd.DataFrame


def compare_with_labels(
    gt: ImageAnnotations, pred: ImagePredictions, candidates: Sequence[MaskCrop]
) -> LabelComparison:
    """Compares the predictions for an image with its labels.

    Args:
        gt: The labels.
        pred: Post-processed, with crops.
        candidates: Masks of all predictions before post-processing, whatever their score; they may overlap each other.
    """
    size = gt.size
    inside = PackedMasks.from_crops(pred.crops).clipped(size).tight()
    iou = mask_iou(gt.crops, inside.crops, size)
    candidate_iou = mask_iou(gt.crops, candidates, size)
    return LabelComparison(
        pred=inside,
        scores=pred.scores,
        pred_iou=iou.max(axis=0, initial=0),
        covered=_covered(inside, gt),
        label_iou=np.maximum(iou.max(axis=1, initial=0), candidate_iou.max(axis=1, initial=0)),
    )


def _covered(pred: PackedMasks, gt: ImageAnnotations) -> NDArray[np.float64]:
    """Part of each prediction's pixels, all inside the image, that the labels cover together."""
    # Cells of a crowd region are labelled, if not one by one.
    labelled = PackedMasks.from_crops((*gt.crops, *gt.crowd)).to_labels(gt.size) > 0
    shared = np.zeros(len(pred))
    for index, (crop, (x1, y1, x2, y2)) in enumerate(zip(pred.crops, pred.windows.tolist(), strict=True)):
        shared[index] = np.count_nonzero(labelled[y1:y2, x1:x2] & crop.mask)
    return shared / np.maximum(pred.areas, 1)


def merge_candidates(comparisons: Sequence[LabelComparison], size: Size, limits: Limits) -> list[Candidate]:
    """Cells of an image without a label, each once, however many files predict it; best score first.

    The prediction with the highest score comes first (of equal ones that of the earlier file); another file's is the
    same cell if its IoU with it is above .5, as for a true positive. No file supports a cell twice.

    Args:
        comparisons: One per file that predicts the image.
        size: Image ``(height, width)``.
        limits: Limits below which a prediction has no label.
    """
    sightings: list[_Sighting] = []
    for file, one in enumerate(comparisons):
        crops = one.pred.crops
        for index in np.flatnonzero(one.unlabelled(limits)).tolist():
            sightings.append(_Sighting(file, crops[index], float(one.scores[index]), float(one.pred_iou[index])))
    sightings.sort(key=lambda sighting: -sighting.score)
    crops = [sighting.crop for sighting in sightings]
    iou = mask_iou(crops, crops, size)
    # The members of each cell by the number of its best-scored sighting.
    cells: dict[int, list[_Sighting]] = {}
    for number, sighting in enumerate(sightings):
        same = [
            first
            for first, members in cells.items()
            if iou[first, number] > TP_IOU and all(member.file != sighting.file for member in members)
        ]
        first = max(same, key=lambda first: iou[first, number], default=number)
        cells.setdefault(first, []).append(sighting)
    merged = [
        Candidate(
            crop=members[0].crop,
            score=sum(member.score for member in members) / len(comparisons),
            support=len(members),
            best_iou=members[0].best_iou,
        )
        for members in cells.values()
    ]
    return sorted(merged, key=lambda candidate: -candidate.score)


@dataclass(frozen=True, eq=False)
class _Sighting:
    """A prediction without a label, of one file."""

    file: int
    crop: MaskCrop
    score: float
    best_iou: float


def list_missing(
    gt: Mapping[str, ImageAnnotations],
    cell_types: Mapping[str, str],
    comparisons: Mapping[str, Sequence[LabelComparison]],
    limits: Limits,
    min_score: float | None = None,
) -> MissingCells:
    """Both lists, of all images that at least one file predicts.

    Args:
        gt: Labels by image id; may have more images than ``comparisons``.
        cell_types: Cell type of each of these images; empty text where unknown.
        comparisons: By image id, one per file that predicts the image.
        limits: Limits below which predictions and labels have nothing to do with each other.
        min_score: Score that predictions without a label must reach, whatever their type. None: for each type the
            score that all but :data:`MIN_PERCENTILE` percent of its true positives (IoU above .5 with a label) reach,
            since scores differ between types: those of crowded small cells are lower.
    """
    unlabelled, never_predicted, counts = [], [], []
    for name in image_types(cell_types[image_id] or NO_CELL_TYPE for image_id in comparisons):
        own = {
            image_id: seen for image_id, seen in comparisons.items() if (cell_types[image_id] or NO_CELL_TYPE) == name
        }
        if not own:
            continue
        own_min = _min_score(own) if min_score is None else min_score
        new, lost = [], []
        for image_id, seen in own.items():
            candidates = merge_candidates(seen, gt[image_id].size, limits)
            new += _unlabelled_rows(gt[image_id], name, [one for one in candidates if one.score >= own_min], len(seen))
            lost += _never_predicted_rows(gt[image_id], name, seen, limits)
        n_labels = sum(len(gt[image_id]) for image_id in own)
        n_pred = sum(len(one.scores) for seen in own.values() for one in seen)
        counts.append((name, len(own), n_labels, len(lost), n_pred, len(new), own_min))
        # Ties are broken by position, so that the lists do not depend on the order of the images in the files.
        unlabelled += sorted(new, key=lambda row: (-row['score'], -row['support'], row['id'], row['y'], row['x']))
        never_predicted += sorted(lost, key=lambda row: (row['border'], -row['area'], row['id'], row['number']))
    return MissingCells(
        unlabelled=pd.DataFrame(unlabelled, columns=list(UNLABELLED_COLUMNS)),
        never_predicted=pd.DataFrame(never_predicted, columns=list(NEVER_PREDICTED_COLUMNS)),
        counts=pd.DataFrame(counts, columns=list(COUNT_COLUMNS)),
    )


def _min_score(comparisons: Mapping[str, Sequence[LabelComparison]]) -> float:
    scores = [one.scores[one.pred_iou > TP_IOU] for seen in comparisons.values() for one in seen]
    tp_scores = np.concatenate([np.zeros(0), *scores])
    # Without a true positive all post-processed predictions are listed.
    return float(np.percentile(tp_scores, MIN_PERCENTILE)) if len(tp_scores) else 0.0


def _unlabelled_rows(
    cells: ImageAnnotations, cell_type: str, candidates: Sequence[Candidate], files: int
) -> list[dict[str, Any]]:
    measures = cell_geometry([one.crop for one in candidates], cells.size)
    return [
        {
            'id': cells.image_id,
            'cell_type': cell_type,
            'score': one.score,
            'support': one.support,
            'files': files,
            **{name: measures[name][index].item() for name in ('x', 'y', 'area')},
            'best_iou': one.best_iou,
            'crop': one.crop,
        }
        for index, one in enumerate(candidates)
    ]


def _never_predicted_rows(
    cells: ImageAnnotations, cell_type: str, seen: Sequence[LabelComparison], limits: Limits
) -> list[dict[str, Any]]:
    best = np.max([one.label_iou for one in seen], axis=0)
    measures = cell_geometry(cells.crops, cells.size)
    return [
        {
            'id': cells.image_id,
            'number': index + 1,
            'cell_type': cell_type,
            'files': len(seen),
            **{name: measures[name][index].item() for name in ('x', 'y', 'area', 'border')},
            'best_iou': float(best[index]),
        }
        for index in np.flatnonzero(best <= limits.iou).tolist()
    ]
