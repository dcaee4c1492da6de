"""The page of cells without a label and of labels that are never found: a picture of each, most telling first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sartorius.images.display import find_image, read_for_display, stretched
from sartorius.label_quality.missing import CLASSES, Findings, Limits, MissingCells
from sartorius.masks.crop import MaskCrop
from sartorius.postprocess.missing_cells import Labels, rows_of_never_found, write_tables
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import staged_folder
from sartorius.utils.tables import size_text
from sartorius.visualization.error_section import view_around
from sartorius.visualization.gallery import class_key, embedded
from sartorius.visualization.outlines import svg_path
from sartorius.visualization.page import figures, render_page, source_list

DEFAULT_MAX_PICTURES = 48
MARGIN = 30
SMALLEST_VIEW = 130
"""More than an error of the report shows: whether a spot is a cell, the cells around it tell."""

LEGEND = (
    '<p class="legend"><span><i style="--own: var(--found-line)"></i>{found}</span>'
    '<span><i style="--own: var(--true-line)"></i>{true}</span>'
    '<span>The pointer over a picture hides the outlines.</span></p>'
)


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture shows.

    Attributes:
        key: List and row that it belongs to: 'unlabelled' or 'never_found', and the row's number.
        image_id: Its image.
        cell: The cell it is about.
        kind: 'found' or 'true': the side of the cell, for its colour.
        caption: HTML.
        neighbours: Other cells by their side, drawn faint where the picture shows them.
    """

    key: tuple[str, int]
    image_id: str
    cell: MaskCrop
    kind: str
    caption: str
    neighbours: Mapping[str, Sequence[MaskCrop]]


def write_missing(
    out: Path,
    missing: MissingCells,
    findings: Mapping[str, Sequence[Findings]],
    labels: Labels,
    limits: Limits,
    images: Path,
    source: Mapping[str, Any],
    max_pictures: int = DEFAULT_MAX_PICTURES,
) -> list[Path]:
    """Writes ``index.html``, one file that needs no other, and the two lists as CSV; all three or none.

    Args:
        out: Folder to write them in; made if it is missing.
        missing: The lists.
        findings: What they were made from, by image id.
        labels: The annotations.
        limits: What the lists were made with.
        images: Folder with the images, named by their ids.
        source: Where the page comes from, JSON types.
        max_pictures: Most pictures of a list and cell type.

    Returns:
        Paths of the files.

    Raises:
        InputError: An image that is shown is missing, cannot be read or is of another size than its labels.
    """
    unlabelled, never_found = (
        table.groupby('cell_type', sort=False).head(max_pictures) for table in (missing.unlabelled, missing.never_found)
    )
    # By image, so that each is read once.
    pictures: dict[str, list[Picture]] = {}
    for picture in (
        *_unlabelled_pictures(unlabelled, labels),
        *_never_found_pictures(never_found, labels, findings),
    ):
        pictures.setdefault(picture.image_id, []).append(picture)
    drawn: dict[tuple[str, int], str] = {}
    for image_id, own in progress(pictures.items(), 'pictures'):
        image = _read(images, image_id, labels.images[image_id].size)
        drawn.update((picture.key, _figure(picture, image)) for picture in own)
    page = _page(missing, drawn, len(labels.images) - len(findings), limits, source)
    names = ('index.html', 'unlabelled.csv', 'never_found.csv')
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
        f'{len(missing.unlabelled)} confident cells without a label and {len(missing.never_found)} labels that are '
        f'never found, in {counts["images"].sum()} images. Which of them are mistakes of the annotations, and which of '
        'the models, is for you to say.'
    )
    if dropped:
        lead += f' {dropped} annotated images are in none of the predictions files and were not looked at.'
    unlabelled_note = (
        f'Found cells whose IoU with every label is below {limits.iou:g}, and of whose pixels labels cover less than '
        f'{limits.covered:.0%}. The score is the mean over the files that predict the image, 0 for one that has not '
        'found the cell. Lines are those of unlabelled.csv, the header being line 1.'
    )
    never_note = (
        f'Labels whose IoU is not above {limits.iou:g} with any candidate of any file, however low its score. Those '
        'that lie wholly inside the image come first, and large ones before small ones. Lines are those of '
        'never_found.csv.'
    )
    sections = [
        ('summary', 'Summary', _summary(counts)),
        (
            'unlabelled',
            'Cells without a label',
            _pictures(missing.unlabelled, 'unlabelled', unlabelled_note, drawn, counts),
        ),
        (
            'never-found',
            'Labels never found',
            _pictures(missing.never_found, 'never_found', never_note, drawn, counts),
        ),
        ('source', 'Source', source_list(source)),
    ]
    return render_page('Missing cells', lead, sections)


def _summary(counts: pd.DataFrame) -> str:
    total = counts.sum(numeric_only=True)
    labels, found = int(total['labels']), int(total['found'])
    entries = [
        ('Images', str(int(total['images'])), ''),
        ('Labels', str(labels), ''),
        ('Never found', str(int(total['never_found'])), f'{total["never_found"] / max(labels, 1):.1%} of the labels'),
        ('Found cells', str(found), 'of all files, after post-processing'),
        ('Without a label', str(int(total['unlabelled'])), 'each once, however many files found it'),
    ]
    rows = ''.join(
        f'<tr><td class="text">{_chip(row.cell_type)}</td><td>{row.images}</td><td>{row.labels}</td>'
        f'<td>{row.never_found}</td><td>{row.found}</td><td>{row.unlabelled}</td><td>{row.min_score:.3f}</td></tr>'
        for row in counts.itertuples()
    )
    return (
        f'{figures(entries)}<div class="scroll classes"><table><thead><tr><th scope="col" class="text">Cell type</th>'
        '<th scope="col">Images</th><th scope="col">Labels</th><th scope="col">Never found</th>'
        '<th scope="col">Found cells</th><th scope="col">Without a label</th><th scope="col">Least score</th></tr>'
        f'</thead><tbody>{rows}</tbody></table></div>'
    )


def _pictures(
    table: pd.DataFrame, name: str, note: str, drawn: Mapping[tuple[str, int], str], counts: pd.DataFrame
) -> str:
    """Pictures of one list, a heading a cell type."""
    words = {
        'unlabelled': {'found': 'found cell without a label', 'true': 'labels around it'},
        'never_found': {'found': 'found cells around it', 'true': 'label; faint: other labels'},
    }[name]
    parts = [f'<p class="note">{escape(note)}</p>', LEGEND.format(**words)]
    for row in counts.itertuples():
        own = table.index[table['cell_type'] == row.cell_type]
        shown = [drawn[name, index] for index in own if (name, index) in drawn]
        remark = {
            'unlabelled': f'of {row.found} found cells; score from {row.min_score:.3f}',
            'never_found': f'of {row.labels} labels',
        }[name]
        hidden = len(own) - len(shown)
        verb = 'is' if hidden == 1 else 'are'
        more = f'<p class="note">{hidden} more {verb} not shown; {name}.csv lists all.</p>' if hidden else ''
        parts.append(
            f'<h3>{_chip(row.cell_type)} {len(own)} <small>{remark}</small></h3>'
            f'<div class="crops look">{"".join(shown)}</div>{more}'
        )
    return f'<div class="errors">{"".join(parts)}</div>'


def _unlabelled_pictures(shown: pd.DataFrame, labels: Labels) -> Iterator[Picture]:
    for row in shown.itertuples():
        support = f' {row.support} of {row.files} files' if row.files > 1 else ''
        yield Picture(
            key=('unlabelled', row.Index),
            image_id=row.id,
            cell=row.crop,
            kind='found',
            caption=f'<b>score {row.score:.2f}</b>{support}{_place(row)}',
            neighbours={'true': labels.images[row.id].crops},
        )


def _never_found_pictures(
    shown: pd.DataFrame, labels: Labels, findings: Mapping[str, Sequence[Findings]]
) -> Iterator[Picture]:
    rows = rows_of_never_found(shown, labels)
    for row, csv_row in zip(shown.itertuples(), rows, strict=True):
        crops = labels.images[row.id].crops
        where = ' at the border' if row.border else ''
        in_csv = '' if pd.isna(csv_row) else f'<small>row {csv_row} of {escape(labels.path.name)}</small>'
        yield Picture(
            key=('never_found', row.Index),
            image_id=row.id,
            cell=crops[row.number - 1],
            kind='true',
            caption=f'<b>IoU {row.best_iou:.2f}</b>{where}{_place(row)}{in_csv}',
            neighbours={
                'true': [crop for number, crop in enumerate(crops, start=1) if number != row.number],
                'found': [crop for one in findings[row.id] for crop in one.pred.crops],
            },
        )


def _place(row: Any) -> str:
    """Where a cell of either list is to be looked up: line of the CSV, centroid, image."""
    return (
        f'<small>line {row.Index + 2}: {row.area} px at {row.x:.0f}, {row.y:.0f}</small>'
        f'<small class="place">{escape(row.id)}</small>'
    )


def _read(folder: Path, image_id: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    path = find_image(folder, image_id)
    image = read_for_display(path)
    if image.shape != size:
        raise InputError(
            f'{path} is {size_text(image.shape)}, its labels are for {size_text(size)}; name the folder with the '
            'images that were annotated'
        )
    return stretched(image)


def _figure(picture: Picture, image: NDArray[np.uint8]) -> str:
    """A part of the image with the cell's outline, and in faint lines its neighbours."""
    x1, y1, x2, y2 = view_around([picture.cell.tight()], image.shape, MARGIN, SMALLEST_VIEW)
    lines = []
    for side, crops in picture.neighbours.items():
        for crop in crops:
            left, top, right, bottom = crop.window
            if left < x2 and right > x1 and top < y2 and bottom > y1:
                lines.append(f'<path class="{side}-line faint" d="{svg_path(crop.clipped(image.shape))}"/>')
    # On top of the others.
    lines.append(f'<path class="{picture.kind}-line" d="{svg_path(picture.cell.clipped(image.shape))}"/>')
    place = f'x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}"'
    return (
        f'<figure><svg viewBox="{x1} {y1} {x2 - x1} {y2 - y1}" role="img" aria-label="{picture.kind} cell">'
        f'<image {place} href="{embedded(image[y1:y2, x1:x2])}"/>{"".join(lines)}</svg>'
        f'<figcaption>{picture.caption}</figcaption></figure>'
    )


def _chip(name: str) -> str:
    return f'<span class="chip {class_key(name, CLASSES)}">{escape(name)}</span>'
