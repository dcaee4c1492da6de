"""Locks and children of a workflow: after any kill, nothing of it may go on unseen."""

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
    """A ``preexec_fn`` that has a child killed when the process that starts it ends, however that ends.

    Linux alone can do that; elsewhere the locks still keep a second process out of the folder.
    """
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None).prctl if sys.platform.startswith('linux') else None
    parent = os.getpid()

    def ask() -> None:
        # A shell's background jobs ignore Ctrl-C, and so would their children.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if prctl is None:
            return
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def die_with_parent() -> None:
    """Has this process killed when its parent ends."""
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def try_lock(path: Path) -> IO[str] | None:
    """The open file, locked until it and all copies that children inherited are closed; None if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a+', encoding='utf-8')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def locked(paths: Sequence[Path], waiting: Callable[[], None], interval: float = 0.5) -> Iterator[tuple[int, IO[str]]]:
    """Locks the first free one of several files, waiting until there is one.

    Args:
        paths: Lock files.
        waiting: Called once if it has to wait.
        interval: Seconds between two looks.

    Yields:
        Its index and the open file, which children may inherit to keep the lock.
    """
    told = False
    while True:
        for index, path in enumerate(paths):
            file = try_lock(path)
            if file is not None:
                with file:
                    yield index, file
                return
        if not told:
            waiting()
            told = True
        time.sleep(interval)
