"""Looks for every defect, and fixes those that were asked for."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sartorius.label_quality.defects import DEFECTS
from sartorius.label_quality.rules import Rules
from sartorius.label_quality.structures import AnnotatedImage, Finding, Label
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, did_you_mean


@dataclass(frozen=True, eq=False)
class Cleaning:
    """What was found and done.

    Attributes:
        before: The images as they were.
        after: The same images, fixed.
        findings: All findings: image by image, defect by defect in the order of :data:`DEFECTS`, row by row.
    """

    before: tuple[AnnotatedImage, ...]
    after: tuple[AnnotatedImage, ...]
    findings: tuple[Finding, ...]

    @property
    def fixes(self) -> tuple[Finding, ...]:
        """The findings that were fixed."""
        return tuple(finding for finding in self.findings if finding.fixed)


def clean(images: Iterable[AnnotatedImage], fix: Collection[str] = (), rules: Rules | None = None) -> Cleaning:
    """Finds the defects of all images, and fixes some kinds of them.

    Defects are looked for one after the other, each in what fixing those before it has left: a hollow cell that was
    filled is compared filled. Nothing but the defects named in ``fix`` is changed.

    Args:
        images: With all cells of the image, so that doubles and overlaps are seen.
        fix: Names of the defects to fix.
        rules: Thresholds; the default ones if None.

    Raises:
        InputError: There is no such defect.
    """
    for name in fix:
        if name not in DEFECTS:
            raise InputError(f'no defect {name!r} to fix{did_you_mean(name, DEFECTS)}')
    rules = rules or Rules()
    before = tuple(images)
    after: list[AnnotatedImage] = []
    findings: list[Finding] = []
    for image in progress(before, 'images'):
        for name, defect in DEFECTS.items():
            found = [replace(finding, fixed=name in fix) for finding in defect.find(image, rules)]
            findings.extend(found)
            if name in fix:
                image = _fixed(image, found)
        after.append(image)
    return Cleaning(before, tuple(after), tuple(findings))


def _fixed(image: AnnotatedImage, findings: Iterable[Finding]) -> AnnotatedImage:
    """The image with what the findings leave of its cells."""
    after: dict[int, Label | None] = {finding.row: finding.after for finding in findings}
    labels = (after.get(label.row, label) for label in image.labels)
    return replace(image, labels=tuple(label for label in labels if label is not None))
