"""The chain: an ordered list of steps, and its two file formats: a Python config, and JSON with its evidence."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sartorius.postprocess.steps import STEPS, MaskThreshold, RemoveOverlap, Step, drop_unusable
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.paths import ANY_POSTPROCESS, DEFAULT_POSTPROCESS, display_path
from sartorius.utils.settings import build_by_type, load_settings

logger = logging.getLogger(__name__)

CONFIG_KEY = 'postprocess'


@dataclass(frozen=True)
class Chain:
    """Steps, applied one after the other to the usable cells of an image.

    The cells of the result never share a pixel: a chain without ``RemoveOverlap`` resolves overlaps at its end.

    Attributes:
        steps: The steps in their order.
        classes: Class names that the labels of the predictions index into (:meth:`for_classes`); None while they are
            not known, when a chain with numbers per class refuses predictions.

    Raises:
        InputError: A step in a place where it has no effect or does harm: a ``MaskThreshold`` after a step on pixels,
            which has no effect there; after ``RemoveOverlap`` a step that gives cells new pixels, so that they
            would share some again.
    """

    steps: tuple[Step, ...]
    classes: tuple[str, ...] | None = None

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

        Raises:
            InputError: The chain has numbers per class and no class names, or a label is none of them.
        """
        if self.is_per_class:
            self.known_classes()
        predictions = drop_unusable(predictions)
        for step in self.steps:
            predictions = step(predictions)
        return predictions if self._removes_overlap else RemoveOverlap()(predictions)

    def known_classes(self) -> tuple[str, ...]:
        """The class names that labels index into.

        Raises:
            InputError: They are not known.
        """
        if self.classes is None:
            raise InputError(
                'the post-processing does not know which labels stand for which classes; call '
                'chain.for_classes(predictions.classes) first'
            )
        return self.classes

    @property
    def is_per_class(self) -> bool:
        """Whether a step has one number per class."""
        return any(step.is_per_class for step in self.steps)

    def for_classes(self, classes: Sequence[str]) -> 'Chain':
        """The same chain for predictions of some classes.

        Args:
            classes: Class names in the order of the labels.

        Raises:
            InputError: A step has one number per class, and none for one of the classes.
        """
        try:
            return Chain(tuple(step.for_classes(classes) for step in self.steps), tuple(classes))
        except InputError as error:
            raise InputError(f'post-processing: {error}') from None

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


def load_chain_for(classes: Sequence[str], path: str | Path | None = None) -> tuple[Chain, Path]:
    """The chain for predictions of some classes, and its file.

    Args:
        classes: Class names in the order of the labels.
        path: File that the user gave. None: the competition's chain for its classes; for others, which it has no
            numbers for, the chain with one number for all, and a log line that says so.

    Raises:
        InputError: As :func:`load_chain` and :meth:`Chain.for_classes`; the message names the file.
    """
    if path is None and not set(classes) <= set(CELL_TYPES):
        path = ANY_POSTPROCESS
        shown = f'{", ".join(classes[:3])}{f" and {len(classes) - 3} more" if len(classes) > 3 else ""}'
        logger.warning(
            f'the classes of the predictions are {shown}: post-processed by {display_path(path)}, which has one number '
            'for all; name another file with --postprocess'
        )
    path = Path(path or DEFAULT_POSTPROCESS)
    chain = load_chain(path)
    try:
        return chain.for_classes(classes), path
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None


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


def warn_of_unusable(predictions: PredictionSet) -> None:
    """Counts, in the log, the cells that every chain drops: those whose box has no area, or none in its image."""
    cells = without_area = outside = 0
    for image in predictions.images:
        (x1, y1, x2, y2), (height, width) = image.boxes.T, image.size
        has_area = (x1 < x2) & (y1 < y2)
        is_inside = (x2 > 0) & (y2 > 0) & (x1 < width) & (y1 < height)
        cells += len(image)
        without_area += int((~has_area).sum())
        outside += int((has_area & ~is_inside).sum())
    if without_area:
        logger.warning(
            f'{without_area:,} of {cells:,} predicted cells have a box without width or height; they are dropped'
        )
    if outside:
        logger.warning(f'{outside:,} of {cells:,} predicted cells lie outside their image; they are dropped')


def postprocess_all(predictions: PredictionSet, chain: Chain) -> dict[str, ImagePredictions]:
    """Post-processes all images.

    Returns:
        Images by id, with crops of which no two share a pixel; labels index into the classes of the predictions.

    Raises:
        InputError: The chain has one number per class, and none for one of the classes of the predictions.
    """
    chain = chain.for_classes(predictions.classes)
    warn_of_unusable(predictions)
    return {image.image_id: chain(image) for image in progress(predictions.images, 'post-processing')}
