"""What is known of each image of a run: what it was predicted from, what was written, and how it ended.

Below the run's folder, ``.predict/`` holds for each image its record (``images/NAME.json``) and its predictions before
post-processing (``images/NAME.npz``). Record and files of an image appear together: whatever the moment of a kill, each
file is known as the run's own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sartorius.export.formats import FORMATS
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.records import Record
from sartorius.visualization.run_page import picture_paths

DONE, FAILED = 'done', 'failed'

FOLDER = '.predict'
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FileState(Record):
    """A file as it was when it was read or written.

    Attributes:
        size: Bytes.
        changed: Time of change, in nanoseconds.
        sha256: Hash.
    """

    size: int
    changed: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> 'FileState':
        """The state of a file, or of a folder that is one image (its files' names, sizes and times)."""
        if path.is_dir():
            return cls(size=0, changed=0, sha256=_describe_folder(path))
        state = path.stat()
        return cls(size=state.st_size, changed=state.st_mtime_ns, sha256=sha256_of(path))

    def is_of(self, path: Path) -> bool:
        """Whether a file has this content; its bytes are read only if it was touched."""
        try:
            if path.is_dir():
                return _describe_folder(path) == self.sha256
            state = path.stat()
        except OSError:
            return False
        if state.st_size != self.size:
            return False
        return state.st_mtime_ns == self.changed or sha256_of(path) == self.sha256


@dataclass(frozen=True, kw_only=True)
class FrameRow(Record):
    """Results of one frame.

    Attributes:
        frame: Its number, from 0.
        cells: Number of cells.
        by_class: Number of cells of each class, by name.
        covered: Fraction of the pixels that a cell covers.
        median_area_px: Median area of the cells in pixels; None without cells.
        limit_reached: Whether there may be more cells than the model predicts at once.
        cut_cells: Number of cells that no tile contains whole.
        seconds: Wall time of its prediction.
    """

    frame: int
    cells: int
    by_class: Mapping[str, int] = field(default_factory=dict)
    covered: float
    median_area_px: float | None = None
    limit_reached: bool = False
    cut_cells: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ImageRecord(Record):
    """State and results of one image.

    Attributes:
        image: Its id.
        file: Name of the file.
        status: ``done`` or ``failed``.
        message: Why it failed, or what was assumed.
        source: The image file when it was read; None if it could not be.
        prediction_key: Hash of what decides the predictions (:meth:`CellModel.prediction_key`).
        chain_key: Hash of what decides what becomes of them.
        outputs: Files that were written, by format.
        is_movie: Whether the file has a time axis.
        height: In pixels; 0 if the image could not be read.
        width: In pixels; likewise.
        pixel_size_um: Side of a pixel; None if it is not known.
        pixel_size_from: Where that is from.
        frame_interval_s: Seconds between frames; None if they are not known.
        scale: Factor from its pixels to the model's; None if it was not predicted.
        frames: Results of each frame.
        version: Of these records.
    """

    image: str
    file: str = ''
    status: str
    message: str = ''
    source: FileState | None = None
    prediction_key: str = ''
    chain_key: str = ''
    outputs: Mapping[str, FileState] = field(default_factory=dict)
    is_movie: bool = False
    height: int = 0
    width: int = 0
    pixel_size_um: float | None = None
    pixel_size_from: str = ''
    frame_interval_s: float | None = None
    scale: float | None = None
    frames: tuple[FrameRow, ...] = ()
    version: int = VERSION

    def __post_init__(self) -> None:
        # Values of a mapping come from JSON as they are.
        states = {
            name: state if isinstance(state, FileState) else FileState.from_dict(state, f'outputs, {name}')
            for name, state in self.outputs.items()
        }
        object.__setattr__(self, 'outputs', states)

    @property
    def cells(self) -> int:
        """Number of cells in all frames."""
        return sum(row.cells for row in self.frames)

    @property
    def seconds(self) -> float:
        """Wall time of prediction of all frames."""
        return sum(row.seconds for row in self.frames)


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run's own files.

    Attributes:
        out: Folder that the run writes to.
    """

    out: Path

    def record_path(self, image_id: str) -> Path:
        """File of an image's record."""
        return self.out / FOLDER / 'images' / f'{image_id}.json'

    def predictions_path(self, image_id: str) -> Path:
        """File of an image's predictions, before post-processing."""
        return self.out / FOLDER / 'images' / f'{image_id}.npz'

    def read(self, image_id: str) -> ImageRecord | None:
        """An image's record; None if it has none that can be read."""
        try:
            content = read_json(self.record_path(image_id))
            record = ImageRecord.from_dict(content, image_id)
        except (OSError, ValueError):
            return None
        return record if record.version == VERSION and record.image == image_id else None

    def has_outputs(self, image_id: str, formats: Sequence[str]) -> bool:
        """Whether an image is predicted and its files are there, or it could not be predicted."""
        record = self.read(image_id)
        if record is None or record.status != DONE:
            return record is not None and record.status == FAILED
        paths = [FORMATS[name].path(self.out, image_id) for name in formats if name in FORMATS]
        paths += [self.predictions_path(image_id), *picture_paths(self.out, image_id)]
        return all(path.is_file() for path in paths)

    def write(self, record: ImageRecord) -> None:
        """Writes a record."""
        write_text(self.record_path(record.image), json.dumps(record.to_dict(), indent=1) + '\n')


def check_outputs_are_own(record: ImageRecord | None, paths: Mapping[str, Path]) -> None:
    """Checks that no file would be overwritten that the run did not write, or that was changed since.

    Args:
        record: The image's record of an earlier call; None without one.
        paths: The files that are to be written, by format.

    Raises:
        InputError: One would; the message names it.
    """
    known = {} if record is None else record.outputs
    for name, path in paths.items():
        if not path.exists():
            continue
        if name not in known:
            raise InputError(f'{path} is there already and not of this run; choose another --out, or give --overwrite')
        if not known[name].is_of(path):
            raise InputError(
                f'{path} was changed since it was written; move it away to keep it, or give --overwrite to replace it'
            )


def check_outputs_are_same(made: Mapping[str, FileState], paths: Mapping[str, Path]) -> None:
    """Checks that files whose record is damaged are those that are made again.

    Args:
        made: The states by format of the files as they were made now.
        paths: Where they belong, by format.

    Raises:
        InputError: Another one is there; the message names it.
    """
    for name, state in made.items():
        if paths[name].exists() and not state.is_of(paths[name]):
            raise InputError(
                f'{paths[name]} differs from what is made now, and the record that says whether this run wrote it is '
                'damaged; move it away to keep it, or give --overwrite to replace it'
            )


def _describe_folder(folder: Path) -> str:
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    states = [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()
