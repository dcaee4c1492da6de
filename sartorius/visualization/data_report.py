"""The HTML page of a training set: what it is like, and what is wrong with its labels."""

from dataclasses import asdict
from pathlib import Path

from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.fold_balance import fold_balance
from sartorius.label_quality.rules import Rules
from sartorius.label_quality.statistics import DataStatistics, image_files, measure
from sartorius.label_quality.table import LabelTable
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of, staged_folder
from sartorius.utils.paths import display_path
from sartorius.visualization.data_defects import defect_section
from sartorius.visualization.data_report_sections import (
    brightness_section,
    cell_section,
    fold_section,
    image_table,
    summary,
)
from sartorius.visualization.page import render_page, source_list

DEFAULT_MAX_EXAMPLES = 8

PAGE, FINDINGS = 'index.html', 'findings.csv'
COLUMNS = ('id', 'row', 'cell_type', 'defect', 'fixed', 'area_before', 'area_after', 'iou', 'remark')


def write_data_report(
    out: str | Path,
    table: LabelTable,
    cleaning: Cleaning,
    rules: Rules,
    images: Path | None = None,
    folds: Path | None = None,
    max_examples: int = DEFAULT_MAX_EXAMPLES,
) -> Path:
    """Writes ``index.html``, one file that needs no other, and ``findings.csv``, a row a finding; both or none.

    Args:
        out: Folder to write them in; made if it is missing.
        table: The CSV.
        cleaning: What was found in its images, and what was fixed. The page shows the images as they were before.
        rules: What it was found with.
        images: Folder with the images, named by their ids; None, or some or all of them missing: masks are shown
            without them.
        folds: ``folds.csv`` of tools/prepare_sartorius.py; None: the folds that it would make.
        max_examples: Most examples of each defect that are shown.

    Returns:
        Path of the page.

    Raises:
        InputError: ``max_examples`` is negative, a file is missing or malformed, or an image cannot be read or is of
            another size than its cells are for.
    """
    if max_examples < 0:
        raise InputError(f'max_examples is {max_examples}; it must be 0 or more')
    files = image_files(images, cleaning.before)
    data = measure(table, cleaning, files)
    source = {
        'annotations': display_path(table.path),
        'SHA-256': sha256_of(table.path),
        'images': None if images is None else f'{display_path(images)}, {len(files)} of the annotated',
        'folds': None if folds is None else display_path(folds),
        'rules': asdict(rules),
    }
    sections = [
        ('summary', 'Summary', summary(data)),
        ('cells', 'Cells', cell_section(data)),
        ('brightness', 'Brightness', brightness_section(data)),
        ('folds', 'Folds', fold_section(fold_balance(table, data.images, folds))),
        ('defects', 'Defects', defect_section(data, cleaning, rules, files, max_examples)),
        ('table', 'Table', image_table(data)),
        ('source', 'Source', source_list(source)),
    ]
    page = render_page('Training data', _lead(table, data), sections)
    with staged_folder(out) as folder:
        (folder / PAGE).write_text(page, encoding='utf-8')
        data.findings.to_csv(folder / FINDINGS, columns=list(COLUMNS), index=False, float_format='%.4f')
    return Path(out) / PAGE


def _lead(table: LabelTable, data: DataStatistics) -> str:
    known = int(data.images['grey'].notna().sum())
    text = (
        f'{len(data.cells):,} annotated cells in {len(data.images):,} images of {table.path.name}, and what may be '
        'wrong with their masks.'
    )
    if known < len(data.images):
        text += f' {known:,} of the images were at hand; of the others only the masks were looked at.'
    return text
