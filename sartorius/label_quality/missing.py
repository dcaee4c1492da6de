"""Found cells without a label, and labels that nothing ever finds: what a person should look at in the annotations.

Models that did not see an image in training disagree with its annotations where they err, and where the annotations do.
Of the second kind are confident cells where nobody drew one, and drawn cells where no model sees anything, not even
among its least sure candidates. Which it is only a person can tell; here is what to look at, most telling first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.cell_errors import NEAR_IOU
from sartorius.evaluation.errors import cell_geometry
from sartorius.evaluation.matching import TP_IOU
from sartorius.evaluation.metric import NO_CELL_TYPE
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou
from sartorius.masks.packed import PackedMasks
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES

MAX_COVERED = 0.2
"""A fragment within a large label has a small IoU and is no new cell; neighbours that touch share less than this."""

MIN_PERCENTILE = 25
"""Percentile of the scores of found cells that hit a label, which cells without one must reach."""

CLASSES = (*CELL_TYPES, NO_CELL_TYPE)

UNLABELLED_COLUMNS = ('id', 'cell_type', 'score', 'support', 'files', 'x', 'y', 'area', 'best_iou', 'crop')
NEVER_FOUND_COLUMNS = ('id', 'number', 'cell_type', 'files', 'x', 'y', 'area', 'best_iou', 'border')
COUNT_COLUMNS = ('cell_type', 'images', 'labels', 'never_found', 'found', 'unlabelled', 'min_score')


@dataclass(frozen=True)
class Limits:
    """When a found cell and a label have nothing to do with each other.

    Attributes:
        iou: A found cell without a label has a lower IoU with every label; a label that is never found has no higher
            one with any candidate. The default is the IoU below which TIDE takes a detection for background
            (:mod:`sartorius.evaluation.cell_errors`).
        covered: Labels cover less than this part of the pixels of a found cell without a label.
    """

    iou: float = NEAR_IOU
    covered: float = MAX_COVERED


@dataclass(frozen=True, eq=False)
class Findings:
    """What one predictions file says of an image, held against the labels.

    Attributes:
        pred: Post-processed cells, their parts inside the image.
        scores: float ``(F,)`` of the found cells.
        pred_iou: float64 ``(F,)``: best IoU of each found cell with any label.
        covered: float64 ``(F,)``: part of each found cell's pixels that labels cover.
        label_iou: float64 ``(T,)``: best IoU of each label with any candidate, of whatever score, or found cell.
    """

    pred: PackedMasks
    scores: NDArray[np.floating]
    pred_iou: NDArray[np.float64]
    covered: NDArray[np.float64]
    label_iou: NDArray[np.float64]

    def unlabelled(self, limits: Limits) -> NDArray[np.bool_]:
        """bool ``(F,)``: which found cells have no label."""
        return (self.pred_iou < limits.iou) & (self.covered < limits.covered)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A cell without a label, as one file or several found it.

    Attributes:
        crop: Its mask as the file that is surest of it has it.
        score: Mean of its scores over all files that predict the image, 0 counting for one without it.
        support: Number of files that found it.
        best_iou: Of ``crop`` with any label.
    """

    crop: MaskCrop
    score: float
    support: int
    best_iou: float


@dataclass(frozen=True, eq=False)
class MissingCells:
    """The two lists, both sorted by cell type and within it most telling first.

    Attributes:
        unlabelled: One row a cell without a label, best score first: ``id`` of its image, ``cell_type`` of its image,
            ``score``, ``support``, ``files`` (number of files that predict the image), ``x`` and ``y`` (centroid in
            pixels, 0 is the centre of the first), ``area`` in pixels, ``best_iou``, ``crop`` (:class:`MaskCrop`).
        never_found: One row a label that nothing finds, those inside the image before those at its border and large
            ones first: ``id``, ``number`` (its place among the labels of its image, from 1), ``cell_type``, ``files``,
            ``x``, ``y``, ``area``, ``best_iou`` (with any candidate), ``border`` (whether it touches it).
        counts: One row a cell type that has images: ``cell_type``, ``images``, ``labels``, ``never_found``, ``pred``
            (found cells, a file after the other), ``unlabelled``, ``min_score`` (what candidates had to reach).
    """

    unlabelled: pd.DataFrame
    never_found: pd.DataFrame
    counts: pd.DataFrame


def look(gt: ImageAnnotations, pred: ImagePredictions, candidates: Sequence[MaskCrop]) -> Findings:
    """Holds what was found in an image against its labels.

    Args:
        gt: The labels.
        pred: Post-processed, with crops.
        candidates: All that the model proposed, whatever its score; they may overlap each other.
    """
    size = gt.size
    inside = PackedMasks.from_crops(pred.crops).clipped(size).tight()
    iou = mask_iou(gt.crops, inside.crops, size)
    ever = mask_iou(gt.crops, candidates, size)
    return Findings(
        pred=inside,
        scores=pred.scores,
        pred_iou=iou.max(axis=0, initial=0),
        covered=_covered(inside, gt),
        label_iou=np.maximum(iou.max(axis=1, initial=0), ever.max(axis=1, initial=0)),
    )


def _covered(pred: PackedMasks, gt: ImageAnnotations) -> NDArray[np.float64]:
    """Part of each found cell's pixels, all inside the image, that the labels cover together."""
    # Cells of a crowd region are labelled, if not one by one.
    labelled = PackedMasks.from_crops((*gt.crops, *gt.crowd)).to_labels(gt.size) > 0
    shared = np.zeros(len(pred))
    for index, (crop, (x1, y1, x2, y2)) in enumerate(zip(pred.crops, pred.windows.tolist(), strict=True)):
        shared[index] = np.count_nonzero(labelled[y1:y2, x1:x2] & crop.mask)
    return shared / np.maximum(pred.areas, 1)


def merge_candidates(findings: Sequence[Findings], size: Size, limits: Limits) -> list[Candidate]:
    """Cells of an image without a label, each once, however many files found it; best score first.

    The surest sighting comes first (of equal ones that of the earlier file); another file's is the same cell if its
    IoU with it is above .5, as for a hit. No file supports a cell twice.

    Args:
        findings: One a file that predicts the image.
        size: Image ``(height, width)``.
        limits: What has no label.
    """
    sightings: list[_Sighting] = []
    for file, one in enumerate(findings):
        crops = one.pred.crops
        for index in np.flatnonzero(one.unlabelled(limits)).tolist():
            sightings.append(_Sighting(file, crops[index], float(one.scores[index]), float(one.pred_iou[index])))
    sightings.sort(key=lambda sighting: -sighting.score)
    crops = [sighting.crop for sighting in sightings]
    iou = mask_iou(crops, crops, size)
    # The members of each cell by the number of its surest sighting.
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
            score=sum(member.score for member in members) / len(findings),
            support=len(members),
            best_iou=members[0].best_iou,
        )
        for members in cells.values()
    ]
    return sorted(merged, key=lambda candidate: -candidate.score)


@dataclass(frozen=True, eq=False)
class _Sighting:
    """A found cell without a label, of one file."""

    file: int
    crop: MaskCrop
    score: float
    best_iou: float


def list_missing(
    gt: Mapping[str, ImageAnnotations],
    cell_types: Mapping[str, str],
    findings: Mapping[str, Sequence[Findings]],
    limits: Limits,
    min_score: float | None = None,
) -> MissingCells:
    """Both lists, of all images that at least one file predicts.

    Args:
        gt: Labels by image id; may have more images than ``findings``.
        cell_types: Cell type of each of these images; empty text where it is not known.
        findings: By image id, one a file that predicts the image.
        limits: What has nothing to do with each other.
        min_score: What cells without a label must reach, whatever their type. None: what all but
            :data:`MIN_PERCENTILE` percent of the found cells of the type that hit a label (IoU above .5) reach. So
            each type is measured by its own scores, which differ: those of crowded small cells are lower.
    """
    unlabelled, never_found, counts = [], [], []
    for name in CLASSES:
        own = {image_id: seen for image_id, seen in findings.items() if (cell_types[image_id] or NO_CELL_TYPE) == name}
        if not own:
            continue
        least = _min_score(own) if min_score is None else min_score
        new, lost = [], []
        for image_id, seen in own.items():
            candidates = merge_candidates(seen, gt[image_id].size, limits)
            new += _unlabelled_rows(gt[image_id], name, [one for one in candidates if one.score >= least], len(seen))
            lost += _never_found_rows(gt[image_id], name, seen, limits)
        labels = sum(len(gt[image_id]) for image_id in own)
        pred = sum(len(one.scores) for seen in own.values() for one in seen)
        counts.append((name, len(own), labels, len(lost), pred, len(new), least))
        # Equal ones by their place, so that the lists come out alike whatever the order of the files' images.
        unlabelled += sorted(new, key=lambda row: (-row['score'], -row['support'], row['id'], row['y'], row['x']))
        never_found += sorted(lost, key=lambda row: (row['border'], -row['area'], row['id'], row['number']))
    return MissingCells(
        unlabelled=pd.DataFrame(unlabelled, columns=list(UNLABELLED_COLUMNS)),
        never_found=pd.DataFrame(never_found, columns=list(NEVER_FOUND_COLUMNS)),
        counts=pd.DataFrame(counts, columns=list(COUNT_COLUMNS)),
    )


def _min_score(findings: Mapping[str, Sequence[Findings]]) -> float:
    scores = [one.scores[one.pred_iou > TP_IOU] for seen in findings.values() for one in seen]
    hits = np.concatenate([np.zeros(0), *scores])
    # Nothing to measure by: all that the post-processing left is listed.
    return float(np.percentile(hits, MIN_PERCENTILE)) if len(hits) else 0.0


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


def _never_found_rows(
    cells: ImageAnnotations, cell_type: str, seen: Sequence[Findings], limits: Limits
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
