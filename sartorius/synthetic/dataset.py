"""A made data set on disk, in exactly the competition's layout."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from sartorius.annotations.info import SYNTHETIC_FILE
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE, spec_of
from sartorius.synthetic.defects import DefectRates, plant_defects
from sartorius.synthetic.image import check_image_request, make_image
from sartorius.synthetic.plates import Acquisition, plan_acquisitions
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.writing import (
    check_out,
    image_generator,
    replaced_folder,
    run_jobs,
    write_image,
)
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

TRAIN, TEST, UNLABELLED = 0, 1, 2
FOLDERS = ('train', 'test', 'train_semi_supervised')
COLUMNS = (
    'id', 'annotation', 'width', 'height', 'cell_type', 'plate_time', 'sample_date', 'sample_id', 'elapsed_timedelta',
)  # fmt: skip


@dataclass(frozen=True)
class DatasetPlan:
    """What to make.

    Attributes:
        images: Training images.
        test_images: Test images, whose truth is written too.
        unlabelled_images: Images without masks.
        size: Image ``(height, width)``.
        density: Factor on the number of cells for a given area.
        cell_types: Types, which take turns.
        defects: Label defects to plant in ``train.csv``; the test truth stays clean.
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
        if self.images < 1:
            raise InputError(f'number of training images is {self.images}; it must be at least 1')
        for name in ('test_images', 'unlabelled_images', 'seed'):
            if getattr(self, name) < 0:
                raise InputError(f'{name} is {getattr(self, name)}; it must not be negative')
        if not self.cell_types or len(set(self.cell_types)) != len(self.cell_types):
            raise InputError(f'cell types are {list(self.cell_types)}; name at least one, and each once')
        for cell_type in self.cell_types:
            spec_of(cell_type)
        check_image_request(self.size, self.density)


@dataclass(frozen=True)
class DatasetSummary:
    """What was made: numbers of images and annotations."""

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
class _Made:
    """Rows of one image, without line ends; ``defects`` holds (place in ``rows`` or None, in ``clean_rows``, name)."""

    image_id: str
    rows: list[str]
    clean_rows: list[str]
    defects: list[tuple[int | None, int, str]]


def make_dataset(out: str | Path, plan: DatasetPlan, workers: int = 1, overwrite: bool = False) -> DatasetSummary:
    """Makes a data set under ``out``, whole or not at all.

    Written are ``train/*.png``, ``train.csv`` with all nine columns, ``test/*.png``, ``test_truth.csv`` (the same
    columns), ``sample_submission.csv``, ``train_semi_supervised/*.png``, ``synthetic.json`` (the plan), and, when
    defects are planted, ``train_clean.csv`` (the truth) and ``defects.csv``: image id, row in ``train.csv`` (empty for
    a missing cell), defect, row in ``train_clean.csv``. Rows count from 0, without the header.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier data set of this function.
        plan: What to make.
        workers: Processes; the result does not depend on it.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
        InputError: The images have no room for their cells.
    """
    out = Path(out)
    check_out(out, overwrite, workers)
    counts = (plan.images, plan.test_images, plan.unlabelled_images)
    parts = plan_acquisitions(plan.cell_types, counts, plan.seed)
    jobs = [_Job(part, index, origin) for part, origins in enumerate(parts) for index, origin in enumerate(origins)]
    with replaced_folder(out.resolve()) as folder:
        for name in FOLDERS:
            (folder / name).mkdir()
        made = list(progress(run_jobs(partial(_make_one, plan, folder), jobs, workers), 'images', len(jobs)))
        summary = _write_tables(folder, plan, made[: plan.images], made[plan.images :][: plan.test_images])
        settings = {**asdict(plan), 'size': {'height': plan.size[0], 'width': plan.size[1]}}
        (folder / SYNTHETIC_FILE).write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')
    return summary


def _make_one(plan: DatasetPlan, folder: Path, job: _Job) -> _Made:
    """Makes and writes one image, and returns its rows."""
    origin = job.origin
    type_code = CELL_TYPES.index(origin.cell_type)
    # Images of one well share their style, so that a split that tears wells apart shows in the scores.
    style = ImageStyle.draw(spec_of(origin.cell_type), image_generator(plan.seed, 0, type_code, origin.well))
    rng = image_generator(plan.seed, 1, job.part, job.index)
    made = make_image(origin.cell_type, plan.size, rng, plan.density, style=style)
    stem = origin.described_name if job.part == UNLABELLED else origin.image_id
    write_image(folder / FOLDERS[job.part] / f'{stem}.png', made.image)
    clean_rows = [_row(origin, origin.cell_type, crop, plan.size) for crop in made.crops]
    if job.part != TRAIN or not plan.defects.any():
        return _Made(origin.image_id, clean_rows, clean_rows, [])
    rows: list[str] = []
    defects: list[tuple[int | None, int, str]] = []
    defect_rng = image_generator(plan.seed, 2, job.part, job.index)
    for cell in plant_defects(made.crops, origin.cell_type, plan.size, plan.defects, defect_rng):
        if cell.defect is not None:
            defects.append((None if cell.crop is None else len(rows), cell.source, cell.defect))
        if cell.crop is not None:
            rows.append(_row(origin, cell.cell_type or origin.cell_type, cell.crop, plan.size))
    return _Made(origin.image_id, rows, clean_rows, defects)


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


def _write_tables(folder: Path, plan: DatasetPlan, train: Sequence[_Made], test: Sequence[_Made]) -> DatasetSummary:
    header = ','.join(COLUMNS)
    train_rows = [row for made in train for row in made.rows]
    test_rows = [row for made in test for row in made.rows]
    _write_lines(folder / 'train.csv', [header, *train_rows])
    _write_lines(folder / 'test_truth.csv', [header, *test_rows])
    _write_lines(folder / 'sample_submission.csv', ['id,predicted', *(f'{made.image_id},' for made in test)])
    defect_rows = list(_defect_rows(train))
    if plan.defects.any():
        _write_lines(folder / 'train_clean.csv', [header, *(row for made in train for row in made.clean_rows)])
        _write_lines(folder / 'defects.csv', ['id,row,defect,clean_row', *defect_rows])
    return DatasetSummary(
        plan.images, plan.test_images, plan.unlabelled_images, len(train_rows), len(test_rows), len(defect_rows)
    )


def _defect_rows(train: Sequence[_Made]) -> Iterator[str]:
    first, first_clean = 0, 0
    for made in train:
        for place, source, defect in made.defects:
            row = '' if place is None else first + place
            yield f'{made.image_id},{row},{defect},{first_clean + source}'
        first += len(made.rows)
        first_clean += len(made.clean_rows)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
