"""Log of edits: one line per edit, from which every edit can be undone."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from sartorius.annotations.raw_rows import RawRow, parse_row, read_raw_rows
from sartorius.label_quality.cleaning import Cleaning
from sartorius.label_quality.structures import Issue
from sartorius.label_quality.table import LabelTable, decode_row, row_text, size_of_row
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.input_text import parse_json

COLUMNS = ('id', 'row', 'defect', 'area_before', 'area_after', 'iou', 'note', 'text_before', 'text_after')


@dataclass(frozen=True)
class Edit:
    """One edit of one row.

    Attributes:
        image_id: The image.
        row: Row of the cell in the CSV before any edit, counted from 0 without the header.
        defect: What was fixed.
        area_before: Pixels of the mask before the edit.
        area_after: Pixels after it; 0 if the row was dropped.
        iou: Of the two masks.
        note: What was wrong.
        text_before: The row's characters before the edit, its line end included.
        text_after: Those after it; empty if the row was dropped.
    """

    image_id: str
    row: int
    defect: str
    area_before: int
    area_after: int
    iou: float
    note: str
    text_before: str
    text_after: str


def edits_of(table: LabelTable, cleaning: Cleaning) -> tuple[Edit, ...]:
    """The edits that turn a CSV into the cleaned one, in the order in which they were made.

    A dropped row is removed. Where an image loses all its cells, its first row is kept without an annotation, so that
    the image is not lost.
    """
    sizes = {cell.row: image.size for image in cleaning.before for cell in image.cells}
    last_rows = {
        before.cells[0].row
        for before, after in zip(cleaning.before, cleaning.after, strict=True)
        if before.cells and not after.cells
    }
    texts: dict[int, str] = {}
    edits = []
    for issue in cleaning.fixes:
        row, cell = issue.row, issue.after
        before = texts.get(row, table.rows[row].text)
        if cell is not None:
            code = kaggle_rle.encode(cell.crop, sizes[row])
            after = row_text(parse_row(before), table.columns, code, cell.cell_type)
        elif row in last_rows:
            after = row_text(parse_row(before), table.columns, '', issue.before.cell_type)
        else:
            after = ''
        texts[row] = after
        edits.append(_edit(issue, before, after))
    return tuple(edits)


def edited_text(table: LabelTable, edits: Iterable[Edit]) -> str:
    """Content of the CSV after the edits; rows without an edit are copied byte for byte."""
    texts = [row.text for row in table.rows]
    for edit in edits:
        texts[edit.row] = edit.text_after
    return table.header.text + ''.join(texts) + table.tail


def undo_edits(cleaned: str | Path, edits: Sequence[Edit], undone: Callable[[Edit], bool]) -> tuple[str, list[Edit]]:
    """Undoes edits.

    A row whose edits are all undone is the same as before them, byte for byte. If some are kept, they are applied
    again: each adds and removes the pixels that it added and removed before.

    Args:
        cleaned: The CSV after the edits; since then rows may have been added at its end, and rows without an edit may
            have been changed.
        edits: All edits of the log, in its order.
        undone: Which of them to undo.

    Returns:
        Content of the CSV without the undone edits, and the kept edits.

    Raises:
        InputError: As :func:`read_raw_rows`; an edited row differs from its text in the log.
    """
    path = Path(cleaned)
    header, rows, tail = read_raw_rows(path)
    columns = {name: index for index, name in enumerate(header.fields)}
    edits_at: dict[int, list[Edit]] = {}
    for edit in edits:
        edits_at.setdefault(edit.row, []).append(edit)
    gone = sum(not row_edits[-1].text_after for row_edits in edits_at.values())
    total = len(rows) + gone
    if edits_at and max(edits_at) >= total:
        raise InputError(f'{path}: has fewer rows than its log; give the CSV that was written with this log')
    left = iter(rows)
    texts, kept_edits = [], []
    for row in range(total):
        row_edits = edits_at.get(row, [])
        current = '' if row_edits and not row_edits[-1].text_after else next(left).text
        if row_edits and current != row_edits[-1].text_after:
            raise InputError(
                f'{path}: row {row} of the original, image {row_edits[-1].image_id}, differs from its text in the '
                'log; give the CSV that was written with this log'
            )
        if row_edits:
            again = _applied_again(row_edits[0].text_before, [edit for edit in row_edits if not undone(edit)], columns)
            current = again[-1].text_after if again else row_edits[0].text_before
            kept_edits += again
        texts.append(current)
    # The last row of a file may have no line end; when it is restored, another may follow by now.
    ended = [text if not text or text.endswith(('\n', '\r')) else f'{text}\n' for text in texts[:-1]]
    return header.text + ''.join([*ended, *texts[-1:]]) + tail, kept_edits


def write_log(path: str | Path, edits: Iterable[Edit]) -> None:
    """Writes a log, one line per edit, atomically.

    The texts are written as JSON strings without their quotes: a line end is ``\\n``, so that every edit is one line.
    """
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for edit in edits:
            *values, before, after = astuple(edit)
            values[COLUMNS.index('iou')] = f'{edit.iou:.4f}'
            writer.writerow([*values, *(json.dumps(text, ensure_ascii=False)[1:-1] for text in (before, after))])


def read_log(path: str | Path) -> tuple[Edit, ...]:
    """Reads a log of :func:`write_log`.

    Raises:
        InputError: The file is missing or no such log; the message names the line.
    """
    path = Path(path)
    header, rows, _ = read_raw_rows(path)
    if header.fields != COLUMNS:
        raise InputError(f'{path}: not a log of edits; expected the columns {", ".join(COLUMNS)}')
    edits = []
    for number, row in enumerate(rows):
        image_id, place, defect, before, after, iou, note, *texts = row.fields
        try:
            text_before, text_after = (parse_json(f'"{text}"'.encode()) for text in texts)
            edit = Edit(
                image_id, int(place), defect, int(before), int(after), float(iou), note, text_before, text_after
            )
        except ValueError as error:
            raise InputError(f'{path}: line {number + 2} is not an edit ({error})') from None
        edits.append(edit)
    return tuple(edits)


def _edit(issue: Issue, before: str, after: str) -> Edit:
    return Edit(
        issue.image_id,
        issue.row,
        issue.defect,
        issue.area_before,
        issue.area_after,
        issue.iou,
        issue.note,
        before,
        after,
    )


def _applied_again(text: str, edits: Sequence[Edit], columns: Mapping[str, int]) -> list[Edit]:
    """Edits of one row, applied again to its text."""
    again = []
    for edit in edits:
        row = parse_row(text)
        now = decode_row(row, columns)
        after, area, iou = ('', 0, 0.0) if not edit.text_after else _edited(row, now, edit, columns)
        again.append(replace(edit, area_before=now.area, area_after=area, iou=iou, text_before=text, text_after=after))
        text = after
    return again


def _edited(row: RawRow, now: MaskCrop, edit: Edit, columns: Mapping[str, int]) -> tuple[str, int, float]:
    """A row after an edit: its text, the area of its mask, and the IoU with the mask ``now``."""
    size = size_of_row(row, columns)
    first, last = parse_row(edit.text_before), parse_row(edit.text_after)
    current, old, new = (crop.to_full(size) for crop in (now, decode_row(first, columns), decode_row(last, columns)))
    mask = (current | (new & ~old)) & ~(old & ~new)
    shared, either = np.count_nonzero(mask & current), np.count_nonzero(mask | current)
    names = [each.fields[columns['cell_type']] for each in (row, first, last)]
    cell_type = names[0] if names[1] == names[2] else names[2]
    text = row_text(row, columns, kaggle_rle.encode(MaskCrop.from_full(mask), size), cell_type)
    return text, int(np.count_nonzero(mask)), shared / max(either, 1)
