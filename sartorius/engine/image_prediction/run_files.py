"""Files of a whole run, from the records of its images: summary, merged tables, predictions and what the run was."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sartorius.engine.image_prediction.image import PREDICTIONS, ImageRun
from sartorius.engine.image_prediction.records import DONE, FOLDER, FrameRow, ImageRecord, move
from sartorius.engine.run_record import package_versions
from sartorius.export.formats import FORMATS
from sartorius.predictions.provenance import ModelSource
from sartorius.predictions.store import load_predictions, save_predictions
from sartorius.predictions.structures import PredictionSet
from sartorius.utils.paths import display_path
from sartorius.utils.version import git_commit

SUMMARY, RUN, RUN_PREDICTIONS = 'summary.csv', 'run.json', 'predictions.npz'
RUN_SCHEMA = 'sartorius-predict'


def write_run_files(run: ImageRun, records: Sequence[ImageRecord]) -> list[Path]:
    """Writes the files of the run, each whole or not at all.

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
        RUN: lambda path: _write_run(path, run, records),
    }
    for form in (FORMATS[name] for name in run.formats if name in FORMATS):
        if form.merger is not None:
            parts = [form.path(out, image) for image in done]
            writers[form.run_file] = lambda path, form=form, parts=parts: form.merger(path, parts)
    if PREDICTIONS in run.formats:
        writers[RUN_PREDICTIONS] = lambda path: _write_predictions(path, run, done)
    work = out / FOLDER / 'work' / 'run.files'
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name, write in writers.items():
        write(work / name)
    for name in writers:
        move(work / name, out / name)
    shutil.rmtree(work)
    return [out / name for name in writers]


def summary_columns(classes: Sequence[str]) -> list[str]:
    """Columns of the summary for a model's classes."""
    return [
        *('image', 'frame', 'status', 'message', 'width', 'height', 'pixel_size_um', 'pixel_size_from', 'scale'),
        *('cells', *(f'cells_{name}' for name in classes)),
        *('covered', 'limit_reached', 'cut_cells', 'seconds'),
    ]


def write_summary(path: Path, records: Sequence[ImageRecord], classes: Sequence[str]) -> None:
    """Writes a row per frame, and one per image that failed; values that are not known are empty."""
    with open(path, 'w', encoding='utf-8', newline='') as file:
        table = csv.DictWriter(file, summary_columns(classes), lineterminator='\n')
        table.writeheader()
        for record in records:
            if record.status != DONE:
                table.writerow({'image': record.image, 'status': record.status, 'message': record.message})
            else:
                table.writerows(_summary_row(record, row, classes) for row in record.frames)


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
        'seconds': row.seconds,
    }


def _write_run(path: Path, run: ImageRun, records: Sequence[ImageRecord]) -> None:
    """What the run was, without times: the same images, model and options give the same file."""
    model, commit = run.model, git_commit()
    content = {
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
    path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


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
