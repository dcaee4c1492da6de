"""Functions that read predictions, submissions, settings, records and checkpoints, called as tools call them.

The answers are held against the file as in :mod:`fuzz_read_data`.
"""

import contextlib
import csv
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz_sound_data as sound_data
import fuzz_sound_runs as sound_runs
from fuzz_judge import Cells
from fuzz_read_data import accounted, coco


@contextlib.contextmanager
def log_lines() -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []
    handler, level = logging.Handler(), logging.root.manager.disable
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.root.addHandler(handler)
    logging.disable(logging.NOTSET)
    try:
        yield lines
    finally:
        logging.disable(level)
        logging.root.removeHandler(handler)


def results(path: Path) -> Any:
    from sartorius.predictions.coco_results import read_coco_results

    with log_lines() as said:
        found = read_coco_results(path, path.with_name('sound_coco.json'), sound_data.CLASSES)
    results = json.loads(path.read_bytes())
    accounted(len(results), sum(map(len, found.images)), said)
    return found


def results_alone(path: Path) -> Any:
    from sartorius.predictions.coco_results import read_coco_results

    return read_coco_results(path, path.with_name('sound_coco.json'))


def results_of_dataset(path: Path) -> Any:
    from sartorius.predictions.coco_results import read_coco_results

    return read_coco_results(path.with_name('sound_results.json'), path)


def result_boxes(path: Path) -> Any:
    from sartorius.inference.box_prompts import read_box_prompts

    return read_box_prompts(path, path.with_name('sound_coco.json'), sound_data.CLASSES)


def predictions(path: Path) -> Any:
    from sartorius.predictions.store import load_predictions

    return load_predictions(path)


def header(path: Path) -> Any:
    from sartorius.predictions.store import read_header

    return read_header(path)


def found_predictions(path: Path) -> Any:
    from sartorius.predictions.search import plan_fusion

    return plan_fusion(path.parent)


def leaderboard_rows(path: Path) -> Any:
    from sartorius.leaderboard.rows import find_files

    return find_files([path])


def merged_tables(path: Path) -> Any:
    from sartorius.export.cell_table import merge_tables

    merge_tables(path.parent / 'out.merged', [path, path.with_name('sound_cells.csv')])
    return (path.parent / 'out.merged').read_bytes().replace(b'\r', b'')


def submission(path: Path) -> Any:
    from sartorius.submission.csv_format import read_cells

    found = read_cells(path, {'a': sound_data.SIZE, 'b': sound_data.SIZE})
    with path.open(encoding='utf-8-sig', newline='') as file:
        codes = sum(bool(row and row[1].strip()) for row in csv.reader(file)) - 1
    accounted(codes, sum(map(len, found.values())), ())
    return {name: Cells(sound_data.SIZE, cells) for name, cells in found.items()}


def check_submission(path: Path) -> Any:
    from sartorius.submission.csv_format import find_problems

    find_problems(path, {'a': sound_data.SIZE, 'b': sound_data.SIZE}, ('a', 'b'))


def score_submission(path: Path) -> Any:
    from sartorius.submission.score import score_submission

    score_submission(path, coco(path.with_name('sound_coco.json')))


def chain(path: Path) -> Any:
    from sartorius.postprocess.chain import load_chain_for

    return load_chain_for(sound_data.CLASSES, path)[0].to_config()


def recipe(path: Path) -> Any:
    from sartorius.fusion.recipe import load_recipe

    return load_recipe(path).model_dump()


def rules(path: Path) -> Any:
    from sartorius.pseudo_labels.rules import load_rules

    return load_rules(path)


def workflow(path: Path) -> Any:
    from sartorius.workflow.settings import read_workflow

    return read_workflow(path).model_dump()


def plan(path: Path) -> Any:
    from sartorius.workflow.stages import load_plan

    return load_plan(path)


def stage_record(path: Path) -> Any:
    from sartorius.workflow.records import done_stages, read_record

    plan = sound_runs.sound_plan(path.parent)
    stage = plan.stages['prepare/all']
    target = plan.record(stage)
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(path, target)
    return read_record(plan, stage), done_stages(plan)


def run_record(path: Path) -> Any:
    from sartorius.predictions.provenance import read_run

    return read_run(path.parent)


def image_record(path: Path) -> Any:
    from sartorius.engine.image_prediction.records import RunFolder

    folder = RunFolder(path.parent)
    target = folder.record_path('a')
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(path, target)
    return folder.read('a'), folder.has_outputs('a', ['masks'])


def last_checkpoint(path: Path) -> Any:
    from sartorius.engine.first_weights import last_checkpoint

    return last_checkpoint(path.parent)


def checkpoint(path: Path) -> Any:
    from sartorius.models.checkpoints import read_checkpoint

    return read_checkpoint(path)


def checkpoint_damage(path: Path) -> Any:
    from sartorius.utils.checkpoint_files import describe_damage

    return describe_damage(path)


def timing(path: Path) -> Any:
    from sartorius.predictions.timing import read_seconds_per_image

    return read_seconds_per_image(path.with_name('predictions.npz'))


def config_comment(path: Path) -> Any:
    from sartorius.leaderboard.leaderboard_page import _first_words

    return _first_words(str(path))


def checkpoint_weights(path: Path) -> Any:
    from sartorius.models.checkpoints import check_finite, load_from_file

    content = load_from_file(str(path))
    check_finite(content.get('state_dict', content), path.name)
    return content.get('state_dict', content)


def model_file(path: Path) -> Any:
    from sartorius.models.model_file import load_model_file

    return load_model_file(path)


def _put(path: Path, target: Path) -> None:
    """The spoilt file at another name, whatever stands under its own."""
    target.unlink(missing_ok=True)
    target.symlink_to(path)
