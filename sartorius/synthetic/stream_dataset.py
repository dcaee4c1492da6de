"""The stream of synthetic images on disk: what training draws, as files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartorius.annotations.coco import cells_from_crops, write_coco
from sartorius.annotations.info import SYNTHETIC
from sartorius.annotations.structures import CocoImage
from sartorius.masks.crop import Size
from sartorius.synthetic.image import check_image_request
from sartorius.synthetic.stream import BREADTHS, check_breadth, stream_image
from sartorius.synthetic.writing import write_dataset, write_image
from sartorius.utils.errors import InputError

IMAGE_FOLDER = 'images'
ANNOTATION_FILE = 'all.json'
CLASSES = ('cell',)


@dataclass(frozen=True)
class StreamPlan:
    """Plan of a data set of the stream's images.

    Attributes:
        images: Number of images.
        first: Number of the first one in the stream.
        size: Image ``(height, width)``: images of other sizes are other images.
        breadth: One of :data:`sartorius.synthetic.stream.BREADTHS`.
        seed: Of the stream.
    """

    images: int
    first: int = 0
    size: Size = (256, 256)
    breadth: str = BREADTHS[-1]
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (('images', 1), ('first', 0), ('seed', 0)):
            if getattr(self, name) < least:
                raise InputError(f'{name} is {getattr(self, name)}; it must be at least {least}')
        check_image_request(self.size)
        check_breadth(self.breadth)


@dataclass(frozen=True)
class StreamSummary:
    """Numbers of images and of cells."""

    images: int
    cells: int


def make_stream_dataset(out: Path, plan: StreamPlan, workers: int = 1, overwrite: bool = False) -> StreamSummary:
    """Writes ``images/NUMBER.png``, ``all.json`` (COCO, one class ``cell``) and ``synthetic.json`` (the plan).

    The images are those that training with :class:`sartorius.datasets.synthetic.SyntheticCellDataset` of the same seed,
    size and breadth draws under the same numbers, and the JSON says of the data what the configs for own images read.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier synthetic data set.
        plan: Of the data set.
        workers: Processes; the result does not depend on their number.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
    """
    numbers = range(plan.first, plan.first + plan.images)
    settings = {'form': 'stream'}
    return write_dataset(
        out, plan, [IMAGE_FOLDER], numbers, _make_one, _write_annotations, workers, overwrite, settings
    )


@dataclass(frozen=True)
class _Image:
    entry: CocoImage
    grey_sums: tuple[int, int]


def _make_one(plan: StreamPlan, folder: Path, number: int) -> _Image:
    synthetic = stream_image(plan.seed, number, plan.size, plan.breadth)
    name = f'{IMAGE_FOLDER}/{number:06d}.png'
    write_image(folder / name, synthetic.image)
    values = synthetic.image.astype(np.int64)
    cells = cells_from_crops(synthetic.crops, 0, plan.size)
    return _Image(CocoImage(name, plan.size, cells), (int(values.sum()), int((values**2).sum())))


def _write_annotations(folder: Path, plan: StreamPlan, images: Sequence[_Image]) -> StreamSummary:
    areas = [cell.area for image in images for cell in image.entry.cells]
    pixels = len(images) * math.prod(plan.size)
    mean, squares = (sum(image.grey_sums[power] for image in images) / pixels for power in (0, 1))
    info = {
        'description': 'synthetic images, made by tools/data/make_synthetic.py',
        'origin': SYNTHETIC,
        'split': 'all',
        'classes': list(CLASSES),
        'cell_diameter_px': round(2 * math.sqrt(float(np.median(areas)) / math.pi), 1) if areas else None,
        'grey_mean': [round(mean, 2)] * 3,
        'grey_std': [round(math.sqrt(max(squares - mean**2, 1)), 2)] * 3,
    }
    write_coco(folder / ANNOTATION_FILE, [image.entry for image in images], CLASSES, info)
    return StreamSummary(len(images), len(areas))
