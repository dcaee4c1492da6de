"""The HTML page of one predictions file: scores, a table of the images, and pictures of the telling ones."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.structures import ImageAnnotations
from sartorius.images.display import find_image, read_for_display
from sartorius.postprocess.chain import Chain
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path, write_text
from sartorius.utils.tables import size_text
from sartorius.visualization.error_section import error_section
from sartorius.visualization.gallery import Example, card, legend
from sartorius.visualization.page import render_page, source_list
from sartorius.visualization.report_data import CLASSES, Report, choose_images, gather
from sartorius.visualization.report_sections import image_table, lead, summary

DEFAULT_MAX_IMAGES = 24


def write_report(
    out: str | Path,
    predictions: PredictionSet,
    images: str | Path,
    chain: Chain,
    gt: Mapping[str, ImageAnnotations] | None = None,
    source: Mapping[str, Any] | None = None,
    max_images: int = DEFAULT_MAX_IMAGES,
    errors_csv: str | Path | None = None,
) -> Path:
    """Writes ``index.html``, one file that needs no other.

    Args:
        out: Folder to write it in; made if it is missing.
        predictions: Before post-processing.
        images: Folder with the images, named by their ids.
        chain: Post-processing; what comes out of it is shown and scored.
        gt: True cells by image id, without or with more images than the predictions have.
        source: More entries for the list of where the page came from, JSON types.
        max_images: Most images to show; the table lists all.
        errors_csv: File to write with one row a cell, as :attr:`sartorius.evaluation.errors.ErrorAnalysis.cells`.

    Returns:
        Path of the page.

    Raises:
        InputError: No image in the predictions, an image that is missing, cannot be read or is of another size than
            its predictions, or that the annotations do not have; ``errors_csv`` without ``gt``.
    """
    if errors_csv is not None and gt is None:
        raise InputError('errors are told apart only where the true cells are known; give the annotations too')
    report = gather(predictions, chain, gt)
    chosen = choose_images(report.table, 'confidence' if gt is None else 'score', max_images)
    examples = [_example(report, image_id, note, Path(images)) for image_id, note in progress(chosen.items(), 'images')]
    numbers = {image_id: number for number, image_id in enumerate(chosen)}
    cards = '\n'.join(card(example, number, CLASSES) for number, example in enumerate(examples))
    steps = '\n'.join(_step_text(step) for step in chain.to_config())
    origin = {**(source or {}), 'post-processing': steps, **predictions.source}
    sections = [
        ('summary', 'Summary', summary(report)),
        ('table', 'Table', image_table(report, numbers)),
        ('images', 'Pictures', legend(gt is not None, gt is not None) + cards),
        ('source', 'Source', source_list(origin)),
    ]
    if gt is not None:
        read = partial(_picture, report, folder=Path(images)) if max_images else None
        sections.insert(1, ('errors', 'Errors', error_section(report, numbers, read)))
    path = Path(out) / 'index.html'
    write_text(path, render_page('Cells found', lead(report), sections))
    if errors_csv is not None:
        with atomic_path(errors_csv) as temporary:
            report.errors.cells.to_csv(temporary, index=False, float_format='%.6g')
    return path


def _step_text(step: Mapping[str, Any]) -> str:
    """A step of the post-processing in one line."""
    words = [step['type']]
    for name, value in step.items():
        if isinstance(value, Mapping):
            words.append(f'{name}: ' + ', '.join(f'{cell_type} {number:g}' for cell_type, number in value.items()))
        elif name != 'type':
            words.append(f'{name}: {value}')
    return '  '.join(words)


def _picture(report: Report, image_id: str, folder: Path) -> NDArray[np.uint8]:
    pred = report.pred[image_id]
    path = find_image(folder, image_id)
    picture = read_for_display(path)
    if picture.shape != pred.size:
        raise InputError(
            f'{path} is {size_text(picture.shape)}, its predictions are for {size_text(pred.size)}; '
            'name the folder with the images that were predicted'
        )
    return picture


def _example(report: Report, image_id: str, note: str, folder: Path) -> Example:
    pred = report.pred[image_id]
    row = report.table.set_index('image_id').loc[image_id]
    common = {
        'title': image_id,
        'image': _picture(report, image_id, folder),
        'pred': pred.crops,
        'pred_scores': pred.scores,
        'cell_type': row['cell_type'],
        'note': note,
    }
    if report.gt is None:
        return Example(**common)
    cells = report.errors.cells
    own = cells[cells['image_id'] == image_id]
    gt_errors, pred_errors = (own.loc[own['side'] == side, 'category'].tolist() for side in ('true', 'found'))
    return Example(
        **common,
        gt=report.gt[image_id].crops,
        score=float(row['score']),
        gt_errors=gt_errors,
        pred_errors=pred_errors,
    )
