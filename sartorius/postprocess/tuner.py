"""Tunes the chain's thresholds a class for the competition's mAP, without running any network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.evaluation.metric import Summary, score_images, summarise
from sartorius.postprocess.chain import Chain, in_project_classes
from sartorius.postprocess.search import (
    ImageTable,
    SearchGrid,
    Settings,
    choose,
    score_all_settings,
    settings_of,
    with_settings,
)
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

DEFAULT_FOLDS = 5
SAME_SCORE = 1e-9


@dataclass(frozen=True, eq=False)
class TuningResult:
    """What the tuner found.

    Attributes:
        chain: The chain with the tuned settings.
        grid: The settings that were tried.
        before: The settings of the chain that it started from, by cell type.
        settings: The tuned settings by cell type.
        images: Number of images by cell type that the chain voted for.
        tables: Mean score of the class's images, float64 ``(M, S, A)``, by cell type; only classes with images.
        start: Scores of the chain that it started from.
        tuned: Scores of the tuned chain on the images that it was tuned on; too good by nature.
        cross_validated: Scores on images that the settings were not tuned on.
        gain: Mean gain in score of ``cross_validated`` over ``start``, and its bootstrap interval: gain, low, high.
    """

    chain: Chain
    grid: SearchGrid
    before: Mapping[str, Settings]
    settings: Mapping[str, Settings]
    images: Mapping[str, int]
    tables: Mapping[str, NDArray[np.float64]]
    start: Summary
    tuned: Summary
    cross_validated: Summary
    gain: tuple[float, float, float]

    def evidence(self) -> dict[str, Any]:
        """The figures as JSON types."""
        summaries = {'start': self.start, 'tuned': self.tuned, 'cross_validated': self.cross_validated}
        return {
            'images': dict(self.images),
            'settings_tried': int(np.prod(self.grid.shape)),
            'scores': {
                name: {
                    'score': summary.score,
                    'interval': list(summary.interval),
                    'per_class': dict(
                        zip(summary.per_class['cell_type'], summary.per_class['score'].tolist(), strict=True)
                    ),
                }
                for name, summary in summaries.items()
            },
            'gain': {'score': self.gain[0], 'interval': list(self.gain[1:])},
        }

    def format(self) -> str:
        """The settings and the scores as lines of text for a terminal."""
        lines = [f'{"class":<8}{"images":>8}   {"score threshold":<17}{"least area":<15}mask threshold']
        for name in CELL_TYPES:
            changes = [f'{old:g} -> {new:g}' for old, new in zip(self.before[name], self.settings[name], strict=True)]
            score, area, mask = changes
            note = ''
            if not self.images[name]:
                note = 'no images: keeps what it had'
            elif self.settings[name] == self.before[name]:
                note = 'nothing better found: keeps what it had'
            lines.append(f'{name:<8}{self.images[name]:>8}   {score:<17}{area:<15}{mask:<16}{note}'.rstrip())
        lines += ['', f'{"mAP":<8}{"start":>8}{"tuned":>8}{"cross-validated":>17}']
        columns = [self.start, self.tuned, self.cross_validated]
        names = ['all', *self.start.per_class['cell_type']]
        values = zip(*[[column.score, *column.per_class['score']] for column in columns], strict=True)
        for name, (start, tuned, unseen) in zip(names, values, strict=True):
            lines.append(f'{name:<8}{start:>8.4f}{tuned:>8.4f}{unseen:>17.4f}')
        low, high = self.cross_validated.interval
        gain, least, most = self.gain
        return '\n'.join(
            [
                *lines,
                '',
                'tuned: on the images that it was tuned on, too good by nature; cross-validated: on images left out',
                f'cross-validated mAP {low:.4f} to {high:.4f}, gain over the start {gain:+.4f} ({least:+.4f} to '
                f'{most:+.4f}), {self.cross_validated.confidence:.0%} bootstrap intervals over the images',
            ]
        )


def tune(
    predictions: PredictionSet,
    truth: Mapping[str, ImageAnnotations],
    chain: Chain,
    grid: SearchGrid | None = None,
    folds: int = DEFAULT_FOLDS,
    seed: int = 0,
) -> TuningResult:
    """Finds score threshold, least area and mask threshold of every class.

    A class is tuned on the images that the chain votes it for: see :func:`sartorius.postprocess.search.choose` for the
    choice. A class keeps the settings that it started with when it has no images, or when the choice does not score
    better than they do. The cross-validated scores do the same with each fold of a class's images left out, and run the
    real chain on those; a class of a single image has nothing to tune on there and keeps what it started with. Folds
    are drawn over images: where several are of one well, the estimate is too good.

    Args:
        predictions: Of images that the model was not trained on.
        truth: True cells by image id. Images that are in one of the two alone do not count.
        chain: Where to start from; see :func:`sartorius.postprocess.search.settings_of` for what it must hold.
        grid: The settings to try.
        folds: Number of parts that a class's images are cut into, at least 2.
        seed: Of the folds.

    Raises:
        InputError: No image has annotations, an image has another size there, too few folds, or a chain that cannot be
            tuned.
    """
    grid = grid or SearchGrid()
    before = settings_of(chain)
    if folds < 2:
        raise InputError(f'{folds} folds; cross-validation needs at least 2')
    images, truth = _annotated(predictions, truth)

    tables = [
        score_all_settings(image, truth[image.image_id], chain, grid)
        for image in progress(images, 'scoring all settings')
    ]
    start = _score_chains(images, truth, [chain] * len(images), 'scoring the start')
    start_scores = start['score'].to_numpy()
    members = {
        cell_type: np.flatnonzero([table.label == label for table in tables])
        for label, cell_type in enumerate(CELL_TYPES)
    }

    chosen = {name: _choose_for(tables, start_scores, own) for name, own in members.items()}
    tuned_chain = _chain_with(chain, before, grid, chosen)
    tuned = _score_chains(images, truth, [tuned_chain] * len(images), 'scoring the tuned')
    _check_shortcut(tables, chosen, tuned)

    chains = [chain] * len(images)
    for name, own in members.items():
        for left_out in _folds(own, folds, seed):
            index = _choose_for(tables, start_scores, np.setdiff1d(own, left_out))
            fold_chain = _chain_with(chain, before, grid, {name: index})
            for place in left_out:
                chains[place] = fold_chain
    unseen = _score_chains(images, truth, chains, 'cross-validating')

    cross_validated = summarise(unseen)
    # The interval of the images' gains, not of the two means: what the images have in common cancels out.
    gains = summarise(unseen.assign(score=unseen['score'] - start['score']))
    return TuningResult(
        chain=tuned_chain,
        grid=grid,
        before=before,
        settings=settings_of(tuned_chain),
        images={name: len(own) for name, own in members.items()},
        tables={
            name: np.mean([tables[place].scores for place in own], axis=0) for name, own in members.items() if own.size
        },
        start=summarise(start),
        tuned=summarise(tuned),
        cross_validated=cross_validated,
        gain=(gains.score, *gains.interval),
    )


def _annotated(
    predictions: PredictionSet, truth: Mapping[str, ImageAnnotations]
) -> tuple[list[ImagePredictions], dict[str, ImageAnnotations]]:
    """The predicted images that have annotations, and those annotations."""
    images = [image for image in in_project_classes(predictions).images if image.image_id in truth]
    if not images:
        raise InputError(
            f'none of the {len(predictions.images)} predicted images is among the {len(truth)} annotated ones; '
            'predict annotated images (tools/test.py --split val), or give their annotations'
        )
    for image in images:
        size = truth[image.image_id].size
        if size != image.size:
            raise InputError(
                f'image {image.image_id} is {image.size[1]}x{image.size[0]} in the predictions and '
                f'{size[1]}x{size[0]} in the annotations; give those of the same images'
            )
    return images, {image.image_id: truth[image.image_id] for image in images}


def _score_chains(
    images: Sequence[ImagePredictions],
    truth: Mapping[str, ImageAnnotations],
    chains: Sequence[Chain],
    description: str,
) -> pd.DataFrame:
    """The metric's table of images, each image through its own chain."""
    pairs = progress(zip(images, chains, strict=True), description, total=len(images))
    found = {image.image_id: own(image).crops for image, own in pairs}
    return score_images(truth, found)


def _choose_for(
    tables: Sequence[ImageTable], start_scores: NDArray[np.float64], chosen_images: NDArray[np.int64]
) -> tuple[int, int, int] | None:
    """Setting for some images; None if what they started with is no worse on them, or there are no images."""
    if not chosen_images.size:
        return None
    scores = np.stack([tables[place].scores for place in chosen_images])
    index = choose(scores)
    return index if scores.mean(axis=0)[index] > start_scores[chosen_images].mean() else None


def _chain_with(
    chain: Chain,
    before: Mapping[str, Settings],
    grid: SearchGrid,
    chosen: Mapping[str, tuple[int, int, int] | None],
) -> Chain:
    """The chain with the chosen settings put in, where there are any."""
    found = {name: grid.at(index) for name, index in chosen.items() if index is not None}
    return with_settings(chain, {**before, **found})


def _folds(members: NDArray[np.int64], folds: int, seed: int) -> list[NDArray[np.int64]]:
    shuffled = np.random.default_rng(seed).permutation(members)
    count = min(folds, len(members))
    return [shuffled[first::count] for first in range(count)]


def _check_shortcut(
    tables: Sequence[ImageTable], chosen: Mapping[str, tuple[int, int, int] | None], tuned: pd.DataFrame
) -> None:
    """Raises an InputError unless the real chain scores what the table of all settings says."""
    for table, real in zip(tables, tuned['score'], strict=True):
        index = None if table.label is None else chosen[CELL_TYPES[table.label]]
        if index is not None and abs(table.scores[index] - real) > SAME_SCORE:
            raise InputError(
                f'image {table.image_id}: the tuner counts a score of {table.scores[index]:.6f}, the chain itself '
                f'reaches {real:.6f}; a step between ScoreThreshold and LeastArea makes better cells depend on weaker '
                'ones, so this post-processing cannot be tuned'
            )
