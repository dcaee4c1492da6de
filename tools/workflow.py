"""Runs all stages of a workflow file, from folds to submission, on Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import BASE_DIR, WORK_DIRS, display_path

if TYPE_CHECKING:
    from sartorius.workflow.stages import WorkflowPlan


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, and shows or runs the workflow."""
    options = _parse(sys.argv[1:] if argv is None else list(argv))

    from dataclasses import replace

    from sartorius.workflow.facts import read_data_facts, read_recipe_facts
    from sartorius.workflow.plan import make_plan
    from sartorius.workflow.runner import assign_devices, run_workflow
    from sartorius.workflow.settings import read_workflow

    settings = read_workflow(options.workflow)
    default = Path(os.environ.get('SARTORIUS_DATA') or BASE_DIR / 'data' / 'sartorius')
    data = read_data_facts((options.data_root or settings.data_root or default).resolve())
    out = (options.out or WORK_DIRS / 'workflows' / options.workflow.stem).resolve()
    plan = make_plan(settings, data, out, read_recipe_facts)
    if any(word.split('=')[0] in ('--executor', '-e', '--profile') for word in options.snakemake):
        # A cluster assigns its own devices.
        plan = replace(plan, jobs=options.jobs or 1)
    else:
        plan = assign_devices(plan, options.jobs)
    _show(plan, every=options.dry_run)
    if not options.dry_run:
        run_workflow(plan, options.snakemake)
        submissions = sorted(out.glob('**/submission.csv'))
        print(f'the workflow has ended: {", ".join(map(display_path, submissions)) or display_path(out)}')


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
        help="folder with train/ and test/; the workflow's, else $SARTORIUS_DATA",
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
