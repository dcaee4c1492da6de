"""Child processes: after a run is killed in any way, no part of it keeps running."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1


def death_with_parent() -> Callable[[], None]:
    """A ``preexec_fn`` that has the kernel kill a child when the process that started it ends in any way.

    Only Linux can do that; elsewhere the locks (:mod:`sartorius.utils.locks`) still keep a second process out.
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
