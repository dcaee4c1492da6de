"""Tries a case on a disk that is full or cannot be written: a small file system in memory for each trial."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kill_server import Run
from kill_trees import is_hidden, is_log, tree_of
from kill_trial import OVER, Outcome, State, Trial

from sartorius.utils.pending import JOURNAL, is_partial

PAGE = 4096
SHARES = (0.0, 0.3, 0.7, 0.95)
"""How much of what the run adds there is room for."""
ROOMY = 4 << 30


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    return subprocess.run(['mount', '--version'], capture_output=True).returncode == 0 and Path('/').owner() == _me()


def _me() -> str:
    return subprocess.run(['id', '-un'], capture_output=True, text=True).stdout.strip()


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount('-t', 'tmpfs', '-o', f'size={size}', 'none', str(folder))
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(['mount', *words], check=True)


def fill_disk(trial: Trial, state: State, share: float, outcome: Outcome) -> None:
    """Runs the tool with room for a share of what it adds; then with enough room."""
    before = trial.before if state.name == OVER else None
    used = _pages(before)
    trial.restore(state)
    trial.run()
    needed = _pages(trial.out)
    shutil.rmtree(trial.out)
    where = f'{state.name}, disk full at {share:.0%}'
    with small_disk(trial.out, used + PAGE * (1 + int(share * needed / PAGE))):
        if before is not None:
            shutil.copytree(before, trial.out, symlinks=True, dirs_exist_ok=True)
        done = trial.run()
        outcome.tried += 1
        if done.code == 0:
            return
        _judge_message(trial, done, outcome, where)
        trial.judge(state, outcome, where)
        if litter := _litter(trial, state):
            outcome.add('litter', where, litter[0])
        _mount('-o', f'remount,size={ROOMY}', str(trial.out))
        trial.go_on(state, outcome, where)


def lock_disk(trial: Trial, state: State, outcome: Outcome) -> None:
    """Runs the tool in a folder that cannot be written."""
    where = f'{state.name}, read-only'
    shutil.rmtree(trial.out, ignore_errors=True)
    with small_disk(trial.out, ROOMY):
        if state.name == OVER:
            shutil.copytree(trial.before, trial.out, symlinks=True, dirs_exist_ok=True)
        _mount('-o', 'remount,ro', str(trial.out))
        done = trial.run()
        outcome.tried += 1
        if done.code == 0:
            outcome.add('message', where, 'ended with 0')
        else:
            _judge_message(trial, done, outcome, where)


def _judge_message(trial: Trial, done: Run, outcome: Outcome, where: str) -> None:
    """One sentence that names what was meant, and no temporary file; it may quote the log of a process of its own."""
    lines = done.said.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith('error:')), None)
    if 'Traceback' in done.said or first is None or (len(lines) > first + 1 and not trial.case.quotes_log):
        outcome.add('message', where, done.said.strip()[-400:])
        return
    sentence = '\n'.join(lines[first:])
    named = re.findall(rf'{re.escape(str(trial.out))}[^\s:]*', sentence)
    if not named or any(is_partial(part) or part == JOURNAL for name in named for part in Path(name).parts):
        outcome.add('message', where, sentence)


def _litter(trial: Trial, state: State) -> list[str]:
    """Hidden files that stand neither before nor after a run."""
    known = state.ends.old.keys() | state.ends.new.keys()
    return [name for name in tree_of(trial.out) if name not in known and is_hidden(name) and not is_log(name)]


def _pages(folder: Path | None) -> int:
    """Bytes of a folder on a disk of pages."""
    if folder is None:
        return 0
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob('*') if path.is_file())
