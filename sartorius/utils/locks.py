"""Locks: one process at a time works in a folder, and another one is told which.

A lock is a ``flock`` on a small file that names its holder. The kernel ends it with the process that holds it, however
that ends, so a run that was killed never stands in the way of the next.
"""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path
from sartorius.utils.pending import make_folder, sync

try:
    import fcntl
except ImportError:  # Windows, on which nothing is locked
    fcntl = None

LOCK_NAME = '.sartorius.lock'
"""The file in a folder that is being written; there only while a process works in it. If that was killed, the next
writer in the folder removes it (:func:`sartorius.utils.pending.tidy`)."""
# After a kill the children of the former run, which may have inherited a lock, need a moment to die.
SECONDS_TO_WAIT = 10.0
# Network folders that cannot lock: nothing is protected there, and nothing fails.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

# Folder locks of this process: descriptor (None in a child), and how often it has entered them.
_held: dict[str, tuple[int | None, int]] = {}


def try_lock(path: Path, shared: bool = False) -> IO[str] | None:
    """Locks a file without waiting, and writes into it which process that was.

    Args:
        path: The file, which is made if it is missing, and stays.
        shared: Whether others may have a shared lock at the same time.

    Returns:
        The open file, locked until it and all copies that children inherited are closed; None if another process has
        the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open('a+', encoding='utf-8')
    if not _flock(file.fileno(), shared):
        file.close()
        return None
    _name_holder(file.fileno())
    return file


def wait_for_lock(path: Path, folder: Path, what: str, shared: bool = False) -> IO[str]:
    """Locks a file as :func:`try_lock` does, and gives the children of a run that was killed a moment to die.

    Args:
        path: The file.
        folder: What it protects, for the message.
        what: What works there, for the message: ``workflow``.
        shared: As in :func:`try_lock`.

    Raises:
        InputError: Another process has the lock; the message names it.
        OSError: The folder cannot be written.
    """
    until = time.monotonic() + SECONDS_TO_WAIT
    with _named(folder):
        while (lock := try_lock(path, shared)) is None:
            if _is_alive(holder := _read_holder(path)) or time.monotonic() > until:
                raise _refusal(holder, folder, what)
            time.sleep(0.2)
    return lock


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


@contextmanager
def lock_folder(folder: str | Path, what: str = 'run', beside: bool = False) -> Iterator[None]:
    """Makes this process the only one that writes to a folder, which is created if it is missing.

    A process may enter a folder that it holds already. Children do not keep the lock.

    Args:
        folder: The folder.
        what: What works there, for the message: ``training``.
        beside: Whether the lock lies beside the folder, which is replaced as a whole.

    Raises:
        InputError: Another process works there; the message names it.
        OSError: The folder cannot be written.
    """
    folder = Path(os.path.realpath(folder)) if beside else Path(folder)
    path = folder.with_name(f'.sartorius-{folder.name}.lock') if beside else folder / LOCK_NAME
    new = [place for place in path.parents if not place.exists()]
    with _named(folder):
        make_folder(path.parent)
        key = os.path.realpath(path)
        if key in _held:
            descriptor, count = _held[key]
        else:
            descriptor, count = _lock_anew(path, folder, what), 0
    _held[key] = descriptor, count + 1
    try:
        yield
    finally:
        descriptor, count = _held[key]
        if count > 1:
            _held[key] = descriptor, count - 1
        else:
            del _held[key]
            _release(descriptor, path)
            with suppress(OSError):
                # As far as nothing was written there.
                for place in new:
                    place.rmdir()


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Has errors of the disk name the folder, in place of a hidden file that nobody has asked for."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None


def _lock_anew(path: Path, folder: Path, what: str) -> int:
    """Descriptor of a lock file that this process alone has."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if not _flock(descriptor, shared=False):
            os.close(descriptor)
            raise _refusal(_read_holder(path), folder, what)
        # The former holder may have removed the file since it was opened; that lock is worth nothing.
        if _is_still_there(descriptor, path):
            _name_holder(descriptor)
            return descriptor
        os.close(descriptor)


def _release(descriptor: int | None, path: Path) -> None:
    if descriptor is None:
        return
    if _is_still_there(descriptor, path):
        path.unlink()
        # Else a power cut could bring it back in a folder where no later run works.
        with suppress(OSError):
            sync([path.parent])
    os.close(descriptor)


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _flock(descriptor: int, shared: bool) -> bool:
    """Whether the lock was free."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _name_holder(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f'{os.getpid()} on {socket.gethostname()}\n'.encode(), 0)


def _read_holder(path: Path) -> str:
    """What :func:`_name_holder` wrote; empty if that cannot be read."""
    try:
        return path.read_text(encoding='utf-8').strip()
    except (OSError, ValueError):
        return ''


def _is_alive(holder: str) -> bool:
    """Whether the holder is a living process of this machine."""
    pid, _, host = holder.partition(' on ')
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _refusal(holder: str, folder: Path, what: str) -> InputError:
    return InputError(
        f'{display_path(folder)}: another {what} is at work there (process {holder or "unknown"}); wait for it to end, '
        'end it, or choose another folder'
    )


def _leave_to_parent() -> None:
    """In a forked child: a data loader's worker that outlives a killed training must not keep its lock."""
    for key, (descriptor, count) in _held.items():
        if descriptor is not None:
            os.close(descriptor)
        _held[key] = None, count


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_leave_to_parent)
