"""CSV tables that people open in a spreadsheet: words in them are never taken for formulas.

A spreadsheet computes a cell that begins with ``=``, ``+``, ``-`` or ``@``, and some formulas start programs or send
data away (https://owasp.org/www-community/attacks/CSV_Injection). Names of images and classes may come from strangers.
In tables for people such a word gets an apostrophe before it, which a spreadsheet takes for "this is text".

CSV files that programs read back keep every name to the letter, since there it must be that of the image: submissions,
training CSVs and the logs of their edits, ``folds.csv``, ``unlabelled.csv`` (a training CSV too) and lists of images.
"""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# With their full-width forms, which some spreadsheets take for the same.
_STARTS = ('=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠')


def spreadsheet_cell(value: Any) -> Any:
    """The value itself; text that a spreadsheet would take for a formula, numbers aside, with an apostrophe before it.

    Example:
        >>> [spreadsheet_cell(value) for value in ('=1+1', '-1.5', '-', 'cort', -2)]
        ["'=1+1", '-1.5', "'-", 'cort', -2]
    """
    if not isinstance(value, str) or not value.startswith(_STARTS):
        return value
    try:
        float(value)
        return value
    except ValueError:
        return f"'{value}"


def write_table(
    target: Path | IO[str], table: 'pd.DataFrame', float_format: str | None = None, header: bool = True
) -> None:
    """Writes a table as CSV for people, without its index.

    Args:
        target: File to write, or one that is open for text.
        table: The table.
        float_format: Such as ``%.6g``; every digit if None.
        header: Whether with the names of the columns.
    """
    words = table.select_dtypes(exclude=['number', 'bool'])
    safe = table.assign(**{name: words[name].map(spreadsheet_cell, na_action='ignore') for name in words})
    safe.columns = [spreadsheet_cell(name) for name in table.columns]
    safe.to_csv(target, index=False, header=header, float_format=float_format, lineterminator='\n')
