"""Looks for every defect, and mends those that were asked for."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sartorius.labels.defects import DEFECTS
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, Label, LabelledImage
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, did_you_mean


@dataclass(frozen=True, eq=False)
class Cleaning:
    """What was found and done.

    Attributes:
        before: The images as they were.
        after: The same images, mended.
        findings: All findings: image by image, defect by defect in the order of :data:`DEFECTS`, row by row.
    """

    before: tuple[LabelledImage, ...]
    after: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]

    @property
    def mends(self) -> tuple[Finding, ...]:
        """The findings that were mended."""
        return tuple(finding for finding in self.findings if finding.mended)


def clean(images: Iterable[LabelledImage], mend: Collection[str] = (), rules: Rules | None = None) -> Cleaning:
    """Finds the defects of all images, and mends some kinds of them.

    Defects are looked for one after the other, each in what mending those before it has left: a hollow cell that was
    filled is compared filled. Nothing but the defects named in ``mend`` is changed.

    Args:
        images: With all cells of the image, so that doubles and overlaps are seen.
        mend: Names of the defects to mend.
        rules: Thresholds; the default ones if None.

    Raises:
        InputError: There is no such defect.
    """
    for name in mend:
        if name not in DEFECTS:
            raise InputError(f'no defect {name!r} to mend{did_you_mean(name, DEFECTS)}')
    rules = rules or Rules()
    before = tuple(images)
    after: list[LabelledImage] = []
    findings: list[Finding] = []
    for image in progress(before, 'images'):
        for name, defect in DEFECTS.items():
            found = [replace(finding, mended=name in mend) for finding in defect.find(image, rules)]
            findings.extend(found)
            if name in mend:
                image = _mended(image, found)
        after.append(image)
    return Cleaning(before, tuple(after), tuple(findings))


def _mended(image: LabelledImage, findings: Iterable[Finding]) -> LabelledImage:
    """The image with what the findings leave of its cells."""
    after: dict[int, Label | None] = {finding.row: finding.after for finding in findings}
    labels = (after.get(label.row, label) for label in image.labels)
    return replace(image, labels=tuple(label for label in labels if label is not None))
