"""The competition's folder as COCO JSON with folds: what tools/prepare_sartorius.py does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sartorius.annotations.coco import cells_from_crops
from sartorius.annotations.folds import NO_FOLD, assign_folds, group_of
from sartorius.annotations.info import TEST, UNLABELLED
from sartorius.annotations.preparation_output import (
    Document,
    PreparedImage,
    make_documents,
    make_info,
    make_summary,
    write_documents,
)
from sartorius.annotations.source_tables import (
    TEST_FOLDER,
    UNLABELLED_FOLDER,
    PreparationOptions,
    describe_tables,
    find_csvs,
    find_images,
    merge_tables,
)
from sartorius.annotations.structures import CocoImage
from sartorius.annotations.summary import note
from sartorius.annotations.train_csv import ALL_DATA, TrainImage, held_out_text, read_train_csv
from sartorius.images.files import images_in
from sartorius.images.reading import image_size
from sartorius.masks.crop import Size
from sartorius.masks.pieces import fill_holes
from sartorius.utils.classes import class_order, classes_of_file
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError


def prepare_sartorius(options: PreparationOptions, out: Path) -> str:
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
    tables = [read_train_csv(path) for path in find_csvs(options)]
    images = merge_tables(tables, options.folds)
    notes = describe_tables(tables)
    files = find_images(images, options, notes)
    classes = classes_of_file(image.cell_type for image in images)
    annotated = _annotate(images, files, classes, options, notes)
    prepared = _put_into_folds(annotated, options, notes)
    unannotated = {
        name: _unannotated_images(options.data_root, folder)
        for name, folder in ((TEST, TEST_FOLDER), (UNLABELLED, UNLABELLED_FOLDER))
    }
    documents = make_documents(prepared, options.folds)
    documents += [Document(f'{name}.json', name, None, found) for name, found in unannotated.items() if found]
    counts = {name: len(found) for name, found in unannotated.items()}
    summary = make_summary(options, tables, prepared, notes, counts)
    rows = [entry.fold_row for entry in prepared]
    write_documents(out, documents, rows, classes, make_info(options, tables), summary)
    return summary


def _annotate(
    images: Sequence[TrainImage],
    files: Mapping[str, str],
    classes: Sequence[str],
    options: PreparationOptions,
    notes: list[str],
) -> list[tuple[TrainImage, CocoImage]]:
    """The images that have a file, each with its entry in the JSON."""
    annotated = []
    filled = copies = 0
    for image in progress([image for image in images if image.cells.image_id in files], 'preparing'):
        image_id, size = image.cells.image_id, image.cells.size
        file_name = files[image_id]
        if options.check_images:
            _check_size(options.data_root / file_name, size)
        crops = image.cells.crops
        if options.fill_holes:
            crops = fill_holes(crops)
            filled += sum(crop.area > hollow.area for crop, hollow in zip(crops, image.cells.crops, strict=True))
        label = classes.index(image.cell_type)
        cells = cells_from_crops(crops, label, size)
        copies += len(cells) - len({cell.segmentation['counts'] for cell in cells})
        details = {'cell_type': image.cell_type, 'group': group_of(image_id, image.details.get('sample_id', ''))}
        if image.is_pseudo:
            details['source'] = image.details['source']
        annotated.append((image, CocoImage(file_name, size, cells, details, image_id)))
    if options.fill_holes:
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


def _put_into_folds(
    annotated: Sequence[tuple[TrainImage, CocoImage]], options: PreparationOptions, notes: list[str]
) -> list[PreparedImage]:
    """Puts every image that a person annotated into a fold; a model must not be scored on pseudo-labels."""
    real = [coco for image, coco in annotated if not image.is_pseudo]
    folds = iter(
        assign_folds(
            groups=[coco.details['group'] for coco in real],
            classes=[coco.details['cell_type'] for coco in real],
            cells=[len(coco.cells) for coco in real],
            folds=options.folds,
            seed=options.seed,
        )
    )
    prepared = [
        PreparedImage(image, coco, coco.details['group'], NO_FOLD if image.is_pseudo else next(folds))
        for image, coco in annotated
    ]
    pseudo = {image.cells.image_id for image, _ in annotated if image.is_pseudo}
    if pseudo:
        notes.append(note('pseudo-labelled images, which train and never validate', len(pseudo)))
        _check_held_out(prepared)
    for name in class_order(entry.image.cell_type for entry in prepared):
        with_class = {entry.fold for entry in prepared if entry.image.cell_type == name} - {NO_FOLD}
        lacking = sorted(set(range(options.folds)) - with_class)
        if with_class and lacking:
            notes.append(note(f'folds that validate on no {name}, which has too few groups', lacking))
    return prepared


def _check_held_out(prepared: Sequence[PreparedImage]) -> None:
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


def _unannotated_images(root: Path, folder: str) -> list[CocoImage]:
    """Images of a folder, without annotations, by name."""
    paths = images_in(root / folder).values()
    return [
        CocoImage(f'{folder}/{path.name}', image_size(path), own_id=path.stem)
        for path in progress(paths, f'reading {folder}')
    ]
