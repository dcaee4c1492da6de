"""Input of tools/prepare_sartorius.py: the training CSVs as one list of images, and the files of these images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.annotations.summary import note
from sartorius.annotations.train_csv import ALL_DATA, TrainCSV, TrainImage
from sartorius.images.files import images_in, is_image
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import files_below, sha256_of

TRAIN_FOLDER, UNLABELLED_FOLDER, TEST_FOLDER = 'train', 'train_semi_supervised', 'test'


@dataclass(frozen=True)
class PreparationOptions:
    """What to prepare and how.

    Attributes:
        data_root: Folder with train/ and train.csv, and maybe test/ and train_semi_supervised/.
        csv_paths: Training CSVs; none means ``data_root/train.csv``.
        folds: Number of folds.
        seed: Seed of the folds.
        fill_holes: Whether the holes of hollow masks are filled.
        skip_missing_images: Whether images without a file are dropped; otherwise they are an error.
        check_images: Whether the image files are read and checked; if not, images without a file are kept.
    """

    data_root: Path
    csv_paths: tuple[Path, ...] = ()
    folds: int = 5
    seed: int = 0
    fill_holes: bool = False
    skip_missing_images: bool = False
    check_images: bool = True


def find_csvs(options: PreparationOptions) -> tuple[Path, ...]:
    """The training CSVs: those that are named, or the data root's.

    Raises:
        UsageError: The data root or its train.csv is missing.
    """
    root = options.data_root
    if not root.is_dir():
        raise UsageError(f'{root}: no such folder; docs/data.md says how to get the data, --data-root where they are')
    if not options.csv_paths and not (root / 'train.csv').is_file():
        raise UsageError(f'{root}: holds no train.csv; name the right --data-root, or the annotations with --csv')
    return options.csv_paths or (root / 'train.csv',)


def merge_tables(tables: Sequence[TrainCSV], folds: int) -> list[TrainImage]:
    """Images of all tables; pseudo-labelled ones of a fold come last.

    Raises:
        InputError: An image has rows in two tables, or is pseudo-labelled for a fold that there is not, or for one fold
            and for every fold.
    """
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


def describe_tables(tables: Sequence[TrainCSV]) -> list[str]:
    """Bullets of the summary about what of the CSVs is not used."""
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


def find_images(annotated: Sequence[TrainImage], options: PreparationOptions, notes: list[str]) -> dict[str, str]:
    """File name, relative to the data root, of each image that is kept.

    Args:
        annotated: The images.
        options: Where to look, and what to do if a file is missing.
        notes: Bullets of the summary are added to it.

    Raises:
        InputError: An image has no file, or two that differ by their suffix alone.
    """
    root = options.data_root
    images = dict.fromkeys(image.cells.image_id for image in annotated)
    known = {
        name: f'{folder}/{path.name}'
        # Pseudo-labelled rows are of images outside train/; train/ comes last so that it wins.
        for folder in (TEST_FOLDER, UNLABELLED_FOLDER, TRAIN_FOLDER)
        for name, path in images_in(root / folder).items()
    }
    for folder in (TRAIN_FOLDER, TEST_FOLDER, UNLABELLED_FOLDER):
        others = _other_files(root / folder)
        if others:
            notes.append(note(f'files of {folder}/ not used, which are no images by their suffix', others))
        deeper = [path.relative_to(root / folder).as_posix() for path in _deeper_images(root / folder)]
        if deeper:
            notes.append(note(f'images in subfolders of {folder}/ not used', deeper))
    twice = _in_two_folders(root / TRAIN_FOLDER, root / TEST_FOLDER)
    if twice:
        notes.append(
            note(
                f'**images of {TRAIN_FOLDER}/ that stand in {TEST_FOLDER}/ too, by name or content: what is tested on '
                'them says nothing of other images**',
                twice,
            )
        )
    twins = _twins({name: path for name, path in images_in(root / TRAIN_FOLDER).items() if name in images})
    if twins:
        notes.append(note(f'images of {TRAIN_FOLDER}/ that are the same file as another, in whatever folds', twins))
    missing = [image_id for image_id in images if image_id not in known]
    if not options.check_images:
        return {image_id: known.get(image_id, f'{TRAIN_FOLDER}/{image_id}.png') for image_id in images}
    if missing and not options.skip_missing_images:
        first = ', '.join(missing[:3])
        raise InputError(
            f'{root}: {len(missing)} of {len(images)} annotated images are not in {TRAIN_FOLDER}/ ({first}'
            f'{", ..." if len(missing) > 3 else ""}); put them there, or drop them with --skip-missing-images'
        )
    if missing:
        if len(missing) == len(images):
            raise InputError(f'{root}: none of the {len(images)} annotated images is there; name the right --data-root')
        notes.append(note('images dropped with their cells because their file is missing', missing))
    unused = sorted(images_in(root / TRAIN_FOLDER).keys() - images.keys())
    if unused:
        notes.append(note(f'images of {TRAIN_FOLDER}/ without rows not used', unused))
    return {image_id: known[image_id] for image_id in images if image_id in known}


def _deeper_images(folder: Path) -> list[Path]:
    """Images in the subfolders of a folder, which are not looked into."""
    if not folder.is_dir():
        return []
    return [path for path in files_below(folder) if path.parent != folder and is_image(path)]


def _in_two_folders(first: Path, second: Path) -> list[str]:
    """Images of a folder that stand in another one too, under the same name or with the same bytes."""
    own, others = images_in(first), images_in(second)
    found = {name: name for name in own.keys() & others.keys()}
    by_size: dict[int, list[Path]] = {}
    for path in others.values():
        by_size.setdefault(path.stat().st_size, []).append(path)
    hashes = {size: {sha256_of(path): path for path in paths} for size, paths in by_size.items()}
    for name, path in own.items():
        # Only files of one size can have the same content: few are read.
        same = hashes.get(path.stat().st_size)
        other = same.get(sha256_of(path)) if same else None
        if other is not None and other.stem != name:
            found[name] = f'{name} as {other.stem}'
    return [found[name] for name in sorted(found)]


def _twins(paths: Mapping[str, Path]) -> list[str]:
    """Images whose files have the same bytes as one before them."""
    by_size: dict[int, list[str]] = {}
    for name, path in paths.items():
        by_size.setdefault(path.stat().st_size, []).append(name)
    first: dict[str, str] = {}
    # Only files of one size can have the same content: few are read.
    alike = [name for names in by_size.values() if len(names) > 1 for name in names]
    others = {name: first.setdefault(sha256_of(paths[name]), name) for name in alike}
    return sorted(f'{name} as {other}' for name, other in others.items() if name != other)


def _other_files(folder: Path) -> list[str]:
    """Files of a folder that are not called like images; hidden ones are not meant."""
    if not folder.is_dir():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and not is_image(path) and not path.name.startswith('.')
    )
