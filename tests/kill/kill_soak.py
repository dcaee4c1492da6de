"""Kills a workflow again and again at random moments, and compares what it ends with."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kill_cases import REPO_ROOT
from kill_server import HANGS
from kill_trees import is_hidden, tree_of

SECONDS_TO_DIE = 30
# So that a kill comes early in what is left rather than after the end.
SHARE = 0.25


@dataclass
class Soak:
    """Result of a soak.

    Attributes:
        kills: Number of kills.
        seconds: Wall time of the run that was left alone.
        faults: What differs; empty if nothing does.
    """

    kills: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def soak(words: Sequence[str], folder: Path, results: Sequence[str], kills: int, chance: random.Random) -> Soak:
    """Runs a command alone, and once more with kills.

    Args:
        words: The command; ``{out}`` is its folder.
        folder: Where the two folders are made.
        results: Patterns of files whose bytes must be equal.
        kills: Number of kills.
        chance: Chooses the moments, and whether one process is killed or all of them at once.
    """
    began, done = time.monotonic(), Soak()
    alone, killed = folder / 'alone', folder / 'killed'
    _finish(_start(words, alone), done)
    done.seconds = time.monotonic() - began
    while done.kills < kills and not done.faults:
        process = _start(words, killed)
        try:
            process.wait(chance.uniform(0, SHARE * done.seconds))
        except subprocess.TimeoutExpired:
            _kill(process, everything=chance.random() < 0.5, done=done)
            done.kills += 1
            continue
        if process.returncode:
            done.faults.append(f'after {done.kills} kills it ended with {process.returncode}: {_said(killed)}')
        else:
            # It was through. Again from where it has to begin anew, so that the kills go on.
            next(iter(sorted(killed.rglob(results[0])))).unlink()
    if not done.faults:
        _finish(_start(words, killed), done)
        _compare(alone, killed, results, done)
    return done


def _start(words: Sequence[str], out: Path) -> subprocess.Popen:
    command = [sys.executable, *(word.format(out=out) for word in words)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix('.txt').open('w') as output:
        return subprocess.Popen(command, cwd=REPO_ROOT, stdout=output, stderr=subprocess.STDOUT)


def _said(out: Path) -> str:
    return out.with_suffix('.txt').read_text(errors='replace')[-1500:]


def _finish(process: subprocess.Popen, done: Soak) -> None:
    try:
        code = process.wait(1800)
    except subprocess.TimeoutExpired:
        process.kill()
        code = HANGS
    if code:
        done.faults.append(f'ended with {code}: {" ".join(process.args)}')


def _kill(process: subprocess.Popen, everything: bool, done: Soak) -> None:
    """Kills the first process, or all of them; none may live on."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children if everything else ():
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    if psutil.wait_procs(children, timeout=SECONDS_TO_DIE)[1]:
        done.faults.append(f'processes live on {SECONDS_TO_DIE} s after a kill of the first')


def _compare(alone: Path, killed: Path, results: Sequence[str], done: Soak) -> None:
    names = sorted({path.relative_to(alone) for pattern in results for path in alone.rglob(pattern) if path.is_file()})
    if not names:
        done.faults.append(f'no {results[0]} was written')
    for name in names:
        if not (killed / name).is_file() or (alone / name).read_bytes() != (killed / name).read_bytes():
            done.faults.append(f'{name} differs from that of the run that was left alone')
    expected = tree_of(alone)
    litter = [name for name in tree_of(killed) if is_hidden(name) and name not in expected]
    done.faults += [f'litter: {name}' for name in litter if not name.startswith('.snakemake/')]
