"""How well planted label defects are found and fixed: precision, recall, and IoU with the true masks.

Makes images with defects of every kind, looks for them as tools/data/clean_masks.py does, and compares with what was
planted.
"""

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sartorius.label_quality import DEFECTS, LabelTable, clean, read_label_table
from sartorius.label_quality.cleaning import Cleaning
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import mask_iou
from sartorius.masks.pieces import fill_holes
from sartorius.synthetic import DatasetPlan, DefectRates, make_dataset
from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.tables import markdown_table

RATES = DefectRates(
    convex_filled=0.15,
    hollow=0.05,
    duplicated=0.03,
    speck=0.05,
    pieces=0.05,
    sliver=0.03,
    overlapping=0.05,
    outsized=0.02,
    wrong_class=0.03,
    twice=0.05,
)
PLANTS = {
    'wrong-class': ('wrong-class',),
    'hollow': ('hollow', 'convex-filled'),
    'convex-filled': ('convex-filled',),
    'speck': ('speck',),
    'pieces': ('pieces',),
    'sliver': ('sliver',),
    'double': ('duplicated', 'twice'),
    'overlapping': ('overlapping',),
    'size': ('outsized',),
}
"""Planted defects that each detector is there for. A convex fill leaves branches hollow and fills bays, or does one of
them: it counts as hollow where it has holes, and as convex-filled where it has pixels too many."""


FIXED = ('hollow', 'convex-filled', 'speck', 'pieces')
"""Fixes of single masks. Settling overlaps takes pixels from cells that lie below others: no mistake in them."""


@dataclass(frozen=True)
class Planted:
    """A row with a planted defect, its mask, and the true one."""

    row: int
    defect: str
    size: Size
    crop: MaskCrop
    gt: MaskCrop


def main(argv: Sequence[str] | None = None) -> None:
    """Makes, cleans, compares and prints."""
    parser = make_parser(
        'Measure how well planted label defects are found and fixed.',
        'python benchmarks/validation/label_defects.py --images 96',
    )
    parser.add_argument('--images', type=int, default=48, help='synthetic images, whose cell types take turns')
    parser.add_argument('--seed', type=int, default=0, help='of the images and of what is planted in them')
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / 'data'
        plan = DatasetPlan(options.images, test_images=0, unlabelled_images=0, defects=RATES, seed=options.seed)
        make_dataset(data, plan)
        table = read_label_table(data / 'train.csv')
        planted = list(read_planted(data, table))
        print(f'{options.images} images, {len(table.rows):,} rows, {len(planted):,} planted defects\n')
        print(detection(clean(table.images), planted))
        print()
        fixed = clean(table.images, FIXED)
        resolved = clean(table.images, ['overlapping'])
        print(fixing([(fixed, FIXED), (resolved, ['overlapping'])], planted))
        print()
        print(bays(fixed, planted))


def read_planted(data: Path, table: LabelTable) -> Iterator[Planted]:
    """What was planted, from ``defects.csv`` and ``train_clean.csv``."""
    gt = read_label_table(data / 'train_clean.csv')
    gt_crops = {cell.row: cell.crop for image in gt.images for cell in image.cells}
    labels = {cell.row: (image.size, cell.crop) for image in table.images for cell in image.cells}
    with open(data / 'defects.csv', encoding='utf-8', newline='') as file:
        for line in csv.DictReader(file):
            if line['row']:
                row = int(line['row'])
                yield Planted(row, line['defect'], *labels[row], gt_crops[int(line['clean_row'])])


def detection(cleaning: Cleaning, planted: Sequence[Planted]) -> str:
    """Table of each detector's issues in the CSV as it is.

    A false alarm is an issue in a row in which nothing is planted that could explain it: a small outsized mask is a
    sliver too. Cells of these images overlap by themselves, so that a shared pixel is never a false alarm.
    """
    rows = {detector: {plant.row for plant in planted if _is_for(detector, plant)} for detector in DEFECTS}
    with_defect = {plant.row for plant in planted}
    lines = []
    for name in DEFECTS:
        issues = [issue for issue in cleaning.issues if issue.defect == name]
        found = {issue.row for issue in issues}
        # Which of two cells is the one that covers the other is a matter of their sizes.
        seen = found | {row for issue in issues for row in issue.others if name == 'overlapping'}
        false_alarms = len(found - with_defect)
        precision = '-' if name == 'overlapping' else f'{1 - false_alarms / max(len(found), 1):.3f}'
        recall = len(seen & rows[name]) / max(len(rows[name]), 1)
        lines.append([name, len(rows[name]), len(found), precision, f'{recall:.3f}'])
    return markdown_table(['detector', 'planted', 'found', 'precision', 'recall'], lines)


def bays(cleaning: Cleaning, planted: Sequence[Planted]) -> str:
    """Table of convex-filled cells with filled bays, by what the fill did to them, their holes filled."""
    left = {cell.row: cell.crop for image in cleaning.after for cell in image.cells}
    found = {issue.row for issue in cleaning.issues if issue.defect == 'convex-filled'}
    cells = [
        (_iou(fill_holes([plant.crop])[0], plant), _iou(fill_holes([left[plant.row]])[0], plant), plant.row in found)
        for plant in planted
        if _is_for('convex-filled', plant)
    ]
    lines = []
    for low, high in ((0, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 0.98), (0.98, 1)):
        chosen = np.array([cell for cell in cells if low <= cell[0] < high]).reshape(-1, 3)
        if len(chosen):
            before, after, recall = chosen.mean(axis=0)
            lines.append([f'{low:.2f} to {high:.2f}', len(chosen), f'{recall:.2f}', f'{before:.3f}', f'{after:.3f}'])
    return markdown_table(['IoU of the filled cell', 'cells', 'recall', 'IoU before', 'IoU after'], lines)


def fixing(cleanings: Sequence[tuple[Cleaning, Sequence[str]]], planted: Sequence[Planted]) -> str:
    """Table of the IoU with the true masks before and after fixing, by planted defect."""
    lines = []
    for cleaning, defects in cleanings:
        left = {cell.row: cell.crop for image in cleaning.after for cell in image.cells}
        for defect in defects:
            kept = [plant for plant in planted if plant.defect == defect and plant.row in left]
            before = np.array([_iou(plant.crop, plant) for plant in kept])
            after = np.array([_iou(left[plant.row], plant) for plant in kept])
            worse = np.mean(after < before - 0.01)
            lines.append([defect, len(kept), f'{before.mean():.3f}', f'{after.mean():.3f}', f'{worse:.3f}'])
    return markdown_table(['planted', 'cells', 'IoU before', 'IoU after', 'worse by .01'], lines)


def _is_for(detector: str, plant: Planted) -> bool:
    """Whether a detector is there to see a planted defect."""
    if plant.defect not in PLANTS.get(detector, ()):
        return False
    if plant.defect != 'convex-filled':
        return True
    solid = fill_holes([plant.crop])[0]
    if detector == 'hollow':
        return solid.area > plant.crop.area
    x, y = min(solid.x, plant.gt.x), min(solid.y, plant.gt.y)
    full, gt = (MaskCrop(crop.mask, crop.x - x, crop.y - y).to_full(plant.size) for crop in (solid, plant.gt))
    return bool((full & ~gt).any())


def _iou(crop: MaskCrop, plant: Planted) -> float:
    return float(mask_iou([crop], [plant.gt], plant.size)[0, 0])


if __name__ == '__main__':
    run_tool(main)
