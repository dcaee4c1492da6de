"""Scores of the rows: the images of each fold with thresholds that were tuned on the other folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sartorius.annotations.coco_index import naming
from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate, estimate, groups_of_images
from sartorius.evaluation.coco_ap import PredictedMask, encode_predictions, score_boxes, score_masks
from sartorius.images.image_ids import match_image_ids
from sartorius.leaderboard.rows import FoldFile, LeaderboardRow
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS, SearchGrid, score_all_settings, tuned_classes
from sartorius.postprocess.tuning.selection import ScoreTables, cross_validate, make_folds
from sartorius.postprocess.tuning.tuner import annotated_images, score_chains
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

TUNED = ('score', 'area')
"""Parameters that are tuned: those that need no further run of the chain (:mod:`sartorius.postprocess.tuning.grid`)."""

PARTS = 5
"""Parts that the groups of a row are divided into if it has only one fold."""


@dataclass(frozen=True, eq=False)
class RowScores:
    """A row and its scores.

    Attributes:
        row: The row that was scored.
        images: One row per image, by id: ``image_id``, ``group``, ``cell_type``, ``fold`` (-1 unknown), ``default``
            (competition score with the default chain) and ``tuned`` (with thresholds tuned on other images). The last
            two columns are missing for boxes alone.
        average_precision: COCO's ``AP``, ``AP50`` and ``AP75`` of all cells before post-processing: of masks, or of
            boxes where there are no masks.
        without_gt: Number of predicted images without ground truth.
        over_folds: Whether the tuning used the other folds; else other groups of the one fold.
    """

    row: LeaderboardRow
    images: pd.DataFrame
    average_precision: Mapping[str, float]
    without_gt: int
    over_folds: bool

    def score(self, column: str, cell_type: str | None = None) -> Estimate | None:
        """Mean and interval of a column of ``images``, over all or a class; None where there is none."""
        images = self.images if cell_type is None else self.images[self.images['cell_type'] == cell_type]
        if column not in images or images.empty:
            return None
        return _estimate(images[column], images['group'])

    def difference(self, baseline: 'RowScores') -> tuple[Estimate, int] | None:
        """Paired difference of ``tuned`` from another row, over the images of both, and their number.

        None where they share no image, or one of them has no scores.
        """
        if 'tuned' not in self.images or 'tuned' not in baseline.images:
            return None
        both = self.images.merge(baseline.images[['image_id', 'tuned']], on='image_id', suffixes=('', '_baseline'))
        if both.empty:
            return None
        return _estimate(both['tuned'] - both['tuned_baseline'], both['group']), len(both)


@dataclass(frozen=True, eq=False)
class _FileScores:
    """Scores of one file, which take far less memory than its predictions."""

    images: pd.DataFrame
    settings: np.ndarray
    voted: np.ndarray
    pred: dict[str, list[PredictedMask]]


def score_rows(
    rows: Sequence[LeaderboardRow], gt: Mapping[str, ImageAnnotations], groups: Mapping[str, str], chain: Chain
) -> tuple[list[RowScores], list[LeaderboardRow]]:
    """Scores all rows.

    Args:
        rows: As :func:`sartorius.leaderboard.rows.group_rows` returns them.
        gt: Ground truth by image id.
        groups: Group of near-duplicates by image id.
        chain: The default post-processing, for the classes of all files.

    Returns:
        The scores, and the rows without an image that has ground truth.

    Raises:
        InputError: No row has an image with ground truth, or a file cannot be scored.
    """
    known = [row for row in rows if any(_matched(file, gt) for file in row.files)]
    if not known:
        raise InputError('no predicted image is among the annotated ones; give the annotations of these images')
    scored = [score_row(row, gt, groups, chain) for row in progress(known, 'rows')]
    return scored, [row for row in rows if row not in known]


def score_row(
    row: LeaderboardRow, gt: Mapping[str, ImageAnnotations], groups: Mapping[str, str], chain: Chain
) -> RowScores:
    """Scores one row; see :func:`score_rows`."""
    gt = _with_classes_of(row, gt)
    files = [file for file in row.files if _matched(file, gt)]
    without_gt = sum(len(file.header.image_ids) - len(_matched(file, gt)) for file in row.files)
    if row.boxes_only:
        images, precision = _score_boxes(files, gt, groups)
        return RowScores(row, images, precision, without_gt, over_folds=False)
    grid = SearchGrid({name: TUNABLE_PARAMETERS[name].values for name in TUNED})
    parts = [_score_file(file, gt, groups, chain, grid) for file in files]
    images = pd.concat([part.images for part in parts], ignore_index=True)
    tables = ScoreTables(
        scores=np.concatenate([part.settings for part in parts]),
        start=images['default'].to_numpy(),
        classes=np.concatenate([part.voted for part in parts]),
        groups=images['group'].to_numpy().astype(str),
    )
    over_folds = len(files) > 1
    if over_folds:
        part_of = np.repeat(np.arange(len(parts)), [len(part.images) for part in parts])
    else:
        part_of = make_folds(tables, images['n_gt'].tolist(), PARTS, seed=0)
    images['tuned'] = cross_validate(tables, part_of)[0]
    pred = {image_id: cells for part in parts for image_id, cells in part.pred.items()}
    precision = score_masks(gt.select(pred), pred)
    images = images.drop(columns='n_gt').sort_values('image_id', ignore_index=True)
    return RowScores(row, images, precision, without_gt, over_folds)


def _matched(file: FoldFile, gt: Mapping[str, ImageAnnotations]) -> dict[str, str]:
    """Ids in the ground truth of those images of a file that have it."""
    with naming(file.name):
        return match_image_ids(file.header.image_ids, gt)


def _score_file(
    file: FoldFile, gt: GroundTruth, groups: Mapping[str, str], chain: Chain, grid: SearchGrid
) -> _FileScores:
    predictions, own_gt = _images_of(file, gt)
    images, chain = predictions.images, chain.for_classes(predictions.classes)
    start = score_chains(images, own_gt, [chain] * len(images), file.name)
    tables = [score_all_settings(image, own_gt[image.image_id], chain, grid) for image in images]
    table = start[['image_id', 'cell_type', 'n_gt']].assign(default=start['score'])
    return _FileScores(
        images=table.assign(**_places(file, images, groups)),
        settings=np.stack([one.scores for one in tables]),
        voted=tuned_classes(tables, chain),
        pred={image.image_id: encode_predictions(image) for image in predictions.in_classes(gt.classes).images},
    )


def _score_boxes(
    files: Sequence[FoldFile], gt: GroundTruth, groups: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    tables, pred = [], {}
    for file in files:
        predictions, _ = _images_of(file, gt)
        images = predictions.in_classes(gt.classes).images
        tables.append(pd.DataFrame({'image_id': [image.image_id for image in images], **_places(file, images, groups)}))
        pred.update({image.image_id: image for image in images})
    precision = score_boxes(gt.select(pred), pred)
    return pd.concat(tables, ignore_index=True), precision


def _with_classes_of(row: LeaderboardRow, gt: Mapping[str, ImageAnnotations]) -> GroundTruth:
    """The ground truth with the classes of a row's files after its own, so that one list has them all."""
    gt = GroundTruth.of(gt)
    predicted = (name for file in row.files for name in file.header.classes)
    return GroundTruth(gt, tuple(dict.fromkeys((*gt.classes, *predicted))))


def _images_of(file: FoldFile, gt: GroundTruth) -> tuple[PredictionSet, GroundTruth]:
    """The file's images that have ground truth, and this ground truth, by id."""
    predictions = load_predictions(file.path, boxes_allowed=True)
    try:
        images, own_gt = annotated_images(predictions, gt)
        return replace(predictions, images=tuple(images)), own_gt
    except InputError as error:
        raise InputError(f'{file.name}: {error}') from None


def _places(file: FoldFile, images: Sequence[ImagePredictions], groups: Mapping[str, str]) -> dict[str, object]:
    """Columns ``group`` and ``fold`` of some images."""
    return {
        'group': groups_of_images((image.image_id for image in images), groups),
        'fold': -1 if file.fold is None else file.fold,
    }


def _estimate(values: pd.Series, groups: pd.Series) -> Estimate:
    return estimate(values.to_numpy(), groups.to_numpy().astype(str))
