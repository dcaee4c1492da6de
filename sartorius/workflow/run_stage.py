"""Runs one stage of a workflow: ``python -m sartorius.workflow.run_stage WORKFLOW_JSON STAGE``, as Snakemake does.

A stage that is done is not run again; a training that was stopped resumes.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from sartorius.utils.checkpoint_files import newest_whole
from sartorius.utils.cli import name_tools, run_tool
from sartorius.utils.locks import locked
from sartorius.utils.paths import PROJECT_DIR
from sartorius.utils.processes import death_with_parent, die_with_parent
from sartorius.workflow.records import (
    DONE,
    FAILED,
    RUNNING,
    StageRecord,
    describe_outputs,
    fingerprint,
    is_done,
    read_record,
    write_record,
)
from sartorius.workflow.stages import Stage, WorkflowPlan, load_plan

THREAD_LIMITS = tuple(f'{library}_NUM_THREADS' for library in ('OMP', 'MKL', 'OPENBLAS', 'GOTO', 'VECLIB', 'NUMEXPR'))
"""Variables by which Snakemake gives every job one thread; MKL's, of one, would hold PyTorch to one core."""


def main(argv: list[str] | None = None) -> int:
    """Runs the stage; returns the exit code of its tool."""
    plan_file, key = sys.argv[1:] if argv is None else argv
    die_with_parent()
    plan = load_plan(plan_file)
    return run_stage(plan, plan.stages[key])


def run_stage(plan: WorkflowPlan, stage: Stage) -> int:
    """Runs a stage unless it is done, and marks it as done for Snakemake.

    Locks, which the tool and its workers inherit, keep a stage from running twice at once, and a device from being used
    by two stages.
    """
    log = plan.log(stage)
    log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, log.open('a', encoding='utf-8') as output:

        def wait_for(what: str) -> None:
            print(f'waiting for {what}', file=output, flush=True)

        own = plan.out / 'stages' / 'locks' / f'{stage.key.replace("/", "-")}.lock'
        locks = [stack.enter_context(locked([own], lambda: wait_for('an earlier run of this stage to end')))[1]]
        if not is_done(plan, stage):
            environment = dict(os.environ)
            for name in THREAD_LIMITS:
                environment.pop(name, None)
            if plan.threads:
                environment['OMP_NUM_THREADS'] = str(plan.threads)
            if stage.on_device and plan.devices:
                places = [
                    plan.out / 'stages' / 'locks' / f'device-{name.replace("/", "-")}.lock' for name in plan.devices
                ]
                index, lock = stack.enter_context(locked(places, lambda: wait_for('a device')))
                locks.append(lock)
                environment['CUDA_VISIBLE_DEVICES'] = plan.devices[index]
            code = _run_tool(plan, stage, environment, output, locks)
            if code:
                return code
    stamp = plan.stamp(stage)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    return 0


def _run_tool(
    plan: WorkflowPlan, stage: Stage, environment: dict[str, str], output: IO[str], locks: list[IO[str]]
) -> int:
    words = [*stage.words, *_resume_words(plan, stage, lambda sentence: print(sentence, file=output, flush=True))]
    print(name_tools(f'$ python {shlex.join(words)}'), file=output, flush=True)
    record = StageRecord(RUNNING, fingerprint(plan, stage) or '', time.time())
    write_record(plan, stage, record)
    code = subprocess.run(
        [sys.executable, *(str(PROJECT_DIR / word) if word.startswith('tools/') else word for word in words)],
        cwd=plan.base,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=[lock.fileno() for lock in locks],
        preexec_fn=death_with_parent(),
    ).returncode
    seconds = time.time() - record.started
    if not code:
        missing = [path for path in stage.outputs if not Path(path).is_file()]
        if not missing:
            outputs = describe_outputs(plan, stage)
            write_record(plan, stage, replace(record, state=DONE, seconds=seconds, outputs=outputs))
            return 0
        print(f'error: ended without writing {missing[0]}', file=output, flush=True)
        code = 1
    write_record(plan, stage, replace(record, state=FAILED, seconds=seconds, code=code))
    return code


def _resume_words(plan: WorkflowPlan, stage: Stage, say: Callable[[str], object]) -> list[str]:
    """Options that resume a stopped training; its folder is removed if it was started with other inputs."""
    record = read_record(plan, stage, say)
    if stage.work_dir is None:
        return []
    folder = Path(stage.work_dir)
    if record is not None and record.fingerprint == fingerprint(plan, stage):
        newest = newest_whole(folder, say)
        if newest is not None:
            return ['--resume', str(newest)]
    if record is not None or plan.record(stage).exists():
        # What is left was started with other inputs, or nobody knows with which, or none of it is whole.
        shutil.rmtree(folder, ignore_errors=True)
    return []


if __name__ == '__main__':
    run_tool(lambda: sys.exit(main()), 'the same command goes on')
