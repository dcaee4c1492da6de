"""A model with its chain, which predicts the frames of one image at the scale that it was trained for."""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sartorius.engine.config import load_config
from sartorius.engine.run_record import run_of_checkpoint
from sartorius.images.axes import ReadOptions
from sartorius.images.image_ids import frame_id
from sartorius.images.structures import ImageStack
from sartorius.inference.inference_config import InferenceOptions
from sartorius.inference.predictor import PassReport, Predictor
from sartorius.inference.scaling import needs_tiles
from sartorius.inference.tiling import cut_tiles
from sartorius.masks.crop import MaskCrop, Size
from sartorius.models.checkpoints import read_checkpoint
from sartorius.models.model_file import find_model, load_model_file
from sartorius.models.outputs import box_limits
from sartorius.postprocess.chain import Chain, build_chain, load_chain_for
from sartorius.postprocess.steps import ScoreThreshold
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path

TileMode = Literal['auto', 'on', 'off']

MAX_USUAL_SCALE = 4.0
"""Images whose pixels are so many times larger or smaller than the model's are predicted with a warning."""
# More scales than this in one run are pixel sizes that differ in their last digits; models are cheap to build again.
MAX_KEPT_SCALES = 16


@dataclass(frozen=True)
class ImageOptions:
    """How an image is read, predicted and post-processed.

    Attributes:
        axes: As in :class:`sartorius.images.axes.ReadOptions`, like the next two.
        channel: Number or name of the channel.
        z: Number of the plane, ``max`` or ``mean``.
        levels: Grey values that become black and white; those of the image (or movie) itself if None.
        pixel_size_um: Side of a pixel in micrometres, in place of what the file says.
        scale: Factor from the image's pixels to those of the model, in place of what the pixel sizes say.
        tiles: Whether in overlapping tiles; ``auto`` for images that are much larger than the trained ones, or that
            hold as many cells as the model predicts at once.
        tta: Whether with test-time augmentation.
        postprocess: File of the chain, in place of the model's own.
        min_score: Score from which cells are kept, in place of the chain's.
        exclude_border: Whether cells that touch the border of the image are dropped.

    Raises:
        UsageError: A number out of range.
    """

    axes: str | None = None
    channel: int | str | None = None
    z: int | str | None = None
    levels: tuple[float, float] | None = None
    pixel_size_um: float | None = None
    scale: float | None = None
    tiles: TileMode = 'auto'
    tta: bool = False
    postprocess: Path | None = None
    min_score: float | None = None
    exclude_border: bool = False

    def __post_init__(self) -> None:
        for name, value in (('--pixel-size', self.pixel_size_um), ('--scale', self.scale)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f'{name} is {value:g}; it must be above 0')
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise UsageError(f'--min-score is {self.min_score:g}; scores lie between 0 and 1')
        if self.levels is not None and not self.levels[0] < self.levels[1]:
            raise UsageError(f'--levels is {self.levels[0]:g}:{self.levels[1]:g}; the first must be below the second')
        if self.tiles not in ('auto', 'on', 'off'):
            raise UsageError(f"--tiles is {self.tiles!r}; it is 'auto', 'on' or 'off'")

    @property
    def reading(self) -> ReadOptions:
        """The options of the reader."""
        return ReadOptions(self.axes, self.channel, self.z)


@dataclass(frozen=True)
class Scale:
    """How an image is enlarged for the model.

    Attributes:
        factor: The size of the image's pixels divided by that of the model's.
        pixel_size_um: Side of the image's pixels in micrometres; None if it is not known.
        pixel_size_from: Where that is from: the file's metadata or ``--pixel-size``; empty if it is not known.
        notes: Warnings.
    """

    factor: float
    pixel_size_um: float | None
    pixel_size_from: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PredictedFrames:
    """Predictions of an image's frames, before post-processing.

    Attributes:
        frames: One entry per frame, in pixels of the image.
        reports: What may be missing, per frame.
        seconds: Wall time, per frame.
        scale: How the image was enlarged.
        notes: Sentences on what was done otherwise than usual.
    """

    frames: tuple[ImagePredictions, ...]
    reports: tuple[PassReport, ...]
    seconds: tuple[float, ...]
    scale: Scale
    notes: tuple[str, ...]


class CellModel:
    """A model with its detector and its chain.

    Args:
        name: Name or path of the model; the package's own if None.
        config: Config to use in place of the one in the file.
        device: Such as ``cpu`` or ``cuda:1``; if None a GPU where there is one.

    Attributes:
        name: What the file calls it.
        path: The file.
        sha256: Hash of the file.
        config_sha256: Hash of ``config``; empty if the file's own is used.
        classes: Class names in the order of the labels.
        postprocess: Config of the model's own chain.
        pixel_size_um: Side of a pixel of the images that it was trained on, in micrometres; None if it is not known.
        run: Record of its training; None if the file carries none.
        predictor: The detector.
    """

    def __init__(self, name: str | Path | None = None, config: Path | None = None, device: str | None = None) -> None:
        self.path = find_model(name)
        self.config_sha256 = ''
        if config is None:
            file = load_model_file(self.path)
            self.name, self.sha256, self.classes = file.name, file.sha256, tuple(file.classes)
            self.postprocess, self.pixel_size_um = file.postprocess, file.pixel_size_um
            self.run = file.run
            self.predictor = Predictor.from_model(file, device=device)
        else:
            content = load_config(config)
            self.name, self.sha256 = config.stem, sha256_of(self.path)
            self.config_sha256 = hashlib.sha256(content.pretty_text.encode()).hexdigest()
            self.pixel_size_um = None
            self.run = run_of_checkpoint(self.path, read_checkpoint(self.path))
            self.predictor = Predictor(content, self.path, device=device)
            self.classes = tuple(self.predictor.classes)
            self.postprocess = content.get('postprocess') or load_chain_for(self.classes)[0].to_config()
        self._at_scale: dict[tuple[float, InferenceOptions], Predictor] = {}

    def check(self, options: ImageOptions) -> None:
        """Checks, before the first image, that the model can do what the options ask, and loads its weights.

        Raises:
            InputError: It predicts boxes without masks, its config has no settings for augmentation or tiles, its
                weights do not fit, or the chain does not.
        """
        if 'roi_head' not in self.predictor.detector_config.model:
            raise InputError(f'{display_path(self.path)}: this model predicts boxes without masks; name another')
        self.chain(options)
        _ = self._predictor(1.0, options.tta, options.tiles == 'on').model

    def chain(self, options: ImageOptions) -> Chain:
        """The chain of the options, or the model's own, for the model's classes."""
        if options.postprocess:
            chain, _ = load_chain_for(self.classes, options.postprocess)
        else:
            chain = build_chain(self.postprocess).for_classes(self.classes)
        return with_min_score(chain, options.min_score)

    def prediction_key(self, options: ImageOptions) -> str:
        """Hash of everything but the image that decides what is predicted before post-processing."""
        how = {name: getattr(options, name) for name in _DECIDES_PREDICTION}
        return _hash_of({'model': self.sha256, 'config': self.config_sha256, **how})

    def chain_key(self, options: ImageOptions) -> str:
        """Hash of everything that decides what becomes of the predictions."""
        return _hash_of({'chain': self.chain(options).to_config(), 'exclude_border': options.exclude_border})

    def choose_scale(self, stack: ImageStack, options: ImageOptions) -> Scale:
        """How much an image is enlarged: by ``--scale``, or by the two pixel sizes, or not where one is not known."""
        pixel_size, source = stack.pixel_size_um, stack.pixel_size_from
        if options.pixel_size_um is not None:
            pixel_size, source = options.pixel_size_um, '--pixel-size'
        trained = self.pixel_size_um
        notes = []
        if options.scale is not None:
            factor = options.scale
        elif pixel_size is None or trained is None:
            factor = 1.0
            notes.append(
                'not scaled: the model does not tell its pixel size (--scale does it by hand)'
                if trained is None
                else 'not scaled: the image does not tell its pixel size (--pixel-size gives it)'
            )
        else:
            factor = pixel_size / trained
        if not 1 / MAX_USUAL_SCALE <= factor <= MAX_USUAL_SCALE:
            sizes = f'pixels of {pixel_size:.4g} um, the model {trained:.4g} um, ' if pixel_size and trained else ''
            notes.append(
                f'{sizes}a scale of {factor:.3g}: the cells may look unlike those that the model was trained on'
            )
        return Scale(factor, pixel_size, source if pixel_size is not None else '', tuple(notes))

    def predict(self, stack: ImageStack, image_id: str, options: ImageOptions) -> PredictedFrames:
        """Predicts every frame of an image.

        Args:
            stack: The image.
            image_id: Its id; frames of a movie get ``#t0000`` and so on behind it.
            options: How.

        Raises:
            InputError: Tiles or augmentation are asked for, and the model's config has no settings for them; or the
                scale cannot be.
        """
        scale = self.choose_scale(stack, options)
        frames, reports, seconds, again = [], [], [], 0
        for number, pixels in enumerate(stack.to_uint8(options.levels)):
            name = frame_id(image_id, number) if stack.is_movie else image_id
            started = time.perf_counter()
            predictions, report, redone = self._predict_frame(pixels, name, scale.factor, options)
            frames.append(predictions)
            reports.append(report)
            seconds.append(time.perf_counter() - started)
            again += redone
        limit = box_limits(self.predictor.detector_config).max_per_img
        notes = [*stack.notes, *scale.notes]
        if again:
            which = f' for {again} of {len(frames)} frames' if stack.is_movie else ''
            notes.append(f'one pass reached the limit of {limit} cells, so that tiles were used{which}')
        if any(report.limit_reached for report in reports):
            notes.append(f'a pass reached the limit of {limit} cells: there may be more')
        return PredictedFrames(tuple(frames), tuple(reports), tuple(seconds), scale, tuple(notes))

    def _predict_frame(
        self, pixels: NDArray[np.uint8], frame: str, factor: float, options: ImageOptions
    ) -> tuple[ImagePredictions, PassReport, bool]:
        """Cells, report, and whether tiles took the place of a whole pass that reached the limit."""
        size = pixels.shape[:2]
        config = self.predictor.detector_config
        can_tile = 'tiles' in config
        tiles = options.tiles == 'on' or (options.tiles == 'auto' and can_tile and needs_tiles(size, factor))
        predictions, report = self._predictor(factor, options.tta, tiles).predict_with_report(pixels, frame)
        if tiles or options.tiles == 'off' or not (report.limit_reached and can_tile):
            return predictions, report, False
        tiled = self._predictor(factor, options.tta, True)
        if len(cut_tiles(size, tiled.model.tile_size, tiled.model.overlap)) == 1:
            return predictions, report, False
        return *tiled.predict_with_report(pixels, frame), True

    def _predictor(self, factor: float, tta: bool, tiles: bool) -> Predictor:
        key = (factor, InferenceOptions(tta=tta, tiles=tiles))
        if key not in self._at_scale:
            if len(self._at_scale) >= MAX_KEPT_SCALES:
                self._at_scale.clear()
            self._at_scale[key] = self.predictor.at_scale(*key)
        return self._at_scale[key]


def with_min_score(chain: Chain, min_score: float | None) -> Chain:
    """The chain with one score threshold in place of its own, or as its first step; None changes nothing."""
    if min_score is None:
        return chain
    wanted = ScoreThreshold(min_score)
    places = [place for place, step in enumerate(chain.steps) if isinstance(step, ScoreThreshold)]
    others = [step for step in chain.steps if not isinstance(step, ScoreThreshold)]
    others.insert(places[0] if places else 0, wanted)
    return replace(chain, steps=tuple(others))


def postprocess_frames(
    frames: Sequence[ImagePredictions], chain: Chain, exclude_border: bool
) -> tuple[ImagePredictions, ...]:
    """The cells of all frames after the chain, without those at the image's border if asked."""
    finished = [chain(frame) for frame in frames]
    if exclude_border:
        finished = [frame.select(~touches_border(frame.crops, frame.size)) for frame in finished]
    return tuple(finished)


def touches_border(crops: Sequence[MaskCrop], size: Size) -> NDArray[np.bool_]:
    """Whether each cell has a pixel in the first or last row or column of an image of ``(height, width)``."""
    height, width = size
    touches = np.zeros(len(crops), dtype=bool)
    for number, crop in enumerate(crops):
        x1, y1, x2, y2 = crop.clipped(size).tight().window
        touches[number] = x2 > x1 and (x1 == 0 or y1 == 0 or x2 == width or y2 == height)
    return touches


_DECIDES_PREDICTION = ('axes', 'channel', 'z', 'levels', 'pixel_size_um', 'scale', 'tiles', 'tta')


def _hash_of(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
