"""CSV tables for people hold no formulas, and all tables are written by one of two known ways."""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest

from sartorius.utils.spreadsheets import spreadsheet_cell, write_table

# Read back by programs: names to the letter.
DATA = {
    'sartorius/annotations/preparation_output.py',  # folds.csv
    'sartorius/annotations/pseudo_rows.py',  # training CSV
    'sartorius/annotations/train_csv.py',
    'sartorius/engine/image_prediction/parts.py',  # list of images
    'sartorius/label_quality/edits.py',  # log that --undo reads
    'sartorius/label_quality/missing_files.py',  # unlabelled.csv, a training CSV
    'sartorius/label_quality/table.py',
    'sartorius/submission/csv_format.py',
}
FOR_PEOPLE = {'sartorius/utils/spreadsheets.py', 'sartorius/engine/image_prediction/run_files.py'}


@pytest.mark.parametrize('text', ['=1+1', '+cmd|x', '-2+3', '-', '@SUM(1)', '\tx', '\rx', '＝1', '+1.5e'])
def test_what_would_be_a_formula_is_text(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize('value', ['cort', '', 'a=b', '-1.5', '+1e-3', '-inf', "'=1", -1.5, None, 0])
def test_other_values_stay(value: object) -> None:
    assert spreadsheet_cell(value) is value


def test_table() -> None:
    table = pd.DataFrame({'=image': ['=a', 'b', None], 'cells': [-1, 2, 3], 'share': [-0.123456, 0.5, float('nan')]})
    table['class'] = pd.Categorical(['@x', 'cort', 'cort'])
    target = io.StringIO()
    write_table(target, table, '%.3g')
    assert list(csv.reader(target.getvalue().splitlines())) == [
        ["'=image", 'cells', 'share', 'class'],
        ["'=a", '-1', '-0.123', "'@x"],
        ['b', '2', '0.5', 'cort'],
        ['', '3', '', 'cort'],
    ]


def test_every_writer_of_csv_is_known(repo_root: Path) -> None:
    sources = [path for folder in ('sartorius', 'tools') for path in (repo_root / folder).rglob('*.py')]
    writers = re.compile(r'csv\.writer\(|DictWriter\(|\.to_csv\(')
    found = {path.relative_to(repo_root).as_posix() for path in sources if writers.search(path.read_text('utf-8'))}
    assert found == DATA | FOR_PEOPLE
