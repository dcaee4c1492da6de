"""Files of a preparation: JSONs of all images and of each fold, the table of folds, and the competition's summary."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartorius.annotations.coco import write_coco
from sartorius.annotations.folds import NO_FOLD
from sartorius.annotations.info import ALL, SARTORIUS, TRAIN, VAL, origin_of_folder
from sartorius.annotations.source_tables import PreparationOptions
from sartorius.annotations.structures import CocoImage
from sartorius.annotations.summary import class_table, fold_table
from sartorius.annotations.train_csv import ALL_DATA, TrainCSV, TrainImage
from sartorius.utils.classes import class_order
from sartorius.utils.cli import progress
from sartorius.utils.files import sha256_of, staged_folder, write_text
from sartorius.utils.paths import display_path

OWN_OUTPUTS = re.compile(r'all\.json|test\.json|unlabelled\.json|fold\d+_(train|val)\.json')
"""JSONs that are removed if an earlier run wrote them and this one does not."""


FoldRow = tuple[str, str, str, int]
"""Image id, class, group and fold of an image."""


@dataclass(frozen=True)
class PreparedImage:
    """An annotated image that is kept.

    Attributes:
        image: Its rows in the CSV.
        coco: Its entry in the JSON.
        group: Group of near-duplicates, none of which is in another fold.
        fold: The fold that it validates; :data:`NO_FOLD` for a pseudo-labelled image.
    """

    image: TrainImage
    coco: CocoImage
    group: str
    fold: int

    @property
    def fold_row(self) -> FoldRow:
        """Its row in the table of folds; that of an image that is pseudo-labelled for several folds is the same."""
        return self.image.cells.image_id, self.image.cell_type, self.group, self.fold

    def trains(self, fold: int) -> bool:
        """Whether its labels may train a fold: pseudo-labels of one fold train no other."""
        return self.image.fold in ('', str(fold))


@dataclass(frozen=True)
class Document:
    """A JSON to write: its name, the part of the data that it holds, and its images."""

    file_name: str
    split: str
    fold: int | None
    images: Sequence[CocoImage]


def make_documents(prepared: Sequence[PreparedImage], folds: int) -> list[Document]:
    """The JSONs of annotated images."""
    documents = [Document('all.json', ALL, None, [entry.coco for entry in _of_all_data(prepared)])]
    for fold in range(folds):
        held_out = {entry.group for entry in prepared if entry.fold == fold}
        # By group, not by fold, so that no pseudo-labelled image of a validated well trains either.
        train = [entry.coco for entry in prepared if entry.group not in held_out and entry.trains(fold)]
        val = [entry.coco for entry in prepared if entry.fold == fold]
        documents.append(Document(f'fold{fold}_train.json', TRAIN, fold, train))
        documents.append(Document(f'fold{fold}_val.json', VAL, fold, val))
    return documents


def _of_all_data(prepared: Sequence[PreparedImage]) -> list[PreparedImage]:
    """All images but those pseudo-labelled for one fold, of which each fold's models have their own cells."""
    return [entry for entry in prepared if entry.image.fold in ('', ALL_DATA)]


def make_info(options: PreparationOptions, tables: Sequence[TrainCSV]) -> dict[str, Any]:
    """What all JSONs have in their ``info``; fold and split are added to each."""
    return {
        'description': 'Sartorius cells, prepared by tools/prepare_sartorius.py',
        'sources': [{'file': table.path.name, 'sha256': sha256_of(table.path)} for table in tables],
        'fill_holes': options.fill_holes,
        'origin': origin_of_folder(options.data_root, SARTORIUS),
        'folds': options.folds,
        'seed': options.seed,
    }


def make_summary(
    options: PreparationOptions,
    tables: Sequence[TrainCSV],
    prepared: Sequence[PreparedImage],
    notes: Sequence[str],
    unannotated: Mapping[str, int],
) -> str:
    """The summary, in Markdown; ``unannotated`` has the number of images without annotations by part of the data."""
    real = [entry for entry in prepared if entry.fold != NO_FOLD]
    sources = ', '.join(display_path(table.path) for table in tables)
    others = ', '.join(f'{count:,} {name}' for name, count in unannotated.items())
    pseudo = [entry for entry in prepared if entry.image.fold]
    return '\n\n'.join(
        [
            '# Sartorius data',
            f'Annotations: {sources}. Images without annotations: {others}.',
            class_table(
                ((entry.image.cell_type, [cell.area for cell in entry.coco.cells]) for entry in _of_all_data(prepared)),
                class_order(entry.image.cell_type for entry in prepared),
            ),
            f'## Folds\n\n{_how_grouped(options, real)}',
            fold_table(
                [entry.fold for entry in real],
                [entry.group for entry in real],
                [entry.image.cell_type for entry in real],
                [len(entry.coco.cells) for entry in real],
            ),
            *(_pseudo_section(prepared, pseudo) if pseudo else []),
            '## Dropped, fixed, noticed\n\n' + ('\n'.join(notes) or '- nothing'),
        ]
    )


def _pseudo_section(prepared: Sequence[PreparedImage], pseudo: Sequence[PreparedImage]) -> list[str]:
    held_out = {(entry.group, str(entry.fold)) for entry in prepared if entry.fold != NO_FOLD}
    used = [entry for entry in pseudo if (entry.group, entry.image.fold) not in held_out]
    table = fold_table(
        [entry.image.fold for entry in used],
        [entry.group for entry in used],
        [entry.image.cell_type for entry in used],
        [len(entry.coco.cells) for entry in used],
    )
    text = (
        'Pseudo-labelled images by the fold that they train, which are not in all.json (fold all: in all.json alone). '
        f'Dropped, because their fold validates on their own well: {len(pseudo) - len(used):,}.'
    )
    return [f'## Pseudo-labels\n\n{text}', table]


def _how_grouped(options: PreparationOptions, real: Sequence[PreparedImage]) -> str:
    groups = len({entry.group for entry in real})
    alone = sum(entry.group == entry.image.cells.image_id for entry in real)
    start = f'{options.folds} folds of {len(real)} images, stratified by class, seed {options.seed}'
    if not alone:
        return f'{start}, grouped by plate and well of the sample_id ({groups} groups): no well and no sample is split.'
    rest = (
        '' if alone == len(real) else f' of {alone} of them; the others are grouped by plate and well ({groups} groups)'
    )
    return (
        f'{start}, **by image**, because the CSV has no sample_id{rest}. Images of one well look alike and may lie in '
        'different folds: scores will look better than they are.'
    )


def write_documents(
    out: Path,
    documents: Sequence[Document],
    fold_rows: Iterable[FoldRow],
    classes: Sequence[str],
    info: Mapping[str, Any],
    summary: str,
) -> None:
    """Writes all files together, and removes JSONs of an earlier run that this one does not write.

    Args:
        out: Folder to write to.
        documents: The JSONs.
        fold_rows: Rows of ``folds.csv``; equal ones are written once.
        classes: Class names that the labels of the images' cells index into.
        info: What all JSONs have in their ``info``.
        summary: Text of ``summary.md``.
    """
    rows = list(fold_rows)
    info = {**info, 'set_id': _set_id(documents, rows, classes, info)}
    with staged_folder(out, stale=OWN_OUTPUTS.fullmatch) as new:
        for one in progress(documents, 'writing'):
            place = {'split': one.split} if one.fold is None else {'split': one.split, 'fold': one.fold}
            write_coco(new / one.file_name, one.images, classes, {**info, **place})
        write_text(new / 'folds.csv', _folds_csv(rows))
        write_text(new / 'summary.md', summary + '\n')


def _set_id(
    documents: Sequence[Document], rows: Sequence[FoldRow], classes: Sequence[str], info: Mapping[str, Any]
) -> str:
    """Hash of all that decides the JSONs: the same input and options give the same."""
    parts = [[one.file_name, [image.file_name for image in one.images]] for one in documents]
    digest = hashlib.sha256(json.dumps([info, list(classes), rows, parts], sort_keys=True).encode())
    for image in {id(image): image for one in documents for image in one.images}.values():
        cells = [(cell.label, cell.segmentation['counts'], cell.iscrowd) for cell in image.cells]
        digest.update(repr((image.file_name, image.size, cells)).encode())
    return digest.hexdigest()[:16]


def _folds_csv(rows: Iterable[FoldRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['id', 'cell_type', 'group', 'fold'])
    writer.writerows(dict.fromkeys(rows))
    return text.getvalue()
