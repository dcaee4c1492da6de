"""Walks the whole workflow of a recipe, from folds to submission, on Snakemake."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import REPO_ROOT, WORK_DIRS, display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartorius.workflow.stages import Plan


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, and shows or walks the workflow."""
    options = _parse(sys.argv[1:] if argv is None else list(argv))

    from dataclasses import replace

    from sartorius.engine.run_record import device_name
    from sartorius.workflow.data import read_data_facts
    from sartorius.workflow.estimate import expected_seconds, measure
    from sartorius.workflow.plan import make_plan
    from sartorius.workflow.recipes import read_facts
    from sartorius.workflow.runner import check_snakemake, lock_workflow, run_workflow
    from sartorius.workflow.settings import read_workflow

    settings = read_workflow(options.workflow)
    given = options.data_root and options.data_root.resolve()
    default = Path(os.environ.get('SARTORIUS_DATA') or REPO_ROOT / 'data' / 'sartorius')
    out = (options.out or WORK_DIRS / 'workflows' / settings.name).resolve()
    data = read_data_facts((given or settings.data_root or default).resolve())
    plan = make_plan(settings, data, out, read_facts)
    names = _gpus()
    jobs = options.jobs or max(1, len(names))
    if any(word.split('=')[0] in ('--executor', '-e', '--profile') for word in options.snakemake):
        devices = jobs
    else:
        devices = min(jobs, len(names)) if names else jobs
        threads = os.environ.get('OMP_NUM_THREADS', '')
        plan = replace(
            plan, devices=tuple(names), threads=int(threads) if threads.isdecimal() else max(1, _cores() // jobs)
        )
    measured = measure([WORK_DIRS, out], device_name())
    times = {stage.key: expected_seconds(stage, measured) for stage in plan}
    _show(plan, times, jobs, devices, every=options.dry_run)
    if options.dry_run:
        return
    check_snakemake()
    with lock_workflow(out) as lock:
        run_workflow(plan, times, jobs, devices, options.snakemake, lock)
    _show_end(out)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = make_parser(
        'Walk the whole workflow of a workflow file: folds, trainings, predictions, '
        'fusion, tuning, submission. Finished '
        'stages are kept, and a stopped training goes on where it stopped: to go on after anything, type the same '
        'command again. What stands after -- goes to Snakemake: -- --profile DIR runs the stages on a cluster '
        '(docs/workflow.md).',
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
    parser.add_argument('--dry-run', action='store_true', help='show stages and expected time, and do nothing')
    split = argv.index('--') if '--' in argv else len(argv)
    options = parser.parse_args(argv[:split])
    if options.jobs is not None and options.jobs < 1:
        parser.error(f'--jobs must be 1 or more, not {options.jobs}')
    options.snakemake = argv[split + 1 :]
    return options


def _gpus() -> list[str]:
    """The GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _show(plan: 'Plan', times: 'Mapping[str, float | None]', jobs: int, devices: int, every: bool) -> None:
    """Prints the stages, which are done, and how long the rest takes."""
    from sartorius.workflow.estimate import expected_total, format_seconds
    from sartorius.workflow.records import done_stages
    from sartorius.workflow.stages import KINDS, TITLES

    done = done_stages(plan)
    print(f'{display_path(plan.out)}: {len(plan.stages)} stages, {len(done)} of them done')
    rows = []
    for kind in KINDS:
        stages = [stage for stage in plan if stage.kind == kind]
        for stage in stages if every else ():
            left = 'done' if stage.key in done else format_seconds(times[stage.key])
            amount = '' if stage.amount is None else f'{stage.amount} {"iterations" if kind == "train" else "images"}'
            rows.append((TITLES[kind], stage.name, amount, left))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        print('  ' + '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if len(done) == len(plan.stages):
        return
    seconds, unknown = expected_total(plan, times, done, jobs, devices)
    at_once = f'{jobs} stage{"s" if jobs > 1 else ""} at once'
    if not unknown:
        print(f'expected time, {at_once}: {format_seconds(seconds)}')
    elif seconds:
        print(
            f'expected time, {at_once}: more than {format_seconds(seconds)}; {unknown} stages were never measured here'
        )
    else:
        print(f'expected time, {at_once}: unknown; nothing like these {unknown} stages was measured on this machine')


def _show_end(out: Path) -> None:
    found = sorted(out.glob('**/submission.csv'))
    print(f'the workflow has ended: {", ".join(map(display_path, found)) or display_path(out)}')


if __name__ == '__main__':
    run_tool(main, interrupted='finished stages are kept; the same command goes on')
