"""Images of cells for benchmarks: synthetic ones, and the real one with the most cells."""

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measure import Setting

from sartorius.annotations import ImageAnnotations
from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.annotations.train_csv import TrainImage, read_train_csv
from sartorius.masks.crop import Size
from sartorius.synthetic import SyntheticImage, make_image
from sartorius.synthetic.cell_types import FULL_SIZE
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError


@cache
def synthetic_image(cells: int, size: Size = FULL_SIZE) -> SyntheticImage:
    """Synthetic image with exactly ``cells`` touching cells of the smallest type; the same at every call."""
    return make_image('shsy5y', size, np.random.default_rng(cells), cells=cells)


def synthetic_cells(cells: int, size: Size = FULL_SIZE) -> ImageAnnotations:
    """Ground-truth cells of :func:`synthetic_image`."""
    made = synthetic_image(cells, size)
    labels = np.full(cells, CELL_TYPES.index(made.cell_type), dtype=np.int64)
    return ImageAnnotations(f'synthetic-{cells}', size, made.crops, labels)


@cache
def real_images(data_root: Path) -> tuple[TrainImage, ...]:
    """The images of ``data_root/train.csv`` whose file is there, most cells first.

    Raises:
        InputError: There are none.
    """
    images = [
        image
        for image in read_train_csv(data_root / 'train.csv').images.values()
        if (data_root / 'train' / f'{image.cells.image_id}.png').is_file()
    ]
    if not images:
        raise InputError(f'{data_root / "train"} holds none of the images that train.csv names')
    return tuple(sorted(images, key=lambda image: -len(image.cells)))


def synthetic_sample(setting: Setting, cells: int, size: Size = FULL_SIZE) -> dict[str, Any]:
    """Synthetic image as the data set passes it to a pipeline; its file is in the run's folder."""
    path = setting.folder / f'synthetic-{cells}-{size[1]}x{size[0]}.png'
    if not path.is_file():
        cv2.imwrite(str(path), synthetic_image(cells, size).image)
    return load_sample(setting, path, synthetic_cells(cells, size))


def real_samples(setting: Setting, count: int) -> list[dict[str, Any]]:
    """The real images with the most cells as the data set passes them to a pipeline."""
    chosen = real_images(setting.data_root)[:count]
    paths = [setting.data_root / 'train' / f'{image.cells.image_id}.png' for image in chosen]
    return [load_sample(setting, path, image.cells) for path, image in zip(paths, chosen, strict=True)]


def load_sample(setting: Setting, path: Path, annotations: ImageAnnotations) -> dict[str, Any]:
    """Sample of an image, by way of COCO JSON and the project's data set."""
    from sartorius.datasets import SartoriusDataset

    cells = cells_from_crops(annotations.crops, annotations.labels, annotations.size)
    json_path = setting.folder / f'{path.stem}.json'
    write_coco(json_path, [CocoImage(path.name, annotations.size, cells)], CELL_TYPES, info={})
    return SartoriusDataset(ann_file=str(json_path), data_root=str(path.parent), pipeline=[]).load_data_list()[0]
