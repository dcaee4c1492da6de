"""Starts Snakemake on a plan, and says what goes on."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import IO

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path
from sartorius.workflow.estimate import expected_total, format_seconds
from sartorius.workflow.processes import death_with_parent, try_lock
from sartorius.workflow.records import DONE, FAILED, RUNNING, done_stages, read_record
from sartorius.workflow.stages import Plan, Stage, save_plan

SNAKEFILE = Path(__file__).with_name('Snakefile')
SECONDS_BETWEEN_LOOKS = 0.5
# After a kill the children of the former workflow need a moment to die.
SECONDS_FOR_LOCK = 10.0
SECONDS_TO_STOP = 30.0
LOG_LINES = 12


def check_snakemake() -> None:
    """Refuses to start without Snakemake.

    Raises:
        UsageError: It is not installed.
    """
    if importlib.util.find_spec('snakemake') is None:
        raise UsageError('Snakemake is not installed: `make setup` installs it (requirements/workflow.txt)')


def lock_workflow(out: Path) -> IO[str]:
    """Makes this process the only one that works on a workflow.

    Returns:
        The open lock file; closing it, in this process and its children, frees the workflow.

    Raises:
        InputError: Another process works there.
    """
    path, until = out / 'stages' / 'locks' / 'workflow.lock', time.monotonic() + SECONDS_FOR_LOCK
    while (lock := try_lock(path)) is None:
        if time.monotonic() > until:
            owner = path.read_text(encoding='utf-8').strip() or 'unknown'
            raise InputError(
                f'{display_path(out)}: another workflow is at work there (process {owner}); wait '
                f'for it to end, end it, or '
                'choose another --out'
            )
        time.sleep(0.2)
    lock.truncate(0)
    lock.write(f'{os.getpid()} on {os.uname().nodename}\n')
    lock.flush()
    return lock


def run_workflow(
    plan: Plan, times: Mapping[str, float | None], jobs: int, devices: int, extra: Sequence[str], lock: IO[str]
) -> None:
    """Runs what is left of a workflow.

    Args:
        plan: The workflow.
        times: Expected seconds by stage.
        jobs: Stages at once.
        devices: Trainings and predictions at once.
        extra: More options for Snakemake.
        lock: Of :func:`lock_workflow`; Snakemake inherits it.

    Raises:
        InputError: A stage failed; the message names it and ends with its last lines.
    """
    plan_file = save_plan(plan)
    done = done_stages(plan)
    for stage in plan:
        if stage.key not in done:
            plan.stamp(stage).unlink(missing_ok=True)
    progress = _Progress(plan, times, done, jobs, devices)
    log = plan.out / 'logs' / 'snakemake.log'
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w', encoding='utf-8') as output:
        process = subprocess.Popen(
            _snakemake_words(plan, plan_file, jobs, devices, extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
            preexec_fn=death_with_parent(),
        )
        code = _wait(process, progress.look)
    progress.look()
    if code:
        raise InputError(_explain(plan, progress.failed, log))


def _snakemake_words(plan: Plan, plan_file: Path, jobs: int, devices: int, extra: Sequence[str]) -> list[str]:
    on_cluster = plan.devices is None
    limits = ['--jobs', str(jobs)] if on_cluster else ['--cores', str(jobs), '--resources', f'device={devices}']
    return [
        *(sys.executable, '-m', 'snakemake', '--snakefile', str(SNAKEFILE), '--directory', str(plan.out)),
        *('--config', f'plan={plan_file}', *limits),
        # Whether a stage must run again is decided by content (sartorius.workflow.records); dates only raise the
        # question.
        *('--rerun-triggers', 'mtime', '--rerun-incomplete'),
        # The workflow has a lock of its own, which ends with its processes; Snakemake's would stay behind after a kill.
        '--nolock',
        *('--keep-going', '--scheduler', 'greedy'),
        *extra,
    ]


def _wait(process: subprocess.Popen, look: Callable[[], None]) -> int:
    """Waits for Snakemake, looking at the stages; a signal ends it and all that it started."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, stop)
    try:
        while process.poll() is None:
            look()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return process.returncode
    finally:
        signal.signal(signal.SIGTERM, former)
        if process.poll() is None:
            # Snakemake cancels the jobs of a cluster on this; stages here get it too.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class _Progress:
    """Prints a line when a stage starts and when it ends."""

    def __init__(
        self, plan: Plan, times: Mapping[str, float | None], done: Collection[str], jobs: int, devices: int
    ) -> None:
        self.plan, self.times, self.jobs, self.devices = plan, dict(times), jobs, devices
        self.done = set(done)
        self.failed: list[Stage] = []
        self.began = time.time()
        self._said: dict[str, tuple[str, float]] = {}

    def look(self) -> None:
        """Reads the records of the stages that are left."""
        for stage in self.plan:
            if stage.key in self.done:
                continue
            record = read_record(self.plan, stage)
            stamped = self.plan.stamp(stage).exists()
            if record is None or (record.started < self.began and not stamped):
                continue
            if record.state == RUNNING and self._is_news(stage, RUNNING, record.started):
                self._say(f'{stage.title}: started{self._about(self.times[stage.key])}')
            elif record.state == FAILED and self._is_news(stage, FAILED, record.started):
                self.failed.append(stage)
                self._say(f'{stage.title}: FAILED after {format_seconds(record.seconds)}')
            elif record.state == DONE and stamped:
                self.done.add(stage.key)
                kept = record.started < self.began
                how = 'kept, nothing that it reads has changed' if kept else f'done in {format_seconds(record.seconds)}'
                self._say(f'{stage.title}: {how}{self._rest()}')

    def _is_news(self, stage: Stage, state: str, started: float) -> bool:
        news = self._said.get(stage.key) != (state, started)
        self._said[stage.key] = (state, started)
        return news

    def _rest(self) -> str:
        seconds, unknown = expected_total(self.plan, self.times, self.done, self.jobs, self.devices)
        if len(self.done) == len(self.plan.stages):
            return ''
        if unknown:
            return f'; {unknown} {"stage" if unknown == 1 else "stages"} of unknown time to come'
        return f'; about {format_seconds(seconds)} to go'

    @staticmethod
    def _about(seconds: float | None) -> str:
        return '' if seconds is None else f', takes about {format_seconds(seconds)}'

    def _say(self, text: str) -> None:
        print(f'[{len(self.done)}/{len(self.plan.stages)}] {text}', flush=True)


def _explain(plan: Plan, failed: Sequence[Stage], snakemake_log: Path) -> str:
    """Which stage failed, with the end of its log; Snakemake's own log where it was none of them."""
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
