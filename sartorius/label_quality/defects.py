"""Defects of annotated cells: each is found, and most have a fix."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from sartorius.label_quality.rules import Rules
from sartorius.label_quality.structures import AnnotatedImage, Finding, Label
from sartorius.masks.convex_fill import fill_as_convex, undo_convex_fill
from sartorius.masks.crop import MaskCrop
from sartorius.masks.iou import overlaps
from sartorius.masks.overlap import resolve_overlaps
from sartorius.masks.pieces import drop_fragments, fill_holes, join_pieces, largest_piece, piece_areas

Find = Callable[[AnnotatedImage, Rules], Iterator[Finding]]


@dataclass(frozen=True)
class Defect:
    """A kind of defect.

    Attributes:
        name: As it is written in commands and logs.
        meaning: What is wrong, in a few words.
        fix: What fixing does, in a few words.
        find: The findings of an image, one a cell at most.
    """

    name: str
    meaning: str
    fix: str
    find: Find


def with_crop(label: Label, crop: MaskCrop) -> Label:
    """The same cell with another mask."""
    return Label(label.row, crop, label.cell_type)


def _find_wrong_class(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    own = image.cell_type
    for label in image.labels:
        if label.cell_type != own:
            count = sum(other.cell_type == own for other in image.labels)
            yield Finding(
                image.image_id,
                WRONG_CLASS.name,
                label,
                Label(label.row, label.crop, own),
                f'{label.cell_type} in an image of {count} {own}',
            )


WRONG_CLASS = Defect('wrong-class', 'another class than its image', "writes the image's class", _find_wrong_class)


def _find_hollow(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        missing = solid.area - label.crop.area
        if not missing:
            continue
        holes = solid.mask & ~label.crop.mask
        by_fill = np.count_nonzero(holes & ~fill_as_convex(solid).mask)
        remark = f'{missing:,} px in holes' + (', left by a convex fill' if by_fill > missing / 2 else '')
        yield Finding(image.image_id, HOLLOW.name, label, with_crop(label, solid), remark)


HOLLOW = Defect('hollow', 'background enclosed by the cell', 'fills it', _find_hollow)


def _find_convex_filled(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    for label in image.labels:
        fixed, ends = undo_convex_fill(label.crop, rules.min_run, rules.min_likeness)
        if ends:
            longest = max(end.length for end in ends)
            remark = f'straight run of {longest} px, {label.crop.area - fixed.area:,} px cut'
            yield Finding(image.image_id, CONVEX_FILLED.name, label, with_crop(label, fixed), remark)


CONVEX_FILLED = Defect(
    'convex-filled',
    'a bay filled down to a straight run',
    'cuts away what the outline does not hold',
    _find_convex_filled,
)


def _find_pieces(image: AnnotatedImage, rules: Rules, specks: bool) -> Iterator[Finding]:
    for label in image.labels:
        first, *others = piece_areas(label.crop)
        chosen = [area for area in others if (area < rules.speck_fraction * first) == specks]
        if not chosen:
            continue
        if specks:
            fixed = drop_fragments(label.crop, rules.speck_fraction, 0)
            remark = f'{len(chosen)} of {sum(chosen):,} px beside {first:,} px'
        else:
            fixed = largest_piece(join_pieces(label.crop, rules.piece_gap))
            remark = 'pieces of ' + ', '.join(f'{area:,}' for area in (first, *chosen)) + ' px'
        yield Finding(image.image_id, (SPECK if specks else PIECES).name, label, with_crop(label, fixed), remark)


SPECK = Defect('speck', 'small pieces beside the cell', 'drops them', partial(_find_pieces, specks=True))
PIECES = Defect(
    'pieces',
    'several large pieces under one row',
    'joins them over a narrow gap, else keeps the largest',
    partial(_find_pieces, specks=False),
)


def _find_sliver(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    # A square of this side fits nowhere into a sliver.
    side = rules.sliver_width + 1
    square = np.ones((side, side), dtype=np.uint8)
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        if not cv2.erode(np.pad(solid.mask, side).view(np.uint8), square).any():
            height, width = solid.tight().mask.shape
            yield Finding(image.image_id, SLIVER.name, label, None, f'{solid.area:,} px in {width}x{height} px')


SLIVER = Defect('sliver', 'nowhere wide enough for a cell', 'drops the row', _find_sliver)


def _find_double(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
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
        row = image.labels[first].row
        yield Finding(
            image.image_id, DOUBLE.name, image.labels[other], None, f'IoU {iou:.2f} with row {row}', others=(row,)
        )


def doubled_images(
    images: Iterable[AnnotatedImage], findings: Iterable[Finding], min_share: float
) -> dict[str, tuple[int, int]]:
    """Images that were annotated twice as a whole, or nearly so.

    Args:
        images: As they were before doubles went.
        findings: Any; those of doubles count.
        min_share: Share, in (0, 1], of an image's cells that are a double or have one.

    Returns:
        Doubles and cells by image id.
    """
    doubles: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.defect == DOUBLE.name:
            doubles.setdefault(finding.image_id, []).append(finding)
    found = {}
    for image in images:
        own = doubles.get(image.image_id, [])
        concerned = {finding.row for finding in own} | {row for finding in own for row in finding.others}
        if own and len(concerned) >= min_share * len(image.labels):
            found[image.image_id] = len(own), len(image.labels)
    return found


DOUBLE = Defect('double', 'a second annotation of a cell', 'drops the later row', _find_double)


def _find_overlapping(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    """Cells that cover pixels of a smaller one; of equally large ones the earlier keeps its pixels."""
    pairs = overlaps(image.crops, image.crops, image.size)
    # The smallest cell takes its pixels first.
    resolved = resolve_overlaps(image.crops, -pairs.areas.astype(np.float64), image.size)
    for index, label in enumerate(image.labels):
        own = slice(pairs.borders[index], pairs.borders[index + 1])
        others = [
            other
            for other, shared in zip(pairs.columns[own].tolist(), pairs.shared[own].tolist(), strict=True)
            if shared and (pairs.areas[other], other) < (pairs.areas[index], index)
        ]
        if not others:
            continue
        left = resolved[index]
        yield Finding(
            image.image_id,
            OVERLAPPING.name,
            label,
            with_crop(label, left) if left.area else None,
            f'{label.crop.area - left.area:,} px of {label.crop.area:,}',
            others=tuple(image.labels[other].row for other in others),
        )


OVERLAPPING = Defect('overlapping', 'pixels of a smaller cell', 'leaves them to it', _find_overlapping)


def _find_size(image: AnnotatedImage, rules: Rules) -> Iterator[Finding]:
    for label, solid in zip(image.labels, fill_holes(image.crops), strict=True):
        if label.cell_type not in rules.areas:
            continue
        least, greatest = rules.areas[label.cell_type]
        if not least <= solid.area <= greatest:
            remark = f'{solid.area:,} px, {label.cell_type} has {least:,} to {greatest:,}'
            yield Finding(image.image_id, SIZE.name, label, None, remark)


SIZE = Defect('size', 'smaller or larger than cells of its class are', 'drops the row', _find_size)


DEFECTS: Mapping[str, Defect] = {
    defect.name: defect
    for defect in (WRONG_CLASS, HOLLOW, CONVEX_FILLED, SPECK, PIECES, SLIVER, DOUBLE, OVERLAPPING, SIZE)
}
"""In the order in which they are looked for and fixed, each in what the fixes before it have left."""

SAFE_DEFECTS = ('hollow', 'convex-filled', 'speck', 'double')
"""Those that are fixed unless others are named: the fixed label is nearer to the cell, and no cell is lost."""
