"""A synthetic data set on disk in LIVECell's official layout: eight invented cell types, polygons in COCO JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from sartorius.masks.crop import MaskCrop, Size
from sartorius.synthetic.cell_types import FULL_SIZE, LINE_SPECS
from sartorius.synthetic.image import make_image
from sartorius.synthetic.plates import IMAGES_PER_WELL
from sartorius.synthetic.rendering import ImageStyle
from sartorius.synthetic.writing import check_split_plan, image_generator, write_dataset, write_image
from sartorius.utils.classes import LIVECELL_LINES

SPLITS = ('train', 'val', 'test')
IMAGE_FOLDERS = {
    'train': 'livecell_train_val_images',
    'val': 'livecell_train_val_images',
    'test': 'livecell_test_images',
}
ANNOTATION_FOLDER = 'annotations/LIVECell'
_WELL_ROWS = 'ABCDEFGH'


@dataclass(frozen=True)
class LivecellPlan:
    """Plan of a data set in LIVECell's layout.

    Attributes:
        images: Training images; the eight types alternate.
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
        check_split_plan(self, ('val_images', 'test_images'))


@dataclass(frozen=True)
class LivecellSummary:
    """Numbers of images and of cells by split."""

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
class _ImagePolygons:
    name: str
    polygons: list[list[int]]


def make_livecell(out: str | Path, plan: LivecellPlan, workers: int = 1, overwrite: bool = False) -> LivecellSummary:
    """Makes a data set under ``out``, completely or not at all, for ``tools/data/prepare_livecell.py`` to read.

    Written are ``images/livecell_train_val_images/<line>/*.tif``, ``images/livecell_test_images/<line>/*.tif``,
    ``annotations/LIVECell/livecell_coco_{train,val,test}.json`` and ``synthetic.json`` (the plan). Polygons run along
    the edges of pixels, so that COCO's tools rasterise them to exactly the masks. Every two images of a type share a
    well; no well belongs to two splits.

    Args:
        out: Folder that does not exist, is empty, or, with ``overwrite``, holds an earlier synthetic data set.
        plan: Of the data set.
        workers: Processes; the result does not depend on their number.
        overwrite: Replace an earlier data set.

    Raises:
        UsageError: ``out`` is in use, or ``workers`` is below 1.
        InputError: The images have no room for their cells.
    """
    folders = [f'images/{name}/{line}' for name in sorted(set(IMAGE_FOLDERS.values())) for line in LIVECELL_LINES]
    folders.append(ANNOTATION_FOLDER)
    settings = {'form': 'livecell'}
    return write_dataset(
        Path(out), plan, folders, _plan_jobs(plan), _make_one, _write_annotations, workers, overwrite, settings
    )


def _write_annotations(folder: Path, plan: LivecellPlan, images: Sequence[_ImagePolygons]) -> LivecellSummary:
    by_split: dict[str, list[_ImagePolygons]] = {split: [] for split in SPLITS}
    for job, image in zip(_plan_jobs(plan), images, strict=True):
        by_split[job.split].append(image)
    for split, own in by_split.items():
        if own:
            path = folder / ANNOTATION_FOLDER / f'livecell_coco_{split}.json'
            path.write_text(json.dumps(_coco(own, plan.size)) + '\n', encoding='utf-8')
    return LivecellSummary(
        {split: len(own) for split, own in by_split.items()},
        {split: sum(len(image.polygons) for image in own) for split, own in by_split.items()},
    )


def _plan_jobs(plan: LivecellPlan) -> list[_Job]:
    """One job per image; wells are numbered consecutively over the splits."""
    jobs, first_well = [], 0
    for split, count in zip(SPLITS, (plan.images, plan.val_images, plan.test_images), strict=True):
        for index in range(count):
            turn = index // len(LIVECELL_LINES)
            line = LIVECELL_LINES[index % len(LIVECELL_LINES)]
            jobs.append(_Job(split, index, line, first_well + turn // IMAGES_PER_WELL, turn % IMAGES_PER_WELL))
        first_well += -(-count // (len(LIVECELL_LINES) * IMAGES_PER_WELL))
    return jobs


def _make_one(plan: LivecellPlan, folder: Path, job: _Job) -> _ImagePolygons:
    """Makes and writes one image, and returns its cells."""
    spec = LINE_SPECS[job.line]
    style = ImageStyle.draw(spec, image_generator(plan.seed, 3, LIVECELL_LINES.index(job.line), job.well))
    rng = image_generator(plan.seed, 4, SPLITS.index(job.split), job.index)
    synthetic = make_image(job.line, plan.size, rng, plan.density, style=style, spec=spec)
    write_image(folder / 'images' / IMAGE_FOLDERS[job.split] / job.line / f'{job.name}.tif', synthetic.image)
    return _ImagePolygons(job.name, [_polygon(crop) for crop in synthetic.crops])


def _polygon(crop: MaskCrop) -> list[int]:
    """Outline ``[x1, y1, x2, y2, ...]`` of a connected mask without holes, along the edges of its pixels."""
    # findContours walks through the centres of pixels. On a picture of twice the size it visits the two halves of a
    # pixel apart, and rounding up after halving puts each on the pixel's own edge.
    doubled = crop.mask.astype('uint8').repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return ((contours[0][:, 0] + 1) // 2 + (crop.x, crop.y)).ravel().tolist()


def _coco(images: Sequence[_ImagePolygons], size: Size) -> dict[str, Any]:
    """Content of an official JSON: one category, the line is in the file name."""
    cells = [(number, polygon) for number, image in enumerate(images, 1) for polygon in image.polygons]
    return {
        'info': {'description': 'Synthetic images of invented cell types under the names of the LIVECell lines'},
        'categories': [{'id': 1, 'name': 'cell', 'supercategory': 'cell'}],
        'images': [
            {'id': number, 'file_name': f'{image.name}.tif', 'height': size[0], 'width': size[1]}
            for number, image in enumerate(images, 1)
        ],
        'annotations': [
            {'id': index, 'image_id': number, 'category_id': 1, 'segmentation': [polygon], 'iscrowd': 0}
            for index, (number, polygon) in enumerate(cells, 1)
        ],
    }
