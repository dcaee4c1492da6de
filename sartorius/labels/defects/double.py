"""Two annotations of one cell."""

from collections.abc import Iterable, Iterator

from sartorius.labels.defects.base import Defect
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.holes import fill_holes
from sartorius.masks.iou import overlaps


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
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
    images: Iterable[LabelledImage], findings: Iterable[Finding], least_share: float
) -> dict[str, tuple[int, int]]:
    """Images that were annotated twice as a whole, or nearly so.

    Args:
        images: As they were before doubles went.
        findings: Any; those of doubles count.
        least_share: Share, in (0, 1], of an image's cells that are a double or have one.

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
        if own and len(concerned) >= least_share * len(image.labels):
            found[image.image_id] = len(own), len(image.labels)
    return found


DOUBLE = Defect('double', 'a second annotation of a cell', 'drops the later row', _find)
