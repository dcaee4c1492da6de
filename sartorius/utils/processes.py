"""Locks and child processes: after a run is killed in any way, no part of it keeps running."""

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def death_with_parent() -> Callable[[], None]:
    """A ``preexec_fn`` that has the kernel kill a child when the process that started it ends in any way.

    Only Linux can do that; elsewhere the locks still keep a second process out of the folder.
    """
    # Loaded before the fork: nothing may be imported between fork and exec.
    prctl = ctypes.CDLL(None).prctl if sys.platform.startswith('linux') else None
    parent = os.getpid()

    def prepare_child() -> None:
        # A shell's background jobs ignore Ctrl-C, and so would their children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if prctl is None:
            return
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare_child


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends (on Linux)."""
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def try_lock(path: Path, shared: bool = False) -> IO[str] | None:
    """Locks a file without waiting.

    Args:
        path: The file, which is made if it is missing.
        shared: Whether others may have a shared lock at the same time.

    Returns:
        The open file, locked until it and all copies that children inherited are closed; None if another process has
        the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a+', encoding='utf-8')
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def locked(paths: Sequence[Path], waiting: Callable[[], None], interval: float = 0.5) -> Iterator[tuple[int, IO[str]]]:
    """Context manager that locks the first free one of several files, waiting until there is one.

    Args:
        paths: Lock files.
        waiting: Called once if all files are locked.
        interval: Seconds between two attempts.

    Yields:
        Index of the file, and the open file, which children may inherit to keep the lock.
    """
    is_waiting = False
    while True:
        for index, path in enumerate(paths):
            file = try_lock(path)
            if file is not None:
                with file:
                    yield index, file
                return
        if not is_waiting:
            waiting()
            is_waiting = True
        time.sleep(interval)
