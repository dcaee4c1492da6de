"""The predictions file: one ``.npz`` per model and image set, written whole or not at all, read back exactly.

A zip archive of five members, readable with plain ``numpy.load``; the cells of all images are concatenated:

- ``header``: uint8, UTF-8 JSON: ``schema``, ``version``, ``classes``, ``grid`` (S), ``source``
  (:mod:`sartorius.predictions.provenance`) and ``images``, a list of ``id``, ``height``, ``width`` and ``cells``: so
  many cells of the arrays belong to the image, in this order;
- ``boxes``: float32 ``(N, 4)``, ``scores``: float32 ``(N,)``, ``labels``: int64 ``(N,)``;
- ``soft_masks``: uint8 ``(N, S, S)``, 255 times the probability.

A file of boxes alone, for which a model's mask heads are to predict the masks, has a grid S of 0.
:func:`load_predictions` refuses it unless it is asked for.

The zip's checksums detect a damaged file. Binary masks (``crops``) are not written: they follow from the soft masks.
The same prediction set gives the same bytes.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.images.image_ids import check_image_id
from sartorius.images.size_limit import check_edges, check_size
from sartorius.masks.crop import Size
from sartorius.predictions.provenance import FusedSource, Source
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError, UsageError, shown
from sartorius.utils.files import atomic_path
from sartorius.utils.input_files import DamagedFileError, parse_npy, read_zip
from sartorius.utils.input_text import parse_json
from sartorius.utils.paths import display_path
from sartorius.utils.records import Record

SCHEMA = 'sartorius-predictions'
VERSION = 1
SUFFIX = '.npz'
DEFAULT_GRID = 28
MAKE_COMMAND = 'python tools/test.py CONFIG CHECKPOINT'

# Soft masks, which are nearly all of a file, are float32 in memory beside their bytes; deflated they are much smaller.
_COPIES = 5
_RATIO = 60


@dataclass(frozen=True, kw_only=True)
class _ImageEntry(Record):
    """An image in the header as it is written."""

    id: str
    height: int
    width: int
    cells: int


@dataclass(frozen=True, kw_only=True)
class _Header(Record):
    """The header as it is written, which checks the type of every entry."""

    schema: str
    version: int
    classes: tuple[str, ...]
    grid: int
    images: tuple[_ImageEntry, ...]
    source: Source


@dataclass(frozen=True)
class PredictionHeader:
    """Content of a predictions file without its arrays.

    Attributes:
        image_ids: Ids in the file's order.
        sizes: ``(height, width)`` of each image.
        counts: Number of cells of each image.
        grid: Side S of the soft masks' grid.
        classes: Class names that the labels index.
        source: Where the predictions came from.
    """

    image_ids: tuple[str, ...]
    sizes: tuple[Size, ...]
    counts: tuple[int, ...]
    grid: int
    classes: tuple[str, ...]
    source: Source

    @property
    def is_fused(self) -> bool:
        """Whether the file is the result of ``tools/ensemble.py``."""
        return isinstance(self.source, FusedSource)


class NotPredictionsError(InputError):
    """A readable archive that is not a predictions file."""


def quantise(soft_masks: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities as a predictions file gives them back: the nearest multiples of 1/255, float32.

    Args:
        soft_masks: Probabilities, or 255 times the probability as uint8.
    """
    return _from_bytes(soft_masks if soft_masks.dtype == np.uint8 else _to_bytes(soft_masks))


def check_suffix(path: str | Path) -> Path:
    """Checks the path of a predictions file to be written, before the work begins.

    Raises:
        UsageError: It does not end in ``.npz``, by which the other commands find it.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f'{display_path(path)}: a predictions file must end in {SUFFIX}; name it {path.stem}{SUFFIX}')
    return path


def check_values(image: ImagePredictions) -> None:
    """Checks that boxes are finite and of a size, and scores and probabilities between 0 and 1.

    Raises:
        InputError: Naming the image.
    """
    if not np.isfinite(image.boxes).all():
        raise InputError(f'image {image.image_id}: a box holds a value that is not finite')
    try:
        check_edges(image.boxes.ravel().tolist() or [0])
    except InputError as error:
        raise InputError(f'image {image.image_id}: {error}') from None
    for name, values in (('score', image.scores), ('soft mask', image.soft_masks)):
        # Written so that NaN fails too.
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise InputError(f'image {image.image_id}: a {name} lies outside 0 to 1')


def save_predictions(path: str | Path, predictions: PredictionSet) -> None:
    """Writes a predictions file atomically; ``crops`` are not written.

    Soft masks are rounded to multiples of 1/255, as :func:`quantise` does; everything else is exact. The grid of an
    image without cells becomes that of the others.

    Raises:
        UsageError: The path does not end in ``.npz``.
        InputError: Soft masks on different grids, or a box, score or probability that is not finite or out of range.
    """
    path = check_suffix(path)
    images = predictions.images
    for image in images:
        check_values(image)
    grid = _common_grid(predictions)
    header = {
        'schema': SCHEMA,
        'version': VERSION,
        'classes': list(predictions.classes),
        'grid': grid,
        'images': [
            {'id': image.image_id, 'height': int(image.size[0]), 'width': int(image.size[1]), 'cells': len(image)}
            for image in images
        ],
        'source': predictions.source.to_dict(),
    }
    cells = sum(map(len, images))
    soft_masks = np.zeros((cells, grid, grid), dtype=np.uint8)
    start = 0
    for image in images:
        if len(image):
            soft_masks[start : start + len(image)] = _to_bytes(image.soft_masks)
            start += len(image)
    with atomic_path(path) as temporary, open(temporary, 'wb') as file:
        np.savez_compressed(
            file,
            header=np.frombuffer(json.dumps(header, allow_nan=False).encode('utf-8'), dtype=np.uint8),
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *(image.boxes for image in images)], dtype=np.float32),
            scores=np.concatenate([np.zeros(0, np.float32), *(image.scores for image in images)], dtype=np.float32),
            labels=np.concatenate([np.zeros(0, np.int64), *(image.labels for image in images)], dtype=np.int64),
            soft_masks=soft_masks,
        )


def load_predictions(path: str | Path, boxes_allowed: bool = False) -> PredictionSet:
    """Reads a predictions file.

    Args:
        path: The file.
        boxes_allowed: Whether the file may hold boxes without masks.

    Raises:
        InputError: No predictions file, truncated, damaged, of another schema version, or of boxes without masks.
        OSError: The file cannot be opened.
    """
    header = read_header(path)
    if header.grid == 0 and sum(header.counts) and not boxes_allowed:
        raise InputError(
            f'{display_path(path)}: boxes without masks; let a model predict them with {MAKE_COMMAND} --boxes '
            f'{display_path(path)}'
        )
    count = sum(header.counts)
    boxes = _read_member(path, 'boxes', np.float32, (count, 4))
    scores = _read_member(path, 'scores', np.float32, (count,))
    labels = _read_member(path, 'labels', np.int64, (count,))
    soft_masks = _from_bytes(_read_member(path, 'soft_masks', np.uint8, (count, header.grid, header.grid)))
    ends = np.cumsum(header.counts, dtype=np.int64)
    images = tuple(
        ImagePredictions(
            image_id=image_id,
            size=size,
            boxes=boxes[end - cells : end],
            scores=scores[end - cells : end],
            labels=labels[end - cells : end],
            soft_masks=soft_masks[end - cells : end],
        )
        for image_id, size, cells, end in zip(header.image_ids, header.sizes, header.counts, ends, strict=True)
    )
    try:
        for image in images:
            check_values(image)
        return PredictionSet(images=images, classes=header.classes, source=header.source)
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}; make the file again with {MAKE_COMMAND}') from None


def read_header(path: str | Path) -> PredictionHeader:
    """Reads the header of a predictions file, without its arrays.

    Raises:
        NotPredictionsError: A readable archive, but no predictions file.
        InputError: Truncated, damaged, no archive at all, of another schema version, or with an entry of another type
            or a size that no image has.
        OSError: The file cannot be opened.
    """
    raw = _read_member(path, 'header', np.uint8, None)
    try:
        header = parse_json(raw.tobytes())
        schema, version = header['schema'], header['version']
    except (ValueError, KeyError, TypeError):
        raise _not_predictions(path) from None
    if schema != SCHEMA:
        raise _not_predictions(path)
    if version != VERSION:
        raise InputError(
            f'{display_path(path)}: predictions file of schema version {shown(version)}, this release reads version '
            f'{VERSION}; make the file again with {MAKE_COMMAND}'
        )
    header = _Header.from_dict(header, display_path(path))
    try:
        return PredictionHeader(
            image_ids=tuple(check_image_id(image.id) for image in header.images),
            sizes=tuple(check_size(image.height, image.width) for image in header.images),
            counts=tuple(image.cells for image in header.images),
            grid=header.grid,
            classes=header.classes,
            source=header.source,
        )
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None


def _read_member(path: str | Path, name: str, dtype: type, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """One array of the archive; with ``shape`` None of any shape."""
    member = f'{name}.npy'
    try:
        _, found = read_zip(path, lambda other: other == member, _COPIES, _RATIO)
        array = parse_npy(found[member])
    except KeyError:
        raise (_not_predictions(path) if name == 'header' else _damaged(path)) from None
    except DamagedFileError:
        raise _damaged(path) from None
    if array.dtype != dtype or (shape is not None and array.shape != shape):
        raise _not_predictions(path) if name == 'header' else _damaged(path)
    return array


def _damaged(path: str | Path) -> InputError:
    return InputError(
        f'{display_path(path)}: truncated, damaged or no predictions file; make it again with {MAKE_COMMAND}'
    )


def _not_predictions(path: str | Path) -> NotPredictionsError:
    return NotPredictionsError(f'{display_path(path)}: not a predictions file; make one with {MAKE_COMMAND}')


def _common_grid(predictions: PredictionSet) -> int:
    grids = {image.soft_masks.shape[1] for image in predictions.images if len(image)}
    if len(grids) > 1:
        raise InputError(f'soft masks on grids of {sorted(grids)} in one prediction set; a file holds one grid')
    if grids:
        return grids.pop()
    return predictions.images[0].soft_masks.shape[1] if predictions.images else DEFAULT_GRID


def _to_bytes(soft_masks: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(soft_masks * np.float32(255)).astype(np.uint8)


def _from_bytes(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    # A table look-up: every value comes out bit for bit as every other way of reading the file gives it.
    return (np.arange(256, dtype=np.float32) / np.float32(255))[values]
