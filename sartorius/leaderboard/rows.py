"""Rows of the leaderboard: which predictions files belong together, and which must not."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.info import ALL, read_info
from sartorius.leaderboard.row_key import RowKey, row_key
from sartorius.predictions.leakage import check_leakage
from sartorius.predictions.provenance import ConcatenatedSource, ModelSource, Source, iter_models
from sartorius.predictions.store import NotPredictionsError, PredictionHeader, read_header
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import files_below
from sartorius.utils.paths import display_path

PATTERN = 'predictions_val*.npz'
ALL_FILE = 'all.json'
"""Annotations of all folds, as tools/prepare_sartorius.py writes them."""


@dataclass(frozen=True, eq=False)
class FoldFile:
    """Predictions of one validation fold.

    Attributes:
        path: The file.
        header: Its header.
        key: The row that it belongs to.
        fold: Fold of its images; None where nothing says it.
        notes: One sentence per model of which nothing tells what it was trained on.
    """

    path: Path
    header: PredictionHeader
    key: RowKey
    fold: int | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file in messages."""
        return display_path(self.path)

    @property
    def boxes_only(self) -> bool:
        """Whether the file holds boxes without masks."""
        return self.header.grid == 0


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """Files of one row, at most one per fold, which share no image.

    Attributes:
        name: Unique among the rows.
        files: Its files, sorted by fold.
    """

    name: str
    files: tuple[FoldFile, ...]

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds that the row has."""
        return tuple(file.fold for file in self.files if file.fold is not None)

    @property
    def is_plain(self) -> bool:
        """Whether it is a single model that was shown each image once."""
        source = self.files[0].header.source
        return isinstance(source, ModelSource) and not (source.tta or source.tiles or source.boxes)

    @property
    def boxes_only(self) -> bool:
        """Whether the row has no masks to score."""
        return self.files[0].boxes_only


def find_files(places: Iterable[Path]) -> list[FoldFile]:
    """Finds predictions files of validation folds in folders and below, or named themselves.

    Raises:
        UsageError: There is none, or a place that does not exist.
        InputError: A file is broken, or its models were trained on its images.
    """
    paths: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise UsageError(f'{display_path(place)}: no such file or folder')
        found = [path for path in files_below(place) if path.match(PATTERN)] if place.is_dir() else [place]
        paths.update({path.resolve(): path for path in found})
    files = []
    for path in paths.values():
        try:
            header = read_header(path)
        except NotPredictionsError:
            continue
        name = display_path(path)
        if any(model.split not in (None, 'val') for _, model in iter_models(header.source, name)):
            continue
        notes = check_leakage(header.source, name).unknown
        files.append(FoldFile(path, header, row_key(header.source, name), fold_of(header.source, name), notes))
    if not files:
        where = ', '.join(display_path(place) for place in places)
        raise UsageError(f'no {PATTERN} under {where}; tools/test.py --split val --fold K makes them')
    return files


def group_rows(files: Sequence[FoldFile]) -> list[LeaderboardRow]:
    """Groups the folds of each row.

    Files whose iterations, seed, config, data or way of predicting differ become rows of their own, whose names say
    what differs. A concatenated file (tools/data/concat_predictions.py) counts only where the files of its folds are
    missing.

    Raises:
        InputError: Two files of one row hold the same image, or a fold has other images in another file.
    """
    by_key: dict[RowKey, list[FoldFile]] = {}
    for file in sorted(files, key=_is_concatenated):
        own = by_key.setdefault(file.key, [])
        images = {image_id for other in own for image_id in other.header.image_ids}
        if _is_concatenated(file) and images.issuperset(file.header.image_ids):
            continue
        for other in own:
            _check_apart(file, other)
        own.append(file)
    _check_folds([file for own in by_key.values() for file in own])
    names = _unique_names(list(by_key))
    return [
        LeaderboardRow(names[key], tuple(sorted(own, key=lambda file: (file.fold is None, file.fold or 0, file.name))))
        for key, own in by_key.items()
    ]


def choose_baseline(rows: Sequence[LeaderboardRow], name: str | None) -> LeaderboardRow:
    """Chooses the row that the others are compared with: the named one, or the simplest plain Mask R-CNN.

    Raises:
        UsageError: No row with masks has that name, or none has masks.
    """
    with_masks = [row for row in rows if not row.boxes_only]
    if not with_masks:
        raise UsageError('no row has masks to score; predict with a model that has mask heads')
    if name is None:
        return min(with_masks, key=_simplicity)
    chosen = [row for row in with_masks if row.name == name]
    if not chosen:
        raise UsageError(f'--baseline {name}: no such row; there are {"; ".join(row.name for row in with_masks)}')
    return chosen[0]


def _simplicity(row: LeaderboardRow) -> tuple[bool, bool, int, str, int]:
    """Sort key: plain Mask R-CNNs first, then by length of the name, then by length of the details."""
    label, _, details = row.name.partition(' [')
    return not row.is_plain, not label.startswith('mrcnn_'), len(label), label, len(details)


def expected_folds(rows: Sequence[LeaderboardRow], annotations: Path) -> list[int]:
    """All folds of the data, as the annotations of all folds say it, or all that some row has.

    Args:
        rows: The rows.
        annotations: File of annotations; only a JSON of all folds says how many there are.
    """
    if annotations.suffix == '.json':
        info = read_info(annotations)
        if info.split == ALL and info.folds is not None:
            return list(range(info.folds))
    return sorted({fold for row in rows for fold in row.folds})


def fold_of(source: Source, name: str) -> int | None:
    """Fold whose validation images were predicted; None where the models do not say one, or for concatenated folds.

    Raises:
        InputError: The models of a set that is not concatenated predicted different folds.
    """
    folds = {model.val_fold for _, model in iter_models(source, name)}
    if not isinstance(source, ConcatenatedSource) and len(folds) > 1:
        listed = ', '.join('no fold' if fold is None else str(fold) for fold in sorted(folds, key=str))
        raise InputError(f'{name}: of models of different folds ({listed}), some of which were trained on its images')
    return folds.pop() if len(folds) == 1 else None


def _is_concatenated(file: FoldFile) -> bool:
    return isinstance(file.header.source, ConcatenatedSource)


def _check_apart(one: FoldFile, other: FoldFile) -> None:
    shared = sorted(set(one.header.image_ids) & set(other.header.image_ids))
    if shared:
        raise InputError(
            f'{one.name} and {other.name} are both of {one.key.label} and hold the same images ({shared[0]}, '
            f'{len(shared)} in all); name the folder of only one of them'
        )


def _check_folds(files: Sequence[FoldFile]) -> None:
    """Checks that a fold has the same images in all files: rows of different splits cannot be compared."""
    first: dict[int, FoldFile] = {}
    for file in (file for file in files if file.fold is not None):
        other = first.setdefault(file.fold, file)
        if set(file.header.image_ids) != set(other.header.image_ids):
            raise InputError(
                f'{file.name} and {other.name} are both of fold {file.fold} and hold different images; rows of '
                'different splits cannot stand on one page'
            )


def _unique_names(row_keys: Sequence[RowKey]) -> dict[RowKey, str]:
    """Labels, with the details in which rows of one label differ."""
    names = {}
    for row in row_keys:
        alike = [dict(other.details) for other in row_keys if other.label == row.label]
        own = dict(row.details)
        keys = dict.fromkeys(key for details in alike for key in details)
        differing = [key for key in keys if len({details.get(key) for details in alike}) > 1]
        parts = [f'{key.split(": ")[-1]} {_shortest(key, own, alike)}' for key in differing]
        names[row] = f'{row.label} [{", ".join(parts)}]' if parts else row.label
    return names


def _shortest(key: str, own: Mapping[str, str], alike: Sequence[Mapping[str, str]]) -> str:
    """A detail; of a folder, the part in which it differs from the others."""
    value = own.get(key, 'unknown')
    others = [details[key] for details in alike if key in details]
    if not key.endswith('data') or value == 'unknown' or len({Path(folder).is_absolute() for folder in others}) > 1:
        return value
    shared = os.path.commonpath(others)
    return os.path.relpath(value, shared) if shared not in others else value
