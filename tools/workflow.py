"""Runs all stages of a workflow file, from folds to submission, from images to tables or to a model, on Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import EXIT_FAILURE, make_parser, run_tool
from sartorius.utils.errors import UsageError
from sartorius.utils.paths import BASE_DIR, WORK_DIRS, display_path

if TYPE_CHECKING:
    from sartorius.workflow.model_plan import ModelWorkflow
    from sartorius.workflow.predict_plan import PredictWorkflow
    from sartorius.workflow.settings import WorkflowSettings
    from sartorius.workflow.stages import WorkflowPlan


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, and shows or runs the workflow."""
    options = _parse(sys.argv[1:] if argv is None else list(argv))

    from sartorius.workflow.predict_plan import PredictWorkflow
    from sartorius.workflow.settings import WorkflowSettings, read_workflow

    settings = read_workflow(options.workflow)
    out = (options.out or WORK_DIRS / 'workflows' / options.workflow.stem).resolve()
    if isinstance(settings, WorkflowSettings):
        _train(settings, out, options)
    elif isinstance(settings, PredictWorkflow):
        _predict(settings, out, options)
    else:
        _make_model(settings, out, options)


def _train(settings: 'WorkflowSettings', out: Path, options: argparse.Namespace) -> None:
    from sartorius.workflow.facts import read_data_facts, read_recipe_facts
    from sartorius.workflow.plan import make_plan

    default = Path(os.environ.get('SARTORIUS_DATA') or BASE_DIR / 'data' / 'sartorius')
    data = read_data_facts((options.data_root or settings.data_root or default).resolve())
    if _run(make_plan(settings, data, out, read_recipe_facts), options):
        submissions = sorted(out.glob('**/submission.csv'))
        print(f'the workflow has ended: {", ".join(map(display_path, submissions)) or display_path(out)}')


def _predict(settings: 'PredictWorkflow', out: Path, options: argparse.Namespace) -> None:
    from sartorius.engine.image_prediction.folder import count_failed
    from sartorius.engine.image_prediction.parts import list_file, write_image_list
    from sartorius.images.files import find_images
    from sartorius.workflow.predict_plan import forget_incomplete_batches, make_predict_plan

    inputs = [str(options.data_root)] if options.data_root else settings.inputs
    if not inputs:
        raise UsageError('no images are named; give their folder with --data-root DIR')
    images = find_images(inputs, settings.recursive)
    plan = make_predict_plan(settings, images, out)
    if not options.dry_run:
        write_image_list(list_file(out), images)
        forget_incomplete_batches(plan, settings, images)
    if _run(plan, options):
        failed = count_failed(out, images)
        print(f'the workflow has ended: {len(images) - failed} images are predicted, {failed} failed')
        print(f'next: look into {display_path(out / "summary.csv")}')
        if failed:
            sys.exit(EXIT_FAILURE)


def _make_model(settings: 'ModelWorkflow', out: Path, options: argparse.Namespace) -> None:
    from sartorius.workflow.facts import read_recipe_facts
    from sartorius.workflow.model_plan import make_model_plan

    if _run(make_model_plan(settings, options.data_root, out, read_recipe_facts), options):
        for model in sorted(out.glob('model/*.pth'), key=lambda path: path.stat().st_mtime)[-1:]:
            print(f'the workflow has ended: {display_path(model)}, its card beside it')


def _run(plan: 'WorkflowPlan', options: argparse.Namespace) -> bool:
    """Shows the stages and, but for a dry run, runs those that are not done; returns whether it did."""
    from dataclasses import replace

    from sartorius.workflow.runner import assign_devices, run_workflow

    if any(word.split('=')[0] in ('--executor', '-e', '--profile') for word in options.snakemake):
        # A cluster assigns its own devices.
        plan = replace(plan, jobs=options.jobs or 1)
    else:
        plan = assign_devices(plan, options.jobs)
    _show(plan, every=options.dry_run)
    if not options.dry_run:
        run_workflow(plan, options.snakemake)
    return not options.dry_run


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = make_parser(
        'Run the stages of a workflow file: folds, trainings, predictions, fusion, tuning, submission. Finished stages '
        'are kept and a stopped training resumes, so that the same command, typed again, continues after anything. '
        'Options after -- go to Snakemake: -- --profile DIR runs the stages on a cluster (docs/workflow.md).',
        'python tools/workflow.py configs/workflows/mrcnn_r50.yaml --data-root data/sartorius --dry-run',
    )
    parser.add_argument(
        'workflow', type=Path, metavar='WORKFLOW', help='workflow file, such as configs/workflows/mrcnn_r50.yaml'
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        metavar='DIR',
        help="folder with train/ and test/, or the images to predict or to train on; the workflow's, else "
        '$SARTORIUS_DATA',
    )
    parser.add_argument(
        '--out', type=Path, metavar='DIR', help='folder to write; work_dirs/workflows/WORKFLOW if not given'
    )
    parser.add_argument('--jobs', type=int, metavar='N', help='stages at once; as many as there are GPUs, else 1')
    parser.add_argument('--dry-run', action='store_true', help='show the stages and which are done, and run nothing')
    parser.add_argument(
        '--schema', action=_PrintSchema, help='print the JSON schema of workflow files, for editors, and exit'
    )
    split = argv.index('--') if '--' in argv else len(argv)
    options = parser.parse_args(argv[:split])
    if options.jobs is not None and options.jobs < 1:
        parser.error(f'--jobs must be 1 or more, not {options.jobs}')
    options.snakemake = argv[split + 1 :]
    return options


class _PrintSchema(argparse.Action):
    """Prints the schema and ends, whatever else is given, as ``--help`` does."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import json

        from sartorius.workflow.settings import workflow_schema

        print(json.dumps(workflow_schema(), indent=1))
        parser.exit()


def _show(plan: 'WorkflowPlan', every: bool) -> None:
    """Prints how many stages there are and how many are done; with ``every`` a line for each."""
    from sartorius.workflow.records import done_stages
    from sartorius.workflow.stages import KINDS, TITLES

    done = done_stages(plan)
    print(f'{display_path(plan.out)}: {len(plan.stages)} stages, {len(done)} of them done')
    if not every:
        return
    stages = sorted(plan, key=lambda stage: KINDS.index(stage.kind))
    rows = [(TITLES[stage.kind], stage.name, stage.amount, 'done' if stage.key in done else '') for stage in stages]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == '__main__':
    run_tool(main, interrupted='finished stages are kept; the same command continues')
