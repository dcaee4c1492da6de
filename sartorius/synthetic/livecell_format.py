"""A made data set on disk in LIVECell's official layout: eight made cell types, polygons in COCO JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from sartorius.annotations.info import SYNTHETIC_FILE
from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE
from sartorius.synthetic.eight_types import LINE_SPECS
from sartorius.synthetic.image import check_image_request, make_image
from sartorius.synthetic.plates import IMAGES_PER_WELL
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.writing import (
    check_out,
    image_generator,
    replaced_folder,
    run_jobs,
    write_image,
)
from sartorius.utils.classes import LIVECELL_LINES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError

SPLITS = ('train', 'val', 'test')
IMAGE_FOLDERS = {
    'train': 'livecell_train_val_images',
    'val': 'livecell_train_val_images',
    'test': 'livecell_test_images',
}
_WELL_ROWS = 'ABCDEFGH'


@dataclass(frozen=True)
class LivecellPlan:
    """What to make.

    Attributes:
        images: Training images; the eight types take turns.
        val_images: Validation images; no JSON is written where there are none.
        test_images: Test images, likewise.
        size: Image ``(height, width)``.
        density: Factor on the number of cells for a given area.
        seed: The same plan and seed give the same bytes.
    """

    images: int = 48
    val_images: int = 8
    test_images: int = 8
    size: Size = FULL_SIZE
    density: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f'number of training images is {self.images}; it must be at least 1')
        for name in ('val_images', 'test_images', 'seed'):
            if getattr(self, name) < 0:
                raise InputError(f'{name} is {getattr(self, name)}; it must not be negative')
        check_image_request(self.size, self.density)


@dataclass(frozen=True)
class LivecellSummary:
    """What was made: numbers of images and of cells by split."""

    images: dict[str, int]
    cells: dict[str, int]


@dataclass(frozen=True)
class _Job:
    split: str
    index: int
    line: str
    well: int
    repeat: int

    @property
    def name(self) -> str:
        """``<line>_Phase_<well>_<location>_<time>_<crop>``, as LIVECell names its images."""
        row, column = self.well % len(_WELL_ROWS), self.well // len(_WELL_ROWS)
        return f'{self.line}_Phase_{_WELL_ROWS[row]}{1 + column}_1_00d{12 * self.repeat:02d}h00m_1'


@dataclass(frozen=True)
class _Made:
    name: str
    polygons: list[list[int]]


def make_livecell(out: str | Path, plan: LivecellPlan, workers: int = 1, overwrite: bool = False) -> LivecellSummary:
    """Makes a data set under ``out``, whole or not at all, for ``tools/data/prepare_livecell.py`` to read.

    Written are ``images/livecell_train_val_images/<line>/*.tif``, ``images/livecell_test_images/<line>/*.tif``,
    ``annotations/LIVECell/livecell_coco_{train,val,test}.json`` and ``synthetic.json`` (the plan). Polygons run along
    the edges of pixels, so that COCO's tools rasterise them to exactly the masks. Every two images of a type share a
    well; no well belongs to two splits.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier made data set.
        plan: What to make.
        workers: Processes; the result does not depend on it.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
        InputError: The images have no room for their cells.
    """
    out = Path(out)
    check_out(out, overwrite, workers)
    jobs = _plan_jobs(plan)
    with replaced_folder(out.resolve()) as folder:
        for name in set(IMAGE_FOLDERS.values()):
            for line in LIVECELL_LINES:
                (folder / 'images' / name / line).mkdir(parents=True)
        made = list(progress(run_jobs(partial(_make_one, plan, folder), jobs, workers), 'images', len(jobs)))
        by_split = {split: [one for one, job in zip(made, jobs, strict=True) if job.split == split] for split in SPLITS}
        (folder / 'annotations' / 'LIVECell').mkdir(parents=True)
        for split, images in by_split.items():
            if images:
                path = folder / 'annotations' / 'LIVECell' / f'livecell_coco_{split}.json'
                path.write_text(json.dumps(_coco(images, plan.size)) + '\n', encoding='utf-8')
        settings = {'form': 'livecell', **asdict(plan), 'size': {'height': plan.size[0], 'width': plan.size[1]}}
        (folder / SYNTHETIC_FILE).write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')
    return LivecellSummary(
        {split: len(images) for split, images in by_split.items()},
        {split: sum(len(one.polygons) for one in images) for split, images in by_split.items()},
    )


def _plan_jobs(plan: LivecellPlan) -> list[_Job]:
    """One job an image; wells are numbered through over the splits."""
    jobs, first_well = [], 0
    for split, count in zip(SPLITS, (plan.images, plan.val_images, plan.test_images), strict=True):
        for index in range(count):
            turn = index // len(LIVECELL_LINES)
            line = LIVECELL_LINES[index % len(LIVECELL_LINES)]
            jobs.append(_Job(split, index, line, first_well + turn // IMAGES_PER_WELL, turn % IMAGES_PER_WELL))
        first_well += -(-count // (len(LIVECELL_LINES) * IMAGES_PER_WELL))
    return jobs


def _make_one(plan: LivecellPlan, folder: Path, job: _Job) -> _Made:
    """Makes and writes one image, and returns its cells."""
    spec = LINE_SPECS[job.line]
    style = ImageStyle.draw(spec, image_generator(plan.seed, 3, LIVECELL_LINES.index(job.line), job.well))
    rng = image_generator(plan.seed, 4, SPLITS.index(job.split), job.index)
    made = make_image(job.line, plan.size, rng, plan.density, style=style, spec=spec)
    write_image(folder / 'images' / IMAGE_FOLDERS[job.split] / job.line / f'{job.name}.tif', made.image)
    return _Made(job.name, [_polygon(crop) for crop in made.crops])


def _polygon(crop: MaskCrop) -> list[int]:
    """Outline ``[x1, y1, x2, y2, ...]`` of a connected mask without holes, along the edges of its pixels."""
    # findContours walks through the centres of pixels. On a picture of twice the size it visits the two halves of a
    # pixel apart, and rounding up after halving puts each on the pixel's own edge.
    doubled = crop.mask.astype('uint8').repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return ((contours[0][:, 0] + 1) // 2 + (crop.x, crop.y)).ravel().tolist()


def _coco(images: Sequence[_Made], size: Size) -> dict[str, Any]:
    """Content of an official JSON: one category, the line is in the file name."""
    cells = [(number, polygon) for number, made in enumerate(images, 1) for polygon in made.polygons]
    return {
        'info': {'description': 'Made images of made cell types under the names of the LIVECell lines'},
        'categories': [{'id': 1, 'name': 'cell', 'supercategory': 'cell'}],
        'images': [
            {'id': number, 'file_name': f'{made.name}.tif', 'height': size[0], 'width': size[1]}
            for number, made in enumerate(images, 1)
        ],
        'annotations': [
            {'id': index, 'image_id': number, 'category_id': 1, 'segmentation': [polygon], 'iscrowd': 0}
            for index, (number, polygon) in enumerate(cells, 1)
        ],
    }
