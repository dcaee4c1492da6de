"""What cleaning found and did, in a few lines of Markdown."""

from collections import Counter

from sartorius.annotations.summary import note
from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.defects import DEFECTS, doubled_images
from sartorius.label_quality.rules import Rules
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.tables import markdown_table


def summarise_cleaning(cleaning: Cleaning, rules: Rules) -> str:
    """Findings by defect and class, images annotated twice, and how many rows were changed and dropped."""
    cells = Counter(label.cell_type for image in cleaning.before for label in image.labels)
    names = [name for name in CELL_TYPES if name in cells]
    found = Counter((finding.defect, finding.before.cell_type) for finding in cleaning.findings)
    fixed = Counter(finding.defect for finding in cleaning.fixes)
    rows = [
        [
            name,
            *(f'{found[name, cell_type]:,}' for cell_type in names),
            f'{sum(found[name, cell_type] for cell_type in CELL_TYPES):,}',
            f'{fixed[name]:,}' if fixed[name] else '-',
            defect.meaning,
        ]
        for name, defect in DEFECTS.items()
    ]
    heads = ['defect', *(f'{name} ({cells[name]:,})' for name in names), 'all', 'fixed', 'what it is']
    lines = [markdown_table(heads, rows), '']
    doubled = doubled_images(cleaning.before, cleaning.findings, rules.doubled_share)
    if doubled:
        lines.append(
            note(
                'images annotated twice',
                [f'{name}: {count} of {total} rows' for name, (count, total) in doubled.items()],
            )
        )
    dropped = {finding.row for finding in cleaning.fixes if finding.after is None}
    changed = {finding.row for finding in cleaning.fixes} - dropped
    lines += [note('rows', sum(cells.values())), note('rows changed', len(changed)), note('rows dropped', len(dropped))]
    return '\n'.join(lines)
