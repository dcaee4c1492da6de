"""Ground truth and groups of near-duplicate images, from a COCO JSON or a training CSV."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sartorius.annotations.coco import read_cell_types, read_coco, read_image_details
from sartorius.annotations.folds import group_of
from sartorius.annotations.structures import GroundTruth
from sartorius.annotations.train_csv import read_train_csv
from sartorius.utils.errors import InputError


def load_annotations(path: str | Path, classes: Sequence[str] | None = None) -> GroundTruth:
    """Reads ground truth from a COCO JSON (``.json``) or a training CSV (``.csv``) of the competition.

    Args:
        path: The file.
        classes: Class names that the labels are to index into, which must be all that the file uses. None: the file's
            own (:func:`sartorius.utils.classes.classes_of_file`).

    Returns:
        Annotations by image id, in file order; images without cells included.

    Raises:
        InputError: The suffix is another, a class is not among those given, or as :func:`read_coco` and
            :func:`read_train_csv`.
    """
    if _is_json(path):
        return read_coco(path, classes)
    table = read_train_csv(path)
    images = {image_id: image.cells for image_id, image in table.images.items()}
    if classes is None or tuple(classes) == table.classes:
        return GroundTruth(images, table.classes)
    for image_id, image in table.images.items():
        if image.cell_type not in classes:
            raise InputError(
                f'{path}: image {image_id} is of the class {image.cell_type!r}; the classes are {", ".join(classes)}'
            )
        label = classes.index(image.cell_type)
        images[image_id] = replace(image.cells, labels=np.full_like(image.cells.labels, label))
    return GroundTruth(images, classes)


def load_groups(path: str | Path) -> dict[str, str]:
    """Reads which group of near-duplicates each image belongs to, from the files of :func:`load_annotations`.

    A COCO JSON of ``tools/prepare_sartorius.py`` has it in its images (``group``); elsewhere it is derived from the
    ``sample_id`` or the image's own name (:func:`sartorius.annotations.folds.group_of`).

    Returns:
        Groups by image id, in file order; an image without any of these is a group of its own.

    Raises:
        InputError: As :func:`load_annotations`.
    """
    if _is_json(path):
        images = read_image_details(path)
        return {image_id: str(image.get('group') or group_of(image_id)) for image_id, image in images.items()}
    images = read_train_csv(path).images
    return {image_id: group_of(image_id, image.details.get('sample_id', '')) for image_id, image in images.items()}


def load_cell_types(path: str | Path) -> dict[str, str]:
    """Reads the cell type of each image, from the files of :func:`load_annotations`.

    Returns:
        Cell types by image id, in file order; empty text for an image whose type is unknown.

    Raises:
        InputError: As :func:`load_annotations`.
    """
    if _is_json(path):
        return read_cell_types(path)
    return {image_id: image.cell_type for image_id, image in read_train_csv(path).images.items()}


def _is_json(path: str | Path) -> bool:
    """Whether a file is a COCO JSON by its suffix, rather than a CSV."""
    suffix = Path(path).suffix.lower()
    if suffix not in ('.json', '.csv'):
        raise InputError(
            f'{path}: annotations are a COCO .json or a training .csv, not {suffix or "a file without suffix"}'
        )
    return suffix == '.json'
