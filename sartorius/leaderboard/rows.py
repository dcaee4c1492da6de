"""Which predictions files make a row of the results, and which do not go together."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.leaderboard.origins import Origin, fold_of, models_in, origin_of
from sartorius.predictions.store import NotPredictionsError, PredictionHeader, read_header
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path

PATTERN = 'predictions_val*.npz'
ALL = 'all.json'
"""The cells of all folds, as tools/prepare_sartorius.py writes them."""


@dataclass(frozen=True, eq=False)
class FoldFile:
    """Predictions of one validation fold.

    Attributes:
        path: The file.
        header: What it says of itself.
        origin: What makes it belong to a row.
        fold: Fold of its images; None where nothing says it.
    """

    path: Path
    header: PredictionHeader
    origin: Origin
    fold: int | None

    @property
    def name(self) -> str:
        """The file as messages call it."""
        return display_path(self.path)

    @property
    def boxes_only(self) -> bool:
        """Whether it holds boxes without masks."""
        return self.header.grid == 0


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """Files of one origin, at most one a fold, which share no image.

    Attributes:
        name: Unique among the rows.
        files: In the order of their folds.
    """

    name: str
    files: tuple[FoldFile, ...]

    @property
    def folds(self) -> tuple[int, ...]:
        """Folds that it has."""
        return tuple(file.fold for file in self.files if file.fold is not None)

    @property
    def is_plain(self) -> bool:
        """Whether it is a single model, shown each image once."""
        source = self.files[0].header.source
        return source.get('kind') == 'model' and not any(source.get(key) for key in ('tta', 'tiles', 'boxes'))

    @property
    def boxes_only(self) -> bool:
        """Whether it has no masks to score."""
        return self.files[0].boxes_only


def find_files(places: Iterable[Path]) -> list[FoldFile]:
    """Predictions files of validation folds, in folders and below, or named themselves.

    Raises:
        UsageError: There is none, or a place that does not exist.
        InputError: One of them is broken, or its models were trained on its images.
    """
    paths: dict[Path, Path] = {}
    for place in places:
        if not place.exists():
            raise UsageError(f'{display_path(place)}: no such file or folder')
        found = sorted(place.rglob(PATTERN)) if place.is_dir() else [place]
        paths.update({path.resolve(): path for path in found})
    files = []
    for path in paths.values():
        try:
            header = read_header(path)
        except NotPredictionsError:
            continue
        name = display_path(path)
        if not any(model.get('split', 'val') != 'val' for model in models_in(header.source, name)):
            files.append(FoldFile(path, header, origin_of(header.source, name), fold_of(header.source, name)))
    if not files:
        where = ', '.join(display_path(place) for place in places)
        raise UsageError(f'no {PATTERN} under {where}; tools/test.py --split val --fold K makes them')
    return files


def group_rows(files: Sequence[FoldFile]) -> list[LeaderboardRow]:
    """Puts the folds of each origin together.

    Files whose iterations, seed, config, data or way of predicting differ become rows of their own, whose names say
    what differs. A joined file (tools/data/concat_predictions.py) counts only where its folds' own files are not there.

    Raises:
        InputError: Two files of one origin hold the same image, or a fold has other images in another file.
    """
    by_origin: dict[Origin, list[FoldFile]] = {}
    for file in sorted(files, key=lambda file: file.header.source.get('kind') == 'joined'):
        own = by_origin.setdefault(file.origin, [])
        images = {image_id for other in own for image_id in other.header.image_ids}
        if file.header.source.get('kind') == 'joined' and images.issuperset(file.header.image_ids):
            continue
        for other in own:
            _check_apart(file, other)
        own.append(file)
    _check_folds([file for own in by_origin.values() for file in own])
    names = _unique_names(list(by_origin))
    return [
        LeaderboardRow(
            names[origin], tuple(sorted(own, key=lambda file: (file.fold is None, file.fold or 0, file.name)))
        )
        for origin, own in by_origin.items()
    ]


def choose_baseline(rows: Sequence[LeaderboardRow], name: str | None) -> LeaderboardRow:
    """The row that the others are compared with: the named one, or the simplest plain Mask R-CNN.

    Raises:
        UsageError: No row with masks has that name, or none has masks.
    """
    with_masks = [row for row in rows if not row.boxes_only]
    if not with_masks:
        raise UsageError('no row has masks to score; predict with a model that draws them')
    if name is None:
        return min(with_masks, key=_simplicity)
    chosen = [row for row in with_masks if row.name == name]
    if not chosen:
        raise UsageError(f'--baseline {name}: no such row; there are {"; ".join(row.name for row in with_masks)}')
    return chosen[0]


def _simplicity(row: LeaderboardRow) -> tuple[bool, bool, int, str, int]:
    """Sorts plain Mask R-CNNs first, of those the shortest name, of those the shortest details."""
    label, _, details = row.name.partition(' [')
    return not row.is_plain, not label.startswith('mrcnn_'), len(label), label, len(details)


def expected_folds(rows: Sequence[LeaderboardRow], annotations: Path) -> list[int]:
    """The folds that there are: those in the folder of tools/prepare_sartorius.py, or all that some row has."""
    folder = annotations.parent if annotations.name == ALL else annotations
    named = [re.fullmatch(r'fold(\d+)_val', path.stem) for path in folder.glob('fold*_val.json')]
    folds = {int(match[1]) for match in named if match} or {fold for row in rows for fold in row.folds}
    return sorted(folds)


def _check_apart(one: FoldFile, other: FoldFile) -> None:
    shared = sorted(set(one.header.image_ids) & set(other.header.image_ids))
    if shared:
        raise InputError(
            f'{one.name} and {other.name} are both of {one.origin.label} and hold the same images ({shared[0]}, '
            f'{len(shared)} in all); name the folder of only one of them'
        )


def _check_folds(files: Sequence[FoldFile]) -> None:
    """Refuses two splits under the same fold numbers: their rows could not be compared."""
    first: dict[int, FoldFile] = {}
    for file in (file for file in files if file.fold is not None):
        other = first.setdefault(file.fold, file)
        if set(file.header.image_ids) != set(other.header.image_ids):
            raise InputError(
                f'{file.name} and {other.name} are both of fold {file.fold} and hold different images; results of '
                'different splits do not go on one page'
            )


def _unique_names(origins: Sequence[Origin]) -> dict[Origin, str]:
    """Labels, with the details in which origins of one label differ."""
    names = {}
    for origin in origins:
        alike = [dict(other.details) for other in origins if other.label == origin.label]
        own = dict(origin.details)
        keys = dict.fromkeys(key for details in alike for key in details)
        differing = [key for key in keys if len({details.get(key) for details in alike}) > 1]
        told = [f'{key.split(": ")[-1]} {_shortest(key, own, alike)}' for key in differing]
        names[origin] = f'{origin.label} [{", ".join(told)}]' if told else origin.label
    return names


def _shortest(key: str, own: Mapping[str, str], alike: Sequence[Mapping[str, str]]) -> str:
    """A detail; of a folder, what tells it from the others."""
    value = own.get(key, 'unknown')
    others = [details[key] for details in alike if key in details]
    if not key.endswith('data') or value == 'unknown' or len({Path(folder).is_absolute() for folder in others}) > 1:
        return value
    shared = os.path.commonpath(others)
    return os.path.relpath(value, shared) if shared not in others else value
