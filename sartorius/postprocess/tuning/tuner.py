"""Tuning of the chain's parameters per class for the competition's mAP, without running any network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import GroundTruth, ImageAnnotations
from sartorius.evaluation.bootstrap import Estimate, estimate, groups_of_images
from sartorius.evaluation.metric import score_images
from sartorius.postprocess.chain import Chain
from sartorius.postprocess.tuning.grid import (
    ImageTable,
    ParameterValues,
    SearchGrid,
    score_all_settings,
    settings_of,
    tuned_classes,
    with_settings,
)
from sartorius.postprocess.tuning.selection import SAME_SCORE, Choice, ScoreTables, cross_validate, make_folds
from sartorius.predictions.structures import ImagePredictions, PredictionSet, with_known_ids
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

DEFAULT_FOLDS = 5


@dataclass(frozen=True, eq=False)
class TuningResult:
    """Result of :func:`tune`.

    Attributes:
        chain: The chain with the tuned settings.
        grid: The settings that were tried.
        before: The settings of the chain that it started from, by class; by
            :data:`sartorius.postprocess.tuning.selection.ALL_CLASSES` alone if the chain does not vote.
        settings: The tuned settings, likewise.
        choices: How they were chosen, likewise; only classes with images.
        tables: Mean score of the class's images, float64 of the grid's shape, likewise; only classes with images.
        fold_chains: The chain that was tuned without each fold.
        images: One row per image, by id: ``image_id``, ``group``, ``cell_type`` (of its ground truth), ``voted`` (class
            whose settings apply to it), ``fold``, and its scores ``start`` (with the chain it started from), ``tuned``
            (with the tuned chain; biased upwards) and ``cross_validated`` (with its fold's chain).
    """

    chain: Chain
    grid: SearchGrid
    before: Mapping[str, ParameterValues]
    settings: Mapping[str, ParameterValues]
    choices: Mapping[str, Choice]
    tables: Mapping[str, NDArray[np.float64]]
    fold_chains: tuple[Chain, ...]
    images: pd.DataFrame

    def estimate(self, scores: str, less: str | None = None, cell_type: str | None = None) -> Estimate:
        """Mean and interval of a column of ``images``, or of its difference from another, over all images or a
        class."""
        rows = self.images if cell_type is None else self.images[self.images['cell_type'] == cell_type]
        values = rows[scores] if less is None else rows[scores] - rows[less]
        return estimate(values.to_numpy(), rows['group'].to_numpy().astype(str))


def tune(
    predictions: PredictionSet,
    gt: Mapping[str, ImageAnnotations],
    chain: Chain,
    groups: Mapping[str, str] | None = None,
    grid: SearchGrid | None = None,
    folds: int = DEFAULT_FOLDS,
    seed: int = 0,
) -> TuningResult:
    """Selects the best parameters of every class.

    A class is tuned on the images that the chain votes it for, by the rule of
    :func:`sartorius.postprocess.tuning.selection.choose`. A chain without ``VoteClass``, for images that may hold cells
    of several classes, gets one setting for all of them, which is tuned on all images. A class keeps the parameters of
    the starting chain if it has no images or those of a single group, or if the gain of the choice is no more than its
    standard error. For the cross-validated scores all of this is repeated without each fold of the groups, and the
    images of that fold are scored.

    Args:
        predictions: Of images that the model was not trained on.
        gt: Ground truth by image id. Images that are in only one of the two do not count. Its classes may be others.
        chain: Starting chain; see :func:`sartorius.postprocess.tuning.grid.tunable_parameters_of` for the steps that it
            needs.
        groups: Group of near-duplicates by image id (:func:`sartorius.annotations.reading.load_groups`); no group lies
            in two folds. An image without one is a group of its own.
        grid: The settings to try; by default :meth:`sartorius.postprocess.tuning.grid.SearchGrid.of` the chain.
        folds: Number of parts that the groups are split into, at least 2; with fewer groups, each is a fold.
        seed: Seed of the folds.

    Raises:
        InputError: No image has annotations, an image has another size there, too few folds, or a chain that cannot be
            tuned or lacks a class of the predictions.
    """
    chain = chain.for_classes(predictions.classes)
    before = settings_of(chain)
    grid = grid or SearchGrid.of(chain)
    for name in grid.axes:
        if name not in next(iter(before.values())):
            raise InputError(f'grid: the post-processing has no step for {name!r}; leave it out')
    if folds < 2:
        raise InputError(f'{folds} folds; cross-validation needs at least 2')
    images, gt = annotated_images(predictions, gt)

    searched = [
        score_all_settings(image, gt[image.image_id], chain, grid) for image in progress(images, 'scoring all settings')
    ]
    start = score_chains(images, gt, [chain] * len(images), 'scoring the start')
    tables = ScoreTables(
        scores=np.stack([table.scores for table in searched]),
        start=start['score'].to_numpy(),
        classes=tuned_classes(searched, chain),
        groups=groups_of_images((image.image_id for image in images), groups or {}),
    )
    choices = tables.choices(np.ones(len(images), dtype=bool))
    tuned_chain = _chain_with(chain, before, grid, choices)
    tuned = score_chains(images, gt, [tuned_chain] * len(images), 'scoring the tuned')
    _check_shortcut(searched, tables.scores_with(choices), tuned['score'].to_numpy())

    fold_of = make_folds(tables, start['n_gt'].tolist(), folds, seed)
    cross_validated, fold_choices = cross_validate(tables, fold_of)
    table = pd.DataFrame(
        {
            'image_id': start['image_id'],
            'group': tables.groups,
            'cell_type': start['cell_type'],
            'voted': tables.classes,
            'fold': fold_of,
            'start': tables.start,
            'tuned': tuned['score'],
            'cross_validated': cross_validated,
        }
    )
    return TuningResult(
        chain=tuned_chain,
        grid=grid,
        before=before,
        settings=settings_of(tuned_chain),
        choices=choices,
        tables={name: tables.scores[tables.classes == name].mean(axis=0) for name in choices},
        fold_chains=tuple(_chain_with(chain, before, grid, own) for own in fold_choices),
        images=table,
    )


def score_chains(
    images: Sequence[ImagePredictions],
    gt: Mapping[str, ImageAnnotations],
    chains: Sequence[Chain],
    description: str,
) -> pd.DataFrame:
    """The metric's table of images, each image through its own chain.

    Args:
        images: Predictions with labels that index into the classes of the chains.
        gt: Ground truth of exactly these images, in their order.
        chains: One an image, each with its classes (:meth:`Chain.for_classes`).
        description: What the progress bar says.
    """
    pairs = progress(zip(images, chains, strict=True), description, total=len(images))
    pred = {image.image_id: own(image).crops for image, own in pairs}
    return score_images(gt, pred)


def annotated_images(
    predictions: PredictionSet, gt: Mapping[str, ImageAnnotations]
) -> tuple[list[ImagePredictions], GroundTruth]:
    """The predicted images that have annotations, and those annotations, by id: their order makes no difference.

    Raises:
        InputError: There is none, or one has another size in the annotations.
    """
    images = [image for image in with_known_ids(predictions, gt).images if image.image_id in gt]
    if not images:
        raise InputError(
            f'none of the {len(predictions.images)} predicted images is among the {len(gt)} annotated ones; '
            'predict annotated images (tools/test.py --split val), or give their annotations'
        )
    for image in images:
        size = gt[image.image_id].size
        if size != image.size:
            raise InputError(
                f'image {image.image_id} is {image.size[1]}x{image.size[0]} in the predictions and '
                f'{size[1]}x{size[0]} in the annotations; give those of the same images'
            )
    images.sort(key=lambda image: image.image_id)
    return images, GroundTruth.of(gt).select(image.image_id for image in images)


def _chain_with(
    chain: Chain, before: Mapping[str, ParameterValues], grid: SearchGrid, choices: Mapping[str, Choice]
) -> Chain:
    """The chain with the selected settings, where they are better."""
    chosen = {name: {**before[name], **grid.at(choice.index)} for name, choice in choices.items() if choice.is_better}
    return with_settings(chain, {**before, **chosen})


def _check_shortcut(tables: Sequence[ImageTable], counted: NDArray[np.float64], real: NDArray[np.float64]) -> None:
    """Raises an InputError unless the real chain scores what the tables of all settings say."""
    for table, ours, theirs in zip(tables, counted, real, strict=True):
        if abs(ours - theirs) > SAME_SCORE:
            raise InputError(
                f'image {table.image_id}: the tuner counts a score of {ours:.6f}, the chain itself reaches '
                f'{theirs:.6f}; a step between ScoreThreshold and MinArea makes better cells depend on weaker ones, '
                'so this post-processing cannot be tuned'
            )
