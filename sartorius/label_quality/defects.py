"""Defects of annotated masks: each is detected, and most can be fixed.

docs/extending/label_defect.md says how to add one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from sartorius.label_quality.structures import AnnotatedCell, AnnotatedImage, Issue
from sartorius.masks.convex_fill import MIN_LIKENESS, MIN_RUN, fill_as_convex, undo_convex_fill
from sartorius.masks.overlap import overlaps, resolve_overlaps
from sartorius.masks.pieces import drop_fragments, fill_holes, join_pieces, largest_piece, piece_areas
from sartorius.utils.errors import InputError

USUAL_AREAS: Mapping[str, tuple[int, int]] = {'shsy5y': (22, 1731), 'astro': (35, 12676), 'cort': (31, 1404)}
"""Minimum and maximum area in pixels by class: four robust standard deviations (1.4826 times the median absolute
deviation) of the logarithm about its median, in the competition's 41,073 rows of 503 images."""


WRONG_CLASS = 'wrong-class'
"""The defect that supposes that an image shows one class."""


@dataclass(frozen=True)
class Rules:
    """Thresholds of the detectors; a new detector may add its own.

    Attributes:
        min_run: Length in pixels from which a straight run counts as the end of a convex fill.
        min_likeness: Minimum IoU, in [0, 1], of a cell with the convex fill of its own outline.
        speck_fraction: A detached piece is a speck if it has less than this fraction of the largest piece's pixels.
        piece_gap: Maximum gap, in pixels, over which large pieces are joined.
        sliver_width: A cell that is nowhere wider, in pixels, is a sliver.
        double_iou: Minimum IoU, in (0, 1], of two annotations of one cell. In 503 of the competition's images pairs of
            cells get rarer up to .4 (33 between .3 and .4, 39 up to .5, 40 up to .6) and more frequent again above
            (51 up to .7, 60 up to .8).
        doubled_share: Share, in (0, 1], of an image's cells that have a double, from which on the image counts as
            annotated twice.
        areas: Minimum and maximum area in pixels by class; cells of other classes may have any size.
    """

    min_run: int = MIN_RUN
    min_likeness: float = MIN_LIKENESS
    speck_fraction: float = 0.05
    piece_gap: int = 3
    sliver_width: int = 2
    double_iou: float = 0.5
    doubled_share: float = 0.5
    areas: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict(USUAL_AREAS))

    def __post_init__(self) -> None:
        for name in ('min_run', 'piece_gap', 'sliver_width'):
            if getattr(self, name) < 1:
                raise InputError(f'{name} is {getattr(self, name)}; it must be at least 1 px')
        for name in ('min_likeness', 'speck_fraction', 'double_iou', 'doubled_share'):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f'{name} is {getattr(self, name)}; it must lie between 0 and 1')
        if not self.double_iou:
            raise InputError('double_iou is 0; every two cells would be doubles')
        for name, (low, high) in self.areas.items():
            if not 0 <= low <= high:
                raise InputError(f'areas of {name} are {low} to {high}; give the smaller first')


class Detection(NamedTuple):
    """What a detector returns for a cell.

    Attributes:
        cell: The cell as it is.
        after: The fixed cell; None if fixing drops the row.
        note: What is wrong, in a few words with figures.
        others: Rows of the other cells concerned.
    """

    cell: AnnotatedCell
    after: AnnotatedCell | None
    note: str
    others: tuple[int, ...] = ()


Detector = Callable[[AnnotatedImage, Rules], Iterator[Detection]]


@dataclass(frozen=True)
class Defect:
    """A kind of defect.

    Attributes:
        name: Name in commands and logs.
        meaning: What is wrong, in a few words.
        fix: What fixing does, in a few words.
        is_safe: Whether it is fixed by default: the fixed mask is closer to the cell, and no cell is lost.
        detect: Yields the detections of an image, at most one per cell.
    """

    name: str
    meaning: str
    fix: str
    is_safe: bool
    detect: Detector

    def find(self, image: AnnotatedImage, rules: Rules) -> list[Issue]:
        """The defect's issues in an image, none of them fixed."""
        return [Issue(image.image_id, self.name, *detection) for detection in self.detect(image, rules)]


DEFECTS: dict[str, Defect] = {}
"""The registered defects by name, in the order of this file: each is detected in what the fixes before it left."""


def register_defect(name: str, meaning: str, fix: str, is_safe: bool = False) -> Callable[[Detector], Detector]:
    """Decorator that adds a detector to :data:`DEFECTS`; commands, pages and tests take it from there.

    Args:
        name: As in :class:`Defect`; ``meaning``, ``fix`` and ``is_safe`` too.

    Raises:
        ValueError: The name is taken.
    """

    def add(detect: Detector) -> Detector:
        if name in DEFECTS:
            raise ValueError(f'there is a defect {name!r} already')
        DEFECTS[name] = Defect(name, meaning, fix, is_safe, detect)
        return detect

    return add


@register_defect(WRONG_CLASS, 'another class than its image', fix="writes the image's class")
def detect_wrong_class(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells whose class is not the most frequent one of the image."""
    own = image.cell_type
    for cell in image.cells:
        if cell.cell_type != own:
            count = sum(other.cell_type == own for other in image.cells)
            after = AnnotatedCell(cell.row, cell.crop, own)
            yield Detection(cell, after, f'{cell.cell_type} in an image of {count} {own}')


@register_defect('hollow', 'background enclosed by the cell', fix='fills it', is_safe=True)
def detect_hollow(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells with holes."""
    for cell, solid in zip(image.cells, fill_holes(image.crops), strict=True):
        missing = solid.area - cell.crop.area
        if not missing:
            continue
        holes = solid.mask & ~cell.crop.mask
        by_fill = np.count_nonzero(holes & ~fill_as_convex(solid).mask)
        note = f'{missing:,} px in holes' + (', left by a convex fill' if by_fill > missing / 2 else '')
        yield Detection(cell, cell.with_crop(solid), note)


@register_defect(
    'convex-filled',
    'a bay filled down to a straight run',
    fix='cuts away what the outline does not enclose',
    is_safe=True,
)
def detect_convex_filled(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells with a bay that the annotation tool filled."""
    for cell in image.cells:
        fixed, ends = undo_convex_fill(cell.crop, rules.min_run, rules.min_likeness)
        if ends:
            longest = max(end.length for end in ends)
            note = f'straight run of {longest} px, {cell.crop.area - fixed.area:,} px cut'
            yield Detection(cell, cell.with_crop(fixed), note)


@register_defect('speck', 'small pieces beside the cell', fix='drops them', is_safe=True)
def detect_specks(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells with pieces that are small beside the largest one."""
    for cell in image.cells:
        first, *others = piece_areas(cell.crop)
        specks = [area for area in others if area < rules.speck_fraction * first]
        if specks:
            fixed = drop_fragments(cell.crop, rules.speck_fraction, 0)
            yield Detection(cell, cell.with_crop(fixed), f'{len(specks)} of {sum(specks):,} px beside {first:,} px')


@register_defect(
    'pieces', 'several large pieces under one row', fix='joins them over a narrow gap, else keeps the largest'
)
def detect_pieces(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells with several pieces that are too large for specks."""
    for cell in image.cells:
        first, *others = piece_areas(cell.crop)
        large = [area for area in others if area >= rules.speck_fraction * first]
        if large:
            fixed = largest_piece(join_pieces(cell.crop, rules.piece_gap))
            note = 'pieces of ' + ', '.join(f'{area:,}' for area in (first, *large)) + ' px'
            yield Detection(cell, cell.with_crop(fixed), note)


@register_defect('sliver', 'nowhere wide enough for a cell', fix='drops the row')
def detect_slivers(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells that are nowhere wider than a few pixels, holes filled."""
    # A square of this side fits nowhere into a sliver.
    side = rules.sliver_width + 1
    square = np.ones((side, side), dtype=np.uint8)
    for cell, solid in zip(image.cells, fill_holes(image.crops), strict=True):
        if not cv2.erode(np.pad(solid.mask, side).view(np.uint8), square).any():
            height, width = solid.tight().mask.shape
            yield Detection(cell, None, f'{solid.area:,} px in {width}x{height} px')


@register_defect('double', 'a second annotation of a cell', fix='drops the later row', is_safe=True)
def detect_doubles(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Later rows that double an earlier one which is no double itself."""
    solid = fill_holes(image.crops)
    pairs = overlaps(solid, solid, image.size)
    firsts: dict[int, tuple[float, int]] = {}
    for first, other, iou in zip(pairs.rows.tolist(), pairs.columns.tolist(), pairs.iou.tolist(), strict=True):
        # Pairs come in the order of their first cell, so that whether it is a double is known by now.
        if first < other and iou >= rules.double_iou and first not in firsts:
            firsts[other] = max(firsts.get(other, (0.0, 0)), (iou, first))
    for other in sorted(firsts):
        iou, first = firsts[other]
        row = image.cells[first].row
        yield Detection(image.cells[other], None, f'IoU {iou:.2f} with row {row}', (row,))


@register_defect('overlapping', 'pixels of a smaller cell', fix='leaves them to it')
def detect_overlapping(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells that cover pixels of a smaller one; of equally large ones the earlier keeps its pixels."""
    pairs = overlaps(image.crops, image.crops, image.size)
    # The smallest cell takes its pixels first.
    resolved = resolve_overlaps(image.crops, -pairs.areas.astype(np.float64), image.size)
    for index, cell in enumerate(image.cells):
        own = slice(pairs.borders[index], pairs.borders[index + 1])
        others = [
            other
            for other, shared in zip(pairs.columns[own].tolist(), pairs.shared[own].tolist(), strict=True)
            if shared and (pairs.areas[other], other) < (pairs.areas[index], index)
        ]
        if not others:
            continue
        left = resolved[index]
        yield Detection(
            cell,
            cell.with_crop(left) if left.area else None,
            f'{cell.crop.area - left.area:,} px of {cell.crop.area:,}',
            tuple(image.cells[other].row for other in others),
        )


@register_defect('size', 'smaller or larger than cells of its class are', fix='drops the row')
def detect_unusual_size(image: AnnotatedImage, rules: Rules) -> Iterator[Detection]:
    """Cells whose area, holes filled, is outside the range of their class."""
    for cell, solid in zip(image.cells, fill_holes(image.crops), strict=True):
        if cell.cell_type not in rules.areas:
            continue
        low, high = rules.areas[cell.cell_type]
        if not low <= solid.area <= high:
            yield Detection(cell, None, f'{solid.area:,} px, {cell.cell_type} has {low:,} to {high:,}')


def safe_defects() -> tuple[str, ...]:
    """Names of the defects that are fixed unless others are named."""
    return tuple(name for name, defect in DEFECTS.items() if defect.is_safe)


def doubled_images(
    images: Iterable[AnnotatedImage], issues: Iterable[Issue], min_share: float
) -> dict[str, tuple[int, int]]:
    """Images that were annotated twice as a whole, or nearly so.

    Args:
        images: As they were before doubles were dropped.
        issues: Any; those of doubles count.
        min_share: Share, in (0, 1], of an image's cells that are a double or have one.

    Returns:
        Number of doubles and of cells by image id.
    """
    doubles: dict[str, list[Issue]] = {}
    for issue in issues:
        if issue.defect == 'double':
            doubles.setdefault(issue.image_id, []).append(issue)
    doubled = {}
    for image in images:
        own = doubles.get(image.image_id, [])
        concerned = {issue.row for issue in own} | {row for issue in own for row in issue.others}
        if own and len(concerned) >= min_share * len(image.cells):
            doubled[image.image_id] = len(own), len(image.cells)
    return doubled
