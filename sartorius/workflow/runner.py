"""Runs a plan on Snakemake and reports its progress."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.locks import wait_for_lock
from sartorius.utils.paths import display_path
from sartorius.utils.processes import death_with_parent
from sartorius.workflow.records import DONE, FAILED, RUNNING, done_stages, read_record
from sartorius.workflow.stages import Stage, WorkflowPlan, save_plan

SNAKEFILE = Path(__file__).with_name('Snakefile')
SECONDS_BETWEEN_UPDATES = 0.5
SECONDS_TO_STOP = 30.0
LOG_LINES = 12


def assign_devices(plan: WorkflowPlan, jobs: int | None = None) -> WorkflowPlan:
    """Gives a plan the GPUs of this machine, or shares out its cores where there is none.

    Args:
        plan: The workflow.
        jobs: Stages at once; if None as many as there are GPUs, else 1.
    """
    names = _visible_gpus()
    jobs = jobs or max(1, len(names))
    threads = os.environ.get('OMP_NUM_THREADS', '')
    shared = int(threads) if threads.isdecimal() else max(1, _count_cores() // jobs)
    return replace(plan, jobs=jobs, devices=tuple(names), threads=shared)


def run_workflow(plan: WorkflowPlan, extra: Sequence[str] = ()) -> None:
    """Runs the stages of a workflow that are not done.

    Args:
        plan: The workflow.
        extra: More options for Snakemake.

    Raises:
        UsageError: Snakemake is not installed.
        InputError: Another process works in the folder, or a stage failed; the message names it and ends with its last
            lines.
    """
    if importlib.util.find_spec('snakemake') is None:
        raise UsageError('Snakemake is not installed: `make setup` installs it, and so does pip install snakemake')
    with lock_workflow(plan.out) as lock:
        plan_file = save_plan(plan)
        done = done_stages(plan)
        for stage in plan:
            if stage.key not in done:
                plan.stamp(stage).unlink(missing_ok=True)
        progress = _Progress(plan, done)
        log = plan.out / 'logs' / 'snakemake.log'
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('w', encoding='utf-8') as output:
            process = subprocess.Popen(
                _snakemake_words(plan, plan_file, extra),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
                preexec_fn=death_with_parent(),
            )
            code = _wait(process, progress.update)
        progress.update()
    if code:
        raise InputError(_explain(plan, progress.failed, log))


def lock_workflow(out: Path) -> IO[str]:
    """Makes this process the only one that works on a workflow.

    Returns:
        The open lock file; closing it, in this process and its children, releases the workflow.

    Raises:
        InputError: Another process works there.
    """
    return wait_for_lock(out / 'stages' / 'locks' / 'workflow.lock', out, 'workflow')


def format_seconds(seconds: float) -> str:
    """Duration in seconds, minutes or hours, to about two digits."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'


def _visible_gpus() -> list[str]:
    """GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def _snakemake_words(plan: WorkflowPlan, plan_file: Path, extra: Sequence[str]) -> list[str]:
    if plan.devices is None:
        limits = ['--jobs', str(plan.jobs)]
    else:
        devices = min(plan.jobs, len(plan.devices) or plan.jobs)
        limits = ['--cores', str(plan.jobs), '--resources', f'device={devices}']
    return [
        *(sys.executable, '-m', 'snakemake', '--snakefile', str(SNAKEFILE), '--directory', str(plan.out)),
        *('--config', f'plan={plan_file}', *limits),
        # Whether a stage must run again is decided by content (sartorius.workflow.records); dates only raise the
        # question.
        *('--rerun-triggers', 'mtime', '--rerun-incomplete'),
        # The workflow has a lock of its own, which ends with its processes; Snakemake's would remain after a kill.
        '--nolock',
        *('--keep-going', '--scheduler', 'greedy'),
        *extra,
    ]


def _wait(process: subprocess.Popen, update: Callable[[], None]) -> int:
    """Waits for Snakemake, updating the progress; a signal ends it and everything that it started."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        while process.poll() is None:
            update()
            time.sleep(SECONDS_BETWEEN_UPDATES)
        return process.returncode
    finally:
        signal.signal(signal.SIGTERM, former)
        if process.poll() is None:
            # Snakemake cancels the jobs of a cluster on this; stages on this machine get the signal too.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class _Progress:
    """Prints a line when a stage starts and when it ends."""

    def __init__(self, plan: WorkflowPlan, done: Collection[str]) -> None:
        self.plan = plan
        self.done = set(done)
        self.failed: list[Stage] = []
        self.began = time.time()
        self._printed: dict[str, tuple[str, float]] = {}

    def update(self) -> None:
        """Reads the records of the stages that are not done."""
        for stage in self.plan:
            if stage.key in self.done:
                continue
            record = read_record(self.plan, stage)
            stamped = self.plan.stamp(stage).exists()
            if record is None or (record.started < self.began and not stamped):
                continue
            if record.state == RUNNING and self._is_news(stage, RUNNING, record.started):
                self._print(f'{stage.title}: started')
            elif record.state == FAILED and self._is_news(stage, FAILED, record.started):
                self.failed.append(stage)
                self._print(f'{stage.title}: FAILED after {format_seconds(record.seconds)}')
            elif record.state == DONE and stamped:
                self.done.add(stage.key)
                kept = record.started < self.began
                how = 'kept, its inputs are unchanged' if kept else f'done in {format_seconds(record.seconds)}'
                self._print(f'{stage.title}: {how}, {format_seconds(time.time() - self.began)} in all')

    def _is_news(self, stage: Stage, state: str, started: float) -> bool:
        news = self._printed.get(stage.key) != (state, started)
        self._printed[stage.key] = (state, started)
        return news

    def _print(self, text: str) -> None:
        print(f'[{len(self.done)}/{len(self.plan.stages)}] {text}', flush=True)


def _explain(plan: WorkflowPlan, failed: Sequence[Stage], snakemake_log: Path) -> str:
    """Names the stage that failed, with the end of its log; shows Snakemake's own log if no stage failed."""
    what, log = 'Snakemake ended early', snakemake_log
    if failed:
        more = f' (and {len(failed) - 1} more failed)' if len(failed) > 1 else ''
        what, log = f'{failed[0].title} failed{more}', plan.log(failed[0])
    return (
        f'{what}; its last lines:\n{_tail(log)}\nThe whole log is {display_path(log)}. All finished stages are kept: '
        'the same command goes on with the rest'
    )


def _tail(path: Path) -> str:
    try:
        return '\n'.join(path.read_text(encoding='utf-8', errors='replace').strip().splitlines()[-LOG_LINES:])
    except OSError:
        return '(no log)'
