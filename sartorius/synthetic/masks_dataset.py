"""New pictures for masks that people drew: real shapes in their real arrangement, rendered as synthetic cells are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.train_csv import TrainImage, read_train_csv, write_train_csv
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import spec_of
from sartorius.synthetic.image import SyntheticImage, render_cells
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.scene import PlacedCell
from sartorius.synthetic.shapes import CellShape
from sartorius.synthetic.writing import image_generator, write_dataset, write_image
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of

IMAGE_FOLDER = 'train'
TABLE = 'train.csv'

_MIN_TIP_REACH = 1.25
_MIN_TIP_ANGLE = 0.7
_FLAT_COMPACTNESS = 0.55
_FLAT_SHARE = 0.6


@dataclass(frozen=True)
class MasksPlan:
    """Plan of a data set of rendered masks.

    Attributes:
        masks: CSV in the competition's form.
        images: Number of pictures: every image of the CSV in turn, each time with another look; None for one of each.
        seed: The same file, plan and seed give the same bytes.
    """

    masks: str | Path
    images: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 1:
            raise InputError(f'number of images is {self.images}; it must be at least 1')
        if self.seed < 0:
            raise InputError(f'seed is {self.seed}; it must not be negative')


@dataclass(frozen=True)
class MasksSummary:
    """Numbers of pictures and cells."""

    images: int
    cells: int


@dataclass(frozen=True)
class _Job:
    number: int
    image_id: str
    source: TrainImage


def make_masks_dataset(out: Path, plan: MasksPlan, workers: int = 1, overwrite: bool = False) -> MasksSummary:
    """Writes ``train/*.png``, ``train.csv`` with the masks as they are, and ``synthetic.json`` (the plan).

    A picture is named after the image that its masks are of, with ``-2``, ``-3`` at its further ones; ``sample_id`` is
    that image, so that folds keep the pictures of one image together.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier synthetic data set.
        plan: Of the data set.
        workers: Processes; the result does not depend on their number.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
        InputError: As :func:`sartorius.annotations.train_csv.read_train_csv`; or a cell type is not one of the
            competition's.
    """
    sources = list(read_train_csv(plan.masks).images.values())
    for source in sources:
        spec_of(source.cell_type)
    jobs = [
        _Job(number, _name(source.cells.image_id, number // len(sources)), source)
        for number in range(plan.images or len(sources))
        for source in [sources[number % len(sources)]]
    ]
    settings = {'form': 'masks', 'masks_sha256': sha256_of(plan.masks)}
    # A path would tell of the machine.
    named = replace(plan, masks=Path(plan.masks).name)
    return write_dataset(out, named, [IMAGE_FOLDER], jobs, _make_one, _write_table, workers, overwrite, settings)


def _name(image_id: str, turn: int) -> str:
    return image_id if turn == 0 else f'{image_id}-{turn + 1}'


def _make_one(plan: MasksPlan, folder: Path, job: _Job) -> TrainImage:
    source = job.source
    rng = image_generator(plan.seed, 6, job.number)
    synthetic = render_masks(source.cells.crops, source.cell_type, source.cells.size, rng)
    write_image(folder / IMAGE_FOLDER / f'{job.image_id}.png', synthetic.image)
    cells = replace(source.cells, image_id=job.image_id)
    return TrainImage(cells, source.cell_type, {'sample_id': source.cells.image_id})


def _write_table(folder: Path, plan: MasksPlan, images: Sequence[TrainImage]) -> MasksSummary:
    write_train_csv(folder / TABLE, images)
    return MasksSummary(len(images), sum(len(image.cells.crops) for image in images))


def render_masks(
    crops: Sequence[MaskCrop], cell_type: str, size: Size, rng: np.random.Generator, style: ImageStyle | None = None
) -> SyntheticImage:
    """A picture of given cells.

    Args:
        crops: Masks inside the image, bottom to top; empty ones are passed over.
        cell_type: One of :data:`sartorius.utils.classes.CELL_TYPES`.
        size: Image ``(height, width)``.
        rng: Random generator; the same state gives the same picture.
        style: Imaging conditions; random by default.

    Raises:
        InputError: An unknown cell type.
    """
    spec = spec_of(cell_type)
    style = style or ImageStyle.draw(spec, rng)
    cells = tuple(_placed(crop.tight(), spec.has_arms, rng) for crop in crops if crop.area)
    return render_cells(cells, cell_type, size, spec, style, rng)


def _placed(crop: MaskCrop, has_arms: bool, rng: np.random.Generator) -> PlacedCell:
    """A drawn mask as the cell that it is of: its centre, its corners, and how thick it may be."""
    depth = cv2.distanceTransform(np.pad(crop.mask.view(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    compactness = float(depth.max()) / np.sqrt(crop.area / np.pi)
    # Spread-out astrocytes are thin films; narrow ones are not.
    is_flat = has_arms and compactness > _FLAT_COMPACTNESS and rng.random() < _FLAT_SHARE
    thickness = rng.uniform(0.15, 0.4) if is_flat else rng.uniform(0.5, 1.1) if has_arms else 1.0
    shape = CellShape((), _tips(crop.mask, (float(column), float(row))), float(thickness), float(crop.area))
    return PlacedCell(crop, shape, float(crop.x + column), float(crop.y + row))


def _tips(mask: NDArray[np.bool_], centre: tuple[float, float]) -> NDArray[np.float64]:
    """Corners ``(K, 3)`` of a mask, farthest first: x and y from the centre, and direction."""
    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(outlines)[:, 0] - np.array(centre)
    distances = np.hypot(points[:, 0], points[:, 1])
    angles = np.arctan2(points[:, 1], points[:, 0])
    tips: list[tuple[float, float, float]] = []
    for index in np.argsort(-distances, kind='stable'):
        if distances[index] < _MIN_TIP_REACH * distances.mean():
            break
        turns = [abs((angles[index] - tip[2] + np.pi) % (2 * np.pi) - np.pi) for tip in tips]
        if min(turns, default=np.pi) >= _MIN_TIP_ANGLE:
            tips.append((*points[index], angles[index]))
    return np.array(tips, dtype=np.float64).reshape(-1, 3)
