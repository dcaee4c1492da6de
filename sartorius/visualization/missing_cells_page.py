"""The HTML page of unlabelled cells and of labels that are never predicted: a picture of each, clearest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.images.files import find_frame
from sartorius.images.grey_levels import stretch
from sartorius.images.reading import read_for_display
from sartorius.label_quality.missing import LabelComparison, Limits, MissingCells
from sartorius.label_quality.missing_files import Labels, rows_of_never_predicted, write_tables
from sartorius.masks.crop import MaskCrop
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import staged_folder
from sartorius.utils.tables import size_text
from sartorius.visualization import MAX_PICTURES
from sartorius.visualization.cell_figures import cell_figure, window_around
from sartorius.visualization.html import chip, html_table, page_classes
from sartorius.visualization.page import figures, render_page, source_list

MARGIN = 30
MIN_WINDOW = 130
"""Pixels; larger than for the errors of the report: the surrounding cells help to see whether a spot is a cell."""

LEGEND = (
    '<p class="legend"><span><i style="--own: var(--pred-line)"></i>{pred}</span>'
    '<span><i style="--own: var(--gt-line)"></i>{gt}</span>'
    '<span>Hover over a picture to hide the outlines.</span></p>'
)


@dataclass(frozen=True, eq=False)
class CellPicture:
    """One cell to show.

    Attributes:
        key: Its list, 'unlabelled' or 'never_predicted', and the row's number.
        image_id: Its image.
        cell: The cell.
        side: 'gt' or 'pred', for its colour.
        caption: HTML.
        neighbours: Other cells by their side, drawn faint if they are in the picture.
    """

    key: tuple[str, int]
    image_id: str
    cell: MaskCrop
    side: str
    caption: str
    neighbours: Mapping[str, Sequence[MaskCrop]]


def write_missing_cells_page(
    out: Path,
    missing: MissingCells,
    comparisons: Mapping[str, Sequence[LabelComparison]],
    labels: Labels,
    limits: Limits,
    images: Path,
    source: Mapping[str, Any],
    max_pictures: int = MAX_PICTURES,
) -> list[Path]:
    """Writes ``index.html``, one file without external resources, and the two lists as CSV; all three or none.

    Args:
        out: Folder to write them in; created if missing.
        missing: The lists.
        comparisons: What the lists were made from, by image id.
        labels: The annotations.
        limits: Limits of the lists.
        images: Folder with the images, named by their ids.
        source: Where the page comes from, JSON types.
        max_pictures: Maximum number of pictures of each list and cell type.

    Returns:
        Paths of the files.

    Raises:
        InputError: An image to show is missing, cannot be read or is of another size than its labels.
    """
    unlabelled, never_predicted = (
        table.groupby('cell_type', sort=False).head(max_pictures)
        for table in (missing.unlabelled, missing.never_predicted)
    )
    # By image, so that each is read once.
    pictures: dict[str, list[CellPicture]] = {}
    for picture in (
        *_unlabelled_pictures(unlabelled, labels),
        *_never_predicted_pictures(never_predicted, labels, comparisons),
    ):
        pictures.setdefault(picture.image_id, []).append(picture)
    drawn: dict[tuple[str, int], str] = {}
    for image_id, own in progress(pictures.items(), 'pictures'):
        image = _read(images, image_id, labels.images[image_id].size)
        drawn.update((picture.key, _figure(picture, image)) for picture in own)
    page = _page(missing, drawn, len(labels.images) - len(comparisons), limits, source)
    names = ('index.html', 'unlabelled.csv', 'never_predicted.csv')
    with staged_folder(out) as folder:
        write_tables(folder, missing, labels)
        (folder / names[0]).write_text(page, encoding='utf-8')
    return [out / name for name in names]


def _page(
    missing: MissingCells,
    drawn: Mapping[tuple[str, int], str],
    dropped: int,
    limits: Limits,
    source: Mapping[str, Any],
) -> str:
    counts = missing.counts
    lead = (
        f'{len(missing.unlabelled)} confident predictions without a label and {len(missing.never_predicted)} labels '
        f'that are never predicted, in {counts["images"].sum()} images. Please judge which of them are mistakes of the '
        'annotations and which of the models.'
    )
    if dropped:
        lead += f' {dropped} annotated images are in none of the predictions files and were not compared.'
    unlabelled_note = (
        f'Predictions whose IoU with every label is below {limits.iou:g}, and of whose pixels labels cover less than '
        f'{limits.covered:.0%}. The score is the mean over the files that predict the image, 0 for a file without the '
        'cell. Lines are those of unlabelled.csv, the header being line 1.'
    )
    never_note = (
        f'Labels whose IoU is not above {limits.iou:g} with any prediction of any file, however low its score. Labels '
        'entirely inside the image come first, and large before small ones. Lines are those of never_predicted.csv.'
    )
    sections = [
        ('summary', 'Summary', _summary(counts)),
        (
            'unlabelled',
            'Cells without a label',
            _pictures(missing.unlabelled, 'unlabelled', unlabelled_note, drawn, counts),
        ),
        (
            'never-predicted',
            'Labels never predicted',
            _pictures(missing.never_predicted, 'never_predicted', never_note, drawn, counts),
        ),
        ('source', 'Source', source_list(source)),
    ]
    return render_page('Missing cells', lead, sections)


def _summary(counts: pd.DataFrame) -> str:
    total = counts.sum(numeric_only=True)
    labels, n_pred = int(total['labels']), int(total['n_pred'])
    entries = [
        ('Images', str(int(total['images'])), ''),
        ('Labels', str(labels), ''),
        (
            'Never predicted',
            str(int(total['never_predicted'])),
            f'{total["never_predicted"] / max(labels, 1):.1%} of the labels',
        ),
        ('Predictions', str(n_pred), 'of all files, after post-processing'),
        ('Without a label', str(int(total['unlabelled'])), 'each once, however many files predict it'),
    ]
    heads = [
        ('Cell type', 'text'), ('Images', ''), ('Labels', ''), ('Never predicted', ''), ('Predictions', ''),
        ('Without a label', ''), ('Min. score', ''),
    ]  # fmt: skip
    classes = page_classes(counts['cell_type'])
    rows = [
        (
            chip(row.cell_type, classes),
            str(row.images),
            str(row.labels),
            str(row.never_predicted),
            str(row.n_pred),
            str(row.unlabelled),
            f'{row.min_score:.3f}',
        )
        for row in counts.itertuples()
    ]
    return figures(entries) + html_table(heads, rows)


def _pictures(
    table: pd.DataFrame, name: str, note: str, drawn: Mapping[tuple[str, int], str], counts: pd.DataFrame
) -> str:
    """Pictures of one list, with one heading per cell type."""
    words = {
        'unlabelled': {'pred': 'prediction without a label', 'gt': 'labels around it'},
        'never_predicted': {'pred': 'predictions around it', 'gt': 'label; faint: other labels'},
    }[name]
    parts = [f'<p class="note">{escape(note)}</p>', LEGEND.format(**words)]
    for row in counts.itertuples():
        own = table.index[table['cell_type'] == row.cell_type]
        shown = [drawn[name, index] for index in own if (name, index) in drawn]
        remark = {
            'unlabelled': f'of {row.n_pred} predictions; score from {row.min_score:.3f}',
            'never_predicted': f'of {row.labels} labels',
        }[name]
        hidden = len(own) - len(shown)
        verb = 'is' if hidden == 1 else 'are'
        more = f'<p class="note">{hidden} more {verb} not shown; {name}.csv lists all.</p>' if hidden else ''
        parts.append(
            f'<h3>{chip(row.cell_type, page_classes(counts["cell_type"]))} {len(own)} <small>{remark}</small></h3>'
            f'<div class="crops hover-hides">{"".join(shown)}</div>{more}'
        )
    return f'<div class="errors">{"".join(parts)}</div>'


def _unlabelled_pictures(shown: pd.DataFrame, labels: Labels) -> Iterator[CellPicture]:
    for row in shown.itertuples():
        support = f' {row.support} of {row.files} files' if row.files > 1 else ''
        yield CellPicture(
            key=('unlabelled', row.Index),
            image_id=row.id,
            cell=row.crop,
            side='pred',
            caption=f'<b>score {row.score:.2f}</b>{support}{_place(row)}',
            neighbours={'gt': labels.images[row.id].crops},
        )


def _never_predicted_pictures(
    shown: pd.DataFrame, labels: Labels, comparisons: Mapping[str, Sequence[LabelComparison]]
) -> Iterator[CellPicture]:
    rows = rows_of_never_predicted(shown, labels)
    for row, csv_row in zip(shown.itertuples(), rows, strict=True):
        crops = labels.images[row.id].crops
        where = ' at the border' if row.border else ''
        in_csv = '' if pd.isna(csv_row) else f'<small>row {csv_row} of {escape(labels.path.name)}</small>'
        yield CellPicture(
            key=('never_predicted', row.Index),
            image_id=row.id,
            cell=crops[row.number - 1],
            side='gt',
            caption=f'<b>IoU {row.best_iou:.2f}</b>{where}{_place(row)}{in_csv}',
            neighbours={
                'gt': [crop for number, crop in enumerate(crops, start=1) if number != row.number],
                'pred': [crop for one in comparisons[row.id] for crop in one.pred.crops],
            },
        )


def _place(row: Any) -> str:
    """Where to find a cell of either list: line of the CSV, centroid, image."""
    return (
        f'<small>line {row.Index + 2}: {row.area} px at {row.x:.0f}, {row.y:.0f}</small>'
        f'<small class="place">{escape(row.id)}</small>'
    )


def _read(folder: Path, image_id: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    path, frame = find_frame(folder, image_id)
    image = read_for_display(path, frame)
    if image.shape != size:
        raise InputError(
            f'{path} is {size_text(image.shape)}, its labels are for {size_text(size)}; name the folder with the '
            'images that were annotated'
        )
    return stretch(image)


def _figure(picture: CellPicture, image: NDArray[np.uint8]) -> str:
    window = window_around([picture.cell.tight()], image.shape, MARGIN, MIN_WINDOW)
    cell, label = {picture.side: [picture.cell]}, f'{picture.side} cell'
    return cell_figure(image, window, cell, picture.neighbours, label, picture.caption)
