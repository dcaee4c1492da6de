"""The competition's folder as COCO JSON with folds: what tools/prepare_sartorius.py does."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.annotations.folds import NO_FOLD, assign_folds, group_of
from sartorius.annotations.info import ALL, SARTORIUS, TEST, TRAIN, UNLABELLED, VAL, origin_of_folder
from sartorius.annotations.summary import class_table, fold_table, note
from sartorius.annotations.train_csv import ALL_DATA, TrainCSV, TrainImage, held_out_text, read_train_csv
from sartorius.images.reading import image_size
from sartorius.masks.crop import Size
from sartorius.masks.pieces import fill_holes
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import sha256_of, staged_folder, write_text
from sartorius.utils.paths import display_path

TRAIN_FOLDER, UNLABELLED_FOLDER, TEST_FOLDER = 'train', 'train_semi_supervised', 'test'
OWN_OUTPUTS = re.compile(r'all\.json|test\.json|unlabelled\.json|fold\d+_(train|val)\.json')


@dataclass(frozen=True)
class Settings:
    """What to prepare, and how.

    Attributes:
        data_root: Folder with train/ and train.csv, and maybe test/ and train_semi_supervised/.
        csv_paths: Training CSVs; none means ``data_root/train.csv``.
        folds: Number of folds.
        seed: Seed of the folds.
        fill_holes: Whether the holes of hollow masks are filled.
        skip_missing_images: Whether images without a file are left out; otherwise they are an error.
        check_images: Whether the image files are looked at; if not, images without a file are kept.
    """

    data_root: Path
    csv_paths: tuple[Path, ...] = ()
    folds: int = 5
    seed: int = 0
    fill_holes: bool = False
    skip_missing_images: bool = False
    check_images: bool = True


@dataclass(frozen=True)
class _Prepared:
    """An annotated image that is kept, with its group and the fold that it validates."""

    image: TrainImage
    coco: CocoImage
    group: str
    fold: int

    def trains(self, fold: int) -> bool:
        """Whether it may train a fold, as far as the fold that its labels were made for goes."""
        return self.image.fold in ('', str(fold))


@dataclass(frozen=True)
class _Document:
    """A JSON to write: its name, the part of the data that it holds, and its images."""

    file_name: str
    split: str
    fold: int | None
    images: Sequence[CocoImage]


def prepare_sartorius(settings: Settings, out: Path) -> str:
    """Writes ``all.json``, ``fold{k}_train.json``, ``fold{k}_val.json``, ``test.json``, ``unlabelled.json``,
    ``folds.csv`` and ``summary.md`` into ``out``; the last two JSONs only where their images are.

    All input is read and checked before the first file is written, and each file is written whole. JSONs of an earlier
    run that this one does not write are removed, so that no stale fold stays behind.

    Returns:
        The summary, in Markdown.

    Raises:
        UsageError: The data root or its train.csv is missing.
        InputError: A CSV is malformed, an image is missing, damaged or of another size than its rows say, or there are
            too few groups for the folds.
    """
    tables = [read_train_csv(path) for path in _csv_paths(settings)]
    images = _merge(tables, settings.folds)
    notes = _notes_on_tables(tables)
    files = _find_files(images, settings, notes)
    annotated = _annotate(images, files, settings, notes)
    prepared = _split(annotated, settings, notes)
    bare = {
        name: _bare_images(settings.data_root, folder)
        for name, folder in ((TEST, TEST_FOLDER), (UNLABELLED, UNLABELLED_FOLDER))
    }
    documents = _documents(prepared, settings.folds)
    documents += [_Document(f'{name}.json', name, None, found) for name, found in bare.items() if found]
    summary = _summary(settings, tables, prepared, notes, {name: len(found) for name, found in bare.items()})
    _write(out, documents, prepared, _info(settings, tables), summary)
    return summary


def _csv_paths(settings: Settings) -> tuple[Path, ...]:
    root = settings.data_root
    if not root.is_dir():
        raise UsageError(f'{root}: no such folder; docs/data.md says how to get the data, --data-root where they are')
    if not settings.csv_paths and not (root / 'train.csv').is_file():
        raise UsageError(f'{root}: holds no train.csv; name the right --data-root, or the annotations with --csv')
    return settings.csv_paths or (root / 'train.csv',)


def _merge(tables: Sequence[TrainCSV], folds: int) -> list[TrainImage]:
    """Images of all tables; pseudo-labelled ones of a fold come last."""
    images: dict[str, TrainImage] = {}
    for table in tables:
        twice = images.keys() & table.images.keys()
        if twice:
            raise InputError(f'{table.path}: image {min(twice)} has rows in another of the CSVs too; keep one of them')
        images.update(table.images)
    of_folds: dict[tuple[str, str], TrainImage] = {}
    for table in tables:
        for image in table.fold_images:
            key = image_id, fold = image.cells.image_id, image.fold
            if fold != ALL_DATA and int(fold) >= folds:
                raise InputError(
                    f'{table.path}: image {image_id} is pseudo-labelled for fold {fold}, and there are {folds} folds, '
                    'counted from 0; give the --folds that the models were trained with'
                )
            if image_id in images or key in of_folds:
                other = f'fold {fold} in another of the CSVs' if key in of_folds else 'every fold'
                raise InputError(
                    f'{table.path}: image {image_id} is pseudo-labelled for fold {fold} and has rows for {other} too; '
                    'keep one of them'
                )
            of_folds[key] = image
    return [*images.values(), *of_folds.values()]


def _notes_on_tables(tables: Sequence[TrainCSV]) -> list[str]:
    notes = []
    for table in tables:
        if table.ignored_columns:
            notes.append(note(f'columns of {table.path.name} not used', table.ignored_columns))
        empty = [line for image in _all_images(table) for line in image.empty_lines]
        if empty:
            notes.append(note(f'rows of {table.path.name} without pixels dropped, by line', empty))
    without = [image.cells.image_id for table in tables for image in _all_images(table) if not len(image.cells)]
    if without:
        notes.append(note('images without any cell kept', without))
    return notes


def _all_images(table: TrainCSV) -> list[TrainImage]:
    return [*table.images.values(), *table.fold_images]


def _find_files(annotated: Sequence[TrainImage], settings: Settings, notes: list[str]) -> dict[str, str]:
    """File name, relative to the data root, of each image that is kept."""
    root = settings.data_root
    images = dict.fromkeys(image.cells.image_id for image in annotated)
    known = {
        path.stem: f'{folder}/{path.name}'
        # Pseudo-labelled rows are of images outside train/; train/ comes last so that it wins.
        for folder in (TEST_FOLDER, UNLABELLED_FOLDER, TRAIN_FOLDER)
        for path in (root / folder).glob('*.png')
    }
    missing = [image_id for image_id in images if image_id not in known]
    if not settings.check_images:
        return {image_id: known.get(image_id, f'{TRAIN_FOLDER}/{image_id}.png') for image_id in images}
    if missing and not settings.skip_missing_images:
        first = ', '.join(f'{image_id}.png' for image_id in missing[:3])
        raise InputError(
            f'{root}: {len(missing)} of {len(images)} annotated images are not in {TRAIN_FOLDER}/ ({first}'
            f'{", ..." if len(missing) > 3 else ""}); put them there, or leave them out with --skip-missing-images'
        )
    if missing:
        if len(missing) == len(images):
            raise InputError(f'{root}: none of the {len(images)} annotated images is there; name the right --data-root')
        notes.append(note('images dropped with their cells because their file is missing', missing))
    unused = sorted(path.stem for path in (root / TRAIN_FOLDER).glob('*.png') if path.stem not in images)
    if unused:
        notes.append(note(f'images of {TRAIN_FOLDER}/ without rows not used', unused))
    return {image_id: known[image_id] for image_id in images if image_id in known}


def _annotate(
    images: Sequence[TrainImage], files: Mapping[str, str], settings: Settings, notes: list[str]
) -> list[tuple[TrainImage, CocoImage]]:
    annotated = []
    filled = copies = 0
    for image in progress([image for image in images if image.cells.image_id in files], 'preparing'):
        image_id, size = image.cells.image_id, image.cells.size
        file_name = files[image_id]
        if settings.check_images:
            _check_size(settings.data_root / file_name, size)
        crops = image.cells.crops
        if settings.fill_holes:
            crops = fill_holes(crops)
            filled += sum(crop.area > hollow.area for crop, hollow in zip(crops, image.cells.crops, strict=True))
        label = CELL_TYPES.index(image.cell_type)
        cells = cells_from_crops(crops, label, size)
        copies += len(cells) - len({cell.segmentation['counts'] for cell in cells})
        details = {'cell_type': image.cell_type, 'group': group_of(image_id, image.details.get('sample_id', ''))}
        if image.is_pseudo:
            details['source'] = image.details['source']
        annotated.append((image, CocoImage(file_name, size, cells, details)))
    if settings.fill_holes:
        notes.append(note('hollow cells filled', filled))
    if copies:
        notes.append(note('exact copies of another cell of their image, kept', copies))
    return annotated


def _check_size(path: Path, size: Size) -> None:
    found = image_size(path)
    if found != size:
        raise InputError(
            f'{path}: the image is {found[1]}x{found[0]} pixels, its rows say {size[1]}x{size[0]}; '
            'one of the two is not the original'
        )


def _split(annotated: Sequence[tuple[TrainImage, CocoImage]], settings: Settings, notes: list[str]) -> list[_Prepared]:
    """Puts every image that a person annotated into a fold; a model must not be scored on pseudo-labels."""
    real = [coco for image, coco in annotated if not image.is_pseudo]
    folds = iter(
        assign_folds(
            groups=[coco.details['group'] for coco in real],
            classes=[coco.details['cell_type'] for coco in real],
            cells=[len(coco.cells) for coco in real],
            folds=settings.folds,
            seed=settings.seed,
        )
    )
    prepared = [
        _Prepared(image, coco, coco.details['group'], NO_FOLD if image.is_pseudo else next(folds))
        for image, coco in annotated
    ]
    pseudo = {image.cells.image_id for image, _ in annotated if image.is_pseudo}
    if pseudo:
        notes.append(note('pseudo-labelled images, which train and never validate', len(pseudo)))
        _check_held_out(prepared)
    for name in CELL_TYPES:
        with_class = {entry.fold for entry in prepared if entry.image.cell_type == name} - {NO_FOLD}
        lacking = sorted(set(range(settings.folds)) - with_class)
        if with_class and lacking:
            notes.append(note(f'folds that validate on no {name}, which has too few groups', lacking))
    return prepared


def _check_held_out(prepared: Sequence[_Prepared]) -> None:
    """Refuses pseudo-labels of models that were held out from other images than those that their fold validates on.

    Folds drawn anew, with another seed, would let a model's knowledge of images that it trained on into the labels that
    train the fold that these now validate.
    """
    images = Counter(entry.fold for entry in prepared)
    cells: Counter[int] = Counter()
    for entry in prepared:
        cells[entry.fold] += len(entry.coco.cells)
    for entry in prepared:
        said, fold = entry.image.details.get('held_out'), entry.image.fold
        if not said or fold in ('', ALL_DATA):
            continue
        found = held_out_text(images[int(fold)], cells[int(fold)])
        if said != found:
            raise InputError(
                f'image {entry.image.cells.image_id} is pseudo-labelled for fold {fold} by models that were held out '
                f'from {said}; this fold {fold} validates on {found}. Give the --folds and --seed of the first round, '
                'and the same annotated images, or label anew'
            )


def _documents(prepared: Sequence[_Prepared], folds: int) -> list[_Document]:
    """The JSONs of annotated images."""
    documents = [_Document('all.json', ALL, None, [entry.coco for entry in _of_all_data(prepared)])]
    for fold in range(folds):
        held_out = {entry.group for entry in prepared if entry.fold == fold}
        # By group, not by fold, so that no pseudo-labelled image of a validated well trains either.
        train = [entry.coco for entry in prepared if entry.group not in held_out and entry.trains(fold)]
        val = [entry.coco for entry in prepared if entry.fold == fold]
        documents.append(_Document(f'fold{fold}_train.json', TRAIN, fold, train))
        documents.append(_Document(f'fold{fold}_val.json', VAL, fold, val))
    return documents


def _of_all_data(prepared: Sequence[_Prepared]) -> list[_Prepared]:
    """All images but those pseudo-labelled for one fold, of which each fold's models have their own cells."""
    return [entry for entry in prepared if entry.image.fold in ('', ALL_DATA)]


def _bare_images(root: Path, folder: str) -> list[CocoImage]:
    """Images of a folder, without annotations, by name."""
    paths = sorted((root / folder).glob('*.png'))
    return [CocoImage(f'{folder}/{path.name}', image_size(path)) for path in progress(paths, f'reading {folder}')]


def _info(settings: Settings, tables: Sequence[TrainCSV]) -> dict[str, Any]:
    return {
        'description': 'Sartorius cells, prepared by tools/prepare_sartorius.py',
        'sources': [{'file': table.path.name, 'sha256': sha256_of(table.path)} for table in tables],
        'fill_holes': settings.fill_holes,
        'origin': origin_of_folder(settings.data_root, SARTORIUS),
        'folds': settings.folds,
        'seed': settings.seed,
    }


def _summary(
    settings: Settings,
    tables: Sequence[TrainCSV],
    prepared: Sequence[_Prepared],
    notes: Sequence[str],
    bare: Mapping[str, int],
) -> str:
    real = [entry for entry in prepared if entry.fold != NO_FOLD]
    sources = ', '.join(display_path(table.path) for table in tables)
    others = ', '.join(f'{count:,} {name}' for name, count in bare.items())
    pseudo = [entry for entry in prepared if entry.image.fold]
    return '\n\n'.join(
        [
            '# Sartorius data',
            f'Annotations: {sources}. Images without annotations: {others}.',
            class_table(
                ((entry.image.cell_type, [cell.area for cell in entry.coco.cells]) for entry in _of_all_data(prepared)),
                CELL_TYPES,
            ),
            f'## Folds\n\n{_how_grouped(settings, real)}',
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


def _pseudo_section(prepared: Sequence[_Prepared], pseudo: Sequence[_Prepared]) -> list[str]:
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
        f'Left out, because their fold validates on their own well: {len(pseudo) - len(used):,}.'
    )
    return [f'## Pseudo-labels\n\n{text}', table]


def _how_grouped(settings: Settings, real: Sequence[_Prepared]) -> str:
    groups = len({entry.group for entry in real})
    alone = sum(entry.group == entry.image.cells.image_id for entry in real)
    start = f'{settings.folds} folds of {len(real)} images, stratified by class, seed {settings.seed}'
    if not alone:
        return f'{start}, grouped by plate and well of the sample_id ({groups} groups): no well and no sample is split.'
    rest = (
        '' if alone == len(real) else f' of {alone} of them; the others are grouped by plate and well ({groups} groups)'
    )
    return (
        f'{start}, **by image**, because the CSV has no sample_id{rest}. Images of one well look alike and may lie in '
        'different folds: scores will look better than they are.'
    )


def _write(
    out: Path,
    documents: Sequence[_Document],
    prepared: Sequence[_Prepared],
    info: Mapping[str, Any],
    summary: str,
) -> None:
    with staged_folder(out) as new:
        for one in progress(documents, 'writing'):
            place = {'split': one.split} if one.fold is None else {'split': one.split, 'fold': one.fold}
            write_coco(new / one.file_name, one.images, CELL_TYPES, {**info, **place})
        write_text(new / 'folds.csv', _folds_csv(prepared))
        write_text(new / 'summary.md', summary + '\n')
        written = {path.name for path in new.iterdir()}
    for path in out.iterdir():
        if OWN_OUTPUTS.fullmatch(path.name) and path.name not in written:
            path.unlink()


def _folds_csv(prepared: Sequence[_Prepared]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['id', 'cell_type', 'group', 'fold'])
    rows = ((entry.image.cells.image_id, entry.image.cell_type, entry.group, entry.fold) for entry in prepared)
    # An image that is pseudo-labelled for several folds has its row once.
    writer.writerows(dict.fromkeys(rows))
    return text.getvalue()
