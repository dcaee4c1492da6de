"""The chain: an ordered list of steps, and its two file formats: a Python config, and JSON with its evidence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sartorius.postprocess.steps import STEPS, MaskThreshold, RemoveOverlap, Step, drop_unusable
from sartorius.predictions.store import load_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.paths import DEFAULT_POSTPROCESS, display_path
from sartorius.utils.settings import build_by_type, load_settings

CONFIG_KEY = 'postprocess'


@dataclass(frozen=True)
class Chain:
    """Steps, applied one after the other to the usable cells of an image.

    The cells of the result never share a pixel: a chain without ``RemoveOverlap`` resolves overlaps at its end.

    Raises:
        InputError: A step in a place where it has no effect or does harm: a ``MaskThreshold`` after a step on pixels,
            which has no effect there; after ``RemoveOverlap`` a step that gives cells new pixels, so that they
            would share some again.
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'steps', tuple(self.steps))
        on_pixels = grown = None
        for step in self.steps:
            name = type(step).__name__
            if isinstance(step, MaskThreshold) and on_pixels:
                raise InputError(
                    f'post-processing: MaskThreshold is after {on_pixels}, which binarises the masks at .5; '
                    'put it before'
                )
            on_pixels = name if step.on_pixels else on_pixels
            # A RemoveOverlap resolves what any step before it did.
            grown = None if isinstance(step, RemoveOverlap) else (name if step.grows_cells else grown)
        if grown and self._removes_overlap:
            raise InputError(
                f'post-processing: {grown} is after RemoveOverlap and gives cells new pixels, which other cells may '
                'have; put it before'
            )

    @property
    def _removes_overlap(self) -> bool:
        return any(isinstance(step, RemoveOverlap) for step in self.steps)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        """The image's cells after all steps, with crops of which no two share a pixel.

        Cells without a finite score or a usable box are dropped first (:func:`base.drop_unusable`).
        """
        predictions = drop_unusable(predictions)
        for step in self.steps:
            predictions = step(predictions)
        return predictions if self._removes_overlap else RemoveOverlap()(predictions)

    def to_config(self) -> list[dict[str, Any]]:
        """The config that :func:`build_chain` makes this chain from; JSON types only."""
        return [{'type': type(step).__name__, **asdict(step)} for step in self.steps]


def build_chain(config: Sequence[Mapping[str, Any]]) -> Chain:
    """Chain of a config such as ``[dict(type='VoteClass'), dict(type='ScoreThreshold', threshold=.5)]``.

    Raises:
        InputError: Not a list of dicts, an unknown type or parameter (the nearest known one is named), a parameter that
            is missing or out of range.
    """
    if isinstance(config, (str, Mapping)) or not isinstance(config, Sequence):
        raise InputError(f'post-processing must be a list of dicts, one per step, not {type(config).__name__}')
    steps = [
        build_by_type(STEPS, entry, f'post-processing step {place}') for place, entry in enumerate(config, start=1)
    ]
    return Chain(tuple(steps))


def load_chain(path: str | Path = DEFAULT_POSTPROCESS) -> Chain:
    """Chain from a ``.json`` file of :func:`save_chain`, or from a ``.py`` file that defines ``postprocess = [...]``.

    Raises:
        InputError: The file is missing or invalid, or its chain is wrong.
    """
    return load_settings(path, build_chain, 'post-processing file', CONFIG_KEY)


def save_chain(path: str | Path, chain: Chain, evidence: Mapping[str, Any]) -> None:
    """Writes a chain as JSON, atomically.

    Args:
        path: File to write; :func:`load_chain` reads it.
        chain: The steps.
        evidence: Data and scores that the chain was tuned by, JSON types only; saved with it.
    """
    write_text(
        path, json.dumps({CONFIG_KEY: chain.to_config(), 'evidence': dict(evidence)}, indent=2, allow_nan=False) + '\n'
    )


def in_project_classes(predictions: PredictionSet) -> PredictionSet:
    """The same predictions with labels that index into the project's cell types, as the steps read them.

    Raises:
        InputError: The set has a class that is none of the cell types.
    """
    if tuple(predictions.classes) == CELL_TYPES:
        return predictions
    for name in predictions.classes:
        if name not in CELL_TYPES:
            raise InputError(f'the predictions have a class {name!r}; known: {", ".join(CELL_TYPES)}')
    order = np.array([CELL_TYPES.index(name) for name in predictions.classes], dtype=np.int64)
    images = tuple(replace(image, labels=order[image.labels]) for image in predictions.images)
    return replace(predictions, images=images, classes=CELL_TYPES)


def load_in_project_classes(path: Path) -> PredictionSet:
    """Reads a predictions file, its labels in the order of the cell types.

    Raises:
        InputError: No sound predictions file, or a class that is none of the cell types; the message names the file.
    """
    try:
        return in_project_classes(load_predictions(path))
    except InputError as error:
        name = display_path(path)
        raise InputError(str(error) if str(error).startswith(name) else f'{name}: {error}') from None


def postprocess_all(predictions: PredictionSet, chain: Chain) -> dict[str, ImagePredictions]:
    """Post-processes all images.

    Returns:
        Images by id, with crops of which no two share a pixel.

    Raises:
        InputError: The predictions have a class that is none of the cell types.
    """
    images = in_project_classes(predictions).images
    return {image.image_id: chain(image) for image in progress(images, 'post-processing')}
