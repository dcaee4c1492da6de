"""Detects every defect of annotated masks, and fixes those that were asked for."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sartorius.annotations.summary import note
from sartorius.label_quality.defects import DEFECTS, WRONG_CLASS, Rules, doubled_images
from sartorius.label_quality.structures import AnnotatedCell, AnnotatedImage, Issue
from sartorius.utils.classes import CELL_TYPES, class_order
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, did_you_mean
from sartorius.utils.tables import markdown_table

FEW_IMAGES = 3


@dataclass(frozen=True, eq=False)
class Cleaning:
    """Images before and after cleaning, and the issues found in them.

    Attributes:
        before: The images before any fix.
        after: The same images, fixed.
        issues: All issues: image by image, defect by defect in the order of :data:`DEFECTS`, row by row.
    """

    before: tuple[AnnotatedImage, ...]
    after: tuple[AnnotatedImage, ...]
    issues: tuple[Issue, ...]

    @property
    def fixes(self) -> tuple[Issue, ...]:
        """The issues that were fixed."""
        return tuple(issue for issue in self.issues if issue.fixed)


def clean(images: Iterable[AnnotatedImage], fix: Collection[str] = (), rules: Rules | None = None) -> Cleaning:
    """Detects the defects of all images, and fixes some kinds of them.

    Defects are detected one after the other, each in what the fixes before it left: a hollow cell that was filled is
    compared filled. Nothing but the defects named in ``fix`` is changed. Where images show cells of several classes
    (:func:`mixes_classes`), no cell is of a wrong class for its image, and that defect is not looked for.

    Args:
        images: With all cells of each image, so that doubles and overlaps are found.
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
    issues: list[Issue] = []
    looked_for = {name: defect for name, defect in DEFECTS.items() if name != WRONG_CLASS or not mixes_classes(before)}
    for image in progress(before, 'images'):
        for name, defect in looked_for.items():
            own = [replace(issue, fixed=name in fix) for issue in defect.find(image, rules)]
            issues.extend(own)
            if name in fix:
                image = _fixed(image, own)
        after.append(image)
    return Cleaning(before, tuple(after), tuple(issues))


def mixes_classes(images: Iterable[AnnotatedImage]) -> bool:
    """Whether most of the images with several cells show cells of several classes.

    An image of the competition shows one class, however many of its cells are of a wrong one: where there are no
    classes but the competition's, the answer is no. Of other classes a few images cannot tell (fewer than
    :data:`FEW_IMAGES`).
    """
    classes = [{cell.cell_type for cell in image.cells} for image in images if len(image.cells) > 1]
    if set().union(*classes) <= set(CELL_TYPES):
        return False
    return len(classes) >= FEW_IMAGES and 2 * sum(len(own) > 1 for own in classes) > len(classes)


def summarise_cleaning(cleaning: Cleaning, rules: Rules) -> str:
    """Issues by defect and class, images annotated twice, and how many rows were changed and dropped, as Markdown."""
    cells = Counter(cell.cell_type for image in cleaning.before for cell in image.cells)
    names = class_order(cells)
    counts = Counter((issue.defect, issue.before.cell_type) for issue in cleaning.issues)
    fixed = Counter(issue.defect for issue in cleaning.fixes)
    rows = [
        [
            name,
            *(f'{counts[name, cell_type]:,}' for cell_type in names),
            f'{sum(counts[name, cell_type] for cell_type in names):,}',
            f'{fixed[name]:,}' if fixed[name] else '-',
            'yes' if defect.is_safe else '',
            defect.meaning,
        ]
        for name, defect in DEFECTS.items()
    ]
    heads = ['defect', *(f'{name} ({cells[name]:,})' for name in names), 'all', 'fixed', 'safe', 'what it is']
    lines = [markdown_table(heads, rows), '']
    if mixes_classes(cleaning.before):
        lines.append(f'- {WRONG_CLASS} was not looked for: most images show cells of several classes')
    doubled = doubled_images(cleaning.before, cleaning.issues, rules.doubled_share)
    if doubled:
        lines.append(
            note(
                'images annotated twice',
                [f'{name}: {count} of {total} rows' for name, (count, total) in doubled.items()],
            )
        )
    dropped = {issue.row for issue in cleaning.fixes if issue.after is None}
    changed = {issue.row for issue in cleaning.fixes} - dropped
    lines += [note('rows', sum(cells.values())), note('rows changed', len(changed)), note('rows dropped', len(dropped))]
    return '\n'.join(lines)


def _fixed(image: AnnotatedImage, issues: Iterable[Issue]) -> AnnotatedImage:
    """The image with its cells as fixed; those whose rows are dropped are left out."""
    after: dict[int, AnnotatedCell | None] = {issue.row: issue.after for issue in issues}
    cells = (after.get(cell.row, cell) for cell in image.cells)
    return replace(image, cells=tuple(cell for cell in cells if cell is not None))
