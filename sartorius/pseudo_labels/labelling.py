"""Pseudo-labelling: predictions of images without annotations become rows of the training CSV."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartorius.annotations.info import UNLABELLED
from sartorius.annotations.pseudo_rows import is_of_round, next_round, pseudo_details, replace_pseudo_rows
from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, read_train_csv
from sartorius.images.image_ids import match_image_ids
from sartorius.postprocess.chain import Chain
from sartorius.predictions.leakage import HeldOut, Unknown, check_leakage, check_split
from sartorius.predictions.provenance import Source
from sartorius.predictions.store import load_predictions, read_header
from sartorius.pseudo_labels.rules import ANNOTATED, Balance, PseudoRules, Verdict, apply_balance, judge
from sartorius.pseudo_labels.summary import LabelledFold, summarise
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import file_set, write_text
from sartorius.utils.paths import display_path


@dataclass(frozen=True)
class Request:
    """Input and options of a round of pseudo-labelling.

    Attributes:
        of_folds: Predictions files, each of models that one fold is held out from; their labels train this fold alone.
        of_all: Predictions file of any models, whose labels train a model of all data and no fold.
        train_csv: Training CSV that the labels are added to.
        chain: Post-processing, with numbers for all classes of the files.
        rules: Which predictions become labels.
        balance: As in :func:`sartorius.pseudo_labels.rules.image_limits`.
        fold: The fold of models that have no record of theirs; None refuses these.
        round_number: Round of pseudo-labelling; None: the one after the latest of ``train_csv``.
    """

    of_folds: tuple[Path, ...]
    of_all: Path | None
    train_csv: Path
    chain: Chain
    rules: PseudoRules
    balance: Balance = 'train'
    fold: int | None = None
    round_number: int | None = None


def write_pseudo_labels(request: Request, out: Path) -> str:
    """Writes the training CSV with pseudo-labels to ``out``, and the summary beside it (``.md``).

    Manually annotated rows are copied as they are, rows of earlier rounds are dropped.

    Returns:
        The summary, in Markdown.

    Raises:
        UsageError: No predictions file, or ``out`` does not end in ``.csv``.
        InputError: Labels that leak into their fold (:func:`sartorius.predictions.leakage.check_leakage`), two files of
            one fold, predictions of annotated images alone, or a broken predictions file or CSV.
    """
    if out.suffix != '.csv':
        raise UsageError(f'{display_path(out)}: a training CSV must end in .csv; name it {out.stem}.csv')
    files = _check_files(request)
    table = read_train_csv(request.train_csv)
    kept = [image for image in (*table.images.values(), *table.fold_images) if not is_of_round(image)]
    round_number = request.round_number or next_round(table)
    folds = [_label(path, held_out, kept, request) for path, held_out in files]
    images = [_train_image(verdict, fold, round_number) for fold in folds for verdict in fold.used]
    annotated = [image for image in kept if not image.is_pseudo]
    summary = summarise(folds, annotated, round_number, request.chain, request.rules, request.balance)
    with file_set():
        replace_pseudo_rows(request.train_csv, out, images)
        write_text(out.with_suffix('.md'), summary + '\n')
    return summary


def _check_files(request: Request) -> list[tuple[Path, HeldOut | None]]:
    """Fold that is held out from the models of each file, by the files' headers, before any work is done."""
    if not request.of_folds and not request.of_all:
        raise UsageError(
            'name predictions of images without annotations, one file a fold; tools/test.py --split unlabelled and '
            'tools/ensemble.py make them'
        )
    of_fold: dict[int, Path] = {}
    found: list[tuple[Path, HeldOut | None]] = []
    for path in request.of_folds:
        name, source = display_path(path), _unlabelled_source(path)
        held_out = check_leakage(source, name, Unknown.REFUSE, request.fold)
        if held_out.fold in of_fold:
            raise InputError(
                f'{name} and {display_path(of_fold[held_out.fold])} are both for fold {held_out.fold}; fuse them '
                'first with tools/ensemble.py, or leave one out'
            )
        of_fold[held_out.fold] = path
        found.append((path, held_out))
    if request.of_all:
        _unlabelled_source(request.of_all)
        found.append((request.of_all, None))
    return found


def _unlabelled_source(path: Path) -> Source:
    """Source of a predictions file, which must be of images without annotations."""
    source = read_header(path).source
    check_split(source, display_path(path), UNLABELLED)
    return source


def _label(path: Path, held_out: HeldOut | None, kept: Sequence[TrainImage], request: Request) -> LabelledFold:
    """Verdicts on all images of one file, balance included."""
    by_people = {image.cells.image_id for image in kept}
    min_cells = _min_cells(kept)
    annotated = Counter(image.cell_type for image in kept if not image.is_pseudo)
    predictions = load_predictions(path)
    chain, rules = _for_classes(request, path, predictions.classes)
    annotated_here = match_image_ids(predictions.image_ids, by_people)
    verdicts = []
    for image in progress(predictions.images, display_path(path)):
        if image.image_id in annotated_here:
            verdicts.append(Verdict(image.image_id, image.size, '', ANNOTATED, 0.0, ()))
        else:
            verdicts.append(judge(image, chain, rules, min_cells))
    if verdicts and all(verdict.reason == ANNOTATED for verdict in verdicts):
        raise InputError(
            f'{display_path(path)}: all {len(verdicts)} images have rows in {display_path(request.train_csv)}; '
            'pseudo-labels are for images without annotations: predict with tools/test.py --split unlabelled'
        )
    return LabelledFold(path, held_out, tuple(apply_balance(verdicts, annotated, request.balance)))


def _for_classes(request: Request, path: Path, classes: Sequence[str]) -> tuple[Chain, PseudoRules]:
    try:
        return request.chain.for_classes(classes), request.rules.for_classes(classes)
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None


def _min_cells(kept: Sequence[TrainImage]) -> dict[str, int]:
    """Min number of cells of an annotated image, by class."""
    counts: dict[str, int] = {}
    for image in kept:
        if not image.is_pseudo and len(image.cells):
            counts[image.cell_type] = min(len(image.cells), counts.get(image.cell_type, len(image.cells)))
    return counts


def _train_image(verdict: Verdict, fold: LabelledFold, round_number: int) -> TrainImage:
    labels = np.zeros(len(verdict.crops), dtype=np.int64)
    held_out = fold.held_out
    details = (
        pseudo_details(round_number, None)
        if held_out is None
        else pseudo_details(round_number, held_out.fold, held_out.amount)
    )
    return TrainImage(
        ImageAnnotations(verdict.image_id, verdict.size, verdict.crops, labels), verdict.cell_type, details
    )
