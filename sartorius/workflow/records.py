"""Records of what stages did, and whether a stage is done: decided by the content of what it reads, not by dates.

A stage's fingerprint covers its command line, the hashes of its configs and data, and the hashes of the files of other
stages that it reads. A stage with a record of the same fingerprint and with unchanged outputs is not run again, even
if stages before it were, as long as they came to the same result. Moving the workflow's folder, the data or the
checkout changes no fingerprint.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import PROJECT_DIR, display_path
from sartorius.workflow.stages import Stage, WorkflowPlan

RUNNING, FAILED, DONE = 'running', 'failed', 'done'
_FILE_KEYS = {'size', 'changed', 'sha256'}


@dataclass(frozen=True)
class StageRecord:
    """State and results of a stage's last run.

    Attributes:
        state: ``running`` (or killed while it was), ``failed`` or ``done``.
        fingerprint: :func:`fingerprint` at its start.
        started: Start of the run, in seconds since 1970.
        seconds: Duration of the run; None while it runs.
        outputs: Size in bytes, time of change in nanoseconds and SHA-256 of each output, by path relative to the
            workflow.
        code: Exit code, if it failed.
    """

    state: str
    fingerprint: str
    started: float
    seconds: float | None = None
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    code: int | None = None


def read_record(plan: WorkflowPlan, stage: Stage, say: Callable[[str], object] = lambda _: None) -> StageRecord | None:
    """Reads the record of a stage.

    Args:
        plan: The workflow.
        stage: Its stage.
        say: Is told in a sentence if the record is damaged, and what counts in its place.

    Returns:
        The record; the one before it if it is damaged; None if the stage was never started or both are.
    """
    path, before = plan.record(stage), plan.record_before(stage)
    try:
        return _read(path)
    except FileNotFoundError:
        problem = ''
    except (OSError, ValueError) as error:
        name = display_path(path)
        problem = f'{name}: the record cannot be read ({str(error).removeprefix(f"{name}: ")})'
    try:
        record = _read(before)
    except (OSError, ValueError):
        record = None
    if problem:
        say(f'{problem}; ' + ('the stage runs again' if record is None else 'the one before it counts'))
    return record


def write_record(plan: WorkflowPlan, stage: Stage, record: StageRecord) -> None:
    """Writes a stage's record atomically, and keeps the one before it of the same inputs.

    Of a stage that starts with other inputs no earlier record counts, so that both are the new one.
    """
    path, before = plan.record(stage), plan.record_before(stage)
    text = json.dumps(asdict(record), indent=1) + '\n'
    former = read_record(plan, stage)
    if former is None or former.fingerprint != record.fingerprint:
        write_text(before, text)
    elif path.is_file():
        os.replace(path, before)
    write_text(path, text)


def _read(path: Path) -> StageRecord:
    """Reads one file.

    Raises:
        OSError: It cannot be opened.
        ValueError: It holds no such record.
    """
    content = read_json(path, finite=True)
    try:
        record = StageRecord(**content)
    except TypeError:
        raise ValueError('it has other entries') from None
    numbers = [record.started, *([] if record.state == RUNNING else [record.seconds])]
    states = record.outputs.values() if isinstance(record.outputs, dict) else [None]
    if (
        record.state not in (RUNNING, FAILED, DONE)
        or not isinstance(record.fingerprint, str)
        or not all(isinstance(number, int | float) for number in numbers)
        or not all(isinstance(state, dict) and state.keys() >= _FILE_KEYS for state in states)
    ):
        raise ValueError('it has other values')
    return record


def fingerprint(plan: WorkflowPlan, stage: Stage) -> str | None:
    """Hash of everything that decides a stage's outputs; None while a file that it reads does not exist yet."""
    made = {}
    for need in plan.needs(stage):
        record = read_record(plan, need)
        if record is None or record.state != DONE:
            return None
        made.update(record.outputs)
    try:
        inputs = {name: made[name]['sha256'] for name in sorted(relative(plan, path) for path in stage.inputs)}
    except KeyError:
        return None
    words = [_portable(plan, word) for word in stage.words]
    text = json.dumps([words, dict(stage.facts), inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_done(plan: WorkflowPlan, stage: Stage) -> bool:
    """Whether a stage was finished with the same command, configs, data and inputs, and its outputs are there."""
    record = read_record(plan, stage)
    return (
        record is not None
        and record.state == DONE
        and record.fingerprint == fingerprint(plan, stage)
        and {relative(plan, path) for path in stage.outputs} == record.outputs.keys()
        and all(_is_unchanged(plan.out / name, known) for name, known in record.outputs.items())
    )


def done_stages(plan: WorkflowPlan) -> set[str]:
    """Keys of the stages that are done, together with all that they need."""
    done: set[str] = set()
    for stage in plan:
        if all(need.key in done for need in plan.needs(stage)) and is_done(plan, stage):
            done.add(stage.key)
    return done


def describe_outputs(plan: WorkflowPlan, stage: Stage) -> dict[str, dict[str, Any]]:
    """Size, time of change and hash of each output of a stage, as in :attr:`StageRecord.outputs`.

    Raises:
        FileNotFoundError: The stage did not write one of them.
    """
    described = {}
    for path in map(Path, stage.outputs):
        state = path.stat()
        described[relative(plan, path)] = {
            'size': state.st_size,
            'changed': state.st_mtime_ns,
            'sha256': sha256_of(path),
        }
    return described


def relative(plan: WorkflowPlan, path: str | Path) -> str:
    """Path of one of the workflow's files, relative to the workflow's folder."""
    return Path(path).relative_to(plan.out).as_posix()


def _is_unchanged(path: Path, known: dict[str, Any]) -> bool:
    try:
        state = path.stat()
    except FileNotFoundError:
        return False
    if state.st_size != known['size']:
        return False
    # A copied or touched file is still the same one.
    return state.st_mtime_ns == known['changed'] or sha256_of(path) == known['sha256']


def _portable(plan: WorkflowPlan, word: str) -> str:
    for folder, name in ((plan.out, 'WORKFLOW'), (plan.data_root, 'DATA'), (PROJECT_DIR, 'CHECKOUT')):
        if word == str(folder) or word.startswith(f'{folder}/'):
            return name + word[len(str(folder)) :]
    return word
