"""Makes of a killed run what a power cut would have left: what was never synced is not on the disk.

As on the file systems that lose most: a file that was written after its last sync is empty, and a rename or a removal
that was not followed by a sync of its folder may not have happened.
"""

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

State = tuple[int, int, int]
"""Inode, size and time of change of a file."""


def states_of(root: Path) -> frozenset[State]:
    """What is on the disk before a run."""
    return frozenset(_state(path) for path in root.rglob('*') if path.is_file())


def cut_power(root: Path, log: Path, before: frozenset[State], chance: random.Random | None) -> None:
    """Takes back what a run had not synced.

    Args:
        root: The watched folder.
        log: Log of watch/sitecustomize.py.
        before: :func:`states_of` the folder before the run.
        chance: Takes back some of the renames and removals; all of them if None.
    """
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    synced = before | {tuple(entry['state']) for entry in entries if entry['event'] == 'sync'}
    safe_folders: set[str] = set()
    for entry in reversed(entries):
        path = entry['paths'][-1]
        if entry['event'] == 'sync':
            safe_folders.add(path)
            continue
        unsafe = entry['event'] in ('os.rename', 'os.remove') and os.path.dirname(path) not in safe_folders
        if unsafe and (chance is None or chance.random() < 0.5):
            _take_back(entry, Path(path))
    for path in root.rglob('*'):
        if path.is_file() and _state(path) not in synced:
            os.truncate(path, 0)


def _take_back(entry: Mapping[str, object], path: Path) -> None:
    """Undoes a rename or a removal, as far as what was done later allows."""
    if entry['event'] == 'os.rename':
        source = Path(entry['paths'][0])
        if path.exists() and not source.exists():
            source.parent.mkdir(parents=True, exist_ok=True)
            path.rename(source)
    kept = entry.get('kept')
    if kept and Path(kept).exists() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(kept, path)


def forget(keep: Path) -> None:
    """Empties the folder of what was replaced and removed."""
    shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir(parents=True)


def _state(path: Path) -> State:
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns
