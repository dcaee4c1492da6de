"""A synthetic data set on disk, in exactly the competition's layout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE, spec_of
from sartorius.synthetic.image import make_image
from sartorius.synthetic.planted_defects import DefectRates, plant_defects
from sartorius.synthetic.plates import Acquisition, plan_acquisitions
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.writing import check_split_plan, image_generator, write_dataset, write_image
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

TRAIN, TEST, UNLABELLED = 0, 1, 2
FOLDERS = ('train', 'test', 'train_semi_supervised')
COLUMNS = (
    'id', 'annotation', 'width', 'height', 'cell_type', 'plate_time', 'sample_date', 'sample_id', 'elapsed_timedelta',
)  # fmt: skip


@dataclass(frozen=True)
class DatasetPlan:
    """Plan of a data set in the competition's layout.

    Attributes:
        images: Training images.
        test_images: Test images, whose ground truth is written too.
        unlabelled_images: Images without masks.
        size: Image ``(height, width)``.
        density: Factor on the number of cells for a given area.
        cell_types: Types, which alternate.
        defects: Label defects to plant in ``train.csv``; the test ground truth stays clean.
        seed: The same plan and seed give the same bytes.
    """

    images: int = 48
    test_images: int = 12
    unlabelled_images: int = 6
    size: Size = FULL_SIZE
    density: float = 1.0
    cell_types: tuple[str, ...] = CELL_TYPES
    defects: DefectRates = field(default_factory=DefectRates)
    seed: int = 0

    def __post_init__(self) -> None:
        check_split_plan(self, ('test_images', 'unlabelled_images'))
        if not self.cell_types or len(set(self.cell_types)) != len(self.cell_types):
            raise InputError(f'cell types are {list(self.cell_types)}; name at least one, and each once')
        for cell_type in self.cell_types:
            spec_of(cell_type)


@dataclass(frozen=True)
class DatasetSummary:
    """Numbers of images and annotations of a data set."""

    images: int
    test_images: int
    unlabelled_images: int
    train_cells: int
    test_cells: int
    defects: int


@dataclass(frozen=True)
class _Job:
    part: int
    index: int
    origin: Acquisition


@dataclass(frozen=True)
class _ImageRows:
    """Rows of one image, without line ends; ``defects`` holds (place in ``rows`` or None, in ``clean_rows``, name)."""

    image_id: str
    rows: list[str]
    clean_rows: list[str]
    defects: list[tuple[int | None, int, str]]


def make_dataset(out: str | Path, plan: DatasetPlan, workers: int = 1, overwrite: bool = False) -> DatasetSummary:
    """Makes a data set under ``out``, completely or not at all.

    Written are ``train/*.png``, ``train.csv`` with all nine columns, ``test/*.png``, ``test_gt.csv`` (the same
    columns), ``sample_submission.csv``, ``train_semi_supervised/*.png``, ``synthetic.json`` (the plan), and, when
    defects are planted, ``train_clean.csv`` (the ground truth) and ``defects.csv``: image id, row in ``train.csv``
    (empty for a missing cell), defect, row in ``train_clean.csv``. Rows count from 0, without the header.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier data set of this function.
        plan: Of the data set.
        workers: Processes; the result does not depend on their number.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
        InputError: The images have no room for their cells.
    """
    counts = (plan.images, plan.test_images, plan.unlabelled_images)
    parts = plan_acquisitions(plan.cell_types, counts, plan.seed)
    jobs = [_Job(part, index, origin) for part, origins in enumerate(parts) for index, origin in enumerate(origins)]
    return write_dataset(Path(out), plan, FOLDERS, jobs, _make_one, _write_tables, workers, overwrite)


def _make_one(plan: DatasetPlan, folder: Path, job: _Job) -> _ImageRows:
    """Makes and writes one image, and returns its rows."""
    origin = job.origin
    type_code = CELL_TYPES.index(origin.cell_type)
    # Images of one well share their style, so that a split that separates the images of a well shows in the scores.
    style = ImageStyle.draw(spec_of(origin.cell_type), image_generator(plan.seed, 0, type_code, origin.well))
    rng = image_generator(plan.seed, 1, job.part, job.index)
    synthetic = make_image(origin.cell_type, plan.size, rng, plan.density, style=style)
    stem = origin.described_name if job.part == UNLABELLED else origin.image_id
    write_image(folder / FOLDERS[job.part] / f'{stem}.png', synthetic.image)
    clean_rows = [_row(origin, origin.cell_type, crop, plan.size) for crop in synthetic.crops]
    if job.part != TRAIN or not plan.defects.any():
        return _ImageRows(origin.image_id, clean_rows, clean_rows, [])
    rows: list[str] = []
    defects: list[tuple[int | None, int, str]] = []
    defect_rng = image_generator(plan.seed, 2, job.part, job.index)
    for cell in plant_defects(synthetic.crops, origin.cell_type, plan.size, plan.defects, defect_rng):
        if cell.defect is not None:
            defects.append((None if cell.crop is None else len(rows), cell.source, cell.defect))
        if cell.crop is not None:
            rows.append(_row(origin, cell.cell_type or origin.cell_type, cell.crop, plan.size))
    return _ImageRows(origin.image_id, rows, clean_rows, defects)


def _row(origin: Acquisition, cell_type: str, crop: MaskCrop, size: Size) -> str:
    return ','.join(
        (
            origin.image_id,
            kaggle_rle.encode(crop, size),
            str(size[1]),
            str(size[0]),
            cell_type,
            origin.plate_time,
            origin.sample_date,
            origin.sample_id,
            origin.elapsed_timedelta,
        )
    )


def _write_tables(folder: Path, plan: DatasetPlan, images: Sequence[_ImageRows]) -> DatasetSummary:
    train, test = images[: plan.images], images[plan.images :][: plan.test_images]
    header = ','.join(COLUMNS)
    train_rows = [row for image in train for row in image.rows]
    test_rows = [row for image in test for row in image.rows]
    _write_lines(folder / 'train.csv', [header, *train_rows])
    _write_lines(folder / 'test_gt.csv', [header, *test_rows])
    _write_lines(folder / 'sample_submission.csv', ['id,predicted', *(f'{image.image_id},' for image in test)])
    defect_rows = list(_defect_rows(train))
    if plan.defects.any():
        _write_lines(folder / 'train_clean.csv', [header, *(row for image in train for row in image.clean_rows)])
        _write_lines(folder / 'defects.csv', ['id,row,defect,clean_row', *defect_rows])
    return DatasetSummary(
        plan.images, plan.test_images, plan.unlabelled_images, len(train_rows), len(test_rows), len(defect_rows)
    )


def _defect_rows(train: Sequence[_ImageRows]) -> Iterator[str]:
    first, first_clean = 0, 0
    for image in train:
        for place, source, defect in image.defects:
            row = '' if place is None else first + place
            yield f'{image.image_id},{row},{defect},{first_clean + source}'
        first += len(image.rows)
        first_clean += len(image.clean_rows)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
