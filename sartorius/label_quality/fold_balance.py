"""Distribution of images and cells over the folds of a training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sartorius.annotations.folds import NO_FOLD, assign_folds, group_of
from sartorius.annotations.source_tables import PreparationOptions
from sartorius.label_quality.table import LabelTable
from sartorius.utils.errors import InputError
from sartorius.utils.input_text import read_csv_table
from sartorius.utils.paths import display_path

FOLDS, SEED = PreparationOptions.folds, PreparationOptions.seed
"""Defaults of tools/prepare_sartorius.py."""

COLUMNS = ('id', 'group', 'fold')


@dataclass(frozen=True, eq=False)
class FoldBalance:
    """Fold of each validation image.

    Attributes:
        origin: Source of the folds and inconsistencies, as sentences.
        images: ``image_id``, ``cell_type``, ``cells``, ``group``, ``fold`` of each image of a validation fold.
    """

    origin: str
    images: pd.DataFrame


def fold_balance(table: LabelTable, images: pd.DataFrame, path: Path | None) -> FoldBalance:
    """Reads the folds of a file, or computes those that tools/prepare_sartorius.py would make.

    Args:
        table: The CSV.
        images: Its images, of :func:`sartorius.label_quality.statistics.measure_images`.
        path: ``folds.csv`` of tools/prepare_sartorius.py, or None.

    Raises:
        InputError: The file is missing or no such file.
    """
    # Pseudo-labelled images are for training only.
    real = images[[not table.value(row, 'source') for row in images['first_row']]]
    if path is None:
        return _computed(table, real)
    folds = _read(path)
    known = real[real['image_id'].isin(folds)]
    groups, numbers = zip(*(folds[image_id] for image_id in known['image_id']), strict=True) if len(known) else ((), ())
    placed = known.assign(group=list(groups), fold=list(numbers))
    origin = f'Read from {display_path(path)}.'
    if len(known) < len(real):
        origin += f' {len(real) - len(known)} images are not in it.'
    # Images without a fold are pseudo-labelled, and need not be in this CSV.
    others = {image_id for image_id, (_, fold) in folds.items() if fold != NO_FOLD} - set(real['image_id'])
    if others:
        origin += f' {len(others)} images of it are not in {table.path.name}.'
    return FoldBalance(origin, placed[placed['fold'] != NO_FOLD])


def _computed(table: LabelTable, real: pd.DataFrame) -> FoldBalance:
    groups = [
        group_of(image_id, table.value(row, 'sample_id'))
        for image_id, row in zip(real['image_id'], real['first_row'], strict=True)
    ]
    count = len(set(groups))
    how = _how_grouped(groups, real['image_id'].tolist(), count)
    if count < FOLDS:
        origin = f'No folds: {FOLDS} need as many groups. {len(real)} images, {how}.'
        return FoldBalance(origin, real.assign(group=groups, fold=NO_FOLD).iloc[:0])
    folds = assign_folds(groups, real['cell_type'].tolist(), real['cells'].tolist(), FOLDS, SEED)
    origin = f'The default folds of tools/prepare_sartorius.py: {FOLDS} folds, seed {SEED}, {how}.'
    return FoldBalance(origin, real.assign(group=groups, fold=folds))


def _how_grouped(groups: Sequence[str], image_ids: Sequence[str], count: int) -> str:
    alone = sum(group == image_id for group, image_id in zip(groups, image_ids, strict=True))
    if alone == len(groups):
        return 'split image by image, because the CSV has no sample_id'
    rest = f'; {alone} images have no sample_id and are groups of their own' if alone else ''
    return f'grouped by plate and well ({count} groups{rest})'


def _read(path: Path) -> dict[str, tuple[str, int]]:
    """Group and fold by image id."""
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    rows = read_csv_table(path, COLUMNS, 'give folds.csv of tools/prepare_sartorius.py')
    folds = {}
    for number, row in enumerate(rows):
        try:
            folds[row['id']] = row['group'], int(row['fold'])
        except (TypeError, ValueError):
            raise InputError(
                f'{path}: row {number} below the header: fold is {row["fold"]!r}, no whole number'
            ) from None
    return folds
