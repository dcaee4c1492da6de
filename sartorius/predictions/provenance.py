"""Where predictions, checkpoints and data come from: typed records of what predictions files and run.json hold.

A training writes a :class:`RunRecord` into its work dir (``run.json``) and into each checkpoint. A predictions file has
a source: a :class:`ModelSource` with the record of the model's training, a :class:`FusedSource` or
:class:`ConcatenatedSource` with the sources of its members, or a :class:`ForeignSource` where no model of this project
is known. :func:`iter_models` finds all models behind a source; :mod:`sartorius.predictions.leakage` checks what they
were trained on.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Union

from sartorius.annotations.info import SYNTHETIC
from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import display_path
from sartorius.utils.records import Record, convert
from sartorius.utils.version import GitCommit

RUN_FILE = 'run.json'
RUN_SCHEMA = 'sartorius-run'
RUN_VERSION = 1
# What every reader of a run.json may rely on; the other entries may be missing.
RUN_KEYS = ('recipe', 'config_sha256', 'seed', 'data', 'iterations', 'iterations_done', 'device')


@dataclass(frozen=True, kw_only=True)
class DataRecord(Record):
    """An annotation file that a model was trained or validated on.

    Attributes:
        file: Path of the file.
        sha256: Its hash.
        images: Number of images that the data set shows.
        cells: Number of their cells that are not ignored.
        origin: Whose images they are, as the file's ``info`` says (:mod:`sartorius.annotations.info`).
        split: Which part of the data they are, likewise.
        fold: The fold that the file belongs to, likewise; None where the data have no folds.
        licence: Licence of the images, likewise.
    """

    file: str | None = None
    sha256: str | None = None
    images: int | None = None
    cells: int | None = None
    origin: str | None = None
    split: str | None = None
    fold: int | None = None
    licence: str | None = None

    @property
    def file_name(self) -> str:
        """Last part of the path, whichever system wrote it; empty without a file."""
        return last_part(self.file)


@dataclass(frozen=True, kw_only=True)
class SyntheticRecord(Record):
    """Synthetic images that a model trains on, drawn meanwhile (:mod:`sartorius.synthetic.stream`) or from files.

    Attributes:
        breadth: What they show; ``files`` for files.
        height: Of an image (of files, the first), in pixels.
        width: Likewise.
        seed: Of the stream.
        images: Number of different images; None for a stream without end.
        share: Share of the training samples that they are.
    """

    breadth: str
    height: int
    width: int
    seed: int | None = None
    images: int | None = None
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RunData(Record):
    """Data of a training run; an empty :class:`DataRecord` where a part is not known or there is no such part.

    Attributes:
        train: Files of training images.
        val: Validation images.
        synthetic: Training images that are drawn; None if all are files.
    """

    train: DataRecord = DataRecord()
    val: DataRecord = DataRecord()
    synthetic: SyntheticRecord | None = None

    @property
    def origins(self) -> tuple[tuple[str | None, str | None], ...]:
        """Origin and licence of all training images; None where they are not known."""
        if self.synthetic is None:
            return ((self.train.origin, self.train.licence),)
        files = () if self.train.file is None else ((self.train.origin, self.train.licence),)
        return (*files, (SYNTHETIC, None))


@dataclass(frozen=True, kw_only=True)
class FirstWeights(Record):
    """Weights of a whole model that a run begins with.

    Attributes:
        file: Local file; None for downloaded weights.
        url: Address of downloaded weights.
        sha256: Hash of the file.
        run: Record of the run that the weights are of, if they carry one, without its commands.
    """

    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    run: Union['RunRecord', None] = None


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """What a training run records of itself; None where something is not known.

    Attributes:
        recipe: Name of the config.
        config: Its file.
        config_sha256: Hash that is the same for all folds and seeds of a recipe.
        small: Whether it is the small variant of the recipe.
        git_commit: Commit of the code that trained.
        commands: Command lines of the run: the first, and one for each time that it was resumed.
        fold: The fold that is held out from training, counted from 0; None for data without folds.
        seed: Seed of the run.
        data: Training and validation data.
        weights: First weights; None for random ones.
        precision: ``float32``, ``amp`` (float16 on a GPU) or ``bfloat16`` (on a CPU).
        iterations: Length of the run.
        iterations_done: How many of them are in the newest checkpoint.
        batch_size: Images of one step of the optimizer, over all processes.
        processes: Number of processes.
        device: Name of the GPU or CPU.
        minutes: Wall time of training without validation.
        validation_minutes: Wall time of validation.
        finished: Whether all iterations are done.
        times: Minutes of training and of validation up to each checkpoint, by its iteration. They stand in run.json
            alone: a checkpoint holds no times, so that a training that is repeated gives the same bytes.
        versions: Versions of the packages that decide what a model computes.
    """

    recipe: str | None = None
    config: str | None = None
    config_sha256: str | None = None
    small: bool = False
    git_commit: GitCommit | None = None
    commands: tuple[str, ...] = ()
    fold: int | None = None
    seed: int | None = None
    data: RunData = RunData()
    weights: FirstWeights | None = None
    precision: str | None = None
    iterations: int | None = None
    iterations_done: int | None = None
    batch_size: int | None = None
    processes: int | None = None
    device: str | None = None
    minutes: float | None = None
    validation_minutes: float | None = None
    finished: bool = False
    times: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def without_times(self) -> 'RunRecord':
        """The record as a checkpoint and what is made with it carry it."""
        weights = self.weights
        if weights is not None and weights.run is not None:
            weights = replace(weights, run=weights.run.without_times())
        return replace(self, weights=weights, minutes=None, validation_minutes=None, times={})

    def lineage(self) -> Iterator['RunRecord']:
        """This run, the run whose weights it begins with, the run that this one begins with, and so on."""
        yield self
        for weights in self.all_weights():
            if weights.run is not None:
                yield weights.run

    def all_weights(self) -> Iterator[FirstWeights]:
        """First weights of this run, of the run that they are of, and so on."""
        weights = self.weights
        while weights is not None:
            yield weights
            weights = None if weights.run is None else weights.run.weights


@dataclass(frozen=True, kw_only=True)
class BoxSource(Record):
    """Given boxes in which a model predicted masks.

    Attributes:
        file: The file of boxes.
        sha256: Its hash.
        source: What found the boxes; None where the file does not say it, as COCO results do not.
    """

    file: str | None = None
    sha256: str | None = None
    source: Union['Source', None] = None


@dataclass(frozen=True, kw_only=True)
class ModelSource(Record):
    """Predictions of one model; None where something is not known.

    Attributes:
        config: Config of the model.
        checkpoint: Its weights.
        checkpoint_sha256: Their hash.
        git_commit: Commit of the code that predicted.
        split: Part of the data that was predicted: ``test``, ``val``, ``train`` or ``unlabelled``.
        annotations: Annotation file that lists the predicted images.
        annotations_sha256: Its hash.
        fold: The fold that this file belongs to; None where the data have no folds.
        tta: Whether test-time augmentation was used.
        tta_orientations: Its orientations.
        tta_scales: Its scales, factors or ``[width, height]``.
        tiles: ``size`` ([height, width] in pixels), ``overlap`` and ``scale`` of the tiles.
        boxes: Boxes that the masks were predicted for.
        boxes_only: Whether the model predicts boxes without masks.
        cell_types: Cell types that the model was trained on alone; empty for a general model.
        processes: Number of processes that predicted.
        versions: Versions of the packages that decide what a model computes.
        run: Record of the training; None where the checkpoint carries none.
    """

    KIND: ClassVar[str] = 'model'

    config: str | None = None
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    git_commit: GitCommit | None = None
    split: str | None = None
    annotations: str | None = None
    annotations_sha256: str | None = None
    fold: int | None = None
    tta: bool = False
    tta_orientations: tuple[str, ...] = ()
    tta_scales: tuple[Any, ...] = ()
    tiles: Mapping[str, Any] = field(default_factory=dict)
    boxes: BoxSource | None = None
    boxes_only: bool = False
    cell_types: tuple[str, ...] = ()
    processes: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    run: RunRecord | None = None

    @property
    def val_fold(self) -> int | None:
        """The fold whose validation images were predicted; None for other images."""
        return self.fold if self.split == 'val' else None

    @property
    def recipe(self) -> str | None:
        """Name of the recipe, by the run's record or else by the config's file."""
        if self.run is not None and self.run.recipe:
            return self.run.recipe
        return Path(self.config).stem if self.config else None

    @property
    def iterations(self) -> int | None:
        """Iterations that the model was trained for, by the run's record or else by the checkpoint's name."""
        if self.run is not None and self.run.iterations_done is not None:
            return self.run.iterations_done
        named = re.search(r'iter_(\d+)', Path(self.checkpoint or '').stem)
        return int(named[1]) if named else None


@dataclass(frozen=True, kw_only=True)
class Member(Record):
    """One of several prediction sets that became one.

    Attributes:
        name: What messages call it, for example its file.
        source: Where it came from.
        images: Of a concatenation: number of its images.
        weight: Of a fusion: its weight.
        score_threshold: Of a fusion: cells scored lower take no part; one number, or numbers by class.
        cell_types: Of a fusion of specialists: the types that its model was trained on alone; empty for all.
    """

    name: str
    source: 'Source'
    images: int | None = None
    weight: float | None = None
    score_threshold: Any = None
    cell_types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FusedSource(Record):
    """Predictions of several models for the same images, fused.

    Attributes:
        members: The fused prediction sets, at least one, sorted by name.
        method: Name of the fusion method.
        settings: Its parameters and the options of the fusion.
        dropped: Number of cells that took no part, by reason (:data:`sartorius.fusion.base.DROPPED`).
        git_commit: Commit of the code that fused.
    """

    KIND: ClassVar[str] = 'fused'

    members: tuple[Member, ...]
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    git_commit: GitCommit | None = None

    def __post_init__(self) -> None:
        _check_members(self)


@dataclass(frozen=True, kw_only=True)
class ConcatenatedSource(Record):
    """Predictions for different images, put into one set: usually each fold's, by the model that it is held out from.

    Attributes:
        members: The sets, at least one, in the order in which they were given.
        git_commit: Commit of the code that put them together.
    """

    KIND: ClassVar[str] = 'concatenated'

    members: tuple[Member, ...]
    git_commit: GitCommit | None = None

    def __post_init__(self) -> None:
        _check_members(self)


@dataclass(frozen=True, kw_only=True)
class ForeignSource(Record):
    """Predictions of which no model of this project is known.

    Attributes:
        kind: ``coco_results``, or None for predictions that say nothing of their making.
        file: File that they were read from.
        sha256: Its hash.
        dataset: COCO JSON whose image ids they use.
    """

    kind: str | None = None
    file: str | None = None
    sha256: str | None = None
    dataset: str | None = None


Source = ModelSource | FusedSource | ConcatenatedSource | ForeignSource


def source_from_dict(values: Any, where: str) -> Source:
    """Reads a source; the inverse of its ``to_dict``.

    Args:
        values: Parsed JSON.
        where: What messages begin with, for example the file's name.

    Raises:
        InputError: An entry is missing or of another type; the message names it.
    """
    return convert(Source, values, where)


def iter_models(source: Source, name: str) -> Iterator[tuple[str, ModelSource]]:
    """All models behind a prediction set: of its members, however deep, and those that found given boxes.

    Args:
        source: Of the prediction set.
        name: What messages call the set, for example its file.

    Yields:
        Name for messages, and source; a model of which nothing is known for foreign predictions.
    """
    if isinstance(source, FusedSource | ConcatenatedSource):
        for member in source.members:
            yield from iter_models(member.source, member_name(name, member))
        return
    model = source if isinstance(source, ModelSource) else ModelSource()
    yield name, model
    if model.boxes is not None:
        yield from iter_models(model.boxes.source or ForeignSource(), boxes_name(name, model.boxes))


def member_name(name: str, member: Member) -> str:
    """What messages call a member of a set."""
    return f'{name}, member {member.name}'


def boxes_name(name: str, boxes: BoxSource) -> str:
    """What messages call the boxes that were given to the model of a set."""
    return f'{name}, boxes {boxes.file}'


def last_part(path: str | None) -> str:
    """Last part of a path of any system; empty without one."""
    return PurePosixPath((path or '').replace('\\', '/')).name


def write_run(work_dir: str | Path, record: RunRecord) -> Path:
    """Writes a run's record atomically into its work dir; returns the path of the file."""
    path = Path(work_dir) / RUN_FILE
    content = {'schema': RUN_SCHEMA, 'version': RUN_VERSION, **record.to_dict()}
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def read_run(folder: str | Path) -> RunRecord | None:
    """Reads the record of the run in a folder.

    Returns:
        The record, or None where the folder has none.

    Raises:
        InputError: The file is no such record, or one of another version.
    """
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        return None
    name, fix = display_path(path), 'move it away, the weights can be used without it'
    content = read_json(path, fix=fix)
    if not isinstance(content, dict) or content.pop('schema', None) != RUN_SCHEMA:
        raise InputError(f'{name}: not the record of a training run (schema {RUN_SCHEMA!r}); move it away')
    version = content.pop('version', None)
    if version != RUN_VERSION:
        raise InputError(f'{name}: version {version!r}, this code reads {RUN_VERSION}')
    missing = [key for key in RUN_KEYS if key not in content]
    if missing:
        raise InputError(f'{name}: {missing[0]!r} is missing; {fix}')
    return RunRecord.from_dict(content, name)


def _check_members(source: FusedSource | ConcatenatedSource) -> None:
    if not source.members:
        raise InputError(f'the source of {source.KIND} predictions names no members; make the file again')
