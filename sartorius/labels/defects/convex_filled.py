"""Masks whose outline was filled as if it were convex."""

from collections.abc import Iterator

from sartorius.labels.defects.base import Defect, with_crop
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.convex_mend import mend_convex_fill


def _find(image: LabelledImage, rules: Rules) -> Iterator[Finding]:
    for label in image.labels:
        mended, ends = mend_convex_fill(label.crop, rules.least_run, rules.least_likeness)
        if ends:
            longest = max(end.length for end in ends)
            remark = f'straight run of {longest} px, {label.crop.area - mended.area:,} px cut'
            yield Finding(image.image_id, CONVEX_FILLED.name, label, with_crop(label, mended), remark)


CONVEX_FILLED = Defect(
    'convex-filled', 'a bay filled down to a straight run', 'cuts away what the outline does not hold', _find
)
