"""Files of a whole run, from the records of its images: summary, merged tables, predictions and what the run was."""

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

from sartorius.engine.image_prediction.image import PREDICTIONS, ImageRun
from sartorius.engine.image_prediction.records import DONE, FrameRow, ImageRecord
from sartorius.engine.run_record import package_versions
from sartorius.export.formats import FORMATS
from sartorius.predictions.provenance import ModelSource
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.files import staged_folder
from sartorius.utils.paths import display_path
from sartorius.utils.spreadsheets import spreadsheet_cell
from sartorius.utils.version import git_commit
from sartorius.visualization.run_page import RunImage, write_run_page

SUMMARY, RUN, PAGE, RUN_PREDICTIONS = 'summary.csv', 'run.json', 'index.html', 'predictions.npz'
RUN_SCHEMA = 'sartorius-predict'


def write_run_files(run: ImageRun, records: Sequence[ImageRecord]) -> list[Path]:
    """Writes the files of the run, which appear together.

    Args:
        run: What the images have in common.
        records: Of every image of the run, in the order of the tables.

    Returns:
        The files.
    """
    out = run.folder.out
    done = [record.image for record in records if record.status == DONE]
    writers: dict[str, Callable[[Path], None]] = {
        SUMMARY: lambda path: write_summary(path, records, run.model.classes),
        RUN: lambda path: path.write_text(json.dumps(describe_run(run, records), indent=1) + '\n', encoding='utf-8'),
        PAGE: lambda path: _write_page(path, run, records),
    }
    for form in (FORMATS[name] for name in run.formats if name in FORMATS):
        if form.merger is not None:
            parts = [form.path(out, image) for image in done]
            writers[form.run_file] = lambda path, form=form, parts=parts: form.merger(path, parts)
    if PREDICTIONS in run.formats:
        writers[RUN_PREDICTIONS] = lambda path: _write_predictions(path, run, done)
    with staged_folder(out) as new:
        for name, write in writers.items():
            write(new / name)
    return [out / name for name in writers]


def run_file_names(formats: Sequence[str]) -> list[str]:
    """Names of the files that :func:`write_run_files` writes for some formats."""
    merged = [FORMATS[name].run_file for name in formats if name in FORMATS and FORMATS[name].run_file]
    return [SUMMARY, RUN, PAGE, *merged, *([RUN_PREDICTIONS] if PREDICTIONS in formats else [])]


def summary_columns(classes: Sequence[str]) -> list[str]:
    """Columns of the summary for a model's classes."""
    return [
        *('image', 'frame', 'status', 'message', 'width', 'height', 'pixel_size_um', 'pixel_size_from', 'scale'),
        *('cells', *(f'cells_{name}' for name in classes)),
        *('covered', 'limit_reached', 'cut_cells'),
    ]


def write_summary(path: Path, records: Sequence[ImageRecord], classes: Sequence[str]) -> None:
    """Writes a row per frame, and one per image that failed; values that are not known are empty."""
    with open(path, 'w', encoding='utf-8', newline='') as file:
        columns = summary_columns(classes)
        table = csv.DictWriter(file, columns, lineterminator='\n')
        table.writerow({name: spreadsheet_cell(name) for name in columns})
        for record in records:
            if record.status != DONE:
                rows = [{'image': record.image, 'status': record.status, 'message': record.message}]
            else:
                rows = [_summary_row(record, row, classes) for row in record.frames]
            for row in rows:
                table.writerow({name: spreadsheet_cell(value) for name, value in row.items()})


def _summary_row(record: ImageRecord, row: FrameRow, classes: Sequence[str]) -> dict[str, Any]:
    return {
        'image': record.image,
        'frame': row.frame,
        'status': record.status,
        'message': record.message,
        'width': record.width,
        'height': record.height,
        'pixel_size_um': '' if record.pixel_size_um is None else f'{record.pixel_size_um:.8g}',
        'pixel_size_from': record.pixel_size_from,
        'scale': f'{record.scale:.6g}',
        'cells': row.cells,
        **{f'cells_{name}': row.by_class.get(name, 0) for name in classes},
        'covered': row.covered,
        'limit_reached': int(row.limit_reached),
        'cut_cells': row.cut_cells,
    }


def describe_run(run: ImageRun, records: Sequence[ImageRecord]) -> dict[str, Any]:
    """What the run was, as JSON types, without times: the same images, model and options give the same values."""
    model, commit = run.model, git_commit()
    return {
        'schema': RUN_SCHEMA,
        'version': 1,
        'model': {
            'name': model.name,
            'file': display_path(model.path),
            'sha256': model.sha256,
            'config_sha256': model.config_sha256 or None,
            'classes': list(model.classes),
            'pixel_size_um': model.pixel_size_um,
        },
        'postprocess': model.chain(run.options).to_config(),
        'options': {name: _plain(value) for name, value in asdict(run.options).items()},
        'formats': list(run.formats),
        'images': len(records),
        'failed': sum(record.status != DONE for record in records),
        'versions': package_versions(),
        'git_commit': None if commit is None else asdict(commit),
    }


def _write_page(path: Path, run: ImageRun, records: Sequence[ImageRecord]) -> None:
    """Writes the page of the run, whose pictures are in the run's folder."""
    images = [_page_image(record) for record in records]
    write_run_page(path, f'Cells in {len(images):,} images', images, describe_run(run, records), run.folder.out)


def _page_image(record: ImageRecord) -> RunImage:
    if record.status != DONE:
        return RunImage(image_id=record.image, problem=record.message)
    rows = record.frames
    areas = [row.median_area_px for row in rows if row.median_area_px is not None]
    by_class = Counter()
    for row in rows:
        by_class.update(row.by_class)
    return RunImage(
        image_id=record.image,
        note=record.message,
        size=(record.height, record.width),
        pixel_size_um=record.pixel_size_um,
        cells=tuple(row.cells for row in rows),
        by_class=by_class,
        covered=fmean(row.covered for row in rows),
        median_area=median(areas) if areas else math.nan,
        limit_reached=any(row.limit_reached for row in rows),
        cut_cells=sum(row.cut_cells for row in rows),
    )


def _write_predictions(path: Path, run: ImageRun, done: Sequence[str]) -> None:
    """Predictions of all images in one file, before post-processing, for tools/ensemble.py, report.py and others."""
    images = [image for name in done for image in load_predictions(run.folder.predictions_path(name)).images]
    options, model = run.options, run.model
    source = ModelSource(
        checkpoint=display_path(model.path),
        checkpoint_sha256=model.sha256,
        git_commit=git_commit(),
        tta=options.tta,
        versions=package_versions(),
        run=model.run,
    )
    save_predictions(path, PredictionSet(tuple(images), model.classes, source))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
