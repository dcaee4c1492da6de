"""A folder of images with labels of any tool as COCO JSON with folds: what tools/data/prepare_images.py does."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.coco import CocoReader, cells_from_crops
from sartorius.annotations.coco_index import read_coco_index
from sartorius.annotations.folds import assign_folds
from sartorius.annotations.image_summary import pixel_sizes, summary_of
from sartorius.annotations.info import ALL, OWN, TRAIN, UNLABELLED, VAL, origin_of_folder
from sartorius.annotations.label_files import FORMATS, IMAGE_FOLDER, LabelledFolder, LabelOptions, find_labels
from sartorius.annotations.labelled_cells import LabelledCells
from sartorius.annotations.preparation_output import Document, write_documents
from sartorius.annotations.structures import CocoImage
from sartorius.images.grey_levels import three_channels
from sartorius.images.image_ids import image_id_of, match_image_ids
from sartorius.images.reading import read_single
from sartorius.masks.crop import Size
from sartorius.utils.classes import class_order
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError, did_you_mean
from sartorius.utils.files import sha256_of

MAX_FOLDS = 5
"""Folds unless more are asked for; fewer where there are fewer groups of images."""

BY_FOLDER, BY_IMAGE = 'folder', 'image'


@dataclass(frozen=True)
class ImagePreparationOptions:
    """What to prepare, and how.

    Attributes:
        files: Where images and labels are.
        folds: Number of folds; None for :data:`MAX_FOLDS`, or as many as there are groups of images.
        seed: Seed of the folds.
        group_by: What images share that must not be in two folds: ``folder``, ``image`` (each image is a group), or a
            regular expression that finds it in the image's id (its first bracket, or all of it). None for the folder
            where the images lie in several, else the image.
        class_name: Class of cells whose file names none.
        class_by_folder: Whether that is the name of the image's folder instead.
        merge_classes: Class that all cells get, whatever their file says; None to keep what it says.
        classes: All class names in the order of the labels; empty for those that occur.
        pieces: What becomes of cells in several pieces (:func:`sartorius.annotations.label_images.read_label_image`).
        keep_unlabelled: Whether images without labels train as images without cells.
        origin: Whose images they are; None for :data:`sartorius.annotations.info.OWN`.
        licence: Licence of the images; None if it is not known.
    """

    files: LabelOptions
    folds: int | None = None
    seed: int = 0
    group_by: str | None = None
    class_name: str = 'cell'
    class_by_folder: bool = False
    merge_classes: str | None = None
    classes: tuple[str, ...] = ()
    pieces: str | None = None
    keep_unlabelled: bool = False
    origin: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Preparation:
    """What was prepared: the summary in Markdown, the class names, and the number of folds, 0 for a single group."""

    summary: str
    classes: tuple[str, ...]
    folds: int


@dataclass
class PreparedImage:
    """An image that is prepared.

    Attributes:
        image_id: Its id.
        file_name: Its path below the root.
        size: ``(height, width)`` in pixels.
        moments: Mean of its values and of their squares, as models take them: ``(2, 3)``.
        pixel_size_um: As the file tells it.
        labels: Its cells; None for an image without labels.
        crowd: Whether each cell is a crowd region; empty if none is.
        names: Class of each cell.
        group: What it shares with images that must be in the same fold.
    """

    image_id: str
    file_name: str
    size: Size
    moments: NDArray[np.float64]
    pixel_size_um: float | None
    labels: LabelledCells | None = None
    crowd: Sequence[bool] = ()
    names: list[str] = field(default_factory=list)
    group: str = ''

    @property
    def main_class(self) -> str:
        """The class of most of its cells."""
        counts = Counter(self.names)
        return max(counts, key=lambda name: (counts[name], name), default='')


def prepare_images(options: ImagePreparationOptions, out: Path) -> Preparation:
    """Writes ``all.json``, ``fold{k}_train.json``, ``fold{k}_val.json``, ``unlabelled.json`` where there are images
    without labels, ``folds.csv`` and ``summary.md`` into ``out``. The images stay where they are.

    All input is read and checked before the first file is written. JSONs of an earlier run that this one does not
    write are removed.

    Raises:
        UsageError: As :func:`sartorius.annotations.label_files.find_labels`.
        InputError: A file is malformed, labels are not of their image's size, a class is not among those asked for, no
            image has a cell, or there are too few groups for the folds.
    """
    folder = find_labels(options.files)
    images = list(_read(folder, options))
    labelled = [image for image in images if image.labels is not None]
    unlabelled = [image for image in images if image.labels is None]
    _name_classes(labelled, options)
    classes = _classes(labelled, folder, options)
    kept = images if options.keep_unlabelled else labelled
    _group(kept, options)
    groups = len({image.group for image in kept})
    folds = options.folds or (min(MAX_FOLDS, groups) if groups > 1 else 0)
    fold_of = [0] * len(kept)
    if folds:
        fold_of = assign_folds(
            groups=[image.group for image in kept],
            classes=[image.main_class for image in kept],
            cells=[len(image.names) for image in kept],
            folds=folds,
            seed=options.seed,
        )
    documents = _documents(kept, unlabelled, fold_of, folds, classes, options)
    summary = summary_of(folder, kept, unlabelled, fold_of if folds else [], classes, options)
    rows = [(image.image_id, image.main_class, image.group, fold) for image, fold in zip(kept, fold_of, strict=True)]
    write_documents(
        out, documents, rows if folds else [], classes, _info(folder, kept, classes, folds, options), summary
    )
    return Preparation(summary, classes, folds)


def _read(folder: LabelledFolder, options: ImagePreparationOptions) -> Iterator[PreparedImage]:
    """All images, those with labels with their cells."""
    root = options.files.root
    by_coco = dict(_read_coco(folder, root))
    for image_id, path in progress(folder.images.items(), 'reading', total=len(folder.images)):
        image = _read_image(image_id, path, path.relative_to(root).as_posix())
        if image_id in folder.files:
            file = folder.files[image_id]
            image.labels = FORMATS[file.format].read(file.path, image.size, options.pieces)
        elif image_id in by_coco:
            json_path, annotated, labels = by_coco[image_id]
            if annotated.size != image.size:
                raise InputError(
                    f'{json_path}: labels {annotated.file_name} of {annotated.size[1]}x{annotated.size[0]} pixels, '
                    f'{path} has {image.size[1]}x{image.size[0]}; take the images that were annotated'
                )
            image.labels, image.crowd = labels, [cell.iscrowd for cell in annotated.cells]
        yield image


def _read_image(image_id: str, path: Path, file_name: str) -> PreparedImage:
    stack = read_single(path)
    values = three_channels(stack.to_uint8()[0]).reshape(-1, 3)
    moments = [[(values[:, channel].astype(np.float64) ** power).mean() for channel in range(3)] for power in (1, 2)]
    return PreparedImage(image_id, file_name, stack.size, np.array(moments), stack.pixel_size_um)


def _read_coco(folder: LabelledFolder, root: Path) -> Iterator[tuple[str, tuple[Path, CocoImage, LabelledCells]]]:
    """Cells of COCO JSONs by image id; images without a file are among those of ``folder.without_image``."""
    seen: dict[str, Path] = {}
    for path in folder.coco:
        index = read_coco_index(path)
        used = {annotation['category_id'] for own in index.annotations.values() for annotation in own}
        classes = tuple(dict.fromkeys(name for number, name in index.categories.items() if number in used))
        reader = CocoReader(path, classes)
        matched = _match([image.image_id for image in index.images.values()], path, folder, root)
        for annotated, masks in reader:
            image_id = matched.get(annotated.image_id)
            if image_id is None:
                folder.without_image.append(Path(annotated.file_name))
                continue
            other = seen.setdefault(image_id, path)
            if other != path:
                raise InputError(f'image {folder.images[image_id]} is labelled in {other} and in {path}; keep one')
            names = tuple(classes[cell.label] for cell in annotated.cells)
            counts = Counter({'crowd regions (iscrowd 1), no cells': sum(cell.iscrowd for cell in annotated.cells)})
            yield image_id, (path, annotated, LabelledCells(tuple(masks.crops), names, +counts))


def _match(image_ids: Sequence[str], path: Path, folder: LabelledFolder, root: Path) -> dict[str, str]:
    """Images of the folder by the ids that a COCO JSON gives them: its names begin at its own folder, or anywhere."""
    below = path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else '.'
    from_its_folder = {image_id: image_id_of(f'{below}/{image_id}') for image_id in image_ids}
    matched = {image_id: own for image_id, own in from_its_folder.items() if own in folder.images}
    others = [image_id for image_id in image_ids if image_id not in matched]
    return matched | match_image_ids(others, folder.images.keys() - set(matched.values()))


def _name_classes(images: Sequence[PreparedImage], options: ImagePreparationOptions) -> None:
    for image in images:
        default = options.class_name
        if options.class_by_folder:
            default = _folder_of(image.image_id).rpartition('/')[2]
            if not default:
                raise InputError(
                    f'image {image.file_name} lies in no folder below {options.files.root}, so it has no class; move '
                    'it into one, or leave out --class-by-folder'
                )
        image.names = [options.merge_classes or name or default for name in image.labels.classes]


def _classes(
    images: Sequence[PreparedImage], folder: LabelledFolder, options: ImagePreparationOptions
) -> tuple[str, ...]:
    """Class names in the order of the labels.

    Raises:
        InputError: No image has a cell, or a class is not among those asked for.
    """
    used = {name: image for image in images for name in image.names}
    if not used:
        raise InputError(f'{options.files.root}: none of {len(images)} label files has a cell')
    for name, image in used.items():
        if options.classes and name not in options.classes:
            raise InputError(
                f'image {image.file_name} has cells of class {name!r}, which is not among --classes'
                f'{did_you_mean(name, options.classes)}'
            )
    return options.classes or class_order(used)


def _folder_of(image_id: str) -> str:
    """Folder of an image below the root, without those that are called ``images``; empty for the root itself."""
    return '/'.join(part for part in PurePosixPath(image_id).parts[:-1] if part != IMAGE_FOLDER)


def _group(images: Sequence[PreparedImage], options: ImagePreparationOptions) -> None:
    """Sets the group of each image."""
    group_by = options.group_by
    if group_by is None:
        group_by = BY_FOLDER if len({_folder_of(image.image_id) for image in images}) > 1 else BY_IMAGE
    if group_by in (BY_FOLDER, BY_IMAGE):
        for image in images:
            image.group = image.image_id if group_by == BY_IMAGE else _folder_of(image.image_id) or '.'
        return
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise UsageError(
            f'--group-by {group_by!r}: neither {BY_FOLDER} nor {BY_IMAGE}, and no regular expression: {error}'
        ) from None
    for image in images:
        match = pattern.search(image.image_id)
        if not match:
            raise InputError(f'image {image.image_id}: --group-by {group_by!r} finds nothing in it')
        image.group = match.group(1 if pattern.groups else 0) or ''


def _documents(
    kept: Sequence[PreparedImage],
    unlabelled: Sequence[PreparedImage],
    fold_of: Sequence[int],
    folds: int,
    classes: Sequence[str],
    options: ImagePreparationOptions,
) -> list[Document]:
    entries = [_coco_image(image, classes) for image in kept]
    documents = [Document('all.json', ALL, None, entries)]
    for fold in range(folds):
        train = [entry for entry, own in zip(entries, fold_of, strict=True) if own != fold]
        val = [entry for entry, own in zip(entries, fold_of, strict=True) if own == fold]
        documents.append(Document(f'fold{fold}_train.json', TRAIN, fold, train))
        documents.append(Document(f'fold{fold}_val.json', VAL, fold, val))
    if unlabelled and not options.keep_unlabelled:
        documents.append(
            Document('unlabelled.json', UNLABELLED, None, [_coco_image(image, classes) for image in unlabelled])
        )
    return documents


def _coco_image(image: PreparedImage, classes: Sequence[str]) -> CocoImage:
    details = {'group': image.group} if image.group else {}
    if image.labels is None:
        return CocoImage(image.file_name, image.size, details=details)
    cells = cells_from_crops(image.labels.crops, [classes.index(name) for name in image.names], image.size)
    if image.crowd:
        cells = [replace(cell, iscrowd=crowd) for cell, crowd in zip(cells, image.crowd, strict=True)]
    return CocoImage(image.file_name, image.size, cells, details)


def _info(
    folder: LabelledFolder,
    kept: Sequence[PreparedImage],
    classes: Sequence[str],
    folds: int,
    options: ImagePreparationOptions,
) -> dict[str, Any]:
    diameters = [2 * math.sqrt(crop.area / math.pi) for image in kept if image.labels for crop in image.labels.crops]
    mean, squares = np.average(
        [image.moments for image in kept], axis=0, weights=[math.prod(image.size) for image in kept]
    )
    sizes = pixel_sizes(kept)
    return {
        'description': 'own images, prepared by tools/data/prepare_images.py',
        'sources': [{'file': path.name, 'sha256': sha256_of(path)} for path in folder.coco],
        'origin': options.origin or origin_of_folder(options.files.root, OWN),
        **({'licence': options.licence} if options.licence else {}),
        'folds': folds,
        'seed': options.seed,
        'classes': list(classes),
        'cell_diameter_px': round(float(np.median(diameters)), 1),
        'grey_mean': mean.round(2).tolist(),
        # A uniform image has none to divide by.
        'grey_std': np.sqrt(np.maximum(squares - mean**2, 1)).round(2).tolist(),
        'pixel_size_um': sizes[0] if len(sizes) == 1 else None,
    }
