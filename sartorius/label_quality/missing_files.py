"""Files of the search for missing cells: labels to compare with predictions, checks of sources and sizes, two lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sartorius.annotations.coco_index import naming
from sartorius.annotations.reading import load_annotations, load_cell_types
from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainCSV, read_train_csv
from sartorius.label_quality.missing import NEVER_PREDICTED_COLUMNS, LabelComparison, MissingCells, compare_with_labels
from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_kaggle
from sartorius.predictions.leakage import check_leakage
from sartorius.predictions.provenance import Source
from sartorius.predictions.structures import ImagePredictions, PredictionSet, with_known_ids
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path
from sartorius.utils.spreadsheets import write_table


@dataclass(frozen=True, eq=False)
class Labels:
    """The annotations of a file.

    Attributes:
        path: The file.
        images: Labels by image id.
        cell_types: By image id; empty text where unknown.
        rows: Row of each label in a CSV, counted from 0 without the header as pandas counts, by image id; None for a
            COCO JSON.
    """

    path: Path
    images: Mapping[str, ImageAnnotations]
    cell_types: Mapping[str, str]
    rows: Mapping[str, tuple[int, ...]] | None


def read_labels(path: Path) -> Labels:
    """Reads annotations from a COCO JSON or a training CSV.

    Raises:
        InputError: As :func:`sartorius.annotations.reading.load_annotations`.
    """
    if path.suffix.lower() != '.csv':
        return Labels(path, load_annotations(path), load_cell_types(path), None)
    table = read_train_csv(path)
    return Labels(
        path=path,
        images={image_id: image.cells for image_id, image in table.images.items()},
        cell_types={image_id: image.cell_type for image_id, image in table.images.items()},
        rows=_rows_of(table),
    )


def check_sources(sources: Iterable[tuple[Path, Source]]) -> list[str]:
    """Checks that no predictions file is named twice or is of models that were trained on the images.

    Args:
        sources: Path and source of each file.

    Returns:
        One sentence per model of which it is not known.

    Raises:
        UsageError: A file is named twice.
        InputError: As :func:`sartorius.predictions.leakage.check_leakage`.
    """
    seen: set[Path] = set()
    unknown: list[str] = []
    for path, source in sources:
        if path.resolve() in seen:
            raise UsageError(f'{display_path(path)} is named twice, and would support its own cells; name it once')
        seen.add(path.resolve())
        unknown += check_leakage(source, display_path(path)).unknown
    return unknown


def match_images(predictions: PredictionSet, name: str, labels: Labels) -> PredictionSet:
    """Predictions whose images are called as in the annotations.

    Args:
        predictions: The predictions.
        name: Name of their file in messages.
        labels: The labels.

    Raises:
        InputError: No image, or an image that the annotations do not have, or not surely, or have in another size.
    """
    if not predictions.images:
        raise InputError(f'{name}: holds no image; predict the annotated images with tools/test.py --split val')
    with naming(name):
        predictions = with_known_ids(predictions, labels.images)
    unknown = [image_id for image_id in predictions.image_ids if image_id not in labels.images]
    if unknown:
        raise InputError(
            f'{name}: image {unknown[0]} is not in {display_path(labels.path)} ({len(unknown)} such images); take the '
            'annotations of the same images'
        )
    for image in predictions.images:
        size = labels.images[image.image_id].size
        if size != image.size:
            raise InputError(
                f'{name}: image {image.image_id} is {image.size[1]}x{image.size[0]} px, in {display_path(labels.path)} '
                f'{size[1]}x{size[0]}; take the annotations of the same images'
            )
    return predictions


def compare_images(
    images: Iterable[tuple[ImagePredictions, Sequence[MaskCrop]]], labels: Labels
) -> dict[str, list[LabelComparison]]:
    """Compares the predictions of all files with the labels.

    Args:
        images: Post-processed predictions with crops, and the masks of all candidates before post-processing; an image
            comes once per file that predicts it. A generator keeps one file in memory at a time.
        labels: Labels of all images (:func:`match_images`).

    Returns:
        By image id: one comparison per file that predicts the image, in the order of the files.
    """
    comparisons: dict[str, list[LabelComparison]] = {}
    for pred, candidates in images:
        compared = compare_with_labels(labels.images[pred.image_id], pred, candidates)
        comparisons.setdefault(pred.image_id, []).append(compared)
    return comparisons


def write_tables(folder: Path, missing: MissingCells, labels: Labels) -> None:
    """Writes ``unlabelled.csv``, which is itself a training CSV with more columns, and ``never_predicted.csv``."""
    unlabelled = missing.unlabelled.drop(columns='crop')
    sizes = [labels.images[image_id].size for image_id in unlabelled['id']]
    unlabelled['width'] = [width for _, width in sizes]
    unlabelled['height'] = [height for height, _ in sizes]
    unlabelled['annotation'] = [
        encode_kaggle(PackedMasks.from_crops([crop]), size)[0]
        for crop, size in zip(missing.unlabelled['crop'], sizes, strict=True)
    ]
    unlabelled.to_csv(folder / 'unlabelled.csv', index=False, float_format='%.6g')
    never_predicted = missing.never_predicted
    rows = rows_of_never_predicted(never_predicted, labels)
    columns = ['id', 'row', *NEVER_PREDICTED_COLUMNS[1:]]
    write_table(folder / 'never_predicted.csv', never_predicted.assign(row=rows)[columns], '%.6g')


def rows_of_never_predicted(never_predicted: pd.DataFrame, labels: Labels) -> pd.Series:
    """Row in the training CSV of each label that is never predicted; missing values if the annotations are no CSV."""
    cells = zip(never_predicted['id'], never_predicted['number'], strict=True)
    rows = [None if labels.rows is None else labels.rows[image_id][number - 1] for image_id, number in cells]
    return pd.Series(rows, dtype='Int64')


def format_counts(counts: pd.DataFrame) -> str:
    """:attr:`MissingCells.counts` as lines of text for a terminal."""
    lines = [
        f'{"class":<8}{"images":>8}{"labels":>9}{"never predicted":>17}{"pred":>8}{"unlabelled":>12}{"min score":>11}'
    ]
    lines += [
        f'{row.cell_type:<8}{row.images:>8}{row.labels:>9}{row.never_predicted:>17}{row.n_pred:>8}{row.unlabelled:>12}'
        f'{row.min_score:>11.3f}'
        for row in counts.itertuples()
    ]
    return '\n'.join(lines)


def _rows_of(table: TrainCSV) -> dict[str, tuple[int, ...]]:
    images = (*table.images.values(), *table.fold_images)
    # A row's index among all rows: line numbers would count blank lines too.
    lines = sorted(line for image in images for line in (*image.lines, *image.empty_lines))
    rows = {line: row for row, line in enumerate(lines)}
    return {image_id: tuple(rows[line] for line in image.lines) for image_id, image in table.images.items()}
